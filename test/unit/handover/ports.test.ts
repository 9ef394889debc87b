import { expect, test } from 'vitest';
import { processPorts, type World } from '../../../agent/handover/ports.ts';
import type { SpawnRequest } from '../../../agent/init.ts';
import { openLog } from '../../../agent/log.ts';
import { configOf } from '../config/support.ts';

/** What PID 1 is told of a process. */
async function spawned(...flags: string[]): Promise<SpawnRequest> {
  const requests: SpawnRequest[] = [];
  const init = {
    spawn: async (request: SpawnRequest) => {
      requests.push(request);
      return 7;
    },
  };
  const world: Partial<Record<keyof World, unknown>> = {
    init,
    log: await openLog({ level: 'fatal', format: 'json' }),
    config: await configOf({ argv: [...flags, '--', 'server'] }),
    listeners: [],
    limits: () => ({ cpu: null, memory: null }),
  };
  const artifact = { digest: 'a', path: '/store/a/server', source: '/srv/server' };
  await processPorts(world as unknown as World).spawn({
    type: 'spawn',
    key: '1.0.1',
    generation: 1,
    instance: 0,
    artifact,
  });
  return requests[0] as SpawnRequest;
}

test.each([
  ['all that the grace leaves, where no stop-timeout is given', [], 59_000],
  ['a stop-timeout that is given', ['--stop-timeout', '5s'], 5000],
])('a stop that PID 1 makes without an agent gives %s', async (_, flags, stopTimeout) => {
  expect(await spawned('--stop-grace', '60s', ...flags)).toMatchObject({ stopTimeout, stopGrace: 59_000 });
});
