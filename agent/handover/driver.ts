/**
 * Performs what the machine asks for and tells it what came of it. All I/O is behind {@link Ports}, so that the
 * driver runs in tests without a process.
 */

import { constants } from 'node:os';
import type { Artifact } from '../artifact/artifact.ts';
import type { Probe } from '../readiness/index.ts';
import { project, step } from './machine.ts';
import type { Effect, Event, Outcome, Policy, Projection, State, Trigger } from './state.ts';

type EffectOf<Type extends Effect['type']> = Extract<Effect, { type: Type }>;

export interface Ports {
  /** CLOCK_MONOTONIC, ms: the same clock for every agent of one container. */
  now(): number;
  /** Stores the state where the next agent finds it; called before the effects of that state. */
  keep(state: State): void;
  /** @throws Error with a sentence when there is nothing that can be run; `exitCode` on it as a shell would exit */
  prepare(trigger: Trigger, signal: AbortSignal): Promise<Artifact>;
  /** @throws SpawnError */
  spawn(effect: EffectOf<'spawn'>): Promise<number>;
  /** `ready` rejects with a sentence when the process cannot become ready. */
  probe(effect: EffectOf<'probe'>, signal: AbortSignal): Probe;
  /** Resolves once PID 1 has answered, whatever the answer: ESRCH means that the exit is on its way. */
  kill(effect: EffectOf<'kill'>): Promise<void>;
  settle(effect: EffectOf<'settle'>): void;
  overdue(effect: EffectOf<'overdue'>): void;
  record(outcome: Outcome): void;
  crashed(effect: EffectOf<'crashed'>): void;
  /** What is true now; `before` is null at the first call. */
  apply(now: Projection, before: Projection | null, state: State): void;
  /** @param reason why the container ends, for people */
  exit(code: number, reason: string): void;
}

/** An event without its time, which the driver adds. */
export type Untimed<E = Event> = E extends Event ? Omit<E, 'at'> : never;

const { SIGKILL } = constants.signals;
/** While there is a deadline the driver wakes this often, ms, to notice when it was kept from it. */
const PULSE_MS = 1000;

interface Running {
  readonly probe: Probe;
  readonly controller: AbortController;
}

export class Driver {
  readonly #policy: Policy;
  readonly #ports: Ports;
  readonly #probes = new Map<string, Running>();
  #preparing: AbortController | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** When there is a deadline: when the timer was last set. */
  #seenAt: number | null = null;
  /** Time that it saw pass since it was last held up, ms. */
  #awake = PULSE_MS;
  #state: State;
  #projection: Projection | null = null;

  constructor(policy: Policy, ports: Ports, state: State) {
    this.#policy = policy;
    this.#ports = ports;
    this.#state = state;
  }

  get state(): State {
    return this.#state;
  }

  /**
   * The order is the promise that the machine relies on: kept, then true to the outside (readiness first), then acted
   * upon.
   */
  dispatch(event: Untimed): void {
    this.#makeUpForMissedTime();
    this.#take(event);
  }

