import { describe, expect, test, vi } from 'vitest';
import { probe, type Readiness, type Target } from '../../../agent/readiness/index.ts';

/** A process that has sent `payloads` and sends no more: `waiting` tells that all of them were taken. */
function notifying(...payloads: string[]) {
  const waiting = Promise.withResolvers<void>();
  let returned = false;
  const iterator: AsyncIterator<string> = {
    next: () => {
      const value = payloads.shift();
      if (value !== undefined) return Promise.resolve({ value, done: false });
      waiting.resolve();
      return new Promise(() => {});
    },
    return: () => {
      returned = true;
      return Promise.resolve({ value: undefined, done: true });
    },
  };
  return {
    notified: { [Symbol.asyncIterator]: () => iterator },
    waiting: waiting.promise,
    returned: () => returned,
  };
}

const target = (notified: AsyncIterable<string> = notifying().notified): Target => ({
  key: '1.0.1',
  pid: 12,
  listeners: [],
  credentials: {},
  directory: '/',
  environment: {},
  notified,
  binary: '/nowhere',
});

describe('notify', () => {
  test.each([['READY=1'], ['READY=1\n'], ['STATUS=hello\nREADY=1\nMAINPID=7'], ['STATUS=READY=0\nREADY=1']])(
    'ready: %j',
    async (payload) => {
      const source = notifying('STATUS=starting', payload);
      const { ready } = probe({ method: 'notify' }, target(source.notified), new AbortController().signal);
      await expect(ready).resolves.toBeUndefined();
      expect(source.returned()).toBe(true);
    },
  );

  test.each([
    ['READY=0', 'pid 12 has not sent READY=1'],
    ['READY=11', 'pid 12 has not sent READY=1'],
    ['XREADY=1', 'pid 12 has not sent READY=1'],
    ['', 'pid 12 has not sent READY=1'],
    ['STATUS=READY=1', 'pid 12 has not sent READY=1, its last status: READY=1'],
    ['STATUS=a\nSTATUS=b', 'pid 12 has not sent READY=1, its last status: b'],
  ])('not ready: %j', async (payload, lastSeen) => {
    const source = notifying(payload);
    const stop = new AbortController();
    const probing = probe({ method: 'notify' }, target(source.notified), stop.signal);
    await source.waiting;
    stop.abort();
    await expect(probing.ready).rejects.toThrow(new RegExp(`^${lastSeen}$`));
    expect(probing.lastSeen()).toBe(lastSeen);
    expect(source.returned()).toBe(true);
  });

  test('a source that ends is a definite failure', async () => {
    const ended = (async function* () {
      yield 'STATUS=bye';
    })();
    const { ready } = probe({ method: 'notify' }, target(ended), new AbortController().signal);
    await expect(ready).rejects.toThrow(/^pid 12 can send no READY=1 any more$/);
  });

  test('a source that fails is one too', async () => {
    const broken = notifying().notified;
    broken[Symbol.asyncIterator]().next = () => Promise.reject(new Error('the wire is gone'));
    const { ready } = probe({ method: 'notify' }, target(broken), new AbortController().signal);
    await expect(ready).rejects.toThrow(/^the wire is gone$/);
  });
});

describe('delay', () => {
  test('is ready after its time', async () => {
    const began = performance.now();
    await probe({ method: 'delay', ms: 50 }, target(), new AbortController().signal).ready;
    // Node rounds timers to whole milliseconds.
    expect(performance.now() - began).toBeGreaterThanOrEqual(49);
  });

  test('an abort ends it at once', async () => {
    const stop = new AbortController();
    const { ready } = probe({ method: 'delay', ms: 3_600_000 }, target(), stop.signal);
    stop.abort();
    await expect(ready).rejects.toThrow(/^pid 12 has not run for 3600000 ms yet$/);
  });
});

const methods: Readiness[] = [
  { method: 'accepting' },
  { method: 'notify' },
  { method: 'http', url: 'http://127.0.0.1:1/' },
  { method: 'exec', command: ['true'] },
  { method: 'delay', ms: 0 },
];

test.each(methods)('$method starts nothing when it is aborted already', async (readiness) => {
  const source = notifying('READY=1');
  const next = vi.spyOn(source.notified[Symbol.asyncIterator](), 'next');
  const { ready } = probe(readiness, target(source.notified), AbortSignal.abort());
  await expect(ready).rejects.toThrow(/^pid 12 was not looked at yet$/);
  expect(next).not.toHaveBeenCalled();
});

test.each([
  [{ method: 'notify' }, 'pid 12 has not sent READY=1'],
  [{ method: 'http', url: 'http://127.0.0.1:1/' }, 'GET http://127.0.0.1:1/ was not answered yet'],
  [{ method: 'exec', command: ['sleep', '1000'] }, 'check "sleep 1000" has not finished yet'],
  [{ method: 'delay', ms: 1000 }, 'pid 12 has not run for 1000 ms yet'],
] satisfies [Readiness, string][])('%j tells what it waits for from the start', async (readiness, text) => {
  const stop = new AbortController();
  const { ready, lastSeen } = probe(readiness, target(), stop.signal);
  expect(lastSeen()).toBe(text);
  stop.abort();
  await expect(ready).rejects.toThrow(text);
});
