/** What starts a handover: triggers wait, collapse into one, and begin when there is room. */
import { conclude } from './outcome.ts';
import type { EventOf, State, Trigger } from './state.ts';
import { set, type Turn } from './turn.ts';

/** During a handover, and while too many drain, triggers collapse into one that follows. */
export function queue(turn: Turn, event: EventOf<'trigger'>): void {
  follow(turn, triggerOf(event));
}

/** Only where nothing runs, and nothing is about to be tried again. */
export function queueStart(turn: Turn): void {
  if (turn.state.active !== null || turn.state.next !== null) return;
  follow(turn, { by: 'start', force: false, events: [], since: turn.at });
}

/** Something newer replaces a candidate that is still starting; who insists on a restart wants one that follows. */
export function overtakeOrQueue(turn: Turn, event: EventOf<'trigger'>): void {
  if (event.force || !hasRoom(turn)) queue(turn, event);
  else prepare(turn, triggerOf(event));
}

/** A change on the volume that comes during the stop concerns nobody. */
export function refuseTrigger(turn: Turn, event: EventOf<'trigger'>): void {
  if (event.force || event.event !== null) refuse(turn, triggerOf(event));
}

export function refuse(turn: Turn, trigger: Trigger): void {
  conclude(turn, trigger, { result: 'refused', reason: whyNoMore(turn), generation: null });
}

/** Why no generation begins any more. */
export function whyNoMore({ state: { stopping } }: Turn): string {
  const drainOnly = stopping !== null && stopping.drained !== null && stopping.deadline === null;
  return drainOnly ? 'the container was asked to drain' : 'the container is stopping';
}

export function follow(turn: Turn, trigger: Trigger): void {
  set(turn, { next: turn.state.next === null ? trigger : merge(turn.state.next, trigger) });
}

/** When the waiting trigger may begin; null while it has to wait for something other than time. */
export function nextBegins(turn: Pick<Turn, 'policy' | 'state'>): number | null {
  const { next, preparing, candidate } = turn.state;
  if (next === null || preparing !== null || !hasRoom(turn)) return null;
  return candidate === null || !next.force ? next.since : null;
}

export function beginNext(turn: Turn): void {
  const begins = nextBegins(turn);
  const { next } = turn.state;
  if (next === null || begins === null || begins > turn.at) return;
  set(turn, { next: null });
  prepare(turn, next);
}

function prepare(turn: Turn, trigger: Trigger): void {
  set(turn, { preparing: trigger });
  turn.effects.push({ type: 'prepare', trigger });
}

/** Long connections must not pile up generations; where nothing serves there is nothing to wait for. */
function hasRoom({ policy, state }: Pick<Turn, 'policy' | 'state'>): boolean {
  return state.active === null || state.draining.length < policy.maxDraining;
}

function triggerOf({ by, force, event, at }: EventOf<'trigger'>): Trigger {
  return { by, force, events: event === null ? [] : [event], since: at };
}

function merge(one: Trigger, other: Trigger): Trigger {
  return {
    by: other.force || !one.force ? other.by : one.by,
    force: one.force || other.force,
    events: [...one.events, ...other.events],
    since: Math.min(one.since, other.since),
  };
}

/** True when the event already waits for its outcome. */
export function awaitsOutcome({ preparing, candidate, next, stopping }: State, event: number): boolean {
  const waiting = [preparing?.events, candidate?.trigger.events, next?.events, stopping?.waiting];
  return waiting.some((events) => events?.includes(event));
}