  #take(event: Untimed): void {
    const { state, effects } = step(this.#policy, this.#state, { ...event, at: this.#ports.now() } as Event);
    if (state !== this.#state) this.#ports.keep(state);
    this.#state = state;
    if (state.preparing === null) this.#preparing?.abort();
    const projection = project(this.#policy, state);
    this.#ports.apply(projection, this.#projection, state);
    this.#projection = projection;
    for (const effect of effects) this.#perform(effect);
    this.#arm(projection.deadline);
  }

  #arm(deadline: number | null): void {
    clearTimeout(this.#timer);
    this.#seenAt = deadline === null ? null : this.#ports.now();
    if (deadline === null || this.#seenAt === null) return;
    const wait = Math.min(Math.max(deadline - this.#seenAt, 0), PULSE_MS);
    this.#timer = setTimeout(() => this.#wake(), wait);
  }

  #wake(): void {
    this.#makeUpForMissedTime();
    const deadline = this.#projection?.deadline ?? null;
    if (deadline !== null && deadline <= this.#ports.now()) this.#take({ type: 'tick', seen: this.#seen() });
    else this.#arm(deadline);
  }

  /**
   * CLOCK_MONOTONIC goes on while the container is frozen, and what is overdue then would be so for everybody. Late twice in a row
   * is a slow agent: were all of its time made up for, no deadline would ever come.
   */
  #makeUpForMissedTime(): void {
    const passed = this.#seenAt === null ? 0 : this.#ports.now() - this.#seenAt;
    const heldUp = passed > 2 * PULSE_MS && this.#awake >= PULSE_MS;
    this.#awake = heldUp ? 0 : this.#awake + passed;
    if (heldUp) this.#take({ type: 'held-up', missed: passed });
  }

  #seen(): Record<string, string> {
    return Object.fromEntries([...this.#probes].map(([key, { probe }]) => [key, probe.lastSeen()]));
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'prepare':
        void this.#prepare(effect.trigger);
        break;
      case 'spawn':
        void this.#spawn(effect);
        break;
      case 'probe':
        void this.#probe(effect);
        break;
      case 'cancel-probe':
        this.#probes.get(effect.key)?.controller.abort();
        break;
      case 'kill':
        void this.#kill(effect);
        break;
      case 'settle':
        this.#ports.settle(effect);
        break;
      case 'overdue':
        this.#ports.overdue(effect);
        break;
      case 'record':
        this.#ports.record(effect.outcome);
        break;
      case 'crashed':
        this.#ports.crashed(effect);
        break;
      case 'exit':
        this.#ports.exit(effect.code, this.#state.stopping?.reason ?? '');
        break;
    }
  }

  /** A later `prepare` replaces one that still runs: the machine waits for one answer at a time. */
  async #prepare(trigger: Trigger): Promise<void> {
    this.#preparing?.abort();
    const controller = new AbortController();
    this.#preparing = controller;
    let answer: Untimed;
    try {
      answer = { type: 'prepared', artifact: await this.#ports.prepare(trigger, controller.signal) };
    } catch (error) {
      answer = { type: 'refused', reason: sentence(error), code: exitCode(error) };
    }
    if (!controller.signal.aborted) this.dispatch(answer);
  }

  async #spawn(effect: EffectOf<'spawn'>): Promise<void> {
    const { key } = effect;
    let answer: Untimed;
    try {
      answer = { type: 'spawned', key, pid: await this.#ports.spawn(effect) };
    } catch (error) {
      answer = { type: 'spawn-failed', key, reason: sentence(error), code: exitCode(error) };
    }
    this.dispatch(answer);
  }

  async #kill(effect: EffectOf<'kill'>): Promise<void> {
    await this.#ports.kill(effect);
    if (effect.signal !== SIGKILL) this.dispatch({ type: 'told', key: effect.key });
  }

  async #probe(effect: EffectOf<'probe'>): Promise<void> {
    const { key } = effect;
    const controller = new AbortController();
    const probe = this.#ports.probe(effect, controller.signal);
    this.#probes.get(key)?.controller.abort();
    this.#probes.set(key, { probe, controller });
    let answer: Untimed;
    try {
      await probe.ready;
      answer = { type: 'ready', key };
    } catch (error) {
      answer = { type: 'unready', key, reason: sentence(error) };
    }
    if (this.#probes.get(key)?.probe === probe) this.#probes.delete(key);
    if (!controller.signal.aborted) this.dispatch(answer);
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The program is there and cannot be executed as it is asked for: not by this user, not with these arguments. */
const CANNOT_EXECUTE: readonly unknown[] = ['EACCES', 'EPERM', 'ENOEXEC', 'EISDIR', 'EINVAL', 'E2BIG'];

/** As a shell would exit: 127 not found, 126 found but not executable; 1 where trying again may help. */
function exitCode(error: unknown): number {
  const { code } = error as { code?: unknown };
  if (code === 'ENOENT' || code === 'ENOTDIR') return 127;
  return CANNOT_EXECUTE.includes(code) ? 126 : 1;
}
