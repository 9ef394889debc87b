import { test } from 'vitest';
import { type AppName, missingFor } from '../apps/build.ts';

/**
 * `test` for what needs the server of a sample service: visibly skipped where it is not installed, but for CI, where the test runs
 * and fails without it.
 */
export const testWith = (app: AppName) =>
  missingFor(app).length > 0 && !process.env['CI'] ? test.skip : test;
