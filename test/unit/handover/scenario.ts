/** A conversation with the machine, for examples: what it is told, in order, and what it asks for. */
import { initialState, project, step } from '../../../agent/handover/machine.ts';
import type {
  Effect,
  Event,
  Generation,
  Policy,
  State,
  TriggerSource,
} from '../../../agent/handover/state.ts';

export const POLICY: Policy = {
  instances: 1,
  readyTimeout: 30_000,
  stopSignal: 15,
  stopTimeout: 20_000,
  stopGrace: 60_000,
  stopScope: 'process',
  drainDelay: 0,
  restartLimit: 3,
  restartWindow: 60_000,
  restartDelay: 100,
  restartDelayMax: 10_000,
  maxDraining: 2,
};

type Untimed = Event extends infer E ? (E extends Event ? Omit<E, 'at'> : never) : never;

export class Scenario {
  readonly policy: Policy;
  at = 0;
  state: State = initialState();
  /** Everything that was asked for since the last look. */
  #effects: Effect[] = [];
  #pid = 100;

  constructor(policy: Partial<Policy> = {}) {
    this.policy = { ...POLICY, ...policy };
  }

  /** A container whose first generation, of artifact "a", serves. */
  static serving(policy: Partial<Policy> = {}): Scenario {
    const scenario = new Scenario(policy);
    scenario.tell({ type: 'start' });
    scenario.prepared('a');
    scenario.allStarted();
    scenario.allReady();
    scenario.effects();
    return scenario;
  }

  tell(event: Untimed): this {
    const { state, effects } = step(this.policy, this.state, { ...event, at: this.at } as Event);
    this.state = JSON.parse(JSON.stringify(state));
    this.#effects.push(...effects);
    return this;
  }

  /** What was asked for since the last call: all of it, or what is of one type. */
  effects(): Effect[];
  effects<T extends Effect['type']>(type: T): Extract<Effect, { type: T }>[];
  effects(type?: Effect['type']): Effect[] {
    return this.#effects.splice(0).filter((effect) => type === undefined || effect.type === type);
  }

  wait(ms: number): this {
    this.at += ms;
    return this.tell({ type: 'tick' });
  }

  prepared(digest: string): this {
    return this.tell({
      type: 'prepared',
      artifact: { digest, path: `/snapshots/${digest}`, source: '/app' },
    });
  }

  trigger(by: TriggerSource, event: number | null = null): this {
    return this.tell({ type: 'trigger', by, force: by !== 'watch', event });
  }

  /** A candidate of another artifact is asked for, prepared and started. */
  candidate(digest: string, event: number | null = null): this {
    return this.trigger('control', event).prepared(digest).allStarted();
  }

  /** PID 1 answers every spawn. */
  allStarted(): this {
    for (const { key, state } of this.processes())
      if (state === 'spawning') this.tell({ type: 'spawned', key, pid: ++this.#pid });
    return this;
  }

  allReady(): this {
    for (const { key, state, stop } of this.processes())
      if (state === 'running' && stop === null) this.tell({ type: 'ready', key });
    return this;
  }

  exits(key: string, code: number, signal = 0): this {
    return this.tell({ type: 'exited', key, code, signal }).tell({ type: 'gone', key });
  }

  processes() {
    const { active, candidate, draining } = this.state;
    return [active, candidate?.generation, ...draining].flatMap((generation) => generation?.processes ?? []);
  }

  get projection() {
    return project(this.policy, this.state);
  }

  /** Newest first. */
  get outcomes(): string[] {
    return this.state.history.map(({ result }) => result);
  }
}

export const keysOf = (generation: Generation | null | undefined) =>
  generation?.processes.map(({ key }) => key) ?? [];
