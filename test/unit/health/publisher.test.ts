import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { initialState, project } from '../../../agent/handover/machine.ts';
import type { Page } from '../../../agent/health/pages.ts';
import { createPublisher } from '../../../agent/health/publisher.ts';
import { loadConfig } from '../../../config/load.ts';

const loaded = await loadConfig({ argvOptions: {}, command: ['server'], environment: {} });
if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
const { config } = loaded;

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function publisher() {
  const published: (readonly Page[])[] = [];
  const { publish } = createPublisher({
    pages: { publish: (pages) => void published.push(pages) },
    around: () => ({
      config,
      listeners: [],
      health: null,
      watching: 'off',
      limits: { cpu: null, memory: null },
      epoch: 0,
    }),
    counted: () => ({ reaped: 7, dropped: 0, queues: new Map(), oomKills: null }),
    now: () => 0,
  });
  const state = initialState();
  const page = (path: string) => published.at(-1)?.find((candidate) => candidate.path === path);
  return { publish: () => publish(state, project(config, state)), published, page };
}

test('the pages are written when publish returns', () => {
  const { publish, page } = publisher();
  publish();
  expect(page('/readyz')?.status).toBe(503);
  expect(page('/livez')?.status).toBe(200);
});

test('the metrics of a new agent follow at once, and are never an empty page', async () => {
  const { publish, published, page } = publisher();
  publish();
  await vi.waitFor(() => expect(page('/metrics')?.status).toBe(200));
  expect(page('/metrics')?.body).toContain('baton_processes_reaped_total 7\n');
  const metrics = published.flat().filter(({ path }) => path === '/metrics');
  expect(metrics.filter(({ body }) => body === '')).toEqual([]);
});
