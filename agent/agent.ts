/** What the agent does with each event of PID 1, and with what the machine asks for. */

import { constants } from 'node:os';
import type { Config } from '../config/schema.ts';
import { watchedPaths } from './artifact/prepare.ts';
import type { Store } from './artifact/store.ts';
import type { Cgroup, Limits } from './container/cgroup.ts';
import { allClosed } from './container/closing.ts';
import { OomWatch } from './container/oom.ts';
import { writeTerminationLog } from './container/termination-log.ts';
import { parseRequest } from './control/requests.ts';
import { Driver, type Ports } from './handover/driver.ts';
import { initialState } from './handover/machine.ts';
import { artifactOptions, monotonicNow, processPorts } from './handover/ports.ts';
import type { Outcome, State } from './handover/state.ts';
import { find, generations, processes } from './handover/turn.ts';
import { openPages } from './health/pages.ts';
import { createPublisher, type Publisher } from './health/publisher.ts';
import { outcomeLine } from './health/status.ts';
import { type Counts, type HeldListener, type Init, type InitEvent, PAGES_FD } from './init.ts';
import { flushLog, type Log } from './log.ts';
import { Notifications } from './notifications.ts';
import { Outside } from './outside.ts';
import { STOP_SIGNALS } from './signals.ts';
import { reachable, Waker } from './waker.ts';
import { type Watch, watchPaths } from './watch/watch.ts';

export interface Settings {
  readonly config: Config;
  /** The health address is the default one: when it is taken, the container runs without. */
  readonly healthOptional: boolean;
}

/** What an agent leaves to the next, which goes on with the configuration that the container was started with. */
export interface Legacy {
  readonly settings: Settings;
  readonly state: State;
  /** The cgroup's count when the state was kept; null where the kernel does not tell. */
  readonly oomKills: number | null;
}

export interface Parts {
  readonly init: Init;
  readonly settings: Settings;
  readonly log: Log;
  /** Where the health responder listens. */
  readonly health: string | null;
  readonly listeners: readonly HeldListener[];
  readonly store: Store;
  readonly cgroup: Cgroup;
  /** As the agent before has left it; null: there was none. */
  readonly oomKills: number | null;
}

/** PID 1 takes five missed ones for a hang (agent/init/agent.c). */
const PING_MS = 1000;
/** How long the exit waits, ms, for clients to take the last answers and close: one that keeps its end open must not cost more. */
const CLOSING_MS = 1000;
const { SIGHUP } = constants.signals;

type EventOf<Type extends InitEvent['type']> = Extract<InitEvent, { type: Type }>;

export class Agent {
  readonly #parts: Parts;
  readonly #config: Config;
  readonly #notifications: Notifications;
  readonly #publisher: Publisher;
  readonly #waker: Waker;
  readonly #oom: OomWatch;
  readonly #requests = new Map<number, { json: boolean }>();
  readonly #outside: Outside;
  /** When the newest process was started. */
  #limits: Limits;
  #driver: Driver | undefined;
  #watch: Watch | undefined;
  #exiting = false;
  #counted: Counts = { reaped: 0, dropped: 0, queues: new Map() };

