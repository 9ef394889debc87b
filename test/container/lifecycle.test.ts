/** What an engine does to a container that lives: a signal, a stop, a restart, a pause. */
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { unharmed } from '../load/report.ts';
import { Container, containerTest, docker } from './support/container.ts';
import { Events } from './support/events.ts';

const SIGTERM = '15';
/** A client that is held up on a busy machine finds its idle connection open. */
const patient = { DRAIN_GRACE_MS: '5000' };

const busy = { connections: 4, rate: 100 };

containerTest('docker kill -s HUP starts what is there anew', async () => {
  await using container = await Container.start({ environment: patient });
  const loads = container.loads(busy);
  const { active } = await container.status();
  expect(await container.outcomeOf(() => container.kill('SIGHUP'))).toMatchObject({
    outcome: 'promoted',
    by: 'signal',
    generation: 2,
  });
  const [pid] = active?.processes ?? [];
  await Promise.all(
    loads.map((load) =>
      load.until(
        (result) => result.kind === 'ok' && result.response.fields.get('x-pid') !== String(pid?.pid),
      ),
    ),
  );
  for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);
});

describe('docker stop', () => {
  containerTest('waits for what is being answered, and exits with 0', async () => {
    await using container = await Container.start();
    using events = await Events.of(container.id);
    const { begun, result } = container.slow(3000);
    await begun;
    expect(await container.stop()).toBe(0);
    expect((await result).kind).toBe('ok');
    expect(events.signals).toEqual([SIGTERM]);
  });

  containerTest('serves on, not ready, for the drain delay', async () => {
    await using container = await Container.start({ environment: { BATON_DRAIN_DELAY: '2s' } });
    const load = container.load({ mode: 'per-request', connections: 2, rate: 50 });
    await load.completed(1);
    const stopped = container.stop();
    await container.until(({ ready }) => !ready);
    await load.completed(20);
    expect(await container.health('/livez')).toMatchObject({ status: 200 });
    expect(await load.stop()).toMatchObject(unharmed);
    expect(await stopped).toBe(0);
  });

  containerTest('with too short a time: Baton tells what is lost before the engine kills', async () => {
    await using container = await Container.start({ environment: { BATON_STOP_GRACE: '3s' } });
    using events = await Events.of(container.id);
    const { begun, result } = container.slow(30_000);
    await begun;
    expect(await container.stop(3)).toBe(137);
    expect((await result).kind).not.toBe('ok');
    expect(events.signals).toEqual([SIGTERM]);
    expect(container.log.map(({ msg }) => msg)).toContainEqual(
      expect.stringMatching(
        /^generation 1 \(pid \d+\) did not end within .* was killed, what it had begun is lost: stop-grace/,
      ),
    );
  });

  containerTest('with less time than Baton was told of, the engine kills everything', async () => {
    await using container = await Container.start();
    using events = await Events.of(container.id);
    const { begun, result } = container.slow(30_000);
    await begun;
    expect(await container.stop(1)).toBe(137);
    expect((await result).kind).not.toBe('ok');
    expect(events.signals).toEqual([SIGTERM, '9']);
  });
});

containerTest(
  'docker restart finishes what was begun, and starts what is on the volume by then',
  async () => {
    await using container = await Container.start({ flags: ['--watch', 'off'], healthInterval: 1000 });
    using events = await Events.of(container.id);
    await events.until(({ verdicts }) => verdicts.length === 1);
    await container.update('v2');
    const { begun, result } = container.slow(2000);
    expect((await begun).fields.get('x-version')).toBe('v1');
    await docker.getContainer(container.id).restart({ t: 10 });
    expect(await result).toMatchObject({ kind: 'ok' });
    expect(events.signals).toEqual([SIGTERM]);
    await events.until(({ verdicts }) => verdicts.length === 2);
    const load = container.load({ mode: 'per-request', connections: 1 });
    await load.seen('v2');
    expect(await load.stop()).toMatchObject(unharmed);
    expect(events.verdicts).toEqual(['healthy', 'healthy']);
  },
);

/** More than the five pings that an agent may miss. The length of the pause is what is tried: there is nothing to wait for. */
const PAUSE_MS = 8000;

async function pauseFor(container: Container, during: () => unknown = () => {}): Promise<void> {
  await docker.getContainer(container.id).pause();
  await during();
  await wait(PAUSE_MS);
  await docker.getContainer(container.id).unpause();
}

/** Each agent says once where the sockets are. */
const agentsOf = ({ log }: Container) => log.filter(({ msg }) => msg === 'listening').length;

describe('docker pause', () => {
  containerTest('holds everybody up, and nothing is taken for a hang', async () => {
    await using container = await Container.start({ healthInterval: 1000, environment: patient });
    using events = await Events.of(container.id);
    await events.until(({ verdicts }) => verdicts.length === 1);
    const loads = container.loads(busy);
    await Promise.all(loads.map((load) => load.completed(10)));
    // What is changed meanwhile is found afterwards.
    const outcome = await container.outcomeOf(() => pauseFor(container, () => container.update('v2')));
    expect(outcome).toMatchObject({ outcome: 'promoted', by: 'watch', generation: 2 });
    await Promise.all(loads.map((load) => load.seen('v2')));
    for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);
    // The engine does not probe meanwhile, and begins anew.
    const { length: before } = events.probes;
    await events.until(({ probes }) => probes.length > before + 3);
    expect(events.verdicts).toEqual(['healthy', 'healthy']);
    expect(new Set(events.probes)).toEqual(new Set(['0']));
    expect(agentsOf(container)).toBe(1);
  });

  containerTest('in the middle of a handover does not count as the time of the candidate', async () => {
    await using container = await Container.start({
      // The answer is there only after the agent has read it, which is after its timers.
      flags: ['--ready', 'exec:/bin/sleep 2', '--ready-timeout', '5s'],
      environment: patient,
    });
    const loads = container.loads(busy);
    const outcome = await container.outcomeOf(async () => {
      await container.update('v2');
      await container.until(({ candidate }) => candidate !== null);
      await pauseFor(container);
    });
    expect(outcome).toMatchObject({ outcome: 'promoted', generation: 2 });
    await Promise.all(loads.map((load) => load.seen('v2')));
    for (const load of loads) expect(await load.stop()).toMatchObject(unharmed);
    expect(agentsOf(container)).toBe(1);
  });

  containerTest('ends with docker stop, which is like any other', async () => {
    await using container = await Container.start();
    using events = await Events.of(container.id);
    const { begun, result } = container.slow(3000);
    await begun;
    await docker.getContainer(container.id).pause();
    expect(await container.stop()).toBe(0);
    expect((await result).kind).toBe('ok');
    expect(events.signals).toEqual([SIGTERM]);
  });
});
