/**
 * Runs real programs for the process tests: as PID 1 of a PID namespace of its own, or plainly. Output is
 * gathered as it comes, so that a test can wait for what a program says instead of sleeping. Whatever was
 * started ends with the `await using` that holds it, and nothing else does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

const { BATON_BINARY } = process.env;

/** The binary under test: `$BATON_BINARY` where another build is to be tried, such as the one under ASan. */
export const baton = BATON_BINARY ?? join(import.meta.dirname, '../../dist/baton');

export interface Exit {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  readonly cwd?: string;
  /** Added to this process's own environment; undefined removes. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Further namespaces, as `unshare` calls them: `--net`, `--uts`… Only for {@link startAsPid1}. */
  readonly unshare?: readonly string[];
}

export class Running implements AsyncDisposable {
  /** As seen from here, whatever the process's own namespace calls it. */
  pid: number;
  /** Once it has ended and its output is read to the end. */
  readonly exit: Promise<Exit>;
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid as number;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#hear(() => (this.stdout += text)));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#hear(() => (this.stderr += text)));
    child.stdin?.on('error', () => {}); // who writes to a program that is gone learns it from `exit`
    this.exit = new Promise((resolve) =>
      child.once('close', (code, signal) => {
        this.#hear(() => (this.#ended = true));
        resolve({ code, signal });
      }),
    );
  }

  #hear(apply: () => void): void {
    apply();
    for (const check of [...this.#waiting]) check();
  }

  /** Waits until stdout or stderr, from their beginning, match. Rejects when the program ends without that. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
        if (!match && !this.#ended) return;
        this.#waiting.delete(check);
        if (match) resolve(match);
        else reject(new Error(`ended without ${pattern}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`));
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Resolves at the next output. Rejects when the program ends before. */
  heard(): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        this.#waiting.delete(check);
        if (this.#ended) reject(new Error(`ended\nstdout: ${this.stdout}\nstderr: ${this.stderr}`));
        else resolve();
      };
      this.#waiting.add(check);
    });
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** `signal` is a name or a number from 1 to 64: Node's own types know no real-time signals. */
  kill(signal: NodeJS.Signals | number): void {
    process.kill(this.pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Of a namespace this ends `unshare`, and its --kill-child ends the namespace's PID 1 and thereby everything in it.
    this.#child.kill('SIGKILL');
    await this.exit;
  }
}

/** A test that timed out never comes to its disposal: what it started ends with this process at the latest. */
const endWithUs = ['--pdeathsig', 'KILL', '--'];

function spawnPiped(command: readonly string[], options: StartOptions, descriptors: number): ChildProcess {
  return spawn('setpriv', [...endWithUs, ...command], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: Array.from({ length: descriptors }, () => 'pipe' as const),
  });
}

/** Starts a program. `pid` is the program's own, though it may not have been executed yet. */
export async function start(command: readonly string[], options: StartOptions = {}): Promise<Running> {
  const child = spawnPiped(command, options, 3);
  await once(child, 'spawn');
  return new Running(child);
}

/**
 * Starts a program as PID 1 of a new PID namespace, as root there even if not here (unshare(1), user_namespaces(7)).
 * By the time this resolves PID 1 exists but may not have executed the program yet: let it say something before
 * it is sent signals. `exit` is PID 1's own.
 */
export async function startAsPid1(command: readonly string[], options: StartOptions = {}): Promise<Running> {
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const flags = ['--pid', '--fork', '--mount-proc', '--kill-child', ...asRoot, ...(options.unshare ?? [])];
  // The shell says that it exists, waits until its pid was looked up, and becomes the program.
  const program = ['sh', '-c', 'echo >&3; read go <&3; exec 3>&- "$@"', 'sh', ...command];
  const child = spawnPiped(['unshare', ...flags, '--', ...program], options, 4);
  await once(child, 'spawn');
  const running = new Running(child);
  const shell = child.stdio[3] as Duplex;
  const failed = running.exit.then(() => Promise.reject(new Error(`unshare failed: ${running.stderr}`)));
  await Promise.race([once(shell, 'data'), failed]);
  failed.catch(() => {}); // from here on its end is no failure of ours
  shell.on('error', () => {});
  const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
  running.pid = Number.parseInt(children, 10);
  shell.end('\n');
  return running;
}