  constructor(parts: Parts) {
    const { init, settings, log, listeners, health, cgroup, oomKills } = parts;
    this.#parts = parts;
    this.#config = settings.config;
    this.#notifications = new Notifications(init);
    this.#limits = cgroup.limits();
    this.#oom = new OomWatch({
      cgroup,
      now: monotonicNow,
      seen: oomKills,
      onKills: (count, reason) =>
        log.warn(
          { count },
          `${reason}: the kernel killed ${count === 1 ? 'a process' : `${count} processes`}`,
        ),
    });
    this.#publisher = createPublisher({
      pages: openPages(PAGES_FD),
      now: monotonicNow,
      counted: () => ({ ...this.#counted, oomKills: this.#oom.seen }),
      around: () => ({
        config: this.#config,
        listeners,
        health,
        watching: this.#watch?.mode ?? 'off',
        limits: this.#limits,
        epoch: Date.now() - monotonicNow(),
      }),
    });
    this.#outside = new Outside({
      ...parts,
      config: this.#config,
      publisher: this.#publisher,
      notifications: this.#notifications,
    });
    this.#waker = new Waker(listeners, async () => (await this.#ping()).queues);
    setInterval(() => void this.#ping(), PING_MS);
  }

  /** @param processes of an agent before, whose state was lost: they are asked to stop */
  start(processes: readonly { key: string; pid: number }[]): void {
    const driver = this.#drive(initialState());
    if (processes.length > 0) driver.dispatch({ type: 'attached', processes });
    driver.dispatch({ type: 'start' });
  }

  /** @param processes those that PID 1 lists, and those whose end it tells again */
  resume(state: State, processes: readonly { key: string; pid: number }[]): void {
    this.#parts.log.info({ generation: state.active?.id }, 'a new agent carries on');
    this.#drive(state).dispatch({ type: 'attached', processes });
    // What changed while there was no agent was seen by nobody.
    this.#running.dispatch({ type: 'trigger', by: 'watch', force: false, event: null });
  }

  async watch(): Promise<void> {
    const { config, log } = { config: this.#config, log: this.#parts.log };
    if (config.watch?.length === 0) return;
    this.#watch = await watchPaths(await watchedPaths(artifactOptions(config)), {
      onChange: (reason) => {
        log.debug({ reason }, 'change seen');
        this.#running.dispatch({ type: 'trigger', by: 'watch', force: false, event: null });
      },
      onWarning: (text) => log.warn(text),
    });
  }

  take(event: InitEvent): void {
    switch (event.type) {
      case 'signal':
        this.#takeSignal(event);
        break;
      case 'exit':
        this.#takeExit(event);
        break;
      case 'gone':
        this.#running.dispatch({ type: 'gone', key: event.key });
        this.#notifications.finish(event.pid);
        this.#done(event.seq);
        break;
      case 'notify':
        this.#notifications.take(event, this.#isAwaited(event.pid));
        break;
      case 'request':
        this.#takeRequest(event);
        break;
    }
  }

  get #running(): Driver {
    if (!this.#driver) throw new Error('the driver was not started');
    return this.#driver;
  }

  #drive(state: State): Driver {
    const limits = () => {
      this.#limits = this.#parts.cgroup.limits();
      return this.#limits;
    };
    const world = { ...this.#parts, config: this.#config, notifications: this.#notifications, limits };
    const processes = processPorts(world);
    const kill: Ports['kill'] = (effect) => {
      void this.#waker.look();
      return processes.kill(effect);
    };
    this.#driver = new Driver(this.#config, { ...processes, kill, ...this.#ports() }, state);
    return this.#driver;
  }

  #ports(): Pick<Ports, 'keep' | 'settle' | 'overdue' | 'record' | 'crashed' | 'apply' | 'exit'> {
    const { init, settings, log } = this.#parts;
    return {
      keep: (state) => {
        const kept = JSON.stringify({ settings, state, oomKills: this.#oom.seen } satisfies Legacy);
        init
          .keep(kept)
          .catch((error: Error) => log.error(`${error.message}; the next agent will start anew`));
      },
      settle: ({ event, outcome, ok, text }) => this.#settle(event, ok, text, outcome),
      overdue: ({ pids, text }) => log.warn({ pids }, text),
      record: (outcome) => {
        this.#publisher.recorded(outcome);
        logOutcome(log, outcome, this.#pidsOf(outcome.generation));
      },
      crashed: ({ key, reason, delay }) => {
        this.#publisher.crashed();
        const what = delay === null ? 'too many crashes: stopping' : `starting it again in ${delay} ms`;
        log.error({ process: key, reason }, `the program ${reason}; ${what}`);
      },
      apply: (now, before, state) => this.#outside.apply(now, before, state),
      exit: (code, reason) => void this.#exit(code, reason),
    };
  }

  #takeSignal({ seq, signal, fromKernel, pid, uid, since }: EventOf<'signal'>): void {
    const { log } = this.#parts;
    // A HUP of the kernel's own: the terminal went away, and nobody is there any more to ask for a reload.
    const hangup = signal === SIGHUP && fromKernel;
    if (signal === this.#config.reloadSignal && !hangup) {
      log.info({ signal, from: { pid, uid } }, 'reload asked for by a signal');
      this.#running.dispatch({ type: 'trigger', by: 'signal', force: true, event: seq });
    } else if (STOP_SIGNALS.includes(signal) || hangup) {
      log.info({ signal, from: { pid, uid } }, 'stop asked for by a signal');
      this.#running.dispatch({ type: 'stop', event: seq, since });
    } else {
      log.warn({ signal }, 'no program runs that this signal could go to');
      this.#done(seq);
    }
  }

  #takeExit({ seq, pid, key, code, signal, usage }: EventOf<'exit'>): void {
    this.#parts.log.debug({ process: key, pid, code, signal, usage }, 'process ended');
    // A SIGKILL of our own needs no other explanation.
    const ours = find(this.#running.state, key)?.stop?.killed === true;
    const oom = ours ? null : this.#oom.explain({ code, signal });
    this.#running.dispatch({ type: 'exited', key, code, signal, oom });
    void this.#waker.look();
    this.#done(seq);
  }

  #takeRequest({ seq, uid, pid, since, verb, args }: EventOf<'request'>): void {
    const command = parseRequest(verb, args);
    this.#requests.set(seq, { json: args.includes('json') });
    if (command.type !== 'unknown')
      this.#parts.log.info({ from: { pid, uid } }, `${verb} asked for on the control socket`);
    switch (command.type) {
      case 'reload':
        this.#running.dispatch({
          type: 'trigger',
          by: 'control',
          force: true,
          event: command.wait ? seq : null,
        });
        if (!command.wait) this.#settle(seq, true, 'reload started', null);
        break;
      case 'drain':
        this.#running.dispatch({ type: 'drain', event: seq, since });
        break;
      case 'unknown':
        this.#settle(seq, false, command.text, null);
        break;
    }
  }

  /** Answers a request, or finishes a signal. One that this agent has not been told of yet is answered when it is. */
  #settle(seq: number, ok: boolean, text: string, outcome: Outcome | null): void {
    const request = this.#requests.get(seq);
    if (!request) {
      this.#done(seq);
      return;
    }
    this.#requests.delete(seq);
    const answer = request.json ? JSON.stringify({ ok, text, outcome }) : text;
    this.#parts.init.reply(seq, ok ? 0 : 1, answer).catch(() => {});
  }

  #done(seq: number): void {
    // Refused only where it is done already: told twice, by two agents.
    this.#parts.init.done(seq).catch(() => {});
  }

  /** One that is not known here was just started: what it says may come before PID 1's answer to `spawn`. */
  #isAwaited(pid: number): boolean {
    const process = processes(this.#running.state).find((known) => known.pid === pid);
    return process === undefined || (process.state === 'running' && process.stop === null);
  }

  #pidsOf(generation: number | null): number[] {
    const found = generations(this.#running.state).find(({ id }) => id === generation);
    return found?.processes.flatMap(({ pid }) => pid ?? []) ?? [];
  }

  async #ping(): Promise<Counts> {
    this.#oom.look();
    this.#counted = await this.#parts.init.ping();
    return this.#counted;
  }

  async #exit(code: number, reason: string): Promise<void> {
    const { init, log, listeners } = this.#parts;
    if (this.#exiting) return;
    this.#exiting = true;
    const ports = listeners.flatMap(({ address }) => reachable(address)?.port ?? []);
    const left = (this.#running.state.stopping?.deadline ?? Number.POSITIVE_INFINITY) - monotonicNow();
    await allClosed(ports, Math.min(CLOSING_MS, left));
    await this.#outside.clear();
    log.info({ code, reason }, 'everything has ended');
    writeTerminationLog(reason);
    await flushLog(log);
    init.exit(code);
  }
}

function logOutcome(log: Log, outcome: Outcome, pids: readonly number[]): void {
  const { result, generation, by, reason, duration, digest } = outcome;
  const fields = {
    outcome: result,
    generation,
    pids,
    by,
    durationMs: duration,
    digest: digest?.slice(0, 12),
  };
  const text = outcomeLine({ result, generation, reason, durationMs: duration });
  if (result === 'promoted') log.info(fields, text);
  else if (result === 'superseded') log.warn(fields, text);
  else log.error(fields, text);
}
