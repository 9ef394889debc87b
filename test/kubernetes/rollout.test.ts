/** Pods that come and go under load: no request is lost. */
import { expect } from 'vitest';
import { clusterTest, restarts, Stage } from './support.ts';

const names = (stage: Stage) => stage.serving.map(({ metadata }) => metadata.name);

clusterTest.each([
  { client: 'hears of each endpoint at once', delayMs: 0 },
  { client: 'hears of each endpoint 10 s later', delayMs: 10_000 },
])('a rolling update loses no request of a client that $client', async ({ delayMs }) => {
  await using stage = await Stage.deploy(`rolling-${delayMs}`, { variant: 'base' });
  const old = names(stage);
  await using traffic = stage.traffic(delayMs);
  await traffic.completed(50);
  await stage.apply({ version: 'v2' });
  await stage.rolledOut();
  await stage.gone(old);
  await traffic.completed(50);
  expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1', 'v2'] });
});

clusterTest('a deleted pod loses no request', async () => {
  await using stage = await Stage.deploy('deletion', { variant: 'base' });
  const victim = stage.pod.metadata.name;
  await using traffic = stage.traffic();
  await traffic.completed(50);
  await stage.kubectl('delete', 'pod', victim);
  await stage.rolledOut();
  await traffic.completed(50);
  expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1'] });
  expect(names(stage)).not.toContain(victim);
});

clusterTest(
  'a program that never gets ready: the kubelet ends its pod by the startup probe, the old ones serve on',
  async () => {
    await using stage = await Stage.deploy('never-ready', { variant: 'base' });
    const old = names(stage);
    await using traffic = stage.traffic();
    await traffic.completed(50);
    const patch = { containers: [{ name: 'app', startupProbe: { failureThreshold: 3 } }] };
    await stage.apply({ version: 'never-ready', patch });
    const pods = await stage.pods.until((now) => now.some((pod) => restarts(pod) > 0));
    const told = pods.flatMap(
      ({ status }) => status.containerStatuses?.[0]?.lastState?.terminated?.message ?? [],
    );
    expect(told).toEqual(['stopped as asked\n']);
    const verdict = 'Container app failed startup probe, will be restarted';
    await stage.events.until((events) => events.some(({ message }) => message === verdict));
    await traffic.completed(50);
    expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1'] });
    expect(names(stage).toSorted()).toEqual(old.toSorted());
  },
);
