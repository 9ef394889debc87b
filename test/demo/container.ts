/** `baton run` as isolated as this machine allows: without Docker, and without being root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type LogLine, parseLog } from '../support/deployed.ts';
import { baton, type Exit, Running, startAsPid1 } from '../support/namespace.ts';

const LOG = ['--log-level', 'debug', '--log-format', 'json'];
/** After SIGTERM, for a Baton that does not obey: more than lame duck and drain of the sample service take. */
const STOP_MS = 10_000;

/** How a handover ended, as Baton logs it (agent/agent.ts). */
export interface Outcome {
  readonly outcome: string;
  /** null: refused before there was one. */
  readonly generation: number | null;
  readonly by: string;
  readonly durationMs: number;
  /** Empty when promoted. */
  readonly reason: string;
}

export class Container implements AsyncDisposable {
  /** What Baton is here: "PID 1 of a PID namespace", or what else, and why. */
  readonly role: string;
  readonly #running: Running;
  #ended = false;

  private constructor(running: Running, role: string) {
    this.#running = running;
    this.role = role;
    void running.exit.then(() => {
      this.#ended = true;
    });
  }

  /** @param args of `baton run` */
  static async start(args: readonly string[]): Promise<Container> {
    const command = [baton, 'run', ...LOG, ...args];
    const env = { BATON_NODE: process.execPath };
    try {
      const running = await startAsPid1(command, { env });
      return new Container(running, `PID 1 of a ${process.getuid?.() === 0 ? '' : 'user and '}PID namespace`);
    } catch (error) {
      // "unshare failed: unshare: unshare failed: Operation not permitted"
      const why = (error as Error).message.trim().split(': ').at(-1);
      const running = await startAsSubreaper(command, env);
      return new Container(running, `a child subreaper, since unshare(1) says: ${why}`);
    }
  }

  /** What was written to stderr so far: Baton's log and the program's own words. */
  get output(): string {
    return this.#running.stderr;
  }

  get log(): LogLine[] {
    return parseLog(this.output);
  }

  /** The first line of the log that `find` finds, awaited if it is not there yet. */
  async line(find: (log: readonly LogLine[]) => LogLine | undefined): Promise<LogLine> {
    for (;;) {
      const found = find(this.log);
      if (found) return found;
      await this.#running.heard();
    }
  }

  /** How handover number `index`, from 0, ended. */
  async outcome(index: number): Promise<Outcome> {
    const line = await this.line((log) => log.filter(({ outcome }) => outcome !== undefined)[index]);
    const { outcome = '', generation = null, by, durationMs, msg } = line;
    // "failed generation 4: exited with code 3 before it was ready"; what follows a further colon is detail.
    const reason = outcome === 'promoted' ? '' : (msg.split(': ')[1] ?? msg);
    return { outcome, generation, by: String(by), durationMs: Number(durationMs), reason };
  }

  /** The main process of a generation, as it calls itself. */
  pidOf(generation: number | null): number | null {
    const starting = this.log.find(
      (line) => line.generation === generation && line.msg.endsWith('starting') && line.pid,
    );
    return starting?.pid ?? null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#running.kill(signal);
  }

  async killAgent(): Promise<void> {
    const { pid } = this.#running;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    for (const child of children.trim().split(' ')) {
      const command = await readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '');
      if (command.includes('agent.mjs')) return void process.kill(Number(child), 'SIGKILL');
    }
    throw new Error('found no agent among the children of Baton');
  }

  get exit(): Promise<Exit> {
    return this.#running.exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    // Asked first: of a subreaper that is killed, the program would stay behind.
    this.signal('SIGTERM');
    const late = setTimeout(() => this.signal('SIGKILL'), STOP_MS);
    await this.exit;
    clearTimeout(late);
  }
}

async function startAsSubreaper(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Running> {
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...command], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await once(child, 'spawn');
  return new Running(child);
}
