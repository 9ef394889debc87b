/** What people and probes are told of a state. Pure. */

import type { Config } from '../../config/schema.ts';
import type { Limits } from '../container/cgroup.ts';
import type { Generation, Outcome, Projection, State } from '../handover/state.ts';
import type { HeldListener } from '../init.ts';
import type { Page } from './pages.ts';

export interface Surroundings {
  readonly config: Config;
  readonly listeners: readonly HeldListener[];
  /** Where the health responder listens, or null. */
  readonly health: string | null;
  /** How changes are noticed: "inotify", "polling", or "off". */
  readonly watching: string;
  /** When the newest process was started, which was told of them. */
  readonly limits: Limits;
  /** Milliseconds since 1970 at CLOCK_MONOTONIC 0: the state's times are monotonic, people's are not. */
  readonly epoch: number;
}

export type Phase = 'starting' | 'steady' | 'preparing' | 'draining' | 'stopping';

export function phaseOf(state: State): Phase {
  if (state.stopping) return 'stopping';
  if (state.candidate) return 'starting';
  if (state.preparing) return 'preparing';
  if (state.draining.length > 0) return 'draining';
  return state.active ? 'steady' : 'starting';
}

export function statusOf(state: State, projection: Projection, around: Surroundings) {
  const time = (monotonic: number) => new Date(around.epoch + monotonic).toISOString();
  const generation = ({ id, artifact, processes }: Generation) => ({
    generation: id,
    digest: artifact.digest,
    source: artifact.source,
    processes: processes.map(({ instance, pid, state }) => ({ instance, pid, state })),
  });
  const outcome = ({ at, duration, ...rest }: Outcome) => ({ ...rest, at: time(at), durationMs: duration });
  return {
    ready: projection.ready,
    phase: phaseOf(state),
    active: state.active && generation(state.active),
    candidate: state.candidate && generation(state.candidate.generation),
    draining: state.draining.map(generation),
    waiting: state.next !== null,
    // Without its arguments: whoever reaches the health endpoint reads this, and people pass passwords so.
    program: around.config.command[0],
    listeners: around.listeners.map(({ name, address }) => ({ name, address })),
    health: around.health,
    watching: around.watching,
    limits: around.limits,
    history: state.history.map(outcome),
  };
}

export type Status = ReturnType<typeof statusOf>;

/** "generation 3 ready, pid 12, steady; last: promoted generation 3 in 120 ms" */
export function statusLine(status: Status): string {
  const { active, ready, phase, draining, history } = status;
  const pids = active?.processes.flatMap(({ pid }) => (pid === null ? [] : [pid])) ?? [];
  const [last] = history;
  const parts = [
    active ? `generation ${active.generation} ${ready ? 'ready' : 'not ready'}` : 'no generation serves yet',
    ...(pids.length > 0 ? [`pid ${pids.join(', ')}`] : []),
    phase,
    ...(draining.length > 0 ? [`${draining.length} draining`] : []),
  ];
  return last ? `${parts.join(', ')}; last: ${outcomeLine(last)}` : parts.join(', ');
}

/** "promoted generation 3 in 120 ms", "failed generation 4: exited with 3 before it was ready" */
export function outcomeLine(outcome: {
  result: string;
  generation: number | null;
  reason: string;
  durationMs: number;
}): string {
  const { result, generation, reason, durationMs } = outcome;
  const which = generation === null ? '' : ` generation ${generation}`;
  return reason ? `${result}${which}: ${reason}` : `${result}${which} in ${Math.round(durationMs)} ms`;
}

const TEXT = 'text/plain; charset=utf-8';

/**
 * All pages at once, so that they never contradict each other.
 *
 * @param metrics `body` null: not rendered yet, which an empty page would tell Prometheus as series that have ended
 */
export function pagesOf(
  status: Status,
  projection: Projection,
  metrics: { type: string; body: string | null },
): Page[] {
  const probe = (path: string, ok: boolean, no: string): Page => ({
    path,
    status: ok ? 200 : 503,
    type: TEXT,
    body: ok ? 'ok\n' : `${no}\n`,
  });
  return [
    probe('/livez', true, ''),
    probe('/readyz', projection.ready, status.phase === 'stopping' ? 'draining' : 'not ready'),
    probe('/startupz', projection.started, 'starting'),
    metrics.body === null
      ? { path: '/metrics', status: 503, type: TEXT, body: 'starting\n' }
      : { path: '/metrics', status: 200, type: metrics.type, body: metrics.body },
    { path: '/status', status: 200, type: 'application/json', body: `${JSON.stringify(status)}\n` },
    { path: '/status.txt', status: 200, type: TEXT, body: `${statusLine(status)}\n` },
  ];
}
