/** docker-compose.yml at the top of the repository, by the command. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { buildApp } from '../apps/build.ts';
import { startLoad } from '../load/load.ts';
import { unharmed } from '../load/report.ts';
import { httpGet, untilStatus } from '../support/deployed.ts';
import { freePort } from '../support/service.ts';
import { containerTest } from './support/container.ts';
import { Events } from './support/events.ts';
import { removable } from './support/leftovers.ts';

const run = promisify(execFile);
const TOP = join(import.meta.dirname, '../..');

/** A plugin of docker, or a command of its own, as in Debian; undefined where it is not installed. */
const compose = await firstThatRuns([['docker', 'compose'], ['docker-compose']]);
const composeTest = compose || process.env['CI'] ? containerTest : containerTest.skip;

async function firstThatRuns(commands: readonly [string, ...string[]][]) {
  for (const command of commands) {
    const [name, ...words] = command;
    if (await run(name, [...words, 'version']).catch(() => null)) return command;
  }
  return undefined;
}

/** A project of its own, on ports of its own; all of it is gone at the end. */
class Project implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly healthPort: number;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #remove = removable(async () => {
    await this.compose('--profile', 'dev', 'down', '--volumes');
    await rm(this.directory, { recursive: true, force: true });
  });

  private constructor(directory: string, port: number, healthPort: number) {
    this.directory = directory;
    this.port = port;
    this.healthPort = healthPort;
    const own = { PORT: String(port), HEALTH_PORT: String(healthPort), PROGRAM: join(directory, 'program') };
    this.#environment = { ...process.env, ...own };
  }

  static async make(): Promise<Project> {
    await run('make', ['sample'], { cwd: TOP });
    const directory = await mkdtemp(join(tmpdir(), 'baton-compose-'));
    const project = new Project(directory, await freePort(), await freePort());
    await project.compose('build', 'app');
    return project;
  }

  async compose(...args: readonly string[]): Promise<string> {
    const [command, ...words] = compose ?? ['docker-compose'];
    const name = this.directory.split('-').at(-1)?.toLowerCase() ?? '';
    const options = { cwd: TOP, env: this.#environment };
    return (await run(command, [...words, '--project-name', `baton${name}`, ...args], options)).stdout.trim();
  }

  /** Starts a service, and waits until the engine finds it healthy. */
  async up(service: 'app' | 'dev'): Promise<string> {
    await this.compose('up', '--detach', service);
    const id = await this.compose('ps', '-q', service);
    using events = await Events.of(id);
    await events.until(({ verdicts }) => verdicts.includes('healthy'));
    return id;
  }

  /** Of the sample service; the file. */
  async build(version: string, folder = 'new'): Promise<string> {
    const { files } = await buildApp('c', version, join(this.directory, folder));
    return files[0] ?? '';
  }

  load(mode: 'per-request' | 'keep-alive') {
    return startLoad({ port: this.port, mode, connections: 4, rate: 100, timeoutMs: 30_000 });
  }

  async generation(id: number): Promise<void> {
    await untilStatus(
      (path) => httpGet(this.healthPort, path),
      ({ active, phase }) => active?.generation === id && phase === 'steady',
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#remove();
  }
}

composeTest('the program on a named volume: replaced, reloaded and stopped under load', async () => {
  await using project = await Project.make();
  const id = await project.up('app');
  const loads = (['per-request', 'keep-alive'] as const).map((mode) => project.load(mode));

  await run('docker', ['cp', await project.build('v2'), `${id}:/srv/app/app`]);
  await Promise.all(loads.map((load) => load.seen('v2')));
  await project.generation(2);
  await project.compose('kill', '-s', 'HUP', 'app');
  await project.generation(3);
  await Promise.all(loads.map((load) => load.completed(10)));
  for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);

  // Another container on the same volume: what was copied is still there.
  using events = await Events.of(id);
  await project.compose('up', '--detach', '--force-recreate', 'app');
  expect(events.signals).toEqual(['1', '15']);
  expect(events.all.find(({ Action }) => Action === 'die')?.Actor.Attributes['exitCode']).toBe('0');
  const load = project.load('per-request');
  await load.seen('v2');
  await load.stop();
});

composeTest('the dev profile: a directory of this machine, mounted', async () => {
  await using project = await Project.make();
  await project.build('v1', 'program');
  await project.up('dev');
  expect(await project.compose('ps', '-q', 'app')).toBe('');
  const load = project.load('per-request');
  await load.seen('v1');
  await project.build('v2', 'program');
  await load.seen('v2');
  expect(await load.stop()).toMatchObject(unharmed);
});
