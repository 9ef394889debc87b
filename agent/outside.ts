/** The handover's state as the world outside sees it: health pages, routed signals, the kernel's choice, pid file, store. */

import type { Config } from '../config/schema.ts';
import type { Store } from './artifact/store.ts';
import { OOM_FIRST, ownOomScore } from './container/oom-score.ts';
import type { Projection, State } from './handover/state.ts';
import { generations } from './handover/turn.ts';
import type { Publisher } from './health/publisher.ts';
import type { Init } from './init.ts';
import type { Log } from './log.ts';
import type { Notifications } from './notifications.ts';
import { removePidfile, writePidfile } from './pidfile.ts';
import { routedSignals } from './signals.ts';

export interface OutsideParts {
  readonly init: Init;
  readonly log: Log;
  readonly config: Config;
  readonly store: Store;
  readonly publisher: Publisher;
  readonly notifications: Notifications;
}

export class Outside {
  readonly #parts: OutsideParts;
  readonly #routed: readonly number[];
  /** The digests that the store was last pruned to; null when something may have been added since. */
  #stored: readonly string[] | null = null;

  constructor(parts: OutsideParts) {
    this.#parts = parts;
    this.#routed = routedSignals(parts.config);
  }

  /** Makes true what has changed. The pages come first: nobody is asked to stop before they say so. */
  apply(now: Projection, before: Projection | null, state: State): void {
    const { init, log, publisher, notifications } = this.#parts;
    publisher.publish(state, now);
    if (String(now.routes) !== String(before?.routes))
      init
        .route(this.#routed, now.routes)
        .catch((error: Error) => log.error(`signal routes: ${error.message}`));
    this.#weigh(now, before, state);
    if (now.mainPid !== null && now.mainPid !== before?.mainPid) this.#writePidfile(now.mainPid);
    for (const { pid, state: stage } of state.active?.processes ?? [])
      if (pid !== null && stage === 'ready') notifications.finish(pid);
    void this.#prune(state);
  }

  /** At the end: nothing is left behind, as far as that can be had. */
  async clear(): Promise<void> {
    const { pidfile } = this.#parts.config;
    if (pidfile !== null) this.#tryPidfile(() => removePidfile(pidfile));
    await this.#pruneTo([]);
  }

  /**
   * Whom the kernel takes first when memory runs out. A new agent cannot know how far the last one got: what is active
   * is made like PID 1 again, whose own value is this process's, too.
   */
  #weigh({ expendable }: Projection, before: Projection | null, { active }: State): void {
    const { init, log } = this.#parts;
    const weigh = (pid: number, score: number) =>
      init
        .oom(pid, score)
        .catch((error: Error) => log.debug({ pid }, `oom_score_adj ${score}: ${error.message}`));
    for (const pid of expendable) if (!before?.expendable.includes(pid)) void weigh(pid, OOM_FIRST);
    for (const { pid } of active?.processes ?? [])
      if (pid !== null && (before === null || before.expendable.includes(pid)))
        void weigh(pid, ownOomScore());
  }

  /** After each preparation, and when a generation is gone: most steps of the machine change nothing that is in the store. */
  async #prune(state: State): Promise<void> {
    if (state.preparing) {
      this.#stored = null;
      return;
    }
    const digests = generations(state).map(({ artifact }) => artifact.digest);
    if (String(digests) === String(this.#stored)) return;
    this.#stored = digests;
    await this.#pruneTo(digests);
  }

  /** A copy that cannot be removed costs room, and nothing else. */
  async #pruneTo(digests: readonly string[]): Promise<void> {
    const { store, log } = this.#parts;
    await store.prune(digests).catch((error: Error) => log.warn(`store: ${error.message}`));
  }

  #writePidfile(pid: number): void {
    const { pidfile } = this.#parts.config;
    if (pidfile !== null) this.#tryPidfile(() => writePidfile(pidfile, pid));
  }

  #tryPidfile(act: () => void): void {
    const { config, log } = this.#parts;
    try {
      act();
    } catch (error) {
      log.error(
        `pidfile ${config.pidfile}: ${(error as NodeJS.ErrnoException).code}; the service goes on without it`,
      );
    }
  }
}
