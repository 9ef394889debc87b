/**
 * What follows when a process that was to serve is lost: the candidate fails, the active generation is restarted,
 * and where that does not help Baton stops, so that the orchestrator sees it.
 */
import { abandon } from './candidate.ts';
import { CANNOT_EXECUTE, type Exit, exitCode, exitReason, NOT_FOUND } from './exit.ts';
import { conclude } from './outcome.ts';
import { askToStop, drop, spawn, stopTheRest } from './process.ts';
import type { EventOf, Generation, Process } from './state.ts';
import { shutDown } from './stop.ts';
import { follow } from './trigger.ts';
import { set, type Turn } from './turn.ts';

/** Baton's exit code where no process left one, because it never got ready. */
const NOT_READY = 1;

interface Loss {
  readonly reason: string;
  /** Baton's exit code, should it give up over this. */
  readonly code: number;
}

export function candidateNotStarted(turn: Turn, process: Process, event: EventOf<'spawn-failed'>): void {
  drop(turn, process);
  failCandidate(turn, process, notStarted(event), isHopeless(event));
}

export function candidateUnready(turn: Turn, process: Process, { reason }: EventOf<'unready'>): void {
  failCandidate(turn, process, { reason, code: NOT_READY });
}

export function candidateExited(turn: Turn, process: Process, exit: Exit): void {
  const { active, candidate } = turn.state;
  const done = active === null && isWorkDone(process, exit, candidate?.generation ?? null);
  stopTheRest(turn, process);
  failCandidate(
    turn,
    process,
    { reason: `${exitReason(exit)} before it was ready`, code: exitCode(exit) },
    done,
  );
}

export function activeNotStarted(turn: Turn, process: Process, event: EventOf<'spawn-failed'>): void {
  drop(turn, process);
  restart(turn, process, notStarted(event));
}

export function activeUnready(turn: Turn, process: Process, { reason }: EventOf<'unready'>): void {
  askToStop(turn, process);
  restart(turn, process, { reason, code: NOT_READY });
}

export function activeExited(turn: Turn, process: Process, exit: Exit): void {
  const { active, restarts } = turn.state;
  const done = restarts.length === 0 && isWorkDone(process, exit, active);
  stopTheRest(turn, process);
  if (done) shutDown(turn, 0, 'the program has done its work: it exited with code 0');
  else restart(turn, process, { reason: exitReason(exit), code: exitCode(exit) });
}

/** Whatever runs goes on; where nothing does, nothing will. */
export function refuseArtifact(turn: Turn, { reason, code }: EventOf<'refused'>): void {
  const { preparing, active, candidate } = turn.state;
  if (preparing === null) return;
  set(turn, { preparing: null });
  conclude(turn, preparing, { result: 'refused', reason, generation: null });
  if (active === null && candidate === null) shutDown(turn, code, reason);
}

/** Starts the instances whose pause is over: the committed artifact, never the newest bytes on the volume. */
export function restartThoseDue(turn: Turn): void {
  const { active, restarts } = turn.state;
  const due = restarts.filter(({ at }) => at <= turn.at);
  if (active === null || due.length === 0) return;
  const started = due.map(({ instance }) => spawn(turn, active, instance));
  set(turn, {
    active: { ...active, processes: [...active.processes, ...started] },
    restarts: restarts.filter(({ at }) => at > turn.at),
  });
}

/**
 * `final`: trying again cannot help, or is not wanted; matters only where no generation stands behind the
 * candidate.
 */
function failCandidate(turn: Turn, process: Process, loss: Loss, final = false): void {
  abandon(turn, 'failed', loss.reason);
  if (turn.state.active !== null) return;
  if (final) shutDown(turn, loss.code, `the program ${loss.reason}`);
  else startAgainLater(turn, process, loss);
}

/** Nothing is committed yet: from preparing on, since what is on the volume may have been mended. */
function startAgainLater(turn: Turn, process: Process, loss: Loss): void {
  const delay = countCrash(turn, process, loss);
  if (delay === null || turn.state.preparing !== null) return;
  follow(turn, { by: 'start', force: false, events: [], since: turn.at + delay });
}

function restart(turn: Turn, process: Process, loss: Loss): void {
  const delay = countCrash(turn, process, loss);
  if (delay === null) return;
  const { instance } = process;
  set(turn, { restarts: [...turn.state.restarts, { instance, at: turn.at + delay }] });
}

/** The pause before it is tried again, doubled at each crash within the window; null when that was one too many. */
function countCrash(turn: Turn, { key }: Process, { reason, code }: Loss): number | null {
  const { restartLimit, restartWindow, restartDelay, restartDelayMax } = turn.policy;
  const earlier = turn.state.crashes.filter((at) => at > turn.at - restartWindow);
  set(turn, { crashes: [...earlier, turn.at] });
  const tooMany = earlier.length + 1 >= restartLimit;
  const delay = tooMany ? null : Math.min(restartDelay * 2 ** earlier.length, restartDelayMax);
  turn.effects.push({ type: 'crashed', key, reason, delay });
  if (tooMany) shutDown(turn, code, `too many crashes; the last: the program ${reason}`);
  return delay;
}

/** The last one to serve ended, and well: a program that does its work and exits is not a crash. */
function isWorkDone(process: Process, exit: Exit, generation: Generation | null): boolean {
  return (
    exitCode(exit) === 0 && !generation?.processes.some((other) => other !== process && other.stop === null)
  );
}

function notStarted({ reason, code }: EventOf<'spawn-failed'>): Loss {
  return { reason: `could not be started: ${reason}`, code };
}

function isHopeless({ code }: EventOf<'spawn-failed'>): boolean {
  return code === NOT_FOUND || code === CANNOT_EXECUTE;
}
