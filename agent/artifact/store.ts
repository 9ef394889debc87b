/** Where private copies of programs are kept, and for how long. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, lstat, mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DigestCache } from './digest.ts';
import { sentence, withoutAdvice } from './errors.ts';
import { errnoOf } from './scan.ts';

export interface Store {
  /**
   * This PID 1's own part of the store, or null where there is no usable one: programs then run from their own path.
   */
  readonly directory: string | null;
  /** For the operator: which store could not be used, and what that means. Empty when all is as wished. */
  readonly note: string;
  /** Bytes that a copy may take, where copies are in memory and that is limited; else null. */
  room(): number | null;
  /** Content hashes of the last artifact. */
  readonly digests: DigestCache;
  /**
   * Removes the copies of all other artifacts. `keep`: the digests (hex) of every generation that has processes or
   * may be started again, and of the artifact that is being prepared.
   */
  prune(keep: readonly string[]): Promise<void>;
}

/** The part of an artifact's digest that names its directory: 64 bits. */
export function storeKey(digest: string): string {
  return digest.slice(0, 16);
}

/**
 * The places to try, best first. The store must belong to this container alone: in a directory that containers share,
 * each has a PID 1 of the same number.
 */
export function storeCandidates(
  configured: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  uid: number,
): readonly Candidate[] {
  const { XDG_RUNTIME_DIR: runtime, TMPDIR: temporary } = environment;
  return [
    ...(configured ? [{ path: configured, shared: false }] : []),
    { path: '/run/baton', shared: false },
    ...(runtime ? [{ path: join(runtime, 'baton'), shared: false }] : []),
    { path: join(temporary || '/tmp', `baton-${uid}`), shared: true },
  ];
}

export interface Candidate {
  readonly path: string;
  /** Anybody could have made it before us, as in /tmp: it must be ours, and no symlink. */
  readonly shared: boolean;
}

export interface StoreOptions {
  readonly configured?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** PID 1's pid: its directory in the store outlives the agent. */
  readonly pid: number;
  /** Bytes of memory that the container can still take; null: no limit. */
  readonly memoryLeft: () => number | null;
}

/**
 * Opens the first usable store, and removes what dead owners left there. Never throws: no store is a mode of
 * operation.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { configured, environment, pid, memoryLeft } = options;
  // An empty image has no /run. Where it cannot be made either, that is found out below.
  await mkdir('/run', { recursive: true }).catch(() => {});
  const candidates = storeCandidates(configured, environment, process.geteuid?.() ?? 0);
  return openFirst(candidates, configured, pid, memoryLeft);
}

export async function openFirst(
  candidates: readonly Candidate[],
  configured: string | undefined,
  pid: number,
  memoryLeft: () => number | null = () => null,
): Promise<Store> {
  const refused: string[] = [];
  for (const candidate of candidates) {
    const trouble = await claim(candidate, pid);
    if (trouble === null) {
      await removeLeftovers(candidate.path, pid);
      // That one of our own guesses did not work is nobody's concern; that the configured one did not, is.
      const note =
        configured && candidate.path !== configured ? `${refused[0]}; using ${candidate.path}` : '';
      const directory = join(candidate.path, String(pid));
      return makeStore(directory, note, (await isInMemory(directory)) ? memoryLeft : () => null);
    }
    refused.push(trouble);
  }
  const note =
    `no store for snapshots (${refused.map(withoutAdvice).join('; ')}): ` +
    'the program runs from its own path, so that a restart after a crash takes whatever is there by then; ' +
    'mount a tmpfs without noexec at /run/baton, or name another place with --store';
  return makeStore(null, note, () => null);
}

/** statfs(2), linux/magic.h: tmpfs and ramfs. What is written there counts for the container's memory, and stays. */
async function isInMemory(path: string): Promise<boolean> {
  const { type } = await statfs(path).catch(() => ({ type: 0 }));
  return type === 0x01021994 || type === 0x858458f6;
}

function makeStore(directory: string | null, note: string, room: Store['room']): Store {
  return {
    directory,
    note,
    room,
    digests: new Map(),
    async prune(keep) {
      if (directory === null) return;
      const kept = new Set(keep.map(storeKey));
      for (const name of await readdir(directory).catch(() => [])) {
        if (!kept.has(name)) await rm(join(directory, name), { recursive: true, force: true });
      }
    },
  };
}

/**
 * Makes `base` and this PID 1's directory in it, and tries whether a program could run from there. Null, or why not.
 */
async function claim({ path: base, shared }: Candidate, pid: number): Promise<string | null> {
  const own = join(base, String(pid));
  const probe = join(own, `.probe-${randomBytes(8).toString('hex')}`);
  try {
    await makeDirectory(base);
    const unsafe = shared ? await distrust(base) : null;
    if (unsafe !== null) return unsafe;
    await makeDirectory(own);
    const unsafeOwn = await distrust(own);
    if (unsafeOwn !== null) return unsafeOwn;
    await writeFile(probe, '#!\n', { flag: 'wx', mode: 0o755 });
    await chmod(probe, 0o755);
  } catch (error) {
    return sentence(base, errnoOf(error));
  }
  try {
    // Root may execute any file with an x bit: access(2) says no only because of a noexec mount.
    await access(probe, constants.X_OK);
    return null;
  } catch (error) {
    return errnoOf(error) === 'EACCES' ? `${base}: mounted noexec` : sentence(base, errnoOf(error));
  } finally {
    await rm(probe, { force: true });
  }
}

/** 0711: another user's program must be able to reach its copy, and nobody to list or to change what is there. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
    await chmod(path, 0o711);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

async function distrust(path: string): Promise<string | null> {
  const stat = await lstat(path);
  if (!stat.isDirectory()) return `${path}: not a directory`;
  if (stat.uid !== process.geteuid?.()) return `${path}: belongs to user ${stat.uid}, not to us`;
  if ((stat.mode & 0o022) !== 0) return `${path}: others may write to it; chmod go-w it`;
  return null;
}

/** A PID 1 that was killed could not clean up. A number that is in use again is left to its new owner. */
async function removeLeftovers(base: string, pid: number): Promise<void> {
  const names = await readdir(base).catch(() => []);
  for (const name of names) {
    const owner = Number(name);
    if (!Number.isInteger(owner) || owner <= 0 || owner === pid || isAlive(owner)) continue;
    await rm(join(base, name), { recursive: true, force: true }).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
