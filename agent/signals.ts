/** Whose business a signal is: Baton's own, or the program's. */
import { constants } from 'node:os';
import type { Config } from '../config/schema.ts';

const { SIGINT, SIGQUIT, SIGTERM, SIGCHLD, SIGKILL, SIGSTOP } = constants.signals;
const SIGNAL_MAX = 64;

/** PID 1 stops for them too where there is no agent (agent/init/supervisor.c): no configuration gives them another meaning. */
export const STOP_SIGNALS: readonly number[] = [SIGTERM, SIGINT, SIGQUIT];

/** All others go to the program. */
export function routedSignals({ reloadSignal }: Pick<Config, 'reloadSignal'>): number[] {
  const own = new Set([...STOP_SIGNALS, reloadSignal, SIGCHLD, SIGKILL, SIGSTOP]);
  return Array.from({ length: SIGNAL_MAX }, (_, index) => index + 1).filter((signal) => !own.has(signal));
}
