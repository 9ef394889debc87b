/**
 * The rules of the handover (docs/handover.md), held against each step by means of effects and of the world's truth,
 * not of the machine's own opinion, wherever that is possible.
 */
import { isDeepStrictEqual } from 'node:util';
import { project } from '../../../agent/handover/machine.ts';
import type { Effect, Event, Generation, Outcome, Process, State } from '../../../agent/handover/state.ts';
import { RELOAD_STOP_TIMEOUT } from '../../../config/stop-budget.ts';
import type { World } from './world.ts';

const SIGKILL = 9;

export class Rules {
  readonly #world: World;
  readonly #keys = new Set<string>();
  /** Generations that were started and have no outcome yet. */
  readonly #open = new Set<number>();
  readonly #ended = new Set<number>();
  #activeGeneration: number | null = null;
  /** Told `ready`, and not told of an end since. */
  readonly #ready = new Set<string>();
  readonly #finished = new Set<string>();
  /** A stop signal was asked for. */
  readonly #stopAsked = new Set<string>();
  /** SIGKILL was asked for. */
  readonly #killed = new Set<string>();
  #mayExit = false;
  /** The drain that came first, and when its lame duck ends. */
  #drained: { readonly since: number; readonly ends: number } | null = null;
  /** When the orchestrator's patience is over, but for what the end itself takes. */
  #deadline = Number.POSITIVE_INFINITY;
  readonly #outcomes = new Map<number, Outcome | null>();

  constructor(world: World) {
    this.#world = world;
  }

  check(before: State, event: Event, after: State, effects: readonly Effect[]): void {
    this.#hear(before, event);
    for (const effect of effects) this.#effect(before, event, after, effect, effects);
    this.#wellFormed(after);
    this.#failuresTouchNothing(before, event, after, effects);
    this.#droppedTriggersAreRefused(before, event, after, effects);
    this.#readinessHolds(before, event, after);
    this.#timeMovesOn(event, after, effects);
    this.#nobodyOutlivesTheGrace(event, after);
  }

  /** What the world's news entitle the machine to. */
  #hear(before: State, event: Event): void {
    if (event.type === 'ready') this.#ready.add(event.key);
    if (event.type === 'exited' || event.type === 'gone') {
      this.#ready.delete(event.key);
      this.#finished.add(event.key);
    }
    if (event.type === 'attached') {
      const listed = new Set(event.processes.map(({ key }) => key));
      for (const key of [...this.#ready].filter((each) => !listed.has(each))) this.#ready.delete(key);
    }
    this.#hearTheOrchestrator(before, event);
    const hopeless =
      event.type === 'refused' ||
      (event.type === 'spawn-failed' && (event.code === 126 || event.code === 127));
    if (event.type === 'stop' || (hopeless && before.active === null)) this.#mayExit = true;
    if (event.type === 'exited' && event.code === 0 && event.signal === 0) this.#mayExit = true;
  }

  /** The preStop hook's drain starts the grace period if the signal follows soon; else the signal does. */
  #hearTheOrchestrator(before: State, event: Event): void {
    if (event.type !== 'drain' && event.type !== 'stop') return;
    const { stopGrace, drainDelay } = this.#world.policy;
    const { at, since = at } = event;
    if (event.type === 'drain') {
      if (before.stopping === null)
        this.#drained = { since, ends: since + (before.active === null ? 0 : drainDelay) };
    } else if (this.#deadline === Number.POSITIVE_INFINITY) {
      const hook = this.#drained !== null && since <= this.#drained.ends + 2000 ? this.#drained : null;
      this.#deadline = (hook?.since ?? since) + stopGrace - Math.min(stopGrace * 0.1, 1000);
    }
  }

