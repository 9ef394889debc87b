/** What the bytes are, whatever their times and inodes. */

import { createHash } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { ChangedMeanwhile, sentence } from './errors.ts';
import { type Entry, errnoOf, type Scan } from './scan.ts';

/**
 * Content hashes by identity, so that an unchanged tree costs one lstat a file. ctime is part of the key: it cannot
 * be set, and every write moves it.
 */
export type DigestCache = Map<string, string>;

/**
 * A write within the granularity of the file system's clock leaves ctime as it was (up to 1 s on network file
 * systems): what is younger than this, ms, is not remembered. Git calls such entries racy.
 */
const RACY = 2000;

const CHUNK = 256 * 1024;

const PARALLEL = 8;

export interface Digest {
  /** Over everything, hex. */
  readonly whole: string;
  /** sha256 of each file's content, hex, by real path. */
  readonly contents: ReadonlyMap<string, string>;
}

/**
 * SHA-256 over the program's path and, in the order of the scan, each entry: path, kind, executable or not, and
 * content, link text or absence.
 * @throws ChangedMeanwhile when a file was written to, or replaced, since the scan.
 * @throws Error with a sentence for the operator when something cannot be read.
 */
export async function digestScan(
  program: string,
  scan: Scan,
  cache: DigestCache,
  signal: AbortSignal,
): Promise<Digest> {
  const { contents, used } = await hashContents(scan, cache, signal);
  const whole = createHash('sha256');
  const add = (...fields: readonly (string | boolean)[]) => whole.update(`${JSON.stringify(fields)}\n`);
  add('program', program);
  for (const entry of scan.entries) {
    if (entry.kind === 'file') {
      add('file', entry.path, isExecutable(entry), contents.get(entry.real) ?? '');
    } else if (entry.kind === 'link') {
      // Where `..data` points is a timestamp: it says nothing about the files that are reached through it.
      add('link', entry.path, basename(entry.real) === '..data' ? '' : entry.text);
    } else if (entry.kind === 'absent' && entry.text !== 'ENOENT' && entry.text !== 'ENOTDIR') {
      throw new Error(sentence(entry.path, entry.text));
    } else {
      add(entry.kind, entry.path);
    }
  }
  // What was not used is gone from the tree: the cache stays as small as the tree.
  cache.clear();
  for (const [key, content] of used) cache.set(key, content);
  return { whole: whole.digest('hex'), contents };
}

/** Several at a time: a file of a few kB costs system calls, not hashing. */
async function hashContents(scan: Scan, cache: DigestCache, signal: AbortSignal) {
  const contents = new Map<string, string>();
  const used: DigestCache = new Map();
  const files = new Map(
    scan.entries.filter(({ kind }) => kind === 'file').map((entry) => [entry.real, entry]),
  );
  const queue = files.values();
  const work = async () => {
    for (const entry of queue) contents.set(entry.real, await contentOf(entry, cache, used, signal));
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return { contents, used };
}

async function contentOf(
  entry: Entry,
  cache: DigestCache,
  used: DigestCache,
  signal: AbortSignal,
): Promise<string> {
  const { stat } = entry;
  if (!stat) throw new ChangedMeanwhile(entry.path);
  const key = identity(stat);
  const readAt = Date.now();
  const content = cache.get(key) ?? (await hashFile(entry.real, stat, signal));
  if (readAt - Math.max(Number(stat.ctimeMs), Number(stat.mtimeMs)) >= RACY) used.set(key, content);
  return content;
}

/**
 * SHA-256 of a file's content, hex. `expected` is what it was when it was looked at.
 * @throws ChangedMeanwhile when it is not that file any more, before or after reading.
 */
export async function hashFile(
  path: string,
  expected: BigIntStats | null,
  signal: AbortSignal,
): Promise<string> {
  try {
    // O_NONBLOCK: a FIFO that has taken the file's place must not hold a thread for ever.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
    await using file = await open(path, flags);
    const before = await file.stat({ bigint: true });
    if (!before.isFile() || (expected && identity(expected) !== identity(before)))
      throw new ChangedMeanwhile(path);
    const hash = createHash('sha256');
    // No larger than the file: thousands of small ones would otherwise cost a garbage collection each few.
    const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(Number(before.size), CHUNK)));
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
    }
    if (identity(before) !== identity(await file.stat({ bigint: true }))) throw new ChangedMeanwhile(path);
    return hash.digest('hex');
  } catch (error) {
    if (signal.aborted || error instanceof ChangedMeanwhile) throw error;
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP' || errno === 'ESTALE') {
      throw new ChangedMeanwhile(path);
    }
    throw new Error(sentence(path, errno));
  }
}

function identity(stat: BigIntStats): string {
  return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
}

function isExecutable({ stat }: Entry): boolean {
  return stat !== null && (Number(stat.mode) & 0o111) !== 0;
}
