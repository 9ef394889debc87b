/**
 * A machine of its own for an engine that a test stops, or that is a swarm: namespaces for processes, mounts and network. They
 * end, and everything in them, when we do, whatever ends us.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import Dockerode from 'dockerode';
import { onTestFinished, test } from 'vitest';
import { childOf } from '../../support/children.ts';
import { baton } from '../../support/namespace.ts';
import { containerTest } from './container.ts';
import { type Engine, startEngine } from './engine.ts';

const run = promisify(execFile);
/** Not below /tmp, which may be in memory. */
const ROOT = '/var/lib/baton-test';
const CGROUPS = '/sys/fs/cgroup';

/**
 * Reads until our end of the pipe is closed. With it ends PID 1, and with that the machine (pid_namespaces(7)). It has a /run of
 * its own for the sockets of the containers' shims.
 */
const HOLD = 'ip link set lo up && mount -t tmpfs tmpfs /run && echo up && exec cat';

/** Visibly skipped where there are no namespaces to be had, too. */
export const machineTest = process.getuid?.() === 0 || process.env['CI'] ? containerTest : test.skip;

export class Machine {
  readonly #holder: ChildProcess;
  readonly #directory: string;
  /** For commands that are to run on it: put it before them. */
  readonly enter: readonly string[];

  private constructor(holder: ChildProcess, pid: number, directory: string) {
    this.#holder = holder;
    this.#directory = directory;
    this.enter = ['nsenter', '--target', String(pid), '--pid', '--mount', '--net', '--'];
  }

  /** Gone with the test that starts it. Needs root. */
  static async start(): Promise<Machine> {
    await mkdir(ROOT, { recursive: true });
    const directory = await mkdtemp(join(ROOT, 'machine-'));
    const namespaces = ['--pid', '--fork', '--kill-child', '--mount-proc', '--mount', '--net'];
    const holder = spawn('unshare', [...namespaces, baton, 'init', '--', 'sh', '-c', HOLD], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    const pid = await childOf(holder.pid ?? 0, (command) => command.includes(' init '));
    const machine = new Machine(holder, pid, directory);
    onTestFinished(() => machine.#end());
    return machine;
  }

  /** The same engine again, after it was stopped. */
  startEngine(options: readonly string[] = []): Promise<Engine> {
    return startEngine({
      state: this.#directory,
      data: join(this.#directory, 'data'),
      options: ['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', this.#cgroup, ...options],
      through: this.enter,
    });
  }

  async #end(): Promise<void> {
    const ended = once(this.#holder, 'exit');
    this.#holder.stdin?.end();
    await ended;
    for (const hierarchy of await readdir(CGROUPS))
      await removeCgroup(join(CGROUPS, hierarchy, this.#cgroup));
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #cgroup(): string {
    return `/baton-test-${basename(this.#directory)}`;
  }
}

/** Once its processes are gone, a cgroup can be removed after those in it: cgroups(7). */
async function removeCgroup(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(join(path, entry.name));
  if (entries.length > 0) await rmdir(path);
}

/** A client of an engine: the library, and the command. */
export class Client {
  readonly engine: Dockerode;
  readonly #host: string;

  constructor({ host }: Engine) {
    this.#host = host;
    this.engine = new Dockerode({ socketPath: new URL(host).pathname });
  }

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, DOCKER_HOST: this.#host };
  }

  async docker(...args: readonly string[]): Promise<string> {
    return (await run('docker', args, { env: this.environment })).stdout.trim();
  }

  /** Brings an image from the engine that all tests use. */
  async import(image: string): Promise<void> {
    const command = 'docker save "$1" | docker --host "$2" load';
    await run('sh', ['-ec', command, 'sh', image, this.#host]);
  }
}
