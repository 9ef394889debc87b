/** `baton run` with an agent whose every byte is the test's own (fake-agent.mjs). */
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { encodeFrame, FrameDecoder } from '../../agent/frames.ts';
import { baton, type Exit, type Running, type StartOptions, start, startAsPid1 } from './namespace.ts';

/** The binary as it is shipped, and the one that the sanitizers watch. */
export const binaries = [
  { name: 'baton', file: baton, sanitized: false },
  {
    name: 'baton under ASan and UBSan',
    file: join(import.meta.dirname, '../../build/baton-asan'),
    sanitized: true,
  },
] as const;

export type Binary = (typeof binaries)[number];

/** An answer `error id ERRNO text`. */
export class Refusal extends Error {
  readonly code: string;
  constructor(code: string, text: string) {
    super(text);
    this.code = code;
  }
}

interface Hello {
  /** As its own namespace calls them. */
  readonly pid: number;
  readonly ppid: number;
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

interface Taker<T> {
  readonly matches: (item: T) => boolean;
  readonly taken: PromiseWithResolvers<T>;
}

/** Items in the order in which they came, each taken by the first who asks for its like. */
class Inbox<T> {
  readonly #items: T[] = [];
  readonly #takers: Taker<T>[] = [];
  #closed: Error | null = null;

  put(item: T): void {
    const index = this.#takers.findIndex(({ matches }) => matches(item));
    if (index < 0) this.#items.push(item);
    else this.#takers.splice(index, 1)[0]?.taken.resolve(item);
  }

