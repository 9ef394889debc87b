import type { IncomingMessage } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import type { Method } from './method.ts';

const TRY_TIMEOUT = 1000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 500;

/**
 * Ready once a GET answers 2xx or 3xx; redirects are not followed. A try takes at most 1 s; between tries 50 ms,
 * growing to 500 ms. As in the kubelet's probes, https is not verified: the address is the process's own, and its
 * certificate names the public one
 * (https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#http-probes).
 */
export const http: Method<{ readonly url: string }> = async (options, target, signal, see) => {
  const text = options.url.replaceAll('{pid}', String(target.pid));
  const url = URL.parse(text);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new Error(`readiness URL ${text} is not an http:// or https:// URL`);

  see(`GET ${text} was not answered yet`);
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      const status = await getStatus(url, AbortSignal.any([signal, AbortSignal.timeout(TRY_TIMEOUT)]));
      if (status >= 200 && status < 400) return;
      see(`GET ${text} answered ${status}`);
    } catch (error) {
      signal.throwIfAborted();
      see(`GET ${text} failed: ${reason(error)}`);
    }
    await setTimeout(pause, undefined, { signal });
  }
};

/**
 * The connection is closed after the answer: a kept one would only have to be drained by the program some day.
 * Node's HTTP stack is loaded here only: it costs 15 MB of resident memory, and most containers never need it.
 */
async function getStatus(url: URL, signal: AbortSignal): Promise<number> {
  const { get } = await (url.protocol === 'https:' ? import('node:https') : import('node:http'));
  return new Promise((resolve, reject) => {
    const answered = (response: IncomingMessage) => {
      // The body is read to its end, so that the program sees an orderly client; `signal` cuts an endless one.
      response.resume();
      response.on('error', () => {});
      resolve(response.statusCode ?? 0);
    };
    get(url, { agent: false, signal, rejectUnauthorized: false }, answered).on('error', reject);
  });
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'AbortError') return `no answer within ${TRY_TIMEOUT} ms`;
  // An AggregateError (one per address of the host) has no message of its own.
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  return cause instanceof Error ? cause.message : String(cause);
}
