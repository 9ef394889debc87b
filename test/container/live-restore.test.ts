/** An engine that ends and starts again while its containers go on: dockerd's --live-restore. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';
import { buildApp } from '../apps/build.ts';
import { unharmed } from '../load/report.ts';
import { Client, Machine, machineTest } from './support/machine.ts';
import { RemoteLoad } from './support/remote-load.ts';

const IMAGE = 'baton-on-debian';
const CLIENT = join(import.meta.dirname, 'support/client.ts');

machineTest(
  'a program is replaced while there is no engine, and the next engine finds the container healthy',
  async () => {
    const volume = await mkdtemp(join(tmpdir(), 'baton-live-restore-'));
    onTestFinished(() => rm(volume, { recursive: true }));
    await buildApp('c', 'v1', volume);
    const machine = await Machine.start();
    const engine = await machine.startEngine(['--live-restore']);
    const client = new Client(engine);
    await client.import(IMAGE);
    const health = ['--health-cmd', '/opt/baton/baton health', '--health-interval', '1s'];
    const id = await client.docker(
      ...['run', '--detach', '--volume', `${volume}:/srv/app:ro`, ...health, IMAGE],
      ...['--listen', ':8080', '--', '/srv/app/app'],
    );
    const { State } = await client.engine.getContainer(id).inspect();

    await vi.waitUntil(
      async () => (await client.engine.getContainer(id).inspect()).State.Health?.Status === 'healthy',
      { timeout: 30_000, interval: 200 },
    );

    // Published ports end with the engine, whose proxy they are: the load is made in the container's network.
    const network = [...machine.enter, 'nsenter', '--target', String(State.Pid), '--net', '--'];
    const loads = ['per-request', 'keep-alive'].map(
      (mode) => new RemoteLoad([...network, process.execPath, CLIENT, '127.0.0.1', '8080', mode]),
    );
    await Promise.all(loads.map((load) => load.seen('v1')));
    await engine.stop();
    await buildApp('c', 'v2', volume);
    await Promise.all(loads.map((load) => load.seen('v2')));
    await machine.startEngine(['--live-restore']);

    await Promise.all(loads.map((load) => load.completed(10)));
    for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);
    // Docker 20.10 does not probe a container again that it has not started itself: its last verdict stays.
    expect((await client.engine.getContainer(id).inspect()).State).toMatchObject({
      Running: true,
      Pid: State.Pid,
      Health: { Status: 'healthy' },
    });
    expect(await client.docker('exec', id, '/opt/baton/baton', 'health')).toBe('ok');
    await client.docker('stop', id);
    expect((await client.engine.getContainer(id).inspect()).State.ExitCode).toBe(0);
  },
);
