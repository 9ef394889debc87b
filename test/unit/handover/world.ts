/**
 * A simulated container: PID 1's side (processes, the queue of events that are not done), the driver's side (requests
 * on their way, probes), and an agent that can die between any two effects. It answers in whatever order the test
 * picks, and holds every step against the rules.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Artifact } from '../../../agent/artifact/artifact.ts';
import { initialState, step } from '../../../agent/handover/machine.ts';
import type { Effect, Event, Outcome, Policy, State, Trigger } from '../../../agent/handover/state.ts';
import { Rules } from './rules.ts';

export type EffectOf<T extends Effect['type']> = Extract<Effect, { readonly type: T }>;
/** An event as PID 1 or the driver makes it; its time is added when it is told. */
export type Untimed = Event extends infer E ? (E extends Event ? Omit<E, 'at'> : never) : never;

export interface Program {
  readonly key: string;
  readonly pid: number;
  /** The main process is there. */
  alive: boolean;
  /** The whole group is reaped. */
  gone: boolean;
  /** When the last stop signal arrived. */
  toldAt: number | null;
  killed: boolean;
}

interface Queued {
  readonly seq: number;
  readonly event: Untimed;
  delivered: boolean;
}

export class World {
  readonly policy: Policy;
  readonly rules: Rules;
  at = 1000;
  state: State = initialState();
  exit: number | null = null;

  /** PID 1's truth. */
  readonly programs = new Map<string, Program>();
  queue: Queued[] = [];
  #seq = 0;
  #pid = 100;

  /** The driver's, lost with the agent. */
  spawns: EffectOf<'spawn'>[] = [];
  answers: Untimed[] = [];
  probes: string[] = [];
  preparing: Trigger | null = null;

  /** How many effects of the next step are performed before the agent dies. */
  diesAfter: number | null = null;

  readonly settled = new Map<number, Outcome | null>();
  readonly asked = new Set<number>();

  constructor(policy: Policy) {
    this.policy = policy;
    this.rules = new Rules(this);
    this.tell({ type: 'start' });
  }

  /** Tells the machine, holds the step against the rules, and performs what it asks for. */
  tell(untimed: Untimed, queued?: Queued): void {
    if (this.exit !== null) return;
    const event = { ...untimed, at: this.at } as Event;
    const before = deepFreeze(this.state);
    const { state, effects } = step(this.policy, before, event);
    this.state = JSON.parse(JSON.stringify(state));
    if (!isDeepStrictEqual(this.state, state)) throw new Error('the state does not survive JSON');
    this.rules.check(before, event, this.state, effects);

    const performed = effects.slice(0, this.diesAfter ?? effects.length);
    const dies = this.diesAfter !== null;
    this.diesAfter = null;
    for (const effect of performed) this.#perform(effect);
    if (dies) {
      this.restartAgent();
      return;
    }
    this.#nothingIsForgotten();
    if (queued !== undefined && (queued.event.type === 'exited' || queued.event.type === 'gone')) {
      this.queue = this.queue.filter((entry) => entry !== queued);
    }
  }

  /**
   * A new agent: it has the kept state and PID 1, nothing else; what was not done is told again. `loses`: of
   * processes that are gone it does not say that their end is about to be told.
   */
  restartAgent(loses = false): void {
    if (this.exit !== null) return;
    this.spawns = [];
    this.answers = [];
    this.probes = [];
    this.preparing = null;
    for (const entry of this.queue) entry.delivered = false;
    const untold = new Set(this.queue.flatMap(({ event }) => ('key' in event ? [event.key] : [])));
    const processes = [...this.programs.values()]
      .filter(({ gone, key }) => !gone || (untold.has(key) && !loses))
      .map(({ key, pid }) => ({ key, pid }));
    this.tell({ type: 'attached', processes });
  }

  /** PID 1 delivers the oldest event that this agent has not seen. */
  deliver(): boolean {
    const entry = this.queue.find(({ delivered }) => !delivered);
    if (entry === undefined) return false;
    entry.delivered = true;
    this.tell(entry.event, entry);
    return true;
  }

