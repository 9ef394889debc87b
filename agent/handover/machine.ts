/**
 * The hot restart as a pure function: no clock, no I/O, no randomness. Read the two tables: what may happen, and in
 * which situation it means what. The rules are in docs/handover.md.
 */
import { askForOutstanding, missedNews, spawnUnanswered, stopStrangers } from './attach.ts';
import { noteReady, promoteOnceAllReady, takeArtifact } from './candidate.ts';
import { putOff, tooSlow } from './due.ts';
import { type Exit, UNKNOWN_EXIT } from './exit.ts';
import {
  activeExited,
  activeNotStarted,
  activeUnready,
  candidateExited,
  candidateNotStarted,
  candidateUnready,
  refuseArtifact,
  restartThoseDue,
} from './failure.ts';
import { answerAgain } from './outcome.ts';
import { killOverdue } from './overdue.ts';
import { askToStopAtBirth, drop, noteTold, watchReadiness } from './process.ts';
import {
  type Effect,
  type Event,
  type EventOf,
  type Policy,
  type Process,
  STATE_VERSION,
  type State,
} from './state.ts';
import { drain, exitOnceAllGone, joinDrain, leaveLameDuck, noteEnd, stop, stopSooner } from './stop.ts';
import { awaitsOutcome, beginNext, overtakeOrQueue, queue, queueStart, refuseTrigger } from './trigger.ts';
import { find, type Role, roleOf, type Turn } from './turn.ts';

export { project } from './projection.ts';

export function initialState(): State {
  return {
    version: STATE_VERSION,
    active: null,
    preparing: null,
    candidate: null,
    next: null,
    draining: [],
    crashes: [],
    restarts: [],
    stopping: null,
    lastGeneration: 0,
    lastRun: 0,
    history: [],
    settled: [],
  };
}

/**
 * One event, and what it leads to. The caller keeps `state` before it performs `effects`, in order.
 * Events that come late, twice, or about processes unknown change nothing.
 */
export function step(policy: Policy, state: State, event: Event): { state: State; effects: Effect[] } {
  const turn: Turn = { policy, at: event.at, state, effects: [] };
  if ('key' in event) processNews(turn, event);
  else if (!isKnown(turn, event)) handoverCells[event.type][phaseOf(state)](turn, event as never);
  beginNext(turn);
  leaveLameDuck(turn);
  exitOnceAllGone(turn);
  return { state: turn.state, effects: turn.effects };
}

type Phase = 'steady' | 'preparing' | 'starting' | 'stopping';
type ProcessEvent = Extract<Event, { readonly key: string }>;
type HandoverEvent = Exclude<Event, ProcessEvent>;
type HandoverCell<T extends Event['type']> = (turn: Turn, event: EventOf<T>) => void;
type ProcessCell<T extends Event['type']> = (turn: Turn, process: Process, event: EventOf<T>) => void;

/** `preparing` also while a candidate is starting that what is prepared may replace. */
function phaseOf({ stopping, preparing, candidate }: State): Phase {
  if (stopping !== null) return 'stopping';
  if (preparing !== null) return 'preparing';
  return candidate === null ? 'steady' : 'starting';
}

// biome-ignore format: a table
const handoverCells: { [T in HandoverEvent['type']]: Record<Phase, HandoverCell<T>> } = {
  //          nothing on the way   an artifact is prepared     a candidate starts         the container stops
  start:    { steady: queueStart,  preparing: ignore,          starting: ignore,          stopping: ignore },
  trigger:  { steady: queue,       preparing: queue,           starting: overtakeOrQueue, stopping: refuseTrigger },
  prepared: { steady: ignore,      preparing: takeArtifact,    starting: ignore,          stopping: ignore },
  refused:  { steady: ignore,      preparing: refuseArtifact,  starting: ignore,          stopping: ignore },
  drain:    { steady: drain,       preparing: drain,           starting: drain,           stopping: joinDrain },
  stop:     { steady: stop,        preparing: stop,            starting: stop,            stopping: stopSooner },
  tick:     { steady: timePasses,  preparing: timePasses,      starting: timePasses,      stopping: timePasses },
  'held-up': { steady: putOff,     preparing: putOff,          starting: putOff,          stopping: putOff },
  attached: { steady: takeOver,    preparing: takeOver,        starting: takeOver,        stopping: takeOver },
};

// biome-ignore format: a table
const processCells: { [T in ProcessEvent['type']]: Record<Role, ProcessCell<T>> } = {
  //                of the candidate                    of the active generation      asked to stop
  spawned:        { candidate: watchReadiness,          active: watchReadiness,       leaving: askToStopAtBirth },
  'spawn-failed': { candidate: candidateNotStarted,     active: activeNotStarted,     leaving: drop },
  ready:          { candidate: promoteOnceAllReady,     active: noteReady,            leaving: ignore },
  unready:        { candidate: candidateUnready,        active: activeUnready,        leaving: ignore },
  told:           { candidate: ignore,                  active: ignore,               leaving: noteTold },
  exited:         { candidate: candidateExited,         active: activeExited,         leaving: noteEnd },
  gone:           { candidate: vanish(candidateExited), active: vanish(activeExited), leaving: vanish(noteEnd) },
};

function processNews(turn: Turn, event: ProcessEvent): void {
  const process = find(turn.state, event.key);
  if (process !== undefined)
    processCells[event.type][roleOf(turn.state, process)](turn, process, event as never);
}

/** PID 1 delivers again whatever the last agent did not confirm. */
function isKnown(turn: Turn, event: HandoverEvent): boolean {
  const number = event.type === 'trigger' || event.type === 'drain' ? event.event : null;
  if (number === null) return false;
  return answerAgain(turn, number) || awaitsOutcome(turn.state, number);
}

function timePasses(turn: Turn, tick: EventOf<'tick'>): void {
  killOverdue(turn);
  leaveLameDuck(turn);
  for (const news of tooSlow(turn.policy, turn.state, tick)) processNews(turn, news);
  restartThoseDue(turn);
}

function takeOver(turn: Turn, { processes }: EventOf<'attached'>): void {
  const before = turn.state;
  for (const news of missedNews(turn, processes)) processNews(turn, news);
  askForOutstanding(turn, before);
  stopStrangers(turn, processes);
  spawnUnanswered(turn, processes);
}

/** The last of its group is gone; if nobody saw the main process end, it ended in a way that nobody knows. */
function vanish(end: (turn: Turn, process: Process, exit: Exit) => void) {
  return (turn: Turn, process: Process): void => {
    end(turn, process, { code: UNKNOWN_EXIT, signal: 0 });
    drop(turn, process);
  };
}

function ignore(): void {}
