import { setTimeout } from 'node:timers/promises';
import type { Method } from './method.ts';

/** Ready after `ms` milliseconds, whatever the process does: for programs that offer no proof at all. */
export const delay: Method<{ readonly ms: number }> = async ({ ms }, target, signal, see) => {
  see(`pid ${target.pid} has not run for ${ms} ms yet`);
  await setTimeout(ms, undefined, { signal });
};
