/** Waiting until nothing changes any more, so that a file half written is not taken. */
import { setTimeout as sleep } from 'node:timers/promises';
import { difference, type Scan } from './scan.ts';

export interface Look {
  readonly scan: Scan;
  /** Why it could not be taken as it is now, or null. May pass: a deploy removes before it writes. */
  readonly trouble: Error | null;
}

export interface Clock {
  /** Monotonic, ms. */
  now(): number;
  /** Wall clock, ms since the epoch: comparable with mtimes. */
  wall(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
};

export interface SettleOptions {
  /** How long everything must stand still, ms, >= 0. */
  readonly settle: number;
  /** When to give up, on the monotonic clock, ms. */
  readonly giveUpAt: number;
  /** Whether what was last written long ago may be taken at the first look. */
  readonly atOnce: boolean;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/**
 * Looks until size, mtime, ctime, inode, mode and link texts of everything have stood still for `settle` ms. Polls,
 * since a file system event would say no more than the next look, and not every file system sends them.
 *
 * A program renamed into place was complete before it got its name: where nothing was written within the last
 * `settle` ms, and nothing is wrong with it, the first look is enough.
 * @throws Error naming the path that kept changing; the reason of `signal` when aborted.
 */
export async function settle<T extends Look>(look: () => Promise<T>, options: SettleOptions): Promise<T> {
  const { clock, signal } = options;
  let before = clock.now();
  let last = await look();
  if (options.settle === 0) return last;
  const age = clock.wall() - newestWrite(last.scan);
  if (options.atOnce && last.trouble === null && age >= options.settle) return last;
  let stillSince = clock.now();
  let changing: string | null = null;
  for (;;) {
    // A look at a large tree is no small thing: at most a fifth of the time goes into looking.
    const cost = clock.now() - before;
    await clock.sleep(Math.max(Math.min(options.settle / 4, 100), cost * 4, 1), signal);
    before = clock.now();
    const next = await look();
    const changed = difference(last.scan, next.scan);
    if (changed !== null) {
      changing = changed;
      stillSince = clock.now();
    }
    last = next;
    if (before - stillSince >= options.settle) return last;
    if (before >= options.giveUpAt)
      throw new Error(stillChanging(changing ?? last.scan.entries[0]?.path ?? ''));
  }
}

export function stillChanging(path: string): string {
  return `${path}: still changing; write elsewhere and rename into place, or watch only what a deploy writes`;
}

/** When a file was last written, or an entry of a watched directory came or went, ms since the epoch. */
function newestWrite(scan: Scan): number {
  let newest = 0;
  for (const { kind, stat } of scan.entries) {
    // A link is swapped in one step: its age says nothing about what it points to.
    if (stat && kind !== 'link') newest = Math.max(newest, Number(stat.mtimeMs));
  }
  return newest;
}
