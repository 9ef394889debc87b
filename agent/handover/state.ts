/** The handover's vocabulary: what the machine knows, what it is told, and what it asks for. No behaviour here. */

/** What is to run, resolved once per generation; made by `artifact/`. */
export interface Artifact {
  /** Digest over the program and everything watched, hex: two artifacts with the same digest are the same. */
  readonly digest: string;
  /** The file that is executed: a private snapshot, or the program itself where it is not watched. */
  readonly path: string;
  /** The program's own path, fully resolved, for people. */
  readonly source: string;
}

export interface Policy {
  /** Identical processes per generation, 1..32. */
  readonly instances: number;
  /** How long a candidate may take to become ready, ms. */
  readonly readyTimeout: number;
  readonly stopSignal: number;
  /** From the stop signal to SIGKILL, ms. */
  readonly stopTimeout: number;
  readonly stopScope: Scope;
  /** Lame duck: from readiness 503 to the first stop signal of a shutdown, ms. */
  readonly drainDelay: number;
  /** Crashes of the active generation within `restartWindow` (ms) at which Baton gives up and exits. */
  readonly restartLimit: number;
  readonly restartWindow: number;
  /** The pause before the first restart, ms; doubled at each further crash within the window, up to `restartDelayMax`. */
  readonly restartDelay: number;
  readonly restartDelayMax: number;
  /** How many old generations may drain at once before a further handover waits. */
  readonly maxDraining: number;
}

export type Scope = 'process' | 'group';

/** `running` is not ready yet; `exited` means the main process is reaped and others of its group may live on. */
export type ProcessState = 'spawning' | 'running' | 'ready' | 'exited';

export interface Process {
  /** Unique in PID 1's life: "generation.instance.run". PID 1 knows the process by this name. */
  readonly key: string;
  readonly instance: number;
  readonly pid: number | null;
  readonly state: ProcessState;
  /** Set once it was asked to stop: when SIGKILL follows. Infinity is written as null after that SIGKILL was sent. */
  readonly stop: { readonly killAt: number | null } | null;
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
  readonly since: number;
}

export interface Candidate {
  readonly generation: Generation;
  readonly trigger: Trigger;
  readonly readyBy: number;
}

/** `unchanged` is told to whoever asked, but is no handover. */
export type Result = 'promoted' | 'refused' | 'failed' | 'superseded' | 'rolled-back' | 'unchanged';

export interface Outcome {
  readonly result: Result;
  /** null when it was refused before there was one. */
  readonly generation: number | null;
  readonly by: TriggerSource;
  /** A sentence for people; empty when promoted. */
  readonly reason: string;
  /** From trigger to outcome, ms. */
  readonly duration: number;
  readonly at: number;
  readonly digest: string | null;
}

export interface Stopping {
  /** `lame-duck`: readiness is 503, everything serves. `draining`: stop signals were sent. */
  readonly stage: 'lame-duck' | 'draining';
  /** When the lame duck ends; null while only a drain was asked for, which waits for the stop signal. */
  readonly until: number | null;
  /** Who waits for the end of the lame duck (`baton drain`): sequence numbers. */
  readonly waiting: readonly number[];
  readonly lameDuckEnds: number;
  /** The exit code once all are gone. */
  readonly code: number;
}

export interface State {
  readonly version: 1;
  readonly active: Generation | null;
  readonly preparing: Trigger | null;
  readonly candidate: Candidate | null;
  /** The one that follows: triggers that came during a handover. */
  readonly next: Trigger | null;
  /** Former generations (old, failed, superseded) that still have processes. */
  readonly draining: readonly Generation[];
  /** Times of the crashes within the window, and when each crashed instance is started again. */
  readonly crashes: readonly number[];
  readonly restarts: readonly { readonly instance: number; readonly at: number }[];
  readonly stopping: Stopping | null;
  readonly lastGeneration: number;
  readonly lastRun: number;
  /** Newest first, at most 16. */
  readonly history: readonly Outcome[];
  /** Events whose outcome is recorded, newest first, at most 64: delivered again by PID 1, they are only answered again. */
  readonly settled: readonly { readonly event: number; readonly outcome: Outcome | null }[];
}

/** Every event carries the time, CLOCK_MONOTONIC in ms: the machine has no clock. */
export type Event = { readonly at: number } & (
  | { readonly type: 'start' }
  /** A new agent took over: what PID 1 has. Outstanding work is asked for again. */
  | {
      readonly type: 'attached';
      readonly processes: readonly { key: string; pid: number; running: boolean }[];
    }
  | {
      readonly type: 'trigger';
      readonly by: TriggerSource;
      readonly force: boolean;
      readonly event: number | null;
    }
  | { readonly type: 'prepared'; readonly artifact: Artifact }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'spawned'; readonly key: string; readonly pid: number }
  /** `permanent`: ENOENT, EACCES, ENOEXEC…: trying again cannot help. `code`: 127 or 126, as a shell would exit. */
  | { readonly type: 'spawn-failed'; readonly key: string; readonly reason: string; readonly code: number }
  | { readonly type: 'ready'; readonly key: string }
  | { readonly type: 'unready'; readonly key: string; readonly reason: string }
  | { readonly type: 'exited'; readonly key: string; readonly code: number; readonly signal: number }
  | { readonly type: 'gone'; readonly key: string }
  | { readonly type: 'drain'; readonly event: number }
  | { readonly type: 'stop'; readonly event: number }
  | { readonly type: 'tick' }
);

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
  | { readonly type: 'probe'; readonly key: string; readonly pid: number; readonly generation: number }
  | { readonly type: 'cancel-probe'; readonly key: string }
  | { readonly type: 'kill'; readonly pid: number; readonly signal: number; readonly scope: Scope }
  /** An outcome to log and count. */
  | { readonly type: 'record'; readonly outcome: Outcome }
  /** A process of the active generation died unasked and will be started again after `delay` ms. */
  | {
      readonly type: 'crashed';
      readonly key: string;
      readonly code: number;
      readonly signal: number;
      readonly delay: number;
    }
  /** Answer a trigger's event with its outcome, or an event that has none (null). `ok` false: the answer is a refusal. */
  | {
      readonly type: 'settle';
      readonly event: number;
      readonly outcome: Outcome | null;
      readonly ok: boolean;
      readonly text: string;
    }
  | { readonly type: 'exit'; readonly code: number };

/** What is true of a state, whatever led to it: the driver applies what changed, before the effects. */
export interface Projection {
  /** /readyz */
  readonly ready: boolean;
  /** At least one generation was ready once: /startupz */
  readonly started: boolean;
  /** Where routed signals go: the running main processes of the active generation, else of the candidate. */
  readonly routes: readonly number[];
  /** The pid for the pidfile: the first instance of the active generation. */
  readonly mainPid: number | null;
  /** When the machine wants a `tick`, or null. */
  readonly deadline: number | null;
}
