import { accepting } from './accepting.ts';
import { delay } from './delay.ts';
import { exec } from './exec.ts';
import { http } from './http.ts';
import { notify } from './notify.ts';

/** How a process proves that it serves. */
export type Readiness =
  /** It accepts on every inherited listener: seen in /proc, nothing is asked of the program. */
  | { readonly method: 'accepting' }
  /** It says READY=1 on the notify socket (sd_notify(3)). */
  | { readonly method: 'notify' }
  /**
   * A GET to an address of its own answers 2xx or 3xx, as a Kubernetes probe counts. `{pid}` in the URL becomes the
   * process's pid: a port that both generations share would let the old one answer for the new one.
   */
  | { readonly method: 'http'; readonly url: string }
  /** A command exits 0. No shell: the first word is the file. BATON_GENERATION_PID tells it which process is meant. */
  | { readonly method: 'exec'; readonly command: readonly string[] }
  /** Time passes, ms. */
  | { readonly method: 'delay'; readonly ms: number };

/** The process that has to prove itself. */
export interface Target {
  /** The machine's name for it, "generation.instance.run". */
  readonly key: string;
  readonly pid: number;
  /** What it inherited, in the order of its descriptors 3, 4, …; `inode` is the socket's (st_ino). */
  readonly listeners: readonly { readonly name: string; readonly inode: number }[];
  /** The program's user and group; left out where they are the agent's own. */
  readonly credentials: { readonly uid?: number; readonly gid?: number };
  /** The program's environment; an exec check runs in it. */
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

/**
 * Waits for the process to prove that it serves. There is no timeout here: methods try again until `signal` aborts, and
 * how long a candidate may take is the handover's to decide.
 */
export function probe(readiness: Readiness, target: Target, signal: AbortSignal): Probe {
  let last = `pid ${target.pid} was not looked at yet`;
  const see: See = (what) => {
    last = what;
  };
  const ready = signal.aborted
    ? Promise.reject(new Error(last))
    : start(readiness, target, signal, see).catch((error: unknown) => {
        throw signal.aborted ? new Error(last) : error;
      });
  return { ready, lastSeen: () => last };
}

function start(readiness: Readiness, target: Target, signal: AbortSignal, see: See): Promise<void> {
  switch (readiness.method) {
    case 'accepting':
      return accepting(readiness, target, signal, see);
    case 'notify':
      return notify(readiness, target, signal, see);
    case 'http':
      return http(readiness, target, signal, see);
    case 'exec':
      return exec(readiness, target, signal, see);
    case 'delay':
      return delay(readiness, target, signal, see);
  }
}
