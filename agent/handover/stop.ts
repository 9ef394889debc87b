/** The container's end: readiness 503, the lame duck, stop signals to everything, and the exit once all is gone. */
import { stopBudget } from '../../config/stop-budget.ts';
import { abandon, stopAll } from './candidate.ts';
import { type Exit, exitCode } from './exit.ts';
import { settle, shorten } from './outcome.ts';
import { noteTold } from './process.ts';
import type { EventOf, Process, Stopping } from './state.ts';
import { refuse, whyNoMore } from './trigger.ts';
import { processes, set, type Turn, update } from './turn.ts';

/**
 * How long after the end of the lame duck a stop signal still belongs to the same preStop hook, ms: the kubelet has to
 * hear of the hook's end.
 */
const HOOK_ENDS = 2000;
const REASON = 1000;

/** `baton drain`: not ready from now on, yet serving until a stop signal comes. */
export function drain(turn: Turn, { event, at, since = at }: EventOf<'drain'>): void {
  enterLameDuck(turn, since, { waiting: [event], drained: since });
}

/** A stop signal: what is left of the lame duck is served, then everything is asked to stop. */
export function stop(turn: Turn, { event, at, since = at }: EventOf<'stop'>): void {
  enterLameDuck(turn, since, { event, deadline: since + stopBudget(turn.policy.stopGrace) });
}

export function joinDrain(turn: Turn, { event }: EventOf<'drain'>): void {
  if (lameDuckOver(turn)) settle(turn, [event], null);
  else amend(turn, (stopping) => ({ waiting: [...stopping.waiting, event] }));
}

/** The first signal starts the stop, and the orchestrator's patience; a second ends the lame duck at once. */
export function stopSooner(turn: Turn, { event, at, since = at }: EventOf<'stop'>): void {
  amend(turn, (stopping) => {
    const deadline = stopping.deadline ?? graceBegan(stopping, since) + stopBudget(turn.policy.stopGrace);
    if (stopping.stage !== 'lame-duck' || stopping.event === event) return { deadline };
    return stopping.event === null ? { deadline, event } : { lameDuckEnds: turn.at };
  });
}

/**
 * Kubernetes counts its grace period from the start of the preStop hook ("Container Lifecycle Hooks"), which is a
 * `baton drain` that the signal follows; of a drain by hand, long before, no orchestrator knows.
 */
function graceBegan({ drained, lameDuckEnds }: Stopping, since: number): number {
  return drained !== null && since <= lameDuckEnds + HOOK_ENDS ? drained : since;
}

/** Baton stops of its own accord: the program's work is done, or it cannot be kept running. */
export function shutDown(turn: Turn, code: number, reason: string): void {
  enterLameDuck(turn, turn.at, {});
  askAllToStop(turn);
  amend(turn, () => ({ code, reason: shorten(reason, REASON) }));
}

/** Adds to the reason why the container ends, if it does. */
export function addReason(turn: Turn, more: string): void {
  amend(turn, ({ reason }) => ({ reason: shorten(`${reason}; ${more}`, REASON) }));
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

const FRESH = {
  stage: 'lame-duck',
  waiting: [],
  drained: null,
  deadline: null,
  event: null,
  code: 0,
  reason: 'stopped as asked',
} as const;

function enterLameDuck(turn: Turn, since: number, asked: Partial<Stopping>): void {
  const { preparing, next, stopping, active } = turn.state;
  if (stopping !== null) return;
  // Nothing serves that would need a lame duck before there is an active generation.
  const lameDuckEnds = since + (active === null ? 0 : turn.policy.drainDelay);
  set(turn, { stopping: { ...FRESH, lameDuckEnds, ...asked }, preparing: null, next: null });
  if (preparing !== null) refuse(turn, preparing);
  if (next !== null) refuse(turn, next);
  abandon(turn, 'superseded', whyNoMore(turn));
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
