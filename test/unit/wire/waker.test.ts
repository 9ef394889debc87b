import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { reachable, Waker } from '../../../agent/waker.ts';

test.each([
  ['tcp://127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
  ['tcp://[::]:8080', { host: '::1', port: 8080 }],
  ['tcp://0.0.0.0:8080', { host: '127.0.0.1', port: 8080 }],
  ['tcp://[fe80::1%eth0]:1', { host: 'fe80::1%eth0', port: 1 }],
  ['unix:///run/web.sock', null],
  ['udp://127.0.0.1:53', null],
])('%s is reached at %j', (address, target) => {
  expect(reachable(address)).toEqual(target);
});

async function stage(depths: readonly number[]) {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  let connections = 0;
  server.on('connection', () => connections++);
  let asked = 0;
  const queues = async () => new Map([['web', depths[asked++ % depths.length] ?? 0]]);
  const waker = new Waker([{ name: 'web', address: `tcp://127.0.0.1:${port}`, inode: 1 }], queues);
  return { waker, server, connections: () => connections };
}

test('a queue that stays is knocked at', async () => {
  const { waker, server } = await stage([3]);
  const connected = once(server, 'connection');
  void waker.look();
  await connected;
  server.close();
});

test('one that is served, or empty, is not', async () => {
  for (const depths of [[2, 0], [0]]) {
    const { waker, server, connections } = await stage(depths);
    await waker.look();
    expect(connections()).toBe(0);
    server.close();
  }
});

test('a later look replaces the one before', async () => {
  const { waker, server } = await stage([0]);
  const first = waker.look();
  const second = waker.look();
  await first;
  await second;
  server.close();
});
