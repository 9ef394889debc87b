import { describe, expect } from 'vitest';
import { type AppName, appNames, missingFor } from '../../apps/build.ts';
import { testWith } from '../../support/installed.ts';
import { Service } from '../../support/service.ts';

const cases: readonly (readonly [AppName, number])[] = [
  ...appNames.map((app) => [app, 3000] as const),
  ['c', 20_000],
  ['go', 20_000],
];

describe.concurrent.each(cases)('a request to %s that takes %i ms', (app, ms) => {
  testWith(app)('is finished by the old generation while the new one answers', async () => {
    expect(missingFor(app)).toEqual([]);
    await using service = await Service.start(app, { version: 'old', flags: ['--stop-timeout', '60s'] });
    const { begun, result } = service.slow(ms);
    const { fields } = await begun;
    let finished = false;
    void result.then(() => {
      finished = true;
    });

    await service.update('new');
    service.running.kill('SIGHUP');
    const load = service.load({ mode: 'per-request', connections: 2, rate: 100 });
    await load.seen('new');
    await service.until(({ draining }) => draining.length === 1);
    expect(finished).toBe(false);

    const slow = await result;
    expect(slow).toMatchObject({ kind: 'ok' });
    if (slow.kind === 'ok') expect(slow.response.fields.get('x-pid')).toBe(fields.get('x-pid'));
    expect(fields.get('x-version')).toBe('old');
    expect(await load.stop()).toMatchObject({ failed: 0 });
    await service.until(({ draining }) => draining.length === 0);
  });
});
