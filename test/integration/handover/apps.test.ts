import { afterAll, describe, expect } from 'vitest';
import { type AppName, appNames, missingFor } from '../../apps/build.ts';
import type { Report } from '../../load/report.ts';
import { testWith } from '../../support/installed.ts';
import { Service } from '../../support/service.ts';

/** How each kept-alive connection fares is the server's own doing; these announce `Connection: close` while they drain. */
const announcing: readonly AppName[] = ['c', 'node', 'go'];
const HANDOVERS = 20;

const triggers: Record<string, (service: Service, version: string) => Promise<unknown>> = {
  'a file renamed over it': (service, version) => service.update(version),
  'a write in place': (service, version) => service.update(version, { replace: 'in-place' }),
  SIGHUP: async (service, version) => {
    await service.update(version);
    service.running.kill('SIGHUP');
  },
  'baton reload': async (service, version) => {
    await service.update(version);
    expect((await service.baton('reload')).stdout).toMatch(/^promoted/);
  },
};

const summary: string[] = [];
afterAll(() => console.log(`keep-alive, the server's own races:\n${summary.join('\n')}`));

describe.each(appNames)('%s is replaced under load', (app) => {
  const missing = missingFor(app);

  testWith(app)(
    missing.length > 0
      ? `cannot run here: ${missing.join(', ')} missing`
      : `${HANDOVERS} times without a failed request`,
    async () => {
      expect(missing).toEqual([]);
      await using service = await Service.start(app, { version: 'v0' });
      const perRequest = service.load({ mode: 'per-request', connections: 4, rate: 400 });
      const keepAlive = service.load({ mode: 'keep-alive', connections: 8, rate: 400 });
      const names = Object.keys(triggers);
      for (let handover = 1; handover <= HANDOVERS; handover++) {
        const version = `v${handover}`;
        const seen = Promise.all([perRequest.seen(version), keepAlive.seen(version)]);
        await triggers[names[handover % names.length] as string]?.(service, version);
        await seen;
      }
      const [single, kept] = await Promise.all([perRequest.stop(), keepAlive.stop()]);
      const outcomes = service.log.flatMap(({ outcome }) => outcome ?? []);
      const stopped = await service.stop();

      expect(single).toMatchObject({ failed: 0, stale: 0 });
      expect([...single.versions.keys()]).toEqual(Array.from({ length: HANDOVERS + 1 }, (_, i) => `v${i}`));
      if (announcing.includes(app)) expect(kept).toMatchObject({ failed: 0, stale: 0 });
      else
        summary.push(
          `${app}: ${raced(kept)} of ${kept.requests} requests, ${HANDOVERS} handovers, 8 connections`,
        );
      // A candidate serves from its first accept on: the next update may come before Baton has seen that, and supersede it.
      expect(outcomes.filter((outcome) => outcome !== 'promoted' && outcome !== 'superseded')).toEqual([]);
      expect(stopped).toEqual({ code: expect.any(Number), signal: null });
    },
    300_000,
  );
});

function raced({ failed, stale }: Report): number {
  return failed + stale;
}
