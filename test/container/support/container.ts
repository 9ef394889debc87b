/** A sample service under Baton in a container of a real Docker engine, its program on a volume of this machine. */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import Dockerode, { type ContainerInspectInfo, type HostConfig } from 'dockerode';
import { type ExecResult, GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { inject, test } from 'vitest';
import { type BuildOptions, buildApp } from '../../apps/build.ts';
import type { Target } from '../../load/connection.ts';
import { childOf } from '../../support/children.ts';
import { Deployed, type DeployedParts } from '../../support/deployed.ts';
import { freePort } from '../../support/service.ts';
import type { Base } from './engine.ts';
import { removable } from './leftovers.ts';

const { host } = inject('engine');
if (host) process.env['DOCKER_HOST'] = host;
// Ryuk is an image that cannot be had everywhere; each test file removes what it started.
process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';

/** Visibly skipped where there is no engine; in CI there is one, or the run has failed before the first test. */
export const containerTest = host ? test : test.skip;

export const docker: Dockerode = new Dockerode();

export interface ContainerOptions {
  /** Default `debian`. */
  readonly base?: Base;
  /** Of `baton run`. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Default: the image's, root but for distroless. */
  readonly user?: string;
  /**
   * Over what every container here has: the volume, read-only, and two published ports. With a `NetworkMode`, which is none or
   * another container's, the program listens on a Unix socket on a volume in their place.
   */
  readonly hostConfig?: HostConfig;
  /** Of the program's first version. */
  readonly build?: BuildOptions;
  /** `docker run --interactive --tty` */
  readonly terminal?: boolean;
  /** HEALTHCHECK `baton health` at this interval, ms. */
  readonly healthInterval?: number;
}

/** Where the program is in the container, and what it listens on there; the health endpoint is on the default port. */
const PROGRAM = '/srv/app/app';
const PORT = 8080;
const HEALTH_PORT = 9901;

export class Container extends Deployed implements AsyncDisposable {
  readonly #started: StartedTestContainer;
  readonly #output: Output;
  readonly #socketPath: string | null;
  readonly #remove = removable(async () => {
    await docker.getContainer(this.id).remove({ force: true, v: true });
    await rm(this.directory, { recursive: true, force: true });
  });

  private constructor(
    parts: DeployedParts,
    started: StartedTestContainer,
    output: Output,
    socketPath: string | null,
  ) {
    super(parts);
    this.#started = started;
    this.#output = output;
    this.#socketPath = socketPath;
  }

  /** Resolves once the first generation serves. */
  static async start(options: ContainerOptions = {}): Promise<Container> {
    await using stack = new AsyncDisposableStack();
    const container = stack.use(await Container.launch(options));
    await container.waitForLog(({ outcome }) => outcome === 'promoted');
    stack.move();
    return container;
  }

  /** Resolves once the container is started. */
  static async launch(options: ContainerOptions = {}): Promise<Container> {
    const { base = 'debian', flags = [], environment = {}, user, hostConfig, healthInterval } = options;
    const directory = await mkdtemp(join(tmpdir(), 'baton-container-'));
    await chmod(directory, 0o755); // for users of all kinds
    const volume = join(directory, 'volume');
    await buildApp('c', 'v1', volume, options.build);
    const [port, healthPort] = await Promise.all([freePort(), freePort()]);
    const output = new Output();
    // A terminal's stream is not split into stdout and stderr, which testcontainers takes for granted.
    const { terminal = false } = options;
    const sockets = hostConfig?.NetworkMode ? await makeSocketVolume(directory) : null;
    const listen = sockets ? 'unix:///run/web/socket?mode=0666' : `:${PORT}`;
    const fixed = ['--listen', listen, '--log-level', 'debug', '--log-format', 'json'];
    const container = new Adjusted(`baton-on-${base}`, {
      Binds: [`${volume}:/srv/app:ro`, ...(sockets ? [`${sockets}:/run/web`] : [])],
      PortBindings: sockets
        ? {}
        : {
            [`${PORT}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: String(port) }],
            [`${HEALTH_PORT}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: String(healthPort) }],
          },
      ...hostConfig,
    })
      .withCommand([...fixed, ...flags, '--', PROGRAM])
      .withEnvironment(environment)
      .withTerminal(terminal)
      .withAutoRemove(false)
      .withWaitStrategy(Wait.forAll([]));
    if (!terminal) container.withLogConsumer((stream) => output.read(stream));
    if (user !== undefined) container.withUser(user);
    if (healthInterval !== undefined)
      container.withHealthCheck({ test: ['CMD', '/opt/baton/baton', 'health'], interval: healthInterval });
    const started = await container.start();
    if (terminal) {
      const follow = { follow: true, stdout: true } as const;
      output.read((await docker.getContainer(started.getId()).logs(follow)) as Readable);
    }
    const socketPath = sockets && join(sockets, 'socket');
    return new Container({ app: 'c', directory, port, healthPort }, started, output, socketPath);
  }

  protected override get target(): Target {
    return this.#socketPath ? { socketPath: this.#socketPath } : super.target;
  }

  get id(): string {
    return this.#started.getId();
  }

  override get output(): string {
    return this.#output.text;
  }

  override heard(): Promise<void> {
    return this.#output.heard();
  }

  inspect(): Promise<ContainerInspectInfo> {
    return docker.getContainer(this.id).inspect();
  }

  /** The agent's pid as seen from here. */
  async agentPid(): Promise<number> {
    const { State } = await this.inspect();
    return childOf(State.Pid, (command) => command.includes('agent.mjs'));
  }

  /** As `docker exec` does. */
  exec(command: readonly string[], options: { readonly user?: string } = {}): Promise<ExecResult> {
    return this.#started.exec([...command], options);
  }

  baton(...args: readonly string[]): Promise<ExecResult> {
    return this.exec(['/opt/baton/baton', ...args]);
  }

  /** `docker kill -s SIGNAL` */
  async kill(signal: string): Promise<void> {
    await docker.getContainer(this.id).kill({ signal });
  }

  /** `docker stop -t SECONDS`; the exit code, 137 where the engine's SIGKILL was needed. */
  async stop(seconds = 10): Promise<number> {
    await docker.getContainer(this.id).stop({ t: seconds });
    return (await this.inspect()).State.ExitCode;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#remove();
  }
}

