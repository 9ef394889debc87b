/**
 * The private copy that is executed instead of the program on the volume. So a restart after a crash starts the bytes
 * that were committed, never the newest ones; and `cp new /vol/server` works while the old one runs: the kernel
 * refuses writers (ETXTBSY) only for the file that is being executed.
 */
import { constants } from 'node:fs';
import { access, chmod, copyFile, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { hashFile } from './digest.ts';
import { ChangedMeanwhile, sentence } from './errors.ts';
import { errnoOf } from './scan.ts';
import { storeKey } from './store.ts';

export interface Source {
  /** The program, fully resolved. */
  readonly real: string;
  /** SHA-256 of its content, hex. */
  readonly content: string;
  /** The artifact's digest, hex. */
  readonly digest: string;
}

/**
 * Copies the program to `directory`/<16 hex of the digest>/<its name>, so that ps(1) shows the right name, and
 * returns that path. A copy that is already there and whole is used again. Shares the blocks where the file system
 * can (FICLONE); never a hard link, which a write in place would change too.
 * @param room bytes that the copy may take, or null. The kernel would kill for the rest, and take what serves as gladly as us.
 * @throws ChangedMeanwhile when the copy is not what was digested.
 * @throws Error with a sentence for the operator: ENOSPC, EDQUOT, EROFS, noexec…
 */
export async function snapshot(
  source: Source,
  directory: string,
  room: number | null,
  signal: AbortSignal,
): Promise<string> {
  const home = join(directory, storeKey(source.digest));
  const copy = join(home, basename(source.real));
  if (await isWhole(copy, source.content, signal)) return copy;
  // The directory is written by this process alone, which prepares one artifact at a time.
  const partial = join(directory, `.${storeKey(source.digest)}.partial`);
  try {
    const { size } = await stat(source.real);
    if (room !== null && size > room) throw new Error(noRoom(source.real, directory, size, room));
    await mkdir(home, { recursive: true });
    await chmod(home, 0o711);
    await rm(partial, { force: true });
    await copyFile(source.real, partial, constants.COPYFILE_FICLONE);
    await chmod(partial, 0o755);
    await flush(partial);
    if ((await hashFile(partial, null, signal)) !== source.content) throw new ChangedMeanwhile(source.real);
    await rename(partial, copy);
    await access(copy, constants.X_OK);
    return copy;
  } catch (error) {
    await rm(partial, { force: true });
    if (signal.aborted || error instanceof ChangedMeanwhile) throw error;
    throw explain(error, source.real, home);
  }
}

async function isWhole(copy: string, content: string, signal: AbortSignal): Promise<boolean> {
  try {
    await access(copy, constants.X_OK);
    return (await hashFile(copy, null, signal)) === content;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ChangedMeanwhile || errnoOf(error) === 'ENOENT') return false;
    throw new Error(sentence(copy, errnoOf(error)));
  }
}

/** fsync: after a power cut the name must not stand for an empty file. */
async function flush(path: string): Promise<void> {
  await using file = await open(path, 'r+');
  await file.sync();
}

function noRoom(real: string, directory: string, size: number, room: number): string {
  const mebibytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return (
    `${real}: no room for a copy in ${directory}, which is in memory: it takes ${mebibytes(size)}, and ` +
    `${mebibytes(room)} are left of the container's limit; raise that, or configure a store on a disk`
  );
}

function explain(error: unknown, real: string, home: string): Error {
  const errno = errnoOf(error);
  const from = error instanceof Error && 'syscall' in error && error.syscall === 'open' ? real : home;
  if (errno === 'ENOENT' || errno === 'ESTALE') return new ChangedMeanwhile(real);
  if (errno === 'EACCES' && from === home)
    return new Error(`${home}: mounted noexec, or not ours; configure another store`);
  return new Error(sentence(errno === 'ETXTBSY' ? real : from, errno));
}
