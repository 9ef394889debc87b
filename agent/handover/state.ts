/** The handover's vocabulary: what the machine knows, what it is told, and what it asks for. No behaviour here. */

/* All of it is plain JSON. Times are CLOCK_MONOTONIC in milliseconds (clock_gettime(2)): one clock for the container's
 * whole life, whichever agent reads it. */

import type { Artifact } from '../artifact/artifact.ts';
import type { Scope } from '../init.ts';

export interface Policy {
  /** Identical processes per generation, 1..32. */
  readonly instances: number;
  /** How long a candidate may take to become ready, ms. */
  readonly readyTimeout: number;
  readonly stopSignal: number;
  /**
   * From the stop signal to SIGKILL, ms; less where the container's stop leaves less. null: RELOAD_STOP_TIMEOUT, and once the
   * orchestrator waits for the container's end all that it leaves.
   */
  readonly stopTimeout: number | null;
  /** How long the orchestrator waits from its stop signal to its own SIGKILL, ms. */
  readonly stopGrace: number;
  readonly stopScope: Scope;
  /** Lame duck: from readiness 503 to the first stop signal of a shutdown, ms. */
  readonly drainDelay: number;
  /** Crashes of the active generation within `restartWindow` (ms) at which Baton gives up and exits. */
  readonly restartLimit: number;
  readonly restartWindow: number;
  /**
   * The pause before the first restart, ms; doubled at each further crash within the window, up to
   * `restartDelayMax`.
   */
  readonly restartDelay: number;
  readonly restartDelayMax: number;
  /** How many old generations may drain at once before a further handover waits, at least 1. */
  readonly maxDraining: number;
}

/**
 * `spawning` until PID 1 answers; `running` is not ready yet; `exited`: the main process is reaped, others of its
 * group may live on.
 */
export type ProcessState = 'spawning' | 'running' | 'ready' | 'exited';

export interface Process {
  /** Unique in PID 1's life: "generation.instance.run". PID 1 knows the process by this name, at most 64 bytes. */
  readonly key: string;
  readonly instance: number;
  readonly pid: number | null;
  readonly state: ProcessState;
  /** When it counts as failed if it is not ready. */
  readonly readyBy: number;
  /** null while it is to serve. Never null in `exited`. */
  readonly stop: Stop | null;
}

/** The end of one process: the stop signal, time to drain, SIGKILL to its whole group. */
export interface Stop {
  /** When it was asked to stop. Its time to drain counts from here, and only while the process has a pid. */
  readonly since: number;
  /** SIGKILL was sent. */
  readonly killed: boolean;
  /**
   * The stop signal needs no repeating: PID 1 has confirmed it, or the main process is gone. A new agent must not
   * send it twice, because many programs take a second SIGTERM for "now" (Go's signal.NotifyContext, once stopped),
   * nor forget it, because then nothing would drain.
   */
  readonly told: boolean;
}

export interface Generation {
  readonly id: number;
  readonly artifact: Artifact;
  /** Those whose group is gone are removed. */
  readonly processes: readonly Process[];
}

export type TriggerSource = 'start' | 'signal' | 'watch' | 'control';

/** Several triggers collapse into one: `events` are the sequence numbers that wait for its outcome. */
export interface Trigger {
  readonly by: TriggerSource;
  /** Start a new generation even if nothing changed: true for a signal and a command. */
  readonly force: boolean;
  readonly events: readonly number[];
  /** When it was asked for. In the future: a first generation that failed is tried again then. */
  readonly since: number;
}

export interface Candidate {
  readonly generation: Generation;
  readonly trigger: Trigger;
}

/** `unchanged` is told to whoever asked, but is no handover. */
export type Result = 'promoted' | 'refused' | 'failed' | 'superseded' | 'unchanged';

export interface Outcome {
  readonly result: Result;
  /** null when it was refused before there was one. */
  readonly generation: number | null;
  readonly by: TriggerSource;
  /** A sentence for people, at most 200 characters; empty when promoted. */
  readonly reason: string;
  /** From trigger to outcome, ms. */
  readonly duration: number;
  readonly at: number;
  readonly digest: string | null;
}

export interface Stopping {
  /** `lame-duck`: readiness is 503, everything serves. `draining`: stop signals were sent. */
  readonly stage: 'lame-duck' | 'draining';
  readonly lameDuckEnds: number;
  /** Who waits for the end of the lame duck (`baton drain`): sequence numbers. */
  readonly waiting: readonly number[];
  /** When a drain was asked for, where that came first; else null. */
  readonly drained: number | null;
  /**
   * When whatever still runs is killed, so that the orchestrator's SIGKILL does not come first. null: no stop signal
   * came, so nobody waits.
   */
  readonly deadline: number | null;
  /**
   * The stop signal's sequence number. null: only a drain was asked for, which outlasts the lame duck, or Baton
   * stops of its own accord.
   */
  readonly event: number | null;
  /**
   * The exit code once all are gone: decided already where Baton stops of its own accord, else the first of the
   * program's own that is not 0.
   */
  readonly code: number;
  /** Why the container ends, for people: some sentences, at most 1000 characters. */
  readonly reason: string;
}

/** Of the shape below; an agent takes over no other. */
export const STATE_VERSION = 2;

