/** Watches directories with all that is below them, by chokidar: new directories, moved ones, bursts. */
import { relative } from 'node:path';
import { watch } from 'chokidar';
import { isIgnored } from '../artifact/scan.ts';
import type { Closable, NameEvents } from './names.ts';

/**
 * Resolves when the whole tree is watched. Links in it are watched as names, not followed.
 * Rejects with the system error when it cannot be: ENOSPC, EMFILE, EACCES for a directory in it.
 */
export function watchTree(root: string, { onEvent, onError }: NameEvents): Promise<Closable> {
  const watcher = watch(root, {
    ignoreInitial: true,
    followSymlinks: false,
    // Both would swallow or delay events: bursts are debounced for the whole set, and settling is the artifact's business.
    atomic: false,
    awaitWriteFinish: false,
    ignored: (path) => isBelow(root, path) && !isPartOf(root, path),
  });
  return new Promise((resolve, reject) => {
    let report = (error: unknown) => {
      void watcher.close();
      reject(error);
    };
    watcher
      .on('all', (_, path) => onEvent(path))
      .on('error', (error) => report(error))
      .on('ready', () => {
        report = onError;
        resolve(watcher);
      });
  });
}

/** Whether the path (real, as `root`) is below the root and not in what a directory does not include. */
export function isPartOf(root: string, path: string): boolean {
  return isBelow(root, path) && !relative(root, path).split('/').some(isIgnored);
}

function isBelow(root: string, path: string): boolean {
  return path.startsWith(root === '/' ? root : `${root}/`);
}
