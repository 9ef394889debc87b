import { execFileSync } from 'node:child_process';
import type { TestContext } from 'vitest';
import { baton } from '../../support/namespace.ts';

const { CI } = process.env;

/** An init under which a test runs: ours, or one whose behaviour ours must have. */
export interface Init {
  readonly name: 'baton init' | 'baton init --setsid' | 'tini' | 'dumb-init';
  readonly command: readonly string[];
}

export const ours: Init = { name: 'baton init', command: [baton, 'init'] };
export const oursWithSession: Init = { name: 'baton init --setsid', command: [baton, 'init', '--setsid'] };

/** With -s: outside a PID namespace tini must be told what ours does by itself. */
export const tini: Init = { name: 'tini', command: ['tini', '-s'] };
export const dumbInit: Init = { name: 'dumb-init', command: ['dumb-init'] };

/**
 * A yardstick that is not installed is a failure in CI, where nobody would see that nothing was compared, and a
 * visible skip elsewhere.
 */
export function needs(init: Init, context: TestContext): void {
  const [file = ''] = init.command;
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', file]);
  } catch {
    if (CI) throw new Error(`${file} is not installed, so nothing can be compared with it`);
    context.skip(`${file} is not installed`);
  }
}
