import { defineConfig } from 'vitest/config';

const common = {
  // Two cores: process tests side by side would only slow each other down.
  fileParallelism: false,
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    fileParallelism: false,
    projects: [
      { test: { ...common, name: 'processes', include: ['test/{unit,integration}/**/*.test.ts'] } },
      {
        test: {
          ...common,
          name: 'container',
          include: ['test/container/**/*.test.ts'],
          globalSetup: 'test/container/support/setup.ts',
          testTimeout: 180_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'kubernetes',
          include: ['test/kubernetes/**/*.test.ts'],
          globalSetup: 'test/kubernetes/setup.ts',
          testTimeout: 180_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
