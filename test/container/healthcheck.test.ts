/** HEALTHCHECK with the native client: what the engine sees of fifty handovers. */
import { expect } from 'vitest';
import { unharmed } from '../load/report.ts';
import { Container, containerTest } from './support/container.ts';
import { Events } from './support/events.ts';

const HANDOVERS = 50;
/** Both ways of asking for one, and each tenth loses its agent. */
const isReload = (handover: number) => handover % 5 === 0;
const losesAgent = (handover: number) => handover % 10 === 3;
/** Never the one before, with a reload in between or not: what runs already is no change. */
const versionOf = (handover: number) => `v${1 + (handover % 3)}`;

containerTest('healthy through fifty handovers, five of which lose their agent', async () => {
  await using container = await Container.start({
    healthInterval: 1000,
    // A client that is held up on a busy machine finds its idle connection open.
    environment: { DRAIN_GRACE_MS: '5000' },
  });
  using events = await Events.of(container.id);
  await events.until(({ verdicts }) => verdicts.length > 0);
  const loads = container.loads({ connections: 4, rate: 100 });

  for (let handover = 1; handover <= HANDOVERS; handover++) {
    const outcome = await container.outcomeOf(async () => {
      if (isReload(handover)) await container.kill('SIGHUP');
      else await container.update(versionOf(handover));
      if (losesAgent(handover)) process.kill(await container.agentPid(), 'SIGKILL');
    });
    expect(outcome, `handover ${handover}`).toMatchObject({ outcome: 'promoted' });
  }
  await events.until(({ probes }) => probes.length > 20);

  expect(events.verdicts).toEqual(['healthy']);
  expect(new Set(events.probes)).toEqual(new Set(['0']));
  for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);
  const agents = container.log.filter(({ msg }) => msg === 'listening');
  expect(agents).toHaveLength(6);
  expect(await container.stop()).toBe(0);
});
