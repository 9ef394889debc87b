import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { Method, Target } from './method.ts';

const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 1000;
const LAST_WORDS = 100;

/**
 * Ready once the command exits 0. It runs without a shell, as the program's user, with the program's environment and
 * BATON_GENERATION_PID, in a process group of its own, of which nothing is left after it. Between runs 200 ms,
 * growing to 1 s; never two at once, and a run may take as long as it likes.
 */
export const exec: Method<{ readonly command: readonly string[] }> = async (
  { command },
  target,
  signal,
  see,
) => {
  const shown = command.join(' ');
  see(`check "${shown}" has not finished yet`);
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    let said = '';
    const outcome = await run(command, target, signal, (line) => {
      said = line;
      see(`check "${shown}" is running: ${line}`);
    });
    if (outcome === 0) return;
    const how = typeof outcome === 'number' ? `exited with ${outcome}` : `was killed by ${outcome}`;
    see(`check "${shown}" ${how}${said && `: ${said}`}`);
    await setTimeout(pause, undefined, { signal });
  }
};

/** One run, to its exit code or the signal that killed it. */
async function run(
  [file = '', ...args]: readonly string[],
  target: Target,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<number | NodeJS.Signals> {
  const child = start(file, args, target);
  const closed = once(child, 'close').catch(() => {});
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on('line', (line) => line.trim() && onLine(line.trim()));
  const abort = () => killGroup(child);
  signal.addEventListener('abort', abort);
  try {
    const exited = once(child, 'exit').catch((error: unknown) => Promise.reject(cannotRun(file, error)));
    const [code, killedBy]: (number | NodeJS.Signals | null)[] = await exited;
    signal.throwIfAborted();
    // What it left behind must not outlive it. Its last words may still be in the pipe, which whoever escaped into
    // a session of its own can hold open for ever.
    killGroup(child);
    await Promise.race([closed, setTimeout(LAST_WORDS, undefined, { ref: false })]);
    return code ?? killedBy ?? 0;
  } finally {
    signal.removeEventListener('abort', abort);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function start(file: string, args: string[], target: Target): ChildProcessByStdio<null, Readable, Readable> {
  try {
    return spawn(file, args, {
      ...target.credentials,
      cwd: target.directory,
      env: { ...target.environment, BATON_GENERATION_PID: String(target.pid) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
  } catch (error) {
    throw cannotRun(file, error); // EPERM, ENOTDIR and the like are thrown, ENOENT and EACCES are emitted
  }
}

function cannotRun(file: string, error: unknown): Error {
  return new Error(`readiness check "${file}" cannot be run: ${(error as NodeJS.ErrnoException).code}`);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing of the group is left.
  }
}
