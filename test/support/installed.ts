import { describe, test } from 'vitest';
import { type AppName, missingFor, which } from '../apps/build.ts';

/**
 * `test` for what needs the server of a sample service: visibly skipped where it is not installed, but for CI, where the test runs
 * and fails without it.
 */
export const testWith = (app: AppName) =>
  missingFor(app).length > 0 && !process.env['CI'] ? test.skip : test;

/** The same for a group of tests that need commands; the title of one that is skipped says which. */
export function describeWith(commands: readonly string[], title: string, tests: () => void): void {
  const missing = commands.filter((command) => !which(command));
  if (missing.length === 0 || process.env['CI']) describe(title, tests);
  else describe.skip(`${title} (not installed: ${missing.join(', ')})`, tests);
}
