/** An orchestrator's readiness probe, much more often than any would ask. */
import { setTimeout as delay } from 'node:timers/promises';
import { httpGet } from '../support/deployed.ts';

export interface Probes {
  readonly count: number;
  /** The first few that were not answered with 200, in words. */
  readonly failures: readonly string[];
  /** Milliseconds. */
  readonly slowest: number;
}

const EVERY_MS = 20;

export async function probe(port: number, path: string, signal: AbortSignal): Promise<Probes> {
  const failures: string[] = [];
  let count = 0;
  let slowest = 0;
  while (!signal.aborted) {
    const started = performance.now();
    const answer = await httpGet(port, path).catch((error: Error) => error);
    count++;
    slowest = Math.max(slowest, performance.now() - started);
    if (answer instanceof Error) failures.push(`${path}: ${answer.message}`);
    else if (answer.status !== 200) failures.push(`${path}: ${answer.status} ${answer.body.trim()}`);
    await delay(EVERY_MS, undefined, { signal }).catch(() => {});
  }
  return { count, failures, slowest };
}

/** Resolves once the page is answered with this status. */
export async function untilStatus(port: number, path: string, status: number): Promise<void> {
  while ((await httpGet(port, path)).status !== status) await delay(EVERY_MS);
}
