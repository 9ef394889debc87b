/** deploy/swarm/stack.yaml on a swarm of one node. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, vi } from 'vitest';
import type { Status } from '../../agent/health/status.ts';
import { buildApp } from '../apps/build.ts';
import { unharmed } from '../load/report.ts';
import { Client, Machine, machineTest } from './support/machine.ts';
import { RemoteLoad } from './support/remote-load.ts';

const run = promisify(execFile);
const TOP = join(import.meta.dirname, '../..');
const STACK = join(TOP, 'deploy/swarm/stack.yaml');
/** Docker probes once a second, deactivates a task two seconds before its signal, and watches it for five. */
const ROLLOUT_MS = 120_000;

class Swarm extends Client {
  async deploy(image: string): Promise<void> {
    const words = ['stack', 'deploy', '--resolve-image', 'never', '--compose-file', STACK, 'web'];
    await run('docker', words, { env: { ...this.environment, IMAGE: image } });
  }

  tasks(): Promise<Task[]> {
    return this.engine.listTasks({ filters: { service: ['web_app'] } });
  }

  /** Once as many tasks as there should be run this image, and all others have ended. */
  async converged(image: string): Promise<void> {
    const settled = async () => {
      const tasks = await this.tasks();
      const running = tasks.filter(isRunning);
      return (
        running.length === 2 &&
        running.every(({ Spec }) => Spec.ContainerSpec.Image === image) &&
        tasks.every(({ Status }) => ['running', ...ENDED].includes(Status.State))
      );
    };
    await vi.waitUntil(settled, { timeout: ROLLOUT_MS, interval: 200 });
  }

  /** Once a generation serves in a container, and none is left that it replaced. */
  async promoted(id: string, generation: number): Promise<void> {
    const settled = async () => {
      const status: Status = JSON.parse(
        await this.docker('exec', id, '/opt/baton/baton', 'status', '--json'),
      );
      return status.active?.generation === generation && status.draining.length === 0;
    };
    await vi.waitUntil(settled, { timeout: ROLLOUT_MS, interval: 200 });
  }

  /** A client in the overlay network, that asks Docker's DNS for every connection. */
  load(image: string, mode: 'per-request' | 'keep-alive'): RemoteLoad {
    const container = [
      'run',
      '--rm',
      '--interactive',
      '--network',
      'web_web',
      '--volume',
      `${TOP}/test:/test:ro`,
    ];
    const node = 'exec /opt/baton/lib/ld-linux-*.so.* --library-path /opt/baton/lib /opt/baton/node "$@"';
    const program = ['-c', node, 'sh', '/test/container/support/client.ts', 'app', '8080', mode];
    return new RemoteLoad(
      ['docker', ...container, '--no-healthcheck', '--entrypoint', 'sh', image, ...program],
      this.environment,
    );
  }
}

const ENDED = ['complete', 'shutdown', 'failed', 'rejected'];
const isRunning = ({ Status: { State } }: Task) => State === 'running';

interface Task {
  readonly ID: string;
  readonly Spec: { readonly ContainerSpec: { readonly Image: string } };
  readonly Status: {
    readonly State: string;
    readonly ContainerStatus?: { readonly ContainerID: string; readonly ExitCode: number };
  };
}

machineTest(
  'a rolling update of the image, and one in place, under load',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'baton-swarm-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await makeImages(directory);
    await buildApp('c', 'v3', join(directory, 'v3'));
    const machine = await Machine.start();
    const swarm = new Swarm(await machine.startEngine());
    for (const image of images) await swarm.import(image);
    await swarm.docker('swarm', 'init', '--advertise-addr', '127.0.0.1');
    const [first, second] = images;

    await swarm.deploy(first);
    await swarm.converged(first);
    const loads = (['per-request', 'keep-alive'] as const).map((mode) => swarm.load(first, mode));
    await Promise.all(loads.map((load) => load.completed(100)));

    await swarm.deploy(second);
    await Promise.all([swarm.converged(second), ...loads.map((load) => load.seen('v2'))]);
    await Promise.all(loads.map((load) => load.completed(100)));

    // In place: the tasks stay, each with a volume of its own.
    const before = await swarm.tasks();
    for (const { Status } of before.filter(isRunning)) {
      const id = Status.ContainerStatus?.ContainerID ?? '';
      await swarm.docker('cp', join(directory, 'v3/app'), `${id}:/srv/app/app`);
      await swarm.promoted(id, 2);
    }
    await Promise.all(loads.map((load) => load.seen('v3')));
    await Promise.all(loads.map((load) => load.completed(100)));
    const after = await swarm.tasks();
    expect(after.map(({ ID, Status }) => [ID, Status.State])).toEqual(
      before.map(({ ID, Status }) => [ID, Status.State]),
    );
    expect(after.map(({ Status }) => Status.ContainerStatus?.ExitCode)).toEqual([0, 0, 0, 0]);
    const [perRequest, keepAlive] = await Promise.all(loads.map((load) => load.stop()));
    expect(perRequest).toMatchObject(unharmed);
    // Stale is what RFC 9112, 9.5 grants a server; the sample closes what is idle for a second.
    expect(keepAlive).toMatchObject({ failed: 0 });
  },
  300_000,
);

const images = ['baton-sample:v1', 'baton-sample:v2'] as const;

/** The sample's image by its Dockerfile, and one with another version of the program. */
async function makeImages(directory: string): Promise<void> {
  const [first, second] = images;
  const context = join(directory, 'v2');
  await run('make', ['sample'], { cwd: TOP });
  await run('docker', ['build', '--tag', first, '--file', 'deploy/docker/Dockerfile', '.'], { cwd: TOP });
  await buildApp('c', 'v2', context);
  await writeFile(join(context, 'Dockerfile'), `FROM ${first}\nCOPY app /srv/app/app\n`);
  await run('docker', ['build', '--tag', second, context]);
}
