/** Two Batons in one network namespace, or in one PID namespace, where one of them is not PID 1. */
import { describe, expect } from 'vitest';
import { unharmed } from '../load/report.ts';
import { Container, containerTest } from './support/container.ts';

const generationOf = async (container: Container) => {
  const { exitCode, output } = await container.baton('status', '--json');
  return { exitCode, generation: JSON.parse(output).active.generation };
};

describe('a shared network namespace', () => {
  containerTest('each answers for itself, and the second runs without a health endpoint', async () => {
    await using first = await Container.start();
    await using second = await Container.start({
      hostConfig: { NetworkMode: `container:${first.id}` },
    });
    expect(second.log.filter(({ level }) => level >= 40).map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^health endpoint: .*:9901: .*EADDRINUSE; running without it/),
    ]);
    const loads = [first, second].flatMap((container) => container.loads());
    await Promise.all(loads.map((load) => load.completed(1)));
    expect(await second.outcomeOf(() => second.update('v2'))).toMatchObject({ outcome: 'promoted' });
    expect(await second.baton('reload')).toMatchObject({ exitCode: 0 });
    expect(await generationOf(first)).toEqual({ exitCode: 0, generation: 1 });
    expect(await generationOf(second)).toEqual({ exitCode: 0, generation: 3 });
    expect(await second.baton('health')).toMatchObject({ exitCode: 0 });
    await Promise.all(loads.map((load) => load.completed(10)));
    for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);

    expect(await second.stop()).toBe(0);
    expect(await first.baton('health')).toMatchObject({ exitCode: 0 });
    expect(await first.stop()).toBe(0);
  });
});

describe('a shared PID namespace', () => {
  containerTest('whoever is not PID 1 does all the same, and leaves nobody behind', async () => {
    await using first = await Container.start();
    await using second = await Container.start({ hostConfig: { PidMode: `container:${first.id}` } });
    expect(second.log.filter(({ level }) => level >= 40)).toEqual([]);
    const loads = [first, second].flatMap((container) => container.loads());
    expect(await second.outcomeOf(() => second.update('v2'))).toMatchObject({ outcome: 'promoted' });
    await Promise.all(loads.slice(2).map((load) => load.seen('v2')));
    expect(await second.outcomeOf(() => second.update('v3', { variant: 'exits-at-once' }))).toMatchObject({
      outcome: 'failed',
    });
    expect(await generationOf(first)).toEqual({ exitCode: 0, generation: 1 });
    expect(await generationOf(second)).toEqual({ exitCode: 0, generation: 2 });
    await Promise.all(loads.map((load) => load.completed(10)));
    for (const load of loads.slice(2)) expect(await load.stop()).toMatchObject(unharmed);

    expect(await second.stop()).toBe(0);
    const { output: left } = await first.exec(['/bin/sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "']);
    expect(left.match(/\/srv\/app\/app /g)).toHaveLength(1 + 2); // what the first runs, and the arguments of its Baton and its agent
    for (const load of loads.slice(0, 2)) expect(await load.stop()).toMatchObject(unharmed);
    expect(await first.stop()).toBe(0);
  });
});