  #effect(before: State, event: Event, after: State, effect: Effect, all: readonly Effect[]): void {
    switch (effect.type) {
      case 'prepare':
        rule('6: nothing is prepared while the container stops', after.stopping === null);
        if (event.type === 'attached' && isDeepStrictEqual(before.preparing, effect.trigger)) break;
        rule(
          '3: one at a time is prepared',
          before.preparing === null || event.type === 'prepared' || event.type === 'refused',
        );
        rule(
          'generations do not pile up',
          after.active === null || after.draining.length < this.#world.policy.maxDraining,
        );
        break;
      case 'spawn':
        rule('a key is never used twice', !this.#keys.has(effect.key));
        this.#keys.add(effect.key);
        if (effect.generation === this.#activeGeneration) break;
        rule('only the committed generation is restarted', !this.#ended.has(effect.generation));
        rule('6: no candidate is started while the container stops', after.stopping === null);
        this.#open.add(effect.generation);
        rule('3: at most one candidate', this.#open.size <= 1);
        break;
      case 'record':
        this.#record(effect.outcome, after);
        break;
      case 'kill':
        this.#kill(before, event, after, effect);
        break;
      case 'crashed':
        if (effect.delay === null) this.#mayExit = true;
        break;
      case 'settle':
        this.#settle(before, event, effect);
        break;
      case 'exit': {
        const left = [...this.#world.programs.values()].filter(({ gone }) => !gone);
        rule(`5: nothing outlives the exit: ${left.map(({ key }) => key)}`, left.length === 0);
        rule('5: nothing is about to be started at the exit', this.#world.spawns.length === 0);
        rule('1: the sockets stay open until there is a reason to stop', this.#mayExit);
        rule('the exit comes last', all.at(-1) === effect);
        break;
      }
    }
  }

  #record({ result, generation }: Outcome, after: State): void {
    rule('unchanged is no handover', result !== 'unchanged');
    if (generation === null) {
      rule('7: only a refusal has no generation', result === 'refused');
      return;
    }
    rule(
      '7: exactly one outcome for a generation',
      this.#open.delete(generation) && !this.#ended.has(generation),
    );
    this.#ended.add(generation);
    if (result !== 'promoted') return;
    rule('6: nothing is promoted while the container stops', after.stopping === null);
    const ready = [...this.#ready].filter((key) => generationOf(key) === generation);
    rule('2: promoted when every instance is ready', ready.length === this.#world.policy.instances);
    this.#activeGeneration = generation;
  }

  #kill(before: State, event: Event, after: State, { key, signal }: Extract<Effect, { type: 'kill' }>): void {
    const { policy, programs, at } = this.#world;
    const program = programs.get(key);
    if (signal === SIGKILL) {
      rule('5: asked before it is killed', this.#stopAsked.has(key) || this.#finished.has(key));
      const otherwise = this.#deadline === Number.POSITIVE_INFINITY ? RELOAD_STOP_TIMEOUT : this.#deadline;
      // Repeated by a new agent: it was held against what was true when it was decided.
      const repeated = findIn(before, key)?.stop?.killed === true;
      const inTime =
        repeated ||
        program?.alive !== true ||
        (program.toldAt !== null &&
          Math.min(program.toldAt + (policy.stopTimeout ?? otherwise), this.#deadline) <= at);
      rule(`5: ${key} has its whole drain time`, inTime);
      this.#killed.add(key);
      return;
    }
    const again = event.type === 'attached' && this.#stopAsked.has(key);
    rule(`the stop signal for ${key} is sent once`, again || !this.#stopAsked.has(key));
    rule('a confirmed stop signal is not repeated', findIn(before, key)?.stop?.told !== true);
    this.#stopAsked.add(key);
    const containerStops = after.stopping?.stage === 'draining';
    if (containerStops) rule('6: readiness is 503 before the stop signals', !project(policy, after).ready);
    const replaced = generationOf(key) !== this.#activeGeneration;
    const lost = !this.#ready.has(key);
    rule(`2: ${key} serves until its successor is ready`, again || containerStops || replaced || lost);
  }

  #settle(
    before: State,
    event: Event,
    { event: number, outcome, ok }: Extract<Effect, { type: 'settle' }>,
  ): void {
    const earlier = this.#outcomes.get(number);
    if (earlier !== undefined) rule('7: an event has one outcome', isDeepStrictEqual(earlier, outcome));
    this.#outcomes.set(number, outcome);
    rule(
      'ok means that it runs',
      ok === (outcome === null || ['promoted', 'unchanged'].includes(outcome.result)),
    );
    if (event.type !== 'trigger' || event.event !== number) return;
    if (before.stopping !== null && earlier === undefined)
      rule('6: a reload during the stop is refused', outcome?.result === 'refused' && !ok);
  }

  #wellFormed(state: State): void {
    const { instances } = this.#world.policy;
    const { active, candidate, draining, restarts, stopping } = state;
    for (const process of draining.flatMap((each) => each.processes))
      rule('5: whoever was replaced is asked to stop', process.stop !== null);
    for (const process of everyone(state))
      rule('nothing serves without a main process', process.state !== 'exited' || process.stop !== null);
    if (candidate !== null) rule('a candidate is whole', serving(candidate.generation).length === instances);
    if (candidate !== null) rule('6: no candidate while the container stops', stopping === null);
    if (active !== null && stopping?.stage !== 'draining') {
      const present = [...serving(active), ...restarts].map(({ instance }) => instance).sort();
      rule('each instance runs or is about to', isDeepStrictEqual(present, [...Array(instances).keys()]));
    }
    if (stopping?.stage === 'draining')
      rule(
        '5: everyone is asked to stop',
        everyone(state).every(({ stop }) => stop !== null),
      );
    rule('the history is bounded', state.history.length <= 16 && state.settled.length <= 8);
    rule('the state fits into what PID 1 keeps', JSON.stringify(state).length < 64 * 1024);
  }

  #failuresTouchNothing(before: State, event: Event, after: State, effects: readonly Effect[]): void {
    const failed = effects.some((effect) => effect.type === 'record' && effect.outcome.result !== 'promoted');
    if (!failed || before.active === null || after.stopping !== null) return;
    if (event.type === 'attached') return;
    if (event.type === 'tick') {
      const untouched = before.active.processes.filter(
        ({ state, stop }) => state === 'ready' && stop === null,
      );
      const still = after.active?.processes ?? [];
      rule(
        '4: what serves goes on',
        untouched.every((one) => still.some((other) => isDeepStrictEqual(one, other))),
      );
    } else {
      rule('4: the active generation is as it was', isDeepStrictEqual(before.active, after.active));
      rule('4: its restarts are as they were', isDeepStrictEqual(before.restarts, after.restarts));
    }
  }

  #droppedTriggersAreRefused(before: State, event: Event, after: State, effects: readonly Effect[]): void {
    const refusals = effects.filter(
      (effect) => effect.type === 'record' && effect.outcome.generation === null,
    ).length;
    const stops = before.stopping === null && after.stopping !== null;
    const preparingDropped =
      before.preparing !== null && event.type !== 'prepared' && (stops || event.type === 'refused');
    const triggerRefused =
      event.type === 'trigger' &&
      event.force &&
      before.stopping !== null &&
      !this.#knewBefore(before, event.event);
    const due = [preparingDropped, stops && before.next !== null, triggerRefused].filter(Boolean).length;
    rule(`7: what is dropped is refused: ${due}, ${refusals}`, refusals === due);
  }

  #knewBefore(before: State, event: number | null): boolean {
    return event !== null && before.settled.some(({ events }) => events.includes(event));
  }

  #readinessHolds(before: State, event: Event, after: State): void {
    const { policy, programs } = this.#world;
    const ready = project(policy, after).ready;
    if (ready) {
      const serves = after.active?.processes.some(({ key }) => this.#ready.has(key) && programs.has(key));
      rule('ready means that someone is', serves === true);
    }
    if (after.stopping !== null) rule('6: not ready while the container stops', !ready);
    if (project(policy, before).ready && !ready)
      rule(
        `readiness does not flicker (${event.type})`,
        after.stopping !== null || ['exited', 'gone', 'attached'].includes(event.type),
      );
  }

  #timeMovesOn(event: Event, after: State, effects: readonly Effect[]): void {
    if (event.type !== 'tick') return;
    const { deadline } = project(this.#world.policy, after);
    // Asked when all time was up already: the stop signal goes first, SIGKILL with the next tick.
    const askedTooLate =
      event.at >= this.#deadline &&
      effects.some((effect) => effect.type === 'kill' && effect.signal !== SIGKILL);
    rule('a tick leaves nothing due', deadline === null || deadline > event.at || askedTooLate);
  }

  #nobodyOutlivesTheGrace(event: Event, after: State): void {
    const { programs, policy } = this.#world;
    const left = everyone(after).filter(({ key, pid, stop }) => {
      const program = programs.get(key);
      return pid !== null && stop !== null && program?.gone === false && !this.#killed.has(key);
    });
    if (left.length === 0 || this.#deadline === Number.POSITIVE_INFINITY) return;
    const { deadline } = project(policy, after);
    rule('5: woken to kill before the orchestrator does', deadline !== null && deadline <= this.#deadline);
    const late = left.filter(({ stop }) => event.type === 'tick' && stop !== null && stop.since < event.at);
    rule(
      `5: nobody outlives the orchestrator's patience: ${late.map(({ key }) => key)}`,
      late.length === 0 || event.at < this.#deadline,
    );
  }
}

function rule(name: string, holds: boolean): void {
  if (!holds) throw new Error(`rule broken: ${name}`);
}

function everyone({ active, candidate, draining }: State): Process[] {
  return [active, candidate?.generation, ...draining].flatMap((generation) => generation?.processes ?? []);
}

function findIn(state: State, key: string): Process | undefined {
  return everyone(state).find((process) => process.key === key);
}

function serving(generation: Generation): Process[] {
  return generation.processes.filter(({ stop }) => stop === null);
}

function generationOf(key: string): number {
  return Number(key.split('.')[0]);
}
