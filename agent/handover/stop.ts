/** The container's end: readiness 503, the lame duck, stop signals to everything, and the exit once all is gone. */
import { abandon, stopAll } from './candidate.ts';
import { type Exit, exitCode } from './exit.ts';
import { settle } from './outcome.ts';
import { noteTold } from './process.ts';
import type { EventOf, Process, Stopping } from './state.ts';
import { refuse } from './trigger.ts';
import { processes, set, type Turn, update } from './turn.ts';

/** `baton drain`: not ready from now on, yet serving until a stop signal comes. */
export function drain(turn: Turn, { event }: EventOf<'drain'>): void {
  enterLameDuck(turn, { waiting: [event] });
}

/** A stop signal: what is left of the lame duck is served, then everything is asked to stop. */
export function stop(turn: Turn, { event }: EventOf<'stop'>): void {
  enterLameDuck(turn, { event });
}

export function joinDrain(turn: Turn, { event }: EventOf<'drain'>): void {
  if (lameDuckOver(turn)) settle(turn, [event], null);
  else amend(turn, (stopping) => ({ waiting: [...stopping.waiting, event] }));
}

/** The first signal starts the stop; a second ends the lame duck at once. */
export function stopSooner(turn: Turn, { event }: EventOf<'stop'>): void {
  const { stopping } = turn.state;
  if (stopping?.stage !== 'lame-duck' || stopping.event === event) return;
  amend(turn, () => (stopping.event === null ? { event } : { lameDuckEnds: turn.at }));
}

/** Baton stops of its own accord: the program's work is done, or it cannot be kept running. */
export function shutDown(turn: Turn, code: number): void {
  enterLameDuck(turn, {});
  askAllToStop(turn);
  amend(turn, () => ({ code }));
}

/** After a drain alone everything goes on serving. */
export function leaveLameDuck(turn: Turn): void {
  if (turn.state.stopping?.stage !== 'lame-duck' || !lameDuckOver(turn)) return;
  answerDrains(turn);
  if (turn.state.stopping.event !== null) askAllToStop(turn);
}

export function exitOnceAllGone(turn: Turn): void {
  const { stopping } = turn.state;
  if (stopping?.stage === 'draining' && processes(turn.state).length === 0)
    turn.effects.push({ type: 'exit', code: stopping.code });
}

/**
 * The end of a process that was asked to stop; once the container stops, its code becomes Baton's. What is left of
 * its group has until SIGKILL.
 */
export function noteEnd(turn: Turn, process: Process, exit: Exit): void {
  if (process.state === 'exited') return;
  const { active, stopping } = turn.state;
  noteTold(turn, process);
  update(turn, process.key, { state: 'exited' });
  const decided = stopping === null || stopping.event === null || stopping.code !== 0;
  if (decided || stopping.stage !== 'draining') return;
  if (active === null || active.processes.includes(process)) amend(turn, () => ({ code: exitCode(exit) }));
}

function enterLameDuck(turn: Turn, asked: Partial<Stopping>): void {
  const { preparing, next, stopping, active } = turn.state;
  if (stopping !== null) return;
  // Nothing serves that would need a lame duck before there is an active generation.
  const lameDuckEnds = turn.at + (active === null ? 0 : turn.policy.drainDelay);
  const fresh: Stopping = { stage: 'lame-duck', lameDuckEnds, waiting: [], event: null, code: 0 };
  set(turn, { stopping: { ...fresh, ...asked }, preparing: null, next: null });
  if (preparing !== null) refuse(turn, preparing);
  if (next !== null) refuse(turn, next);
  abandon(turn, 'superseded', 'the container is stopping');
}

function askAllToStop(turn: Turn): void {
  answerDrains(turn);
  amend(turn, () => ({ stage: 'draining' }));
  set(turn, { restarts: [] });
  if (turn.state.active !== null) stopAll(turn, turn.state.active);
}

function answerDrains(turn: Turn): void {
  const waiting = turn.state.stopping?.waiting ?? [];
  if (waiting.length === 0) return;
  amend(turn, () => ({ waiting: [] }));
  settle(turn, waiting, null);
}

function lameDuckOver({ state: { stopping }, at }: Turn): boolean {
  return stopping !== null && (stopping.stage === 'draining' || stopping.lameDuckEnds <= at);
}

function amend(turn: Turn, change: (stopping: Stopping) => Partial<Stopping>): void {
  const { stopping } = turn.state;
  if (stopping !== null) set(turn, { stopping: { ...stopping, ...change(stopping) } });
}
