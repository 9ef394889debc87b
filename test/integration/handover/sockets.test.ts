/** The sockets that Baton holds: those of the program, and that of the health endpoint. */
import { once } from 'node:events';
import { mkdtempDisposable, readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startLoad } from '../../load/load.ts';
import { baton, startAsPid1 } from '../../support/namespace.ts';
import { Service } from '../../support/service.ts';

const temporary = () => mkdtempDisposable(join(tmpdir(), 'baton-sockets-'));

async function environmentOf(pid: number): Promise<Record<string, string>> {
  const text = await readFile(`/proc/${pid}/environ`, 'utf8');
  return Object.fromEntries(text.split('\0').map((entry) => entry.split(/=(.*)/s).slice(0, 2)));
}

/** A port that somebody else has. */
async function takenPort(port = 0) {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { port: typeof address === 'object' ? address?.port : 0, [Symbol.dispose]: () => server.close() };
}

describe.concurrent('--listen', () => {
  test('several, by name: descriptors in the order asked, ports that the kernel chose told in the status', async () => {
    await using directory = await temporary();
    const socket = join(directory.path, 'admin.sock');
    const flags = ['--listen', `admin=unix://${socket}?mode=0620`, '--listen', 'metrics=udp://127.0.0.1:0'];
    await using service = await Service.start('c', {
      listen: 'web=127.0.0.1:0',
      flags: [...flags, '--ready', 'delay:10ms'],
    });
    const { listeners } = await service.status();
    expect(listeners.map(({ name }) => name)).toEqual(['web', 'admin', 'metrics']);
    const port = Number(/^tcp:\/\/127\.0\.0\.1:([1-9]\d*)$/.exec(listeners[0]?.address ?? '')?.[1]);
    expect(listeners[1]?.address).toBe(`unix://${socket}?mode=0620`);
    expect(listeners[2]?.address).toMatch(/^udp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const [pid] = await service.mainPids();
    expect(await environmentOf(pid as number)).toMatchObject({
      LISTEN_FDS: '3',
      LISTEN_FDNAMES: 'web:admin:metrics',
    });
    expect((await stat(socket)).mode & 0o777).toBe(0o620);

    const load = startLoad({ port, mode: 'per-request', connections: 2 });
    await load.completed(10);
    expect(await load.stop()).toMatchObject({ failed: 0 });
  });

  test('a Unix socket serves through handovers', async () => {
    await using directory = await temporary();
    const socketPath = join(directory.path, 'web.sock');
    await using service = await Service.start('c', { version: 'old', listen: `unix://${socketPath}` });
    const load = startLoad({ socketPath, mode: 'per-request', connections: 4, rate: 200 });
    for (const version of ['new', 'newer']) await Promise.all([load.seen(version), service.update(version)]);
    expect(await load.stop()).toMatchObject({ failed: 0 });
  });

  test('an address that is taken: exit 1, and one line says which', async () => {
    using taken = await takenPort();
    await using service = await Service.launch('c', { listen: `web=127.0.0.1:${taken.port}` });
    expect(await service.running.exit).toEqual({ code: 1, signal: null });
    expect(service.running.stderr).toMatch(
      new RegExp(
        `^baton: cannot listen on web=tcp://127\\.0\\.0\\.1:${taken.port}: .*(EADDRINUSE|in use).*\n$`,
      ),
    );
  });
});

describe.concurrent('--health', () => {
  test('off: nothing listens for it, and the client needs none', async () => {
    await using service = await Service.start('c', { flags: ['--health', 'off'] });
    await expect(service.health('/readyz')).rejects.toThrow('ECONNREFUSED');
    expect(await service.baton('health')).toMatchObject({ code: 0, stdout: 'ok\n' });
    expect(JSON.parse((await service.baton('status', '--json')).stdout)).toMatchObject({
      ready: true,
      health: null,
    });
  });

  test('an address that was asked for and is taken: exit 1, and one line says so', async () => {
    using taken = await takenPort();
    await using service = await Service.launch('c', { flags: ['--health', `127.0.0.1:${taken.port}`] });
    expect(await service.running.exit).toEqual({ code: 1, signal: null });
    expect(service.running.stderr).toMatch(
      new RegExp(
        `^baton: health endpoint: tcp://127\\.0\\.0\\.1:${taken.port}: .*; choose another .*--health off\n$`,
      ),
    );
  });

  test('the default one is taken: it is told, and the service runs without', async () => {
    // Where it is taken already, by whomever, that will do.
    using _ = await takenPort(9901).catch(() => ({ [Symbol.dispose]: () => {} }));
    await using running = await startAsPid1(
      [baton, 'run', '--ready', 'delay:10ms', '--log-format', 'json', '--', 'sleep', '1000'],
      { env: { BATON_NODE: process.execPath } },
    );
    await running.waitFor(/"level":40,.*"msg":"health endpoint: tcp:\/\/.*:9901: .*; running without it/);
    await running.waitFor(/promoted generation 1/);
  });
});
