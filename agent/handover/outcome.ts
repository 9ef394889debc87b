/** How a handover ends: recorded once, and answered to everyone who asked for it. */
import type { Generation, Outcome, Result, Trigger } from './state.ts';
import { set, type Turn } from './turn.ts';

const HISTORY = 16;
/** Only what a dead agent may have had no time to confirm is asked for again: the last one or two. */
const SETTLED = 8;
/** The state is kept in 128 KiB, the configuration beside it (docs/wire.md). */
const REASON = 200;

export interface Conclusion {
  readonly result: Result;
  readonly reason: string;
  readonly generation: Pick<Generation, 'id' | 'artifact'> | null;
}

export function conclude(turn: Turn, trigger: Trigger, { result, reason, generation }: Conclusion): void {
  const outcome: Outcome = {
    result,
    generation: generation?.id ?? null,
    by: trigger.by,
    reason: shorten(reason, REASON),
    duration: Math.max(0, turn.at - trigger.since),
    at: turn.at,
    digest: generation?.artifact.digest ?? null,
  };
  if (result !== 'unchanged') {
    set(turn, { history: [outcome, ...turn.state.history].slice(0, HISTORY) });
    turn.effects.push({ type: 'record', outcome });
  }
  settle(turn, trigger.events, outcome);
}

/** Answers events for good: delivered again, they are answered again and do nothing. */
export function settle(turn: Turn, events: readonly number[], outcome: Outcome | null): void {
  if (events.length === 0) return;
  set(turn, { settled: [{ events, outcome }, ...turn.state.settled].slice(0, SETTLED) });
  for (const event of events) answer(turn, event, outcome);
}

/** True when the event was settled before: PID 1 delivers again what the last agent had no time to confirm. */
export function answerAgain(turn: Turn, event: number): boolean {
  const before = turn.state.settled.find(({ events }) => events.includes(event));
  if (before !== undefined) answer(turn, event, before.outcome);
  return before !== undefined;
}

function answer(turn: Turn, event: number, outcome: Outcome | null): void {
  const ok = outcome === null || outcome.result === 'promoted' || outcome.result === 'unchanged';
  turn.effects.push({
    type: 'settle',
    event,
    outcome,
    ok,
    text: outcome === null ? 'drained' : sentence(outcome),
  });
}

/** @param length at most, in UTF-16 code units */
export function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

function sentence({ result, generation, reason }: Outcome): string {
  if (result === 'promoted') return `promoted: generation ${generation} serves`;
  return generation === null ? `${result}: ${reason}` : `${result}: generation ${generation}: ${reason}`;
}
