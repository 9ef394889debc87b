/** Pods that come and go under load: no request is lost. */
import { expect, test } from 'vitest';
import { Stage } from './support.ts';

const modes = ['per-request', 'keep-alive'] as const;

test.each(modes)('a rolling update loses no request, %s', async (mode) => {
  await using stage = await Stage.deploy(`rolling-${mode}`, { variant: 'base' });
  const old = stage.serving.map(({ metadata }) => metadata.name);
  const load = stage.load({ mode });
  await load.completed(50);
  await stage.apply({ version: 'v2' });
  await stage.rolledOut();
  await stage.pods.until((pods) => !pods.some(({ metadata }) => old.includes(metadata.name)));
  await load.completed(50);
  const report = await load.stop();
  expect(report).toMatchObject({ failed: 0, stale: 0, samples: [] });
  expect([...report.versions.keys()]).toEqual(['v1', 'v2']);
});

test.each(modes)('a deleted pod loses no request, %s', async (mode) => {
  await using stage = await Stage.deploy(`deletion-${mode}`, { variant: 'base' });
  const [victim] = stage.serving;
  if (!victim) throw new Error('no pod serves');
  const load = stage.load({ mode });
  await load.completed(50);
  await stage.kubectl('delete', 'pod', victim.metadata.name);
  await load.completed(50);
  expect(await load.stop()).toMatchObject({ failed: 0, stale: 0, samples: [] });
});