/** That any user may make a socket in. */
async function makeSocketVolume(directory: string): Promise<string> {
  const path = join(directory, 'sockets');
  await mkdir(path);
  await chmod(path, 0o777);
  return path;
}

/** With what testcontainers has no method for. */
class Adjusted extends GenericContainer {
  constructor(image: string, hostConfig: HostConfig) {
    super(image);
    Object.assign(this.hostConfig, hostConfig);
    if (hostConfig.NetworkMode) this.withNetworkMode(hostConfig.NetworkMode); // which replaces what stands in hostConfig
    const published = Object.keys(hostConfig.PortBindings ?? {});
    this.createOpts.ExposedPorts = Object.fromEntries(published.map((port) => [port, {}]));
  }

  withTerminal(on: boolean): this {
    Object.assign(this.createOpts, { Tty: on, OpenStdin: on });
    return this;
  }
}

/** What a container writes, as it comes. */
class Output {
  text = '';
  #ended = false;
  readonly #waiting = new Set<PromiseWithResolvers<void>>();

  read(stream: Readable): void {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      this.text += chunk;
      this.#wake((waiting) => waiting.resolve());
    });
    stream.on('end', () => {
      this.#ended = true;
      this.#wake((waiting) => waiting.reject(new Error(`the container ended:\n${this.text}`)));
    });
  }

  heard(): Promise<void> {
    if (this.#ended) return Promise.reject(new Error(`the container ended:\n${this.text}`));
    const waiting = Promise.withResolvers<void>();
    this.#waiting.add(waiting);
    return waiting.promise;
  }

  #wake(tell: (waiting: PromiseWithResolvers<void>) => void): void {
    const woken = [...this.#waiting];
    this.#waiting.clear();
    woken.forEach(tell);
  }
}
