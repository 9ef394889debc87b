/** A container's limits: what the program is told of them, and a version that does not fit. */
import { copyFile, rename, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { unharmed } from '../load/report.ts';
import { Container, containerTest, docker } from './support/container.ts';

const MEBIBYTE = 1 << 20;

/** What the serving program finds in its environment. */
async function told(container: Container): Promise<Record<string, string>> {
  const { active } = await container.status();
  const { output } = await container.exec(['cat', `/proc/${active?.processes[0]?.pid}/environ`]);
  const entries = output.split('\0').filter((entry) => /^BATON_(CPU|MEMORY)_LIMIT=/.test(entry));
  return Object.fromEntries(entries.map((entry) => entry.split('=') as [string, string]));
}

const memory = (mebibytes: number) => ({ Memory: mebibytes * MEBIBYTE, MemorySwap: mebibytes * MEBIBYTE });

describe('the limits', () => {
  containerTest('are told to the program, and after docker update to the next generation', async () => {
    await using container = await Container.start({ hostConfig: { NanoCpus: 5e8, ...memory(256) } });
    expect(await told(container)).toEqual({
      BATON_CPU_LIMIT: '0.5',
      BATON_MEMORY_LIMIT: String(256 * MEBIBYTE),
    });
    await docker.getContainer(container.id).update({ NanoCpus: 15e8, ...memory(512) });
    expect(await container.baton('reload')).toMatchObject({ exitCode: 0 });
    expect(await told(container)).toEqual({
      BATON_CPU_LIMIT: '1.5',
      BATON_MEMORY_LIMIT: String(512 * MEBIBYTE),
    });
  });

  containerTest('are not invented', async () => {
    await using container = await Container.start();
    expect(await told(container)).toEqual({});
  });
});

containerTest('a version that does not fit is killed for that, and nobody else is', async () => {
  await using container = await Container.start({ hostConfig: memory(256) });
  const loads = container.loads();
  const probes = container.probe('/readyz');
  await Promise.all(loads.map((load) => load.completed(1)));
  const outcome = await container.outcomeOf(() => container.update('greedy', { variant: 'fills-memory' }));
  expect(outcome).toMatchObject({
    outcome: 'failed',
    generation: 2,
    msg: 'failed generation 2: was killed by the kernel: out of memory (limit 256 MiB) before it was ready',
  });
  await Promise.all(loads.map((load) => load.completed(10)));
  for (const load of [...loads, probes]) expect(await load.stop()).toMatchObject(unharmed);
  expect(container.log.map(({ msg }) => msg)).not.toContain('a new agent carries on');
});

containerTest('a version whose copy does not fit into memory is refused, and nobody is killed', async () => {
  const hostConfig = { ...memory(128), Tmpfs: { '/run/baton': 'exec' } };
  await using container = await Container.start({ hostConfig });
  const loads = container.loads();
  await Promise.all(loads.map((load) => load.completed(1)));
  const program = join(container.directory, 'volume/app');
  const outcome = await container.outcomeOf(async () => {
    await copyFile(program, `${program}.new`);
    await truncate(`${program}.new`, 256 * MEBIBYTE);
    await rename(`${program}.new`, program);
  });
  expect(outcome).toMatchObject({
    outcome: 'refused',
    msg: expect.stringMatching(
      /no room for a copy in \/run\/baton\/1, which is in memory: it takes 256 MiB, and \d+ MiB are left/,
    ),
  });
  await Promise.all(loads.map((load) => load.completed(10)));
  for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);
  expect(container.log.map(({ msg }) => msg)).not.toContainEqual(expect.stringContaining('out of memory'));
});
