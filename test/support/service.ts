/** A sample service under `baton run`, as PID 1 of a namespace of its own: started, updated, asked, ended by the tests. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AppBuild, type AppName, type BuildOptions, buildApp } from '../apps/build.ts';
import { childOf } from './children.ts';
import { Deployed, type DeployedParts } from './deployed.ts';
import { baton, type Exit, type Running, start, startAsPid1 } from './namespace.ts';

export interface ServiceOptions {
  /** Of `baton run`, before `--`; they win over those that every service here has. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** In place of the app's own executable or files. */
  readonly watch?: readonly string[];
  readonly version?: string;
  readonly build?: BuildOptions;
  /** Default `127.0.0.1:PORT`. */
  readonly listen?: string;
  /** In place of the app's own command, which it is given. */
  readonly command?: (app: readonly string[]) => readonly string[];
  /** What Baton is started through: a command that its own command line is added to, and that becomes it. */
  readonly through?: readonly string[];
  /** Default `pid1`, of a PID namespace of its own. `subreaper`: a plain process. */
  readonly as?: 'pid1' | 'subreaper';
}

/** A variable that marks every process of one service. */
const MARK = 'SERVICE_UNDER_TEST';

export class Service extends Deployed implements AsyncDisposable {
  readonly running: Running;
  readonly build: AppBuild;

  private constructor(parts: DeployedParts & Pick<Service, 'running' | 'build'>) {
    super(parts);
    this.running = parts.running;
    this.build = parts.build;
  }

  /** Resolves once the first generation serves; see {@link launch} for services that never do. */
  static async start(app: AppName, options: ServiceOptions = {}): Promise<Service> {
    const service = await Service.launch(app, options);
    await service.waitForLog(({ outcome }) => outcome === 'promoted');
    return service;
  }

  static async launch(app: AppName, options: ServiceOptions = {}): Promise<Service> {
    const directory = await mkdtemp(join(tmpdir(), `baton-${app}-`));
    await chmod(directory, 0o755); // for a program that runs as somebody else
    const [port, healthPort] = await Promise.all([freePort(), freePort()]);
    const build = await buildApp(app, options.version ?? 'v1', join(directory, 'volume'), {
      listen: `127.0.0.1:${port}`,
      ...options.build,
    });
    const watch = (options.watch ?? build.watch).flatMap((path) => ['--watch', path]);
    const fixed = ['--log-level', 'debug', '--log-format', 'json', '--stop-signal', build.stopSignal];
    const addresses = [
      '--listen',
      options.listen ?? `127.0.0.1:${port}`,
      '--health',
      `127.0.0.1:${healthPort}`,
    ];
    const startIt = options.as === 'subreaper' ? start : startAsPid1;
    const running = await startIt(
      [
        ...(options.through ?? []),
        baton,
        'run',
        ...fixed,
        ...addresses,
        ...watch,
        '--store',
        join(directory, 'store'),
        ...(options.flags ?? []),
        '--',
        ...(options.command?.(build.command) ?? build.command),
      ],
      {
        env: {
          BATON_NODE: process.execPath,
          [MARK]: directory,
          ...build.environment,
          ...options.environment,
        },
      },
    );
    return new Service({ app, directory, port, healthPort, running, build });
  }

  override get output(): string {
    return this.running.stderr;
  }

  override heard(): Promise<void> {
    return this.running.heard();
  }

  /** Runs the native client inside the container's namespaces, as `docker exec` would. */
  async baton(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const namespaces = ['--target', String(this.running.pid), '--pid', '--mount'];
    return new Promise((resolve) => {
      execFile('nsenter', [...namespaces, baton, ...args], (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
      );
    });
  }

  /** The agent's pid as seen from here. */
  async agentPid(): Promise<number> {
    return childOf(this.running.pid, (command) => command.includes('agent.mjs'));
  }

  async responderPid(): Promise<number> {
    return childOf(this.running.pid, (command) => command.includes('health-responder'));
  }

  /** A process of the service by its pid in there (`X-Pid`, the status), as seen from here. */
  async hostPid(inside: number): Promise<number> {
    const namespace = await readlink(`/proc/${this.running.pid}/ns/pid`);
    for (const pid of await processIds()) {
      if ((await readlink(`/proc/${pid}/ns/pid`).catch(() => null)) !== namespace) continue;
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      if (/^NSpid:.*?(\d+)$/m.exec(status)?.[1] === String(inside)) return pid;
    }
    throw new Error(`no process ${inside} in the service's namespace`);
  }

  /** What the active generation runs: its main processes, as seen from here. */
  async mainPids(): Promise<number[]> {
    const { active } = await this.status();
    return Promise.all(
      (active?.processes ?? []).flatMap(({ pid }) => (pid === null ? [] : this.hostPid(pid))),
    );
  }

  /** Every process that has to do with this service, in whatever session, told by the environment it inherited. */
  async leftovers(): Promise<number[]> {
    const found: number[] = [];
    for (const pid of await processIds()) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      if (environment.includes(`${MARK}=${this.directory}\0`)) found.push(pid);
    }
    return found;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.running.kill(signal);
    return this.running.exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Without a namespace nothing ends with Baton that Baton did not end.
    for (let left = await this.leftovers(); left.length > 0; left = await this.leftovers()) left.forEach(end);
    await this.running[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // ESRCH: it was quicker.
  }
}

/**
 * A port that nobody listens on, below those that the kernel gives to outgoing connections (ip(7), ip_local_port_range): the
 * load clients' own would take one of these at any moment.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

async function processIds(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
}
