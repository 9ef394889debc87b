/**
 * Watches names in directories: each link and directory on the way to a path, and the file at its end.
 *
 * This is node:fs.watch and not chokidar, which watches trees for us (trees.ts). Tried with chokidar 6.0.0: a single
 * file goes deaf for good when a directory above it is replaced by rename (mv app.new app), a swap of Kubernetes'
 * `..data` behind a link is no event at all, and a path that does not exist yet makes it lstat each file of the
 * nearest directory, /usr/bin for one. A name in a directory is one inotify watch and no readdir, and is what a
 * rename changes.
 */
import { type FSWatcher, lstatSync, watch } from 'node:fs';
import { join } from 'node:path';

export interface Closable {
  close(): void | Promise<void>;
}

export interface NameEvents {
  onEvent(path: string): void;
  /** The kernel stopped telling: ENOSPC, EMFILE… */
  onError(error: unknown): void;
}

/**
 * Watches `names` (by directory) for being created, replaced and removed, and `files` (full paths) for being written
 * to as well.
 * @throws the system error of inotify_add_watch(2): ENOSPC, EMFILE, EACCES, ENOENT when it is gone by now.
 */
export function watchNames(
  names: ReadonlyMap<string, ReadonlySet<string>>,
  files: ReadonlySet<string>,
  { onEvent, onError }: NameEvents,
): Closable {
  const watchers: FSWatcher[] = [];
  const close = () => {
    for (const watcher of watchers) watcher.close();
  };
  const add = (path: string, listener: (event: string, name: string | null) => void) => {
    const watcher = watch(path, { persistent: true }, listener);
    watchers.push(watcher.on('error', onError));
  };
  try {
    for (const [directory, wanted] of names) {
      const former = new Map([...wanted].map((name) => [name, directoryIdentity(join(directory, name))]));
      add(directory, (event, name) => {
        if (name === null || !wanted.has(name)) return;
        const path = join(directory, name);
        // libuv reports a directory's new mode or times as "rename": only another directory is a change.
        const identity = former.get(name) ?? null;
        if (identity !== null && identity === directoryIdentity(path)) return;
        if (event === 'rename' || files.has(path)) onEvent(path);
      });
    }
    // A write through another name of the inode, as on the outside of a single-file bind mount, is no event of this directory.
    for (const file of files) add(file, () => onEvent(file));
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

/**
 * Null for what is no directory. Inode numbers are used again at once (ext4); the time of birth tells two directories
 * apart.
 */
export function directoryIdentity(path: string): string | null {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.isDirectory() ? `${stat.dev}:${stat.ino}:${stat.birthtimeNs}` : null;
}
