/** Sockets are opened once, held until `close`, and the same for everybody. */
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../support/service.ts';
import { actor, describePid1 } from './suite.ts';

const SERVING = 'tcp://127.0.0.1:0';
const portOf = (address: string | undefined) => Number(/:(\d+)$/.exec(address ?? '')?.[1]);

/** Resolves when the kernel has taken the connection into the queue; rejects with its code. */
async function canConnect(to: { port: number } | { path: string }) {
  const socket = connect({ host: '127.0.0.1', ...to });
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

describePid1((suite) => {
  const path = (name: string) => join(suite.installation.folder, name);

  test('the same name and address is the same socket, for the next agent too', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const held = await first.request('listen', 'web', SERVING);
    expect(held).toEqual([
      expect.stringMatching(/^\d+$/),
      expect.stringMatching(/^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/),
    ]);
    expect(await first.request('listen', 'web', SERVING)).toEqual(held);
    expect(await first.request('listen', 'web', SERVING, 'backlog=1')).toEqual(held);
    await first.kill();
    await canConnect({ port: portOf(held[1]) }); // with no agent
    expect(await (await pid1.attached()).request('listen', 'web', SERVING)).toEqual(held);
  });

  test('another address under the name is refused, and the socket stays', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const held = await agent.request('listen', 'web', SERVING);
    await expect(agent.request('listen', 'web', 'tcp://127.0.0.2:0')).rejects.toMatchObject({
      code: 'EEXIST',
    });
    expect(await agent.request('listen', 'web', SERVING)).toEqual(held);
  });

  test('one that the program shuts down listens again, and is the same', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const fixed = `tcp://127.0.0.1:${await freePort()}`;
    const [inode, address] = await agent.request('listen', 'web', fixed);
    const steps = ['shutdown:3', 'say:shut', 'stay'];
    const argv = [actor, ...steps];
    await agent.request('spawn', 'p', 'listeners=web', '', String(argv.length), ...argv);
    await pid1.running.waitFor(/^shut$/m);
    await pid1.running.waitFor(/was shut down by the program .*: listening again/);
    await canConnect({ port: portOf(address) });
    expect(await agent.request('listen', 'web', fixed)).toEqual([inode, address]);
  });

  test('close closes it, and frees the name', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const [inode, address] = await agent.request('listen', 'web', SERVING);
    await agent.request('close', 'web');
    await expect(canConnect({ port: portOf(address) })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(agent.request('close', 'web')).rejects.toMatchObject({ code: 'ENOENT' });
    const [other] = await agent.request('listen', 'web', `tcp://127.0.0.2:0`);
    expect(other).not.toBe(inode);
  });

  test('a port that another program has: EADDRINUSE', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    await expect(agent.request('listen', 'web', `tcp://127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    server.close();
    await once(server, 'close');
    await agent.request('listen', 'web', `tcp://127.0.0.1:${port}`);
  });

  test('a socket file that nobody answers on is replaced; one that answers never', async () => {
    const file = path('stale.sock');
    {
      await using before = await suite.start();
      await (await before.attached()).request('listen', 'web', `unix://${file}`);
    }
    expect(existsSync(file)).toBe(true);
    await using pid1 = await suite.start();
    await using other = await suite.start();
    const [agent, rival] = [await pid1.attached(), await other.attached()];
    await agent.request('listen', 'web', `unix://${file}?mode=0660`);
    expect(statSync(file).mode & 0o777).toBe(0o660);
    await expect(rival.request('listen', 'web', `unix://${file}`)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    await canConnect({ path: file });
  });

  test('a file that is no socket is left alone', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    writeFileSync(path('file'), '');
    await expect(agent.request('listen', 'web', `unix://${path('file')}`)).rejects.toMatchObject({
      code: 'ENOTSOCK',
    });
    expect(statSync(path('file')).isFile()).toBe(true);
  });

  test.each([
    ['', SERVING, 'EINVAL'],
    ['a:b', SERVING, 'EINVAL'],
    ['a,b', SERVING, 'EINVAL'],
    ['ä', SERVING, 'EINVAL'],
    ['x'.repeat(65), SERVING, 'EINVAL'],
    ['web', 'http://127.0.0.1:80', 'EINVAL'],
    ['web', `tcp://${'1'.repeat(600)}:80`, 'ENAMETOOLONG'],
    ['web', 'tcp://192.0.2.1:0', 'EADDRNOTAVAIL'],
    ['web', 'unix:///nonexistent/x.sock', 'ENOENT'],
  ])('%j at %j: %s', async (name, address, code) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await expect(agent.request('listen', name, address)).rejects.toMatchObject({ code });
    await agent.request('listen', 'web', SERVING);
  });

  test('64 sockets, and an error for one more', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    for (let n = 0; n < 64; n++) await agent.request('listen', `s${n}`, SERVING);
    await expect(agent.request('listen', 'more', SERVING)).rejects.toMatchObject({ code: 'ENFILE' });
    await agent.request('close', 's7');
    await agent.request('listen', 'more', SERVING);
  });

  test('ping tells how many connections wait at each TCP socket', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const [, web] = await agent.request('listen', 'web', SERVING);
    await agent.request('listen', 'udp', 'udp://127.0.0.1:0');
    await agent.request('listen', 'idle', SERVING);
    const clients = Array.from({ length: 3 }, () => connect(portOf(web), '127.0.0.1'));
    await Promise.all(clients.map((client) => once(client, 'connect')));
    const [, , ...queues] = await agent.request('ping');
    expect(queues).toEqual(['web', '3', 'idle', '0']);
    for (const client of clients) client.destroy();
  });
});
