import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { payload } from '../../apps/contract.ts';
import { failureClasses, type Result } from '../../load/connection.ts';
import { type Load, type LoadOptions, startLoad } from '../../load/load.ts';
import { formatReport } from '../../load/report.ts';
import { startRequest } from '../../load/request.ts';

let server: Server | null = null;
let load: Load | null = null;

afterEach(async () => {
  await load?.stop();
  server?.close();
  load = server = null;
});

/** Listens on a port of the kernel's choice; `answer` is called for the n-th request (from 1) of each connection. */
async function serve(answer: (socket: Socket, request: number) => void): Promise<number> {
  server = createServer((socket) => {
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', () => answer(socket, ++requests));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP port');
  return address.port;
}

const body = (version: string) => `{"app":"test","version":"${version}","pid":1,"payload":"${payload}"}\n`;
const answer = (version: string, { fields = '', text = body(version), status = '200 OK' } = {}) =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${text.length}\r\nX-Version: ${version}\r\nX-Pid: 1\r\n${fields}\r\n${text}`;
const whole = answer('1');

/** Loads until one result of `kind` has come. */
async function loadUntil(kind: Result['kind'], options: Partial<LoadOptions> & { port?: number }) {
  load = startLoad({ connections: 1, mode: 'per-request', ...options });
  await load.until((result) => result.kind === kind);
  return load.stop();
}

describe('a failed request has one class', () => {
  const sum = (counts: Record<string, number>) =>
    Object.values(counts).reduce((total, count) => total + count, 0);

  test.each<[Result['kind'], string, (socket: Socket) => void]>([
    ['reset', 'ECONNRESET', (socket) => socket.resetAndDestroy()],
    [
      'reset',
      'bytes of the answer',
      (socket) => socket.write(whole.slice(0, 99), () => socket.resetAndDestroy()),
    ],
    ['eof', 'closed after 0 bytes', (socket) => socket.end()],
    ['eof', 'closed after 99 bytes', (socket) => socket.end(whole.slice(0, 99))],
    ['eof', `closed after ${whole.length - 1} bytes`, (socket) => socket.end(whole.slice(0, -1))],
    ['timeout', 'no byte', () => {}],
    ['timeout', 'after 99 bytes', (socket) => socket.write(whole.slice(0, 99))],
    ['bad-status', 'status 500', (socket) => socket.write(answer('1', { status: '500 Oops' }))],
    ['bad-body', 'not the answer of 1', (socket) => socket.write(answer('1', { text: body('2') }))],
    ['bad-body', 'not the answer of 1', (socket) => socket.write(answer('1', { text: body('1').slice(1) }))],
    ['malformed', 'status line', (socket) => socket.write('hello\r\n\r\n')],
    ['malformed', '1 bytes after', (socket) => socket.write(`${whole}x`)],
  ])('%s: %s', async (kind, detail, misbehave) => {
    const report = await loadUntil(kind, { port: await serve(misbehave), timeoutMs: 100 });
    expect(report.samples[0]?.detail).toContain(detail);
    expect(report).toMatchObject({ ok: 0, stale: 0, requests: report.failed });
    expect(report.failures).toMatchObject({ [kind]: report.requests });
    expect(sum(report.failures)).toBe(report.failed);
  });

  test('refused: nobody listens', async () => {
    const port = await serve(() => {});
    server?.close();
    const { failures, failed } = await loadUntil('refused', { port });
    expect(failures.refused).toBe(failed);
  });

  test('refused: no socket file', async () => {
    const { failures, failed } = await loadUntil('refused', { socketPath: join(tmpdir(), 'no-such.sock') });
    expect(failures.refused).toBe(failed);
  });

  test('and the next request is made nevertheless', async () => {
    let requests = 0;
    const port = await serve((socket) => (++requests % 2 ? socket.end(whole) : socket.resetAndDestroy()));
    load = startLoad({ port, connections: 1, mode: 'per-request' });
    await load.completed(3);
    const report = await load.stop();
    expect(report.ok).toBeGreaterThanOrEqual(3);
    expect(report.failures.reset).toBeGreaterThanOrEqual(2);
    expect(report.requests).toBe(report.ok + report.failures.reset);
  });
});

describe('a kept connection', () => {
  test('is used again', async () => {
    const port = await serve((socket) => socket.write(whole));
    load = startLoad({ port, connections: 3, mode: 'keep-alive' });
    await load.completed(100);
    expect(await load.stop()).toMatchObject({ failed: 0, stale: 0, closedIdle: 0, connections: 3 });
  });

  test('that says it closes is given up without a failure', async () => {
    const port = await serve((socket, request) =>
      request < 5 ? socket.write(whole) : socket.end(answer('1', { fields: 'Connection: close\r\n' })),
    );
    load = startLoad({ port, connections: 1, mode: 'keep-alive' });
    await load.completed(50);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, stale: 0, closedIdle: 0 });
    expect(report.connections).toBe(Math.ceil(report.requests / 5));
  });

  test.each<[string, (socket: Socket) => void]>([
    ['closed', (socket) => socket.end()],
    ['reset', (socket) => socket.resetAndDestroy()],
  ])('%s under the next request is stale, once for each, and not repeated', async (_, hangUp) => {
    let answered = 0;
    let hungUp = 0;
    const port = await serve((socket, request) => {
      if (request === 1) {
        answered++;
        socket.write(whole);
      } else {
        hungUp++;
        hangUp(socket);
      }
    });
    const report = await loadUntil('stale', { port, mode: 'keep-alive' });
    expect(report).toMatchObject({ failed: 0, ok: answered, stale: hungUp });
  });

  test('closed in the middle of a later answer is a failure', async () => {
    const port = await serve((socket, request) =>
      request === 1 ? socket.write(whole) : socket.end(whole.slice(0, 20)),
    );
    const report = await loadUntil('eof', { port, mode: 'keep-alive' });
    expect(report.stale).toBe(0);
    expect(report.failed).toBe(report.failures.eof);
  });

  test('closed at its first request is a failure', async () => {
    const report = await loadUntil('eof', {
      port: await serve((socket) => socket.end()),
      mode: 'keep-alive',
    });
    expect(report.stale).toBe(0);
  });

  test('closed between two requests is neither', async () => {
    const port = await serve((socket) => {
      socket.write(whole);
      setImmediate(() => socket.end());
    });
    load = startLoad({ port, connections: 1, mode: 'keep-alive', rate: 20 });
    await load.completed(3);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, stale: 0 });
    expect(report.closedIdle).toBeGreaterThanOrEqual(2);
  });
});

describe('a load', () => {
  test('per request takes a new connection for each', async () => {
    const port = await serve((socket) => socket.write(whole));
    load = startLoad({ port, connections: 2, mode: 'per-request' });
    await load.completed(20);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, connections: report.requests });
  });

  test('tells versions apart and says when one is seen', async () => {
    let version = 'old';
    const port = await serve((socket) => socket.write(answer(version)));
    load = startLoad({ port, mode: 'keep-alive' });
    await load.seen('old');
    version = 'new';
    await load.seen('new');
    const { versions, ok } = await load.stop();
    expect([...versions.keys()]).toEqual(['old', 'new']);
    expect([...versions.values()].reduce((sum, { requests }) => sum + requests, 0)).toBe(ok);
    expect(versions.get('new')?.pids.get(1)).toBe(versions.get('new')?.requests);
  });

  test('has at most as many requests in flight as it has connections', async () => {
    const waiting: Socket[] = [];
    let most = 0;
    const port = await serve((socket) => {
      most = Math.max(most, waiting.push(socket));
      // Only once all are there, and a turn later, so that one too many would be seen.
      if (waiting.length >= 4) setImmediate(() => waiting.splice(0).map((each) => each.write(whole)));
    });
    load = startLoad({ port, connections: 4, mode: 'keep-alive', timeoutMs: 300 });
    await load.completed(40);
    await load.stop();
    expect(most).toBe(4);
  });

  test('keeps below its rate', async () => {
    const port = await serve((socket) => socket.write(whole));
    load = startLoad({ port, connections: 4, mode: 'keep-alive', rate: 200 });
    await load.completed(40);
    const { requests, seconds } = await load.stop();
    // Whatever the machine's speed: one at once, what 20 ms of delay may catch up, and one for each 5 ms.
    expect(requests).toBeLessThanOrEqual(1 + (seconds + 0.02) * 200);
  });

  test('stopped waits for the request in flight and fails whoever still waits', async () => {
    const held = Promise.withResolvers<Socket>();
    const port = await serve((socket) => held.resolve(socket));
    load = startLoad({ port, connections: 1, mode: 'per-request' });
    const never = expect(load.seen('2')).rejects.toThrow('stopped before');
    const socket = await held.promise;
    const stopped = load.stop();
    socket.write(whole);
    expect(await stopped).toMatchObject({ requests: 1, ok: 1 });
    await never;
    await expect(load.completed(1)).rejects.toThrow('stopped');
  });

  test('reports the slowest request', async () => {
    let held = 0;
    const port = await serve(async (socket, request) => {
      const start = performance.now();
      if (request === 3) await delay(50);
      held = Math.max(held, performance.now() - start);
      socket.write(whole);
    });
    load = startLoad({ port, connections: 1, mode: 'keep-alive' });
    await load.completed(10);
    const { latency } = await load.stop();
    expect(latency.max).toBeGreaterThan(held * 0.99);
    expect(latency.p50).toBeLessThan(latency.max);
  });

  test('prints every class that occurred and its first failures', async () => {
    const port = await serve((socket) => socket.write(answer('1', { status: '503 No' })));
    const text = formatReport(await loadUntil('bad-status', { port }));
    expect(text).toMatch(/^failed +\d+ {2}bad-status \d+$/m);
    expect(text).toMatch(/^at 0\.\d+ s +bad-status: status 503$/m);
    for (const kind of failureClasses) if (kind !== 'bad-status') expect(text).not.toContain(kind);
  });
});

describe('a single request', () => {
  test('shows its head before its body', async () => {
    const held = Promise.withResolvers<Socket>();
    const port = await serve((socket) => {
      socket.write(whole.slice(0, -9));
      held.resolve(socket);
    });
    const { head, result } = startRequest({ port }, '/');
    expect((await head).fields.get('x-version')).toBe('1');
    (await held.promise).write(whole.slice(-9));
    expect(await result).toMatchObject({ kind: 'ok', reused: false });
  });

  test('that fails before its head rejects that', async () => {
    const { head, result } = startRequest({ port: await serve((socket) => socket.end()) }, '/');
    await expect(head).rejects.toThrow('eof: closed after 0 bytes');
    expect(await result).toMatchObject({ kind: 'eof' });
  });
});
