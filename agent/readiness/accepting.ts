import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Method, Target } from './method.ts';

/**
 * Ready once, for every inherited listener, some process of the tree accepts on it. `baton look` finds out
 * (agent/init/look.c says what counts and what cannot be seen), as the program's user: to others /proc shows nothing.
 */
export const accepting: Method = async (_, target, signal, see) => {
  const { pid, listeners } = target;
  if (listeners.length === 0)
    throw new Error(
      'nothing is listened on, so nobody can be seen accepting: choose another readiness method',
    );

  const look = start(target, signal);
  let complaint = '';
  createInterface({ input: look.stdout }).on('line', (line) => {
    const missing = /^missing ([\d ]+); (.*)$/.exec(line);
    if (missing) see(describe(target, missing[1] ?? '', missing[2] ?? ''));
  });
  createInterface({ input: look.stderr }).on('line', (line) => {
    complaint = line.replace(/^baton: look: /, '');
  });
  const closed = once(look, 'close').catch((error: unknown) =>
    Promise.reject(cannotRun(target.binary, error)),
  );
  const [code, killedBy]: (number | NodeJS.Signals | null)[] = await closed;
  if (code === 0) return;
  if (code === 3) {
    // PID 1 tells how it ended, which ends this probe too; an error of ours would only come first and say less.
    see(`pid ${pid} is gone`);
    await once(signal, 'abort');
  }
  throw new Error(complaint || `${target.binary} look ended with ${killedBy ?? code}`);
};

function start({ binary, pid, listeners, credentials }: Target, signal: AbortSignal) {
  try {
    return spawn(binary, ['look', String(pid), ...listeners.map(({ inode }) => String(inode))], {
      ...credentials,
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
  } catch (error) {
    throw cannotRun(binary, error); // EPERM and the like are thrown, ENOENT and EACCES are emitted
  }
}

function cannotRun(binary: string, error: unknown): Error {
  return new Error(
    `${binary} look cannot be run as the program's user: ${(error as NodeJS.ErrnoException).code}`,
  );
}

/** "1234 5678" → "nobody accepts on web (fd 3), admin (fd 4) in the process tree of pid 12: looked at …" */
function describe({ pid, listeners }: Target, missing: string, detail: string): string {
  const inodes = new Set(missing.split(' '));
  const names = listeners.flatMap(({ name, inode }, index) =>
    inodes.has(String(inode)) ? [`${name} (fd ${index + 3})`] : [],
  );
  return `nobody accepts on ${names.join(', ')} in the process tree of pid ${pid}: ${detail}`;
}
