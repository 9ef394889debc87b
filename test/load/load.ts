/** Steady load on a server, every request of which is accounted for: it succeeded, or failed in exactly one class. */
import { setTimeout as delay } from 'node:timers/promises';
import { bodyProblem } from '../apps/contract.ts';
import { type BodyCheck, Connection, type Result, type Target } from './connection.ts';
import type { Response } from './parser.ts';
import { Recorder, type Report } from './report.ts';

export interface LoadOptions extends Target {
  /** Requests in flight at most; each waits for its answer before the next. Default 8. */
  readonly connections?: number;
  /**
   * `per-request`: a new connection for each, with `Connection: close`. `keep-alive`: as long as the server keeps it.
   */
  readonly mode: 'per-request' | 'keep-alive';
  /** Default `/`. */
  readonly path?: string;
  /** For one request, connecting included. Default 5000. */
  readonly timeoutMs?: number;
  /** Requests a second over all connections, spread evenly; default: as many as there are answers. */
  readonly rate?: number;
  /** Default: the answers of the sample services. */
  readonly check?: BodyCheck;
  /** Called for every result, in order. */
  readonly onResult?: (result: Result) => void;
}

export interface Load {
  /** The counts so far. */
  report(): Report;
  /** The first result from now on that satisfies `predicate`. Rejects when the load is stopped before. */
  until(predicate: (result: Result) => boolean): Promise<Result>;
  /** The next whole answer from `version`. */
  seen(version: string): Promise<Result>;
  /** Once `count` more requests have succeeded. */
  completed(count: number): Promise<Result>;
  /** Starts no more requests, waits for those in flight, closes the connections. */
  stop(): Promise<Report>;
}

/** A worker whose request failed waits this long, so that a server that is down does not cost a whole processor. */
const FAILURE_PAUSE_MS = 10;
/** How far behind its rate the load may be and still catch up. */
const CATCH_UP_MS = 20;

/** The body check for the sample services of test/apps. */
export const sampleBody: BodyCheck = (path, { body, fields }: Response) =>
  bodyProblem(path, body, { version: fields.get('x-version') ?? '', pid: Number(fields.get('x-pid') ?? 0) });

export function startLoad(options: LoadOptions): Load {
  const { connections = 8, mode, path = '/', timeoutMs = 5000, rate, check = sampleBody, onResult } = options;
  const recorder = new Recorder();
  const watchers = new Set<Watcher>();
  const inFlight = new Map<Connection, number>();
  const stopping = new AbortController();
  const { signal } = stopping;
  const pace = rate === undefined ? null : createPace(rate, signal);

  // One timer for all requests, in place of one each.
  const sweep = setInterval(
    () => {
      const late = performance.now() - timeoutMs;
      for (const [connection, started] of inFlight) if (started < late) connection.timeOut();
    },
    Math.max(5, timeoutMs / 20),
  );

  function record(result: Result, milliseconds: number) {
    recorder.record(result, milliseconds);
    onResult?.(result);
    for (const watcher of watchers) {
      if (!watcher.predicate(result)) continue;
      watchers.delete(watcher);
      watcher.resolve(result);
    }
  }

  function connect(former: Connection | null) {
    if (former?.usable) return former;
    recorder.connections++;
    return new Connection(options, check);
  }

  async function work() {
    let connection: Connection | null = null;
    let kept = false;
    while (!signal.aborted) {
      if (pace) await pace();
      if (signal.aborted) break;
      if (kept && !connection?.usable) recorder.closedIdle++;
      const started = performance.now();
      connection = connect(connection);
      inFlight.set(connection, started);
      const result: Result = await connection.request(path, { close: mode === 'per-request' });
      inFlight.delete(connection);
      record(result, performance.now() - started);
      kept = mode === 'keep-alive' && result.kind === 'ok' && !result.response.last;
      if (result.kind !== 'ok') await pause(FAILURE_PAUSE_MS, signal);
    }
    connection?.close();
  }

  const workers = Array.from({ length: connections }, work);
  const until = (predicate: Watcher['predicate']) => {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    if (signal.aborted) reject(new Error('the load is stopped'));
    else watchers.add({ predicate, resolve, reject });
    return promise;
  };

  return {
    report: () => recorder.report(),
    until,
    seen: (version) =>
      until((result) => result.kind === 'ok' && result.response.fields.get('x-version') === version),
    completed: (count) => {
      let left = count;
      return until((result) => result.kind === 'ok' && --left <= 0);
    },
    async stop() {
      stopping.abort();
      await Promise.all(workers);
      clearInterval(sweep);
      for (const { reject } of watchers) reject(new Error('the load was stopped before that was seen'));
      watchers.clear();
      return recorder.report();
    },
  };
}

interface Watcher {
  readonly predicate: (result: Result) => boolean;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** Resolves when the next request may start. */
function createPace(rate: number, signal: AbortSignal): () => Promise<void> {
  let next = performance.now();
  return async () => {
    const now = performance.now();
    const slot = Math.max(next, now - CATCH_UP_MS);
    next = slot + 1000 / rate;
    if (slot > now) await pause(slot - now, signal);
  };
}

/** Ends early, and without an error, when the signal is aborted. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => {});
}