export interface State {
  readonly version: typeof STATE_VERSION;
  readonly active: Generation | null;
  readonly preparing: Trigger | null;
  readonly candidate: Candidate | null;
  /** The one that follows: triggers that came during a handover. */
  readonly next: Trigger | null;
  /** Former generations (old, failed, superseded) that still have processes; all of these have been asked to stop. */
  readonly draining: readonly Generation[];
  /** Times of the crashes within the window, oldest first, and when each crashed instance is started again. */
  readonly crashes: readonly number[];
  readonly restarts: readonly { readonly instance: number; readonly at: number }[];
  readonly stopping: Stopping | null;
  readonly lastGeneration: number;
  readonly lastRun: number;
  /** Newest first, at most 16. */
  readonly history: readonly Outcome[];
  /**
   * Events that were answered, and with what, newest first, at most 8 answers: delivered again by PID 1, they are
   * only answered again.
   */
  readonly settled: readonly { readonly events: readonly number[]; readonly outcome: Outcome | null }[];
}

/** Every event carries the time, CLOCK_MONOTONIC in ms: the machine has no clock. */
export type Event = { readonly at: number } & (
  | { readonly type: 'start' }
  /**
   * A new agent took over. `processes`: those that PID 1 lists, and those whose `exit` and `gone` it is about to
   * tell again (feed these right after). One that is missing here is lost: taken as exited with a code that nobody
   * knows.
   */
  | {
      readonly type: 'attached';
      readonly processes: readonly { readonly key: string; readonly pid: number }[];
    }
  | {
      readonly type: 'trigger';
      readonly by: TriggerSource;
      readonly force: boolean;
      readonly event: number | null;
    }
  | { readonly type: 'prepared'; readonly artifact: Artifact }
  /**
   * `code`: Baton's exit code where nothing runs that could go on: 127 not found, 126 not
   * executable, else 1.
   */
  | { readonly type: 'refused'; readonly reason: string; readonly code: number }
  | { readonly type: 'spawned'; readonly key: string; readonly pid: number }
  /**
   * `code`: as a shell would exit. 127 (ENOENT…) and 126 (EACCES, ENOEXEC…): trying again cannot help; any other: it
   * may (EAGAIN, ENOMEM, ETXTBSY).
   */
  | { readonly type: 'spawn-failed'; readonly key: string; readonly reason: string; readonly code: number }
  | { readonly type: 'ready'; readonly key: string }
  /** `reason` completes the sentence "the process …": "closed its readiness socket". */
  | { readonly type: 'unready'; readonly key: string; readonly reason: string }
  /** PID 1 has answered a `kill` that was no SIGKILL; whether with ok or ESRCH does not matter. */
  | { readonly type: 'told'; readonly key: string }
  /** `oom`: as in exit.ts. */
  | {
      readonly type: 'exited';
      readonly key: string;
      readonly code: number;
      readonly signal: number;
      readonly oom?: string | null;
    }
  | { readonly type: 'gone'; readonly key: string }
  /** `since`: when PID 1 was asked, which may be long before an agent hears of it; `at` where it is left out. */
  | { readonly type: 'drain'; readonly event: number; readonly since?: number }
  | { readonly type: 'stop'; readonly event: number; readonly since?: number }
  /** Nobody in the container ran for `missed` ms: docker pause, a machine that stood still. */
  | { readonly type: 'held-up'; readonly missed: number }
  /** `seen`: what kept a process from being ready when its probe last looked, by key. */
  | { readonly type: 'tick'; readonly seen?: Readonly<Record<string, string>> }
);

export type EventOf<T extends Event['type']> = Extract<Event, { readonly type: T }>;

/** Performed in order, after the state was kept and the projection applied. */
export type Effect =
  | { readonly type: 'prepare'; readonly trigger: Trigger }
  | {
      readonly type: 'spawn';
      readonly key: string;
      readonly generation: number;
      readonly instance: number;
      readonly artifact: Artifact;
    }
  /** Watch for readiness until told `ready`/`unready` or the probe is cancelled. */
  | {
      readonly type: 'probe';
      readonly key: string;
      readonly pid: number;
      readonly generation: number;
      readonly instance: number;
    }
  | { readonly type: 'cancel-probe'; readonly key: string }
  /** ESRCH is no error: the exit is on its way. */
  | {
      readonly type: 'kill';
      readonly key: string;
      readonly pid: number;
      readonly signal: number;
      readonly scope: Scope;
    }
  /** These were killed, because their time to drain is up: what they had begun is lost. */
  | {
      readonly type: 'overdue';
      readonly pids: readonly number[];
      /** A sentence for people: which, after how long, and the option that has to be raised. */
      readonly text: string;
    }
  /** An outcome to log and count. */
  | { readonly type: 'record'; readonly outcome: Outcome }
  /**
   * A process that was to serve is lost (died, never got ready, could not be started) and nothing else stands in for
   * it. It is started again after `delay` ms; null: too many crashes, Baton stops.
   */
  | {
      readonly type: 'crashed';
      readonly key: string;
      readonly reason: string;
      readonly delay: number | null;
    }
  /**
   * Answer a trigger's event with its outcome, or an event that has none (null). `ok` false: the answer is a
   * refusal.
   */
  | {
      readonly type: 'settle';
      readonly event: number;
      readonly outcome: Outcome | null;
      readonly ok: boolean;
      readonly text: string;
    }
  /** Everything is gone. Asked for again at each further step, should the agent have died before it said so. */
  | { readonly type: 'exit'; readonly code: number };

/** What is true of a state, whatever led to it: the driver applies what changed, before the effects. */
export interface Projection {
  /** /readyz */
  readonly ready: boolean;
  /** At least one generation was ready once: /startupz */
  readonly started: boolean;
  /** Where routed signals go: the running main processes of the active generation, else of the candidate. */
  readonly routes: readonly number[];
  /**
   * Whom the kernel is to take first when memory runs out: the candidate beside an active generation, so that what
   * serves goes on.
   */
  readonly expendable: readonly number[];
  /** The pid for the pidfile: the first instance of the active generation. */
  readonly mainPid: number | null;
  /** When the machine wants a `tick`, or null. May be past: then at once. */
  readonly deadline: number | null;
}
