/** Tells when what is to run may have changed: once for each burst, whatever the deploy does to the files. */
import { difference, errnoOf, type Scan, scanPaths } from '../artifact/scan.ts';
import { debounce } from './debounce.ts';
import { remoteFileSystem } from './filesystems.ts';
import { readMountPoints } from './mounts.ts';
import { type Closable, watchNames } from './names.ts';
import { footing, survey } from './survey.ts';
import { watchTree } from './trees.ts';

export interface WatchEvents {
  /**
   * Something changed, was created, removed or swapped; `reason` is a sentence's beginning for the log. Whether the
   * content is another one is for the digest to say.
   */
  onChange(reason: string): void;
  /** One line for the operator. */
  onWarning(text: string): void;
}

export interface WatchOptions {
  /** A burst ends after this long without an event, ms. Default 100. */
  readonly quiet?: number;
  /** A burst without end is told of after this long, ms. Default 10,000. */
  readonly latest?: number;
  /** From one look to the next when polling, ms. Default 1000; longer where a look takes long. */
  readonly pollInterval?: number;
}

export interface Watch {
  readonly mode: 'inotify' | 'polling';
  close(): Promise<void>;
}

/** A deploy that keeps swapping directories under our feet is a burst: the debounce will bring us back. */
const ARM_ATTEMPTS = 5;

/**
 * Watches `paths` (absolute; they need not exist) and everything that decides what they lead to: each directory and
 * each link on the way, the files, and directories with all that is below them. Resolves once a change cannot be
 * missed. Where inotify(7) does not work, or stops working, it polls, and says so once.
 */
export async function watchPaths(
  paths: readonly string[],
  { onChange, onWarning }: WatchEvents,
  { quiet = 100, latest = 10_000, pollInterval = 1000 }: WatchOptions = {},
): Promise<Watch> {
  let mode: Watch['mode'] = 'inotify';
  let closed = false;
  let names: Closable | null = null;
  const trees = new Map<string, Closable>();
  const pinned = new Set<string>();
  let pollTimer: NodeJS.Timeout | undefined;
  let work: Promise<void> = Promise.resolve();

  /** Arming, falling back and closing follow one another: they share the watchers. */
  const enqueue = (job: () => Promise<void>): Promise<void> => {
    work = work.then(job);
    return work;
  };

  const bursts = debounce(
    (what) => {
      void enqueue(async () => {
        if (closed) return;
        // Before it is told, so that nothing that follows in a new place goes unseen.
        if (mode === 'inotify') await arm();
        if (!closed) onChange(reasonFor(what));
      });
    },
    quiet,
    latest,
  );

  const onEvent = (path: string) => {
    if (!closed) bursts.note(path);
  };
  const onError = (error: unknown) => {
    void enqueue(async () => {
      if (closed || mode === 'polling') return;
      await poll(reasonToPoll(error));
      // What happened since the kernel went silent is unknown.
      onEvent(paths[0] ?? '');
    });
  };

  async function arm(): Promise<void> {
    for (let attempt = 0; attempt < ARM_ATTEMPTS; attempt++) {
      const found = await survey(paths);
      await warnOfPinned(found.scan);
      const before = footing(found.scan);
      for (const directory of found.scan.names.keys()) {
        const remote = await remoteFileSystem(directory);
        if (remote) return poll(`${directory}: on ${remote}, where changes made elsewhere send no events`);
      }
      try {
        // The new ones first, for there must be no moment without.
        const former = names;
        names = watchNames(found.scan.names, found.files, { onEvent, onError });
        await former?.close();
        for (const [identity, root] of found.trees) {
          if (!trees.has(identity)) trees.set(identity, await watchTree(root, { onEvent, onError }));
        }
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') continue;
        return poll(reasonToPoll(error));
      }
      for (const [identity, tree] of trees) {
        if (found.trees.has(identity)) continue;
        trees.delete(identity);
        await tree.close();
      }
      if (footing(await scanPaths(paths)) === before) return;
    }
    onEvent(paths[0] ?? '');
  }

  async function disarm(): Promise<void> {
    await names?.close();
    names = null;
    for (const tree of trees.values()) await tree.close();
    trees.clear();
  }

  async function poll(why: string): Promise<void> {
    mode = 'polling';
    await disarm();
    onWarning(`${why}; polling every ${pollInterval} ms instead`);
    let last = await scanPaths(paths);
    const lookAgain = async () => {
      const startedAt = performance.now();
      const next = await scanPaths(paths);
      if (closed) return;
      const changed = difference(last, next);
      if (changed !== null) onEvent(changed);
      last = next;
      // A look at a large tree is no small thing: at most a tenth of the time goes into looking.
      pollTimer = setTimeout(lookAgain, Math.max(pollInterval, 9 * (performance.now() - startedAt)));
    };
    pollTimer = setTimeout(lookAgain, pollInterval);
  }

  async function warnOfPinned(scan: Scan): Promise<void> {
    const mounts = await readMountPoints();
    for (const { kind, path, real } of scan.entries) {
      if (kind !== 'file' || !mounts.has(real) || pinned.has(real)) continue;
      pinned.add(real);
      onWarning(
        `${path}: bind-mounted as a single file, which keeps showing the file that was there at the start: ` +
          'one renamed into its place never arrives; mount its directory instead',
      );
    }
  }

  await enqueue(arm);
  return {
    get mode() {
      return mode;
    },
    async close() {
      closed = true;
      bursts.cancel();
      clearTimeout(pollTimer);
      await enqueue(disarm);
    },
  };
}

function reasonFor(what: readonly string[]): string {
  const more = what.length > 1 ? ` and ${what.length - 1} more` : '';
  return `${what[0]}${more} changed`;
}

function reasonToPoll(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === 'ENOSPC')
    return 'no inotify watches left on this node (sysctl fs.inotify.max_user_watches); raise it';
  if (errno === 'EMFILE')
    return 'no inotify instances left on this node (sysctl fs.inotify.max_user_instances); raise it';
  return `inotify does not work here (${errno})`;
}
