/** Whether it was for want of memory that the kernel killed a process: it sends SIGKILL, and tells nobody why. */

import { constants } from 'node:os';
import type { Cgroup } from './cgroup.ts';
import { outOfMemory } from './limits.ts';

const { SIGKILL } = constants.signals;

/**
 * How long a kill may wait for the end that it explains, ms. The counter rises before the signal is sent; the victim is
 * gone in an instant, but for one that the kernel holds. A later SIGKILL is somebody else's.
 */
const RECENT_MS = 10_000;

export interface OomOptions {
  readonly cgroup: Pick<Cgroup, 'limits' | 'oomKills'>;
  /** ms */
  readonly now: () => number;
  /** What an agent before saw last: what was killed since then, possibly itself, is told by this one. */
  readonly seen?: number | null | undefined;
  /** The kernel has killed this many more, main processes or others. */
  readonly onKills: (count: number, reason: string) => void;
}

/** The kernel counts the processes that it kills, and does not name them: each explains one end at the most. */
export class OomWatch {
  readonly #options: OomOptions;
  #seen: number | null;
  #unexplained = 0;
  #since = 0;

  constructor(options: OomOptions) {
    this.#options = options;
    this.#seen = options.seen ?? options.cgroup.oomKills();
  }

  /** Processes killed since the cgroup was made, when it was looked at last; null where the kernel does not tell. */
  get seen(): number | null {
    return this.#seen;
  }

  /** Due every now and then, so that a kill which ended none of the main processes explains none of their later ends. */
  look(): void {
    const { cgroup, now, onKills } = this.#options;
    const kills = cgroup.oomKills();
    if (kills === null) return;
    const more = kills - (this.#seen ?? kills);
    this.#seen = kills;
    if (more <= 0) return;
    this.#unexplained = this.#recent() + more;
    this.#since = now();
    onKills(more, outOfMemory(cgroup.limits()));
  }

  /**
   * Why a process ended that nobody here has killed: "out of memory (limit 64 MiB)", or null. Also where a shell ended
   * as its child did, with 128+9.
   */
  explain({ code, signal }: { readonly code: number; readonly signal: number }): string | null {
    this.look();
    const killed = signal === SIGKILL || (signal === 0 && code === 128 + SIGKILL);
    if (!killed || this.#recent() === 0) return null;
    this.#unexplained--;
    return outOfMemory(this.#options.cgroup.limits());
  }

  #recent(): number {
    return this.#options.now() - this.#since <= RECENT_MS ? this.#unexplained : 0;
  }
}
