/** Every base × user × way of being started: a start, a hot restart under load, a bad version, a stop. */
import type { HostConfig } from 'dockerode';
import { describe, expect, vi } from 'vitest';
import { unharmed } from '../load/report.ts';
import { Container, containerTest } from './support/container.ts';
import { type Base, baseNames } from './support/engine.ts';

const MEBIBYTE = 1 << 20;

/** The last has no line in anybody's passwd. */
const users = ['0', '1000', '123456'];

const bare: HostConfig = { CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'] };
const ways: Readonly<Record<string, HostConfig>> = {
  'as it is': {},
  'read-only': { ReadonlyRootfs: true },
  'no capability, no new privileges': bare,
  'read-only, no capability, no new privileges': { ...bare, ReadonlyRootfs: true },
  'behind --init': { Init: true },
  'half a processor, 256 MiB': { NanoCpus: 5e8, Memory: 256 * MEBIBYTE, MemorySwap: 256 * MEBIBYTE },
  'no network': { NetworkMode: 'none' },
};

const cells = baseNames.flatMap((base) =>
  users.flatMap((user) => Object.entries(ways).map(([way, hostConfig]) => ({ base, user, way, hostConfig }))),
);

// Two processors: more at once take no less time.
vi.setConfig({ maxConcurrency: 3 });

describe.concurrent('every base, every user, every way of being started', () => {
  for (const { base, user, way, hostConfig } of cells)
    containerTest(`${base}, user ${user}, ${way}`, async () => {
      await using container = await Container.start({ base, user, hostConfig });
      expect(await container.inspect()).toMatchObject({ Config: { User: user }, HostConfig: hostConfig });
      expect(complaints(container)).toEqual(
        storeIsPossible(base, user, hostConfig) ? [] : [expect.stringMatching(/^no store for snapshots \(/)],
      );

      const loads = container.loads();
      expect(await container.outcomeOf(() => container.update('v2'))).toMatchObject({
        outcome: 'promoted',
        generation: 2,
      });
      await Promise.all(loads.map((load) => load.seen('v2')));
      expect(
        await container.outcomeOf(() => container.update('v3', { variant: 'exits-at-once' })),
      ).toMatchObject({
        outcome: 'failed',
        generation: 3,
        msg: 'failed generation 3: exited with code 3 before it was ready',
      });
      await Promise.all(loads.map((load) => load.completed(10)));
      expect(await container.baton('health')).toMatchObject({ exitCode: 0 });
      for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);

      const { begun, result } = container.slow(300);
      await begun;
      const [code, last] = await Promise.all([container.stop(), result]);
      expect(last.kind).toBe('ok');
      expect(code).toBe(0);
    });
});

/** What Baton found worth a warning, in its log or as a plain line of PID 1's. */
function complaints({ log, output }: Container): string[] {
  const warnings = log.filter(({ level }) => level >= 40).map(({ msg }) => msg);
  return [...warnings, ...output.split('\n').filter((line) => line !== '' && !line.startsWith('{'))];
}

/** A place that can be written to: the root file system for root, /tmp for others, which an empty image does not have. */
function storeIsPossible(base: Base, user: string, { ReadonlyRootfs }: HostConfig): boolean {
  return !ReadonlyRootfs && (base !== 'scratch' || user === '0');
}