  /** Whoever waits, or asks for what is not there, is told the reason. */
  close(reason: Error): void {
    this.#closed ??= reason;
    for (const { taken } of this.#takers.splice(0)) taken.reject(this.#closed);
  }

  /** Those not taken yet. */
  get left(): readonly T[] {
    return this.#items;
  }

  take(matches: (item: T) => boolean = () => true): Promise<T> {
    const index = this.#items.findIndex(matches);
    if (index >= 0) return Promise.resolve(this.#items.splice(index, 1)[0] as T);
    if (this.#closed) return Promise.reject(this.#closed);
    const taken = Promise.withResolvers<T>();
    this.#takers.push({ matches, taken });
    return taken.promise;
  }
}

/** One life of the agent. */
export class FakeAgent {
  readonly hello: Hello;
  /** The wire or the process is gone. */
  readonly gone: Promise<void>;
  /** What is no answer: events, and what `attach` and `list` tell. Each as its fields, the verb first. */
  readonly frames = new Inbox<readonly string[]>();
  readonly #test: Socket;
  readonly #answers = new Inbox<readonly string[]>();
  readonly #decoder = new FrameDecoder();
  #lastId = 0;

  constructor(hello: Hello, test: Socket) {
    this.hello = hello;
    this.#test = test;
    this.gone = new Promise((resolve) =>
      test.once('close', () => {
        const reason = new Error(`the agent ${hello.pid} is gone`);
        this.frames.close(reason);
        this.#answers.close(reason);
        resolve();
      }),
    );
  }

  hear(line: { read?: string; ended?: true }): void {
    if (line.ended) this.#test.end();
    if (line.read === undefined) return;
    for (const frame of this.#decoder.push(Buffer.from(line.read, 'base64')))
      (frame[0] === 'ok' || frame[0] === 'error' ? this.#answers : this.frames).put(frame);
  }

  /** How many answers came that nobody asked for yet. */
  get answersLeft(): number {
    return this.#answers.left.length;
  }

  tell(command: Readonly<Record<string, unknown>>): void {
    this.#test.write(`${JSON.stringify(command)}\n`);
  }

  /** Raw bytes onto the wire. */
  write(bytes: Buffer): void {
    this.tell({ write: bytes.toString('base64') });
  }

  /** Sends without waiting for the answer; returns the id. */
  send(verb: string, ...fields: readonly (string | number)[]): string {
    const id = String(++this.#lastId);
    this.write(encodeFrame([verb, id, ...fields.map(String)]));
    return id;
  }

  /** The fields of the `ok` behind the id. Rejects with a {@link Refusal}. */
  async answer(id: string): Promise<readonly string[]> {
    const [kind, , ...fields] = await this.#answers.take((frame) => frame[1] === id);
    if (kind === 'error') throw new Refusal(fields[0] as string, fields[1] as string);
    return fields;
  }

  request(verb: string, ...fields: readonly (string | number)[]): Promise<readonly string[]> {
    return this.answer(this.send(verb, ...fields));
  }

  /** Attaches, and returns what was told before the answer, in its order. */
  async attach(): Promise<readonly (readonly string[])[]> {
    await this.request('attach', 1);
    return [...this.frames.left];
  }

  /** The next frame of this verb, without it: of an event the sequence number is the first. */
  async next(verb: string, matches: (fields: readonly string[]) => boolean = () => true) {
    const [, ...fields] = await this.frames.take(([first, ...rest]) => first === verb && matches(rest));
    return fields;
  }

  /** Starts a program that Baton is to know under `name`; returns its pid as PID 1 calls it. */
  async spawn(name: string, argv: readonly string[], options: SpawnOptions = {}): Promise<number> {
    const [pid] = await this.request('spawn', ...spawnFields(name, argv, options));
    return Number(pid);
  }

  /** Keeps it from being taken for hung, for a test that takes long. */
  pinging(): Disposable {
    const timer = setInterval(() => this.send('ping'), 500);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  exit(code: number): void {
    this.tell({ exit: code });
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.tell({ kill: signal });
    await this.gone;
  }
}

export interface SpawnOptions {
  /** `key=value` */
  readonly options?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const { PATH = '' } = process.env;

export function spawnFields(
  name: string,
  argv: readonly string[],
  { options = [], env = {} }: SpawnOptions = {},
): (string | number)[] {
  const environment = Object.entries({ PATH, ...env }).map(([key, value]) => `${key}=${value}`);
  return [name, ...options, '', argv.length, ...argv, ...environment];
}

export interface Options {
  /** Of `baton run`; by default neither a health endpoint nor a file anywhere. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** What comes before the binary, such as `prlimit`. */
  readonly through?: readonly string[];
  /**
   * As PID 1 of a namespace (by default); as a child of one, which makes it a subreaper, and which says once Baton has
   * ended "left behind:" with the pids that it has inherited, and "alive:" with all there are; or plainly here, where
   * the test itself may use the control socket.
   */
  readonly as?: 'pid1' | 'subreaper' | 'plain';
}

/** A directory with the binary and its agent, as an image has them. */
export class Installation implements Disposable {
  readonly folder: string;
  readonly baton: string;
  readonly sanitized: boolean;

  constructor(binary: Binary) {
    this.folder = mkdtempSync(join(tmpdir(), 'baton-pid1-'));
    this.baton = join(this.folder, 'baton');
    this.sanitized = binary.sanitized;
    copyFileSync(binary.file, this.baton);
    copyFileSync(join(import.meta.dirname, 'fake-agent.mjs'), join(this.folder, 'agent.mjs'));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}

let lastServer = 0;

const asChild = `"$@"; code=$?; read -r left </proc/$$/task/$$/children
echo "left behind: $left"; echo alive: /proc/[0-9]*; exit $code`;

const starters = {
  pid1: startAsPid1,
  subreaper: (command: readonly string[], options: StartOptions) =>
    startAsPid1(['sh', '-c', asChild, 'sh', ...command], options),
  plain: start,
};

export class Pid1 implements AsyncDisposable {
  readonly running: Running;
  readonly installation: Installation;
  readonly #server: Server;
  readonly #agents: Inbox<FakeAgent>;
  #ended = false;

  private constructor(
    running: Running,
    installation: Installation,
    server: Server,
    agents: Inbox<FakeAgent>,
  ) {
    this.running = running;
    this.installation = installation;
    this.#server = server;
    this.#agents = agents;
    void running.exit.then(() => {
      this.#ended = true;
      agents.close(new Error(`baton has ended\n${running.stderr}`));
    });
  }

  static async start(installation: Installation, options: Options = {}): Promise<Pid1> {
    const agents = new Inbox<FakeAgent>();
    const path = join(installation.folder, `agent-${++lastServer}.sock`);
    const server = createServer((socket) => {
      let agent: FakeAgent | undefined;
      socket.on('error', () => {});
      createInterface({ input: socket }).on('line', (text) => {
        if (!text.endsWith('}')) return; // it was killed in the middle of a line
        const line = JSON.parse(text);
        if (line.hello) {
          agent = new FakeAgent(line.hello, socket);
          agents.put(agent);
        } else agent?.hear(line);
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    chmodSync(path, 0o666); // for an agent that is not root

    const { as = 'pid1', args = ['--health', 'off'], through = [], cwd, env } = options;
    const command = [...through, installation.baton, 'run', ...args];
    const own = { BATON_NODE: process.execPath, FAKE_AGENT: path, ASAN_OPTIONS: 'detect_leaks=0', ...env };
    const running = await starters[as](command, { env: own, ...(cwd === undefined ? {} : { cwd }) });
    return new Pid1(running, installation, server, agents);
  }

  /** The next agent to come up. Rejects when Baton ends without one. */
  agent(): Promise<FakeAgent> {
    return this.#agents.take();
  }

  async attached(): Promise<FakeAgent> {
    const agent = await this.agent();
    await agent.attach();
    return agent;
  }

  get exit(): Promise<Exit> {
    return this.running.exit;
  }

  /** The pid, as seen from here, of a process that its own namespace calls `pid`; undefined when there is none. */
  hostPid(pid: number): number | undefined {
    return descendants(this.running.pid).find((host) => innermostPid(host) === pid);
  }

  /** Runs a command in the container, as `docker exec` does. */
  exec(...command: readonly string[]): Promise<Running> {
    const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
    return start(
      ['nsenter', '--target', String(this.running.pid), ...user, '--pid', '--mount', '--', ...command],
      {
        env: { ASAN_OPTIONS: 'detect_leaks=0' },
      },
    );
  }

  /** The native client, in the container. */
  client(...args: readonly string[]): Promise<Running> {
    return this.exec(this.installation.baton, ...args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // unshare's --kill-child is of no effect on one that has changed its user: prctl(2), PR_SET_PDEATHSIG.
    try {
      if (!this.#ended) this.running.kill('SIGKILL');
    } catch {} // it has ended, unnoticed so far
    await this.running[Symbol.asyncDispose]();
    this.#server.close();
  }
}

/** Of a process, from /proc/PID/status: kB of a memory field, or the text of any other. */
export function statusOf(pid: number, field: string): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
}

function innermostPid(host: number): number {
  try {
    return Number(statusOf(host, 'NSpid').split(/\s+/).at(-1));
  } catch {
    return 0; // it ended meanwhile
  }
}

/** A process and all below it. */
export function descendants(pid: number): number[] {
  const found = [pid];
  for (const parent of found) {
    try {
      for (const thread of readdirSync(`/proc/${parent}/task`)) {
        const children = readFileSync(`/proc/${parent}/task/${thread}/children`, 'utf8');
        found.push(...children.split(' ').filter(Boolean).map(Number));
      }
    } catch {} // it ended meanwhile
  }
  return found;
}
