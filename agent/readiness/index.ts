import { accepting } from './accepting.ts';
import { delay } from './delay.ts';
import { exec } from './exec.ts';
import { http } from './http.ts';
import type { Probe, Readiness, See, Target } from './method.ts';
import { notify } from './notify.ts';

export type { Probe, Readiness, Target } from './method.ts';

/**
 * Waits for the process to prove that it serves. There is no timeout here: methods try again until `signal` aborts, and
 * how long a candidate may take is the handover's to decide.
 */
export function probe(readiness: Readiness, target: Target, signal: AbortSignal): Probe {
  let last = `pid ${target.pid} was not looked at yet`;
  const see: See = (what) => {
    last = what;
  };
  const ready = signal.aborted
    ? Promise.reject(new Error(last))
    : start(readiness, target, signal, see).catch((error: unknown) => {
        throw signal.aborted ? new Error(last) : error;
      });
  return { ready, lastSeen: () => last };
}

function start(readiness: Readiness, target: Target, signal: AbortSignal, see: See): Promise<void> {
  switch (readiness.method) {
    case 'accepting':
      return accepting(readiness, target, signal, see);
    case 'notify':
      return notify(readiness, target, signal, see);
    case 'http':
      return http(readiness, target, signal, see);
    case 'exec':
      return exec(readiness, target, signal, see);
    case 'delay':
      return delay(readiness, target, signal, see);
  }
}
