/** What every readiness method is given, and what it answers. */

export type { Readiness } from '../../config/schema.ts';

/** The process that has to prove itself. */
export interface Target {
  /** The machine's name for it, "generation.instance.run". */
  readonly key: string;
  readonly pid: number;
  /** What it inherited, in the order of its descriptors 3, 4, …; `inode` is the socket's (st_ino). */
  readonly listeners: readonly { readonly name: string; readonly inode: number }[];
  /** The program's user and group; left out where they are the agent's own. */
  readonly credentials: { readonly uid?: number; readonly gid?: number };
  /** The program's working directory; an exec check runs in it. */
  readonly directory: string;
  /** The program's environment; an exec check has the same. */
  readonly environment: NodeJS.ProcessEnv;
  /**
   * The payloads of its sd_notify datagrams, from its start on: whoever provides them keeps those that came
   * before the probe asked, or a READY=1 that is sent at once is lost. Iterated by `notify` only, which calls
   * `return()` when it needs no more.
   */
  readonly notified: AsyncIterable<string>;
  /** The path of `baton`, for its role `look`. */
  readonly binary: string;
}

export interface Probe {
  /**
   * Resolves once the process is ready. Rejects, with a sentence, when it cannot become ready by this method, or when
   * the signal aborts: then the sentence is `lastSeen()`. Nothing that the probe started goes on after that.
   */
  readonly ready: Promise<void>;
  /** What the method last saw that kept the process from being ready, for people: no full stop, one line. */
  lastSeen(): string;
}

/** Tells what was last seen. */
export type See = (what: string) => void;

/** One method: resolves when ready, rejects on a definite failure or on abort; `see` is told what it sees meanwhile. */
export type Method<Options = unknown> = (
  options: Options,
  target: Target,
  signal: AbortSignal,
  see: See,
) => Promise<void>;
