/** A single request whose head can be awaited before its body: for tests that act while an answer is on its way. */
import { type BodyCheck, Connection, type Result, type Target } from './connection.ts';
import { sampleBody } from './load.ts';
import type { Head } from './parser.ts';

export interface RequestInFlight {
  /** Once the head has come. Rejects when the request fails before. */
  readonly head: Promise<Head>;
  /** Never rejects. */
  readonly result: Promise<Result>;
}

/** `timeoutMs` for the whole request, default 60000. */
export function startRequest(
  target: Target,
  path: string,
  { timeoutMs = 60_000, check = sampleBody }: { timeoutMs?: number; check?: BodyCheck } = {},
): RequestInFlight {
  const connection = new Connection(target, check);
  const head = Promise.withResolvers<Head>();
  head.promise.catch(() => {}); // whoever awaits only the result has been told there
  const timer = setTimeout(() => connection.timeOut(), timeoutMs);
  const result = connection.request(path, { close: true, onHead: head.resolve }).then((settled) => {
    clearTimeout(timer);
    if (settled.kind !== 'ok') head.reject(new Error(`${settled.kind}: ${settled.detail}`));
    return settled;
  });
  return { head: head.promise, result };
}
