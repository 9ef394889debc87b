/** Keeps the health pages true: at each change at once, the metrics every few seconds as well. */

import type { Outcome, Projection, State } from '../handover/state.ts';
import { type Counted, createMetrics } from './metrics.ts';
import type { Pages } from './pages.ts';
import { pagesOf, type Surroundings, statusOf } from './status.ts';

const REFRESH_MS = 5000;

export interface Publisher {
  /** Written when this returns: the pages never lag behind a signal that is sent afterwards. */
  publish(state: State, projection: Projection): void;
  recorded(outcome: Outcome): void;
  crashed(): void;
}

export interface PublisherOptions {
  readonly pages: Pages;
  readonly around: () => Surroundings;
  /** What PID 1 and the kernel counted. */
  readonly counted: () => Counted;
  readonly now: () => number;
}

export function createPublisher({ pages, around, counted, now }: PublisherOptions): Publisher {
  const metrics = createMetrics();
  const drainingSince = new Map<number, number>();
  /** Null before the first rendering, which is asynchronous. */
  let rendered: string | null = null;
  let latest: { state: State; projection: Projection } | null = null;

  const write = () => {
    if (!latest) return;
    const status = statusOf(latest.state, latest.projection, around());
    pages.publish(pagesOf(status, latest.projection, { type: metrics.type, body: rendered }));
  };

  const refresh = async () => {
    if (!latest) return;
    rendered = await metrics.render({ ...latest, ...counted() });
    write();
  };
  setInterval(refresh, REFRESH_MS);

  const followDrains = (state: State) => {
    const ids = new Set(state.draining.map(({ id }) => id));
    for (const id of ids) if (!drainingSince.has(id)) drainingSince.set(id, now());
    for (const [id, since] of drainingSince) {
      if (ids.has(id)) continue;
      metrics.drained((now() - since) / 1000);
      drainingSince.delete(id);
    }
  };

  return {
    publish(state, projection) {
      latest = { state, projection };
      followDrains(state);
      write();
      if (rendered === null) void refresh();
    },
    recorded(outcome) {
      metrics.recorded(outcome);
      void refresh();
    },
    crashed() {
      metrics.crashed();
      void refresh();
    },
  };
}
