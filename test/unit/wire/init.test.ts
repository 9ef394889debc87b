import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeFrame, FrameDecoder } from '../../../agent/frames.ts';
import { Init, InitError, type InitEvent } from '../../../agent/init.ts';

/** The other end of the wire: what the agent sent, and PID 1's answers as the test wants them. */
let pid1: Socket;
let init: Init;
const received: string[][] = [];
const events: InitEvent[] = [];
const ends: string[] = [];

beforeEach(async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const socket = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1');
  [pid1] = (await once(server, 'connection')) as [Socket];
  server.close();
  const decoder = new FrameDecoder();
  pid1.on('data', (bytes: Buffer) => received.push(...decoder.push(bytes)));
  init = new Init(socket, { onEvent: (event) => events.push(event), onEnd: (reason) => ends.push(reason) });
});

afterEach(() => {
  pid1.destroy();
  for (const list of [received, events, ends]) list.length = 0;
});

const say = (...frames: string[][]) => pid1.write(Buffer.concat(frames.map(encodeFrame)));

async function request(): Promise<string[]> {
  while (received.length === 0) await once(pid1, 'data');
  return received.shift() ?? [];
}

describe('the client of the wire', () => {
  test('pairs each answer with its request, in whatever order they come', async () => {
    const [one, two] = [init.listen('web', 'tcp://*:80'), init.listen('admin', 'unix:///run/a.sock')];
    const [, first = ''] = await request();
    const [, second = ''] = await request();
    say(
      ['ok', second, '12', 'unix:///run/a.sock'],
      ['error', first, 'EADDRINUSE', 'another program listens there'],
    );
    expect(await two).toEqual({ name: 'admin', inode: 12, address: 'unix:///run/a.sock' });
    await expect(one).rejects.toThrow(new InitError('EADDRINUSE', 'another program listens there'));
  });

  test('attach returns the inventory, and tells the events that come before the answer', async () => {
    const attached = init.attach();
    const [verb, id = '', version] = await request();
    expect([verb, version]).toEqual(['attach', '1']);
    say(
      ['process', '12', '3.0.7', 'running', '123456'],
      ['listener', 'web', 'tcp://127.0.0.1:80', '99'],
      ['kept', '{"a":1}'],
      ['signal', '5', '15', 'user', '0', '1000', '4711'],
      ['exit', '6', '11', '2.0.6', '0', '9', '1500', '700', '4096'],
      ['ok', id],
    );
    expect(await attached).toEqual({
      processes: [{ pid: 12, key: '3.0.7', running: true, started: 123_456 }],
      listeners: [{ name: 'web', address: 'tcp://127.0.0.1:80', inode: 99 }],
      kept: '{"a":1}',
    });
    expect(events).toEqual([
      { type: 'signal', seq: 5, signal: 15, fromKernel: false, pid: 0, uid: 1000, since: 4711 },
      {
        type: 'exit',
        seq: 6,
        pid: 11,
        key: '2.0.6',
        code: 0,
        signal: 9,
        usage: { user: 1500, system: 700, maxrss: 4096 },
      },
    ]);
  });

  test('spawn puts options, an empty field, argc, argv and the environment into one frame', async () => {
    const spawned = init.spawn({
      key: '1.0.1',
      argv: ['server', '', '--x'],
      environment: { PATH: '/bin', EMPTY: '' },
      path: '/store/server',
      listeners: ['web', 'admin'],
      user: '1000',
      stopSignal: 15,
      stopTimeout: 20_000,
      stopScope: 'process',
    });
    const [verb, id = '', ...fields] = await request();
    expect(verb).toBe('spawn');
    expect(fields).toEqual([
      ...[
        '1.0.1',
        'listeners=web,admin',
        'inherit=environment',
        'path=/store/server',
        'user=1000',
        'stop-signal=15',
        'stop-timeout=20000',
      ],
      ...['scope=process', '', '3', 'server', '', '--x', 'PATH=/bin', 'EMPTY='],
    ]);
    say(['ok', id, '42']);
    expect(await spawned).toBe(42);
  });

  test('ping brings the counts and the queue of each listener', async () => {
    const counts = init.ping();
    const [, id = ''] = await request();
    say(['ok', id, '7', '0', 'web', '3', 'admin', '0']);
    expect(await counts).toEqual({
      reaped: 7,
      dropped: 0,
      queues: new Map([
        ['web', 3],
        ['admin', 0],
      ]),
    });
  });

  test('passes over verbs that it does not know, and tells when the wire ends', async () => {
    say(['herald', '1', 'of a newer PID 1'], ['gone', '8', '11', '2.0.6']);
    pid1.end();
    while (ends.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([{ type: 'gone', seq: 8, pid: 11, key: '2.0.6' }]);
    expect(ends[0]).toBe('PID 1 closed the wire');
  });
});