  ask(type: 'trigger' | 'drain' | 'stop', by: 'signal' | 'control' = 'signal'): void {
    const since = this.at;
    this.#enqueue((event) =>
      type === 'trigger' ? { type, by, force: true, event } : { type, event, since },
    );
  }

  started(index: number): boolean {
    const [effect] = this.spawns.splice(index, 1);
    if (effect === undefined) return false;
    const pid = ++this.#pid;
    this.programs.set(effect.key, {
      key: effect.key,
      pid,
      alive: true,
      gone: false,
      toldAt: null,
      killed: false,
    });
    this.answers.push({ type: 'spawned', key: effect.key, pid });
    return true;
  }

  notStarted(index: number, code: number): void {
    const [effect] = this.spawns.splice(index, 1);
    if (effect !== undefined)
      this.answers.push({ type: 'spawn-failed', key: effect.key, code, reason: 'no such file (ENOENT)' });
  }

  answer(index: number): boolean {
    const [answer] = this.answers.splice(index, 1);
    if (answer !== undefined) this.tell(answer);
    return answer !== undefined;
  }

  prepared(digest: string): boolean {
    if (this.preparing === null) return false;
    this.preparing = null;
    const artifact: Artifact = { digest, path: `/run/baton/${digest}`, source: '/srv/app' };
    this.tell({ type: 'prepared', artifact });
    return true;
  }

  refused(code: number): void {
    if (this.preparing === null) return;
    this.preparing = null;
    this.tell({ type: 'refused', reason: 'it is not executable', code });
  }

  probed(index: number, ready: boolean): boolean {
    const [key] = index < 0 ? [] : this.probes.splice(index, 1);
    if (key !== undefined)
      this.tell(ready ? { type: 'ready', key } : { type: 'unready', key, reason: 'said no' });
    return key !== undefined;
  }

  /** The main process ends; its group with it, unless someone `lingers`. */
  end(program: Program | undefined, code: number, signal: number, lingers: boolean): void {
    if (program?.alive !== true) return;
    program.alive = false;
    this.#enqueue(() => ({ type: 'exited', key: program.key, code, signal }));
    if (!lingers) this.endGroup(program);
  }

  endGroup(program: Program | undefined): void {
    if (program === undefined || program.alive || program.gone) return;
    program.gone = true;
    this.#enqueue(() => ({ type: 'gone', key: program.key }));
  }

  alive(): Program[] {
    return [...this.programs.values()].filter(({ alive }) => alive);
  }

  lingering(): Program[] {
    return [...this.programs.values()].filter(({ alive, gone }) => !alive && !gone);
  }

  /** Whatever the machine waits for is on its way, whichever agent asked for it. */
  #nothingIsForgotten(): void {
    const { state, probes, spawns, answers } = this;
    const onItsWay = (key: string) => answers.some((answer) => 'key' in answer && answer.key === key);
    if (state.preparing !== null && this.preparing === null) throw new Error('nobody prepares');
    for (const { key, state: is, stop, pid } of processesOf(state)) {
      if (is === 'spawning' && !onItsWay(key) && !spawns.some((spawn) => spawn.key === key))
        throw new Error(`nobody starts ${key}`);
      if (is === 'running' && stop === null && !probes.includes(key))
        throw new Error(`nobody watches ${key}`);
      if (stop?.told === false && pid !== null && !onItsWay(key))
        throw new Error(`nobody told ${key} to stop`);
    }
  }

  #enqueue(make: (seq: number) => Untimed): void {
    const seq = ++this.#seq;
    const event = make(seq);
    if (event.type === 'trigger' || event.type === 'drain') this.asked.add(seq);
    this.queue.push({ seq, event, delivered: false });
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'prepare':
        this.preparing = effect.trigger;
        break;
      case 'spawn':
        this.spawns.push(effect);
        break;
      case 'probe':
        this.probes.push(effect.key);
        break;
      case 'cancel-probe':
        this.probes = this.probes.filter((key) => key !== effect.key);
        break;
      case 'kill':
        this.#signal(effect);
        break;
      case 'settle':
        this.#settle(effect);
        break;
      case 'exit':
        this.exit = effect.code;
        break;
    }
  }

  #signal({ key, signal }: EffectOf<'kill'>): void {
    const program = this.programs.get(key);
    if (program === undefined) throw new Error(`a signal for ${key}, which never ran`);
    if (signal === 9) {
      program.killed = true;
    } else {
      program.toldAt = this.at;
      this.answers.push({ type: 'told', key });
    }
  }

  #settle({ event, outcome }: EffectOf<'settle'>): void {
    this.settled.set(event, outcome);
    this.queue = this.queue.filter(({ seq }) => seq !== event);
  }
}

function processesOf({ active, candidate, draining }: State) {
  return [active, candidate?.generation, ...draining].flatMap((generation) => generation?.processes ?? []);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
