/**
 * Time: what is due, and when the next thing will be. The two stand together because each must know all of the
 * other's.
 */
import { formatDuration } from '../../config/duration.ts';
import { RELOAD_STOP_TIMEOUT } from '../../config/stop-budget.ts';
import type { EventOf, Policy, Process, State } from './state.ts';
import { nextBegins } from './trigger.ts';
import { processes, type Turn, update } from './turn.ts';

/** Those whose drain time is up. */
export function toKill(policy: Policy, state: State, at: number): readonly Process[] {
  return processes(state).filter((process) => isPast(killTime(policy, state, process), at));
}

/** Those that took too long to get ready. */
export function tooSlow(
  { readyTimeout }: Policy,
  state: State,
  { at, seen }: EventOf<'tick'>,
): readonly EventOf<'unready'>[] {
  const late = `was not ready within ${formatDuration(readyTimeout)}`;
  return processes(state)
    .filter((process) => isPast(readyTime(process), at))
    .map(({ key }) => ({ type: 'unready', at, key, reason: seen?.[key] ? `${late}: ${seen[key]}` : late }));
}

/**
 * What nobody could use does not count as time to get ready, or to drain. It does count for the container's stop: the orchestrator
 * goes by its own clock.
 */
export function putOff(turn: Turn, { missed }: EventOf<'held-up'>): void {
  for (const { key, readyBy, stop } of processes(turn.state))
    update(turn, key, {
      readyBy: readyBy + missed,
      stop: stop && { ...stop, since: stop.since + missed },
    });
}

/** From the stop signal to SIGKILL, ms, whatever the orchestrator's patience. */
export function drainTime({ stopTimeout }: Policy, { stopping }: State): number {
  const deadline = stopping?.deadline ?? null;
  return stopTimeout ?? (deadline === null ? RELOAD_STOP_TIMEOUT : Number.POSITIVE_INFINITY);
}

/** When the machine wants to be called again, or null. */
export function nextDeadline(policy: Policy, state: State): number | null {
  const times = [
    ...processes(state).flatMap((process) => [killTime(policy, state, process), readyTime(process)]),
    ...state.restarts.map(({ at }) => at),
    nextBegins({ policy, state }),
    lameDuckTime(state),
  ].filter((time) => time !== null);
  return times.length === 0 ? null : Math.min(...times);
}

/** The container's stop cuts the time of all, of those too that a reload replaced before. */
function killTime(policy: Policy, state: State, { pid, stop }: Process): number | null {
  if (pid === null || stop === null || stop.killed) return null;
  return Math.min(
    stop.since + drainTime(policy, state),
    state.stopping?.deadline ?? Number.POSITIVE_INFINITY,
  );
}

function readyTime({ state, stop, readyBy }: Process): number | null {
  return stop === null && state !== 'ready' ? readyBy : null;
}

/** After a drain nobody waits for the end of the lame duck any more, until a stop signal comes. */
function lameDuckTime({ stopping }: State): number | null {
  if (stopping?.stage !== 'lame-duck') return null;
  return stopping.event === null && stopping.waiting.length === 0 ? null : stopping.lameDuckEnds;
}

function isPast(time: number | null, at: number): boolean {
  return time !== null && time <= at;
}
