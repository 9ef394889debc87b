/** The time that an orchestrator gives for a stop: Baton is done before it is over, and tells what that cost. */
import { kill } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { LogLine } from '../../support/deployed.ts';
import { Service } from '../../support/service.ts';

/** Runs the app and hears nothing of a stop. */
const deaf = (app: readonly string[]) => [
  'sh',
  '-c',
  'trap "" TERM; "$@" & while :; do wait; done',
  'sh',
  ...app,
];

const isLoss = ({ msg }: LogLine) => msg.includes('what it had begun is lost');
/** How long those that were killed had for their drain, s. */
const hadFor = ({ msg }: LogLine) => Number(/did not end within ([0-9.]+) s/.exec(msg)?.[1]);

describe.concurrent('a grace period', () => {
  test('too short for the drain: only what was in flight is lost, and that is told', async () => {
    await using service = await Service.start('c', { flags: ['--stop-grace', '3s'] });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 100 });
    const { begun, result } = service.slow(60_000);
    await begun;
    await load.completed(20);
    expect(await load.stop()).toMatchObject({ failed: 0 });
    const [pid] = (await service.status()).active?.processes.map(({ pid }) => pid) ?? [];
    expect(await service.stop()).toEqual({ code: 128 + 9, signal: null });
    expect((await result).kind).not.toBe('ok');
    expect(service.log.filter(isLoss)).toMatchObject([
      {
        level: 40,
        pids: [pid],
        msg: expect.stringContaining(`generation 1 (pid ${pid}) did not end within`),
      },
    ]);
    expect(service.log.find(isLoss)?.msg).toContain('stop-grace, 3s, leaves no more');
  });

  test('is shared by what a reload replaced, which had hours until then', async () => {
    await using service = await Service.start('c', {
      flags: ['--stop-grace', '2s', '--stop-timeout', '1h'],
      command: deaf,
    });
    expect(service.running.stderr).toMatch(
      /^--stop-timeout: 1h after a reload, but 1800ms when the container stops/m,
    );
    expect((await service.baton('reload')).code).toBe(0);
    await service.until(({ draining }) => draining.length === 1);
    expect(await service.stop()).toEqual({ code: 128 + 9, signal: null });
    expect(service.log.find(isLoss)?.msg).toMatch(
      /^generation 2 \(pid \d+\), generation 1 \(pid \d+\) did not end/,
    );
    expect(await service.leftovers()).toEqual([]);
  });

  test('is kept by the agent that follows one which was killed', async () => {
    await using service = await Service.start('c', { flags: ['--stop-grace', '6s'], command: deaf });
    service.running.kill('SIGTERM');
    await service.waitForLog(({ msg }) => msg === 'asking to stop');
    kill(await service.agentPid(), 'SIGKILL');
    await service.waitForLog(({ msg }) => msg === 'a new agent carries on');
    expect(await service.running.exit).toEqual({ code: 128 + 9, signal: null });
    expect(service.log.filter(isLoss)).toHaveLength(1);
  });

  test('counts from the signal, though the agent hangs when it comes', async () => {
    await using service = await Service.start('c', { flags: ['--stop-grace', '10s'], command: deaf });
    kill(await service.agentPid(), 'SIGSTOP');
    service.running.kill('SIGTERM');
    expect(await service.running.exit).toEqual({ code: 128 + 9, signal: null });
    // The next agent comes after 5 s of silence at the earliest, and 9 s are there for all.
    expect(hadFor(service.log.find(isLoss) as LogLine)).toBeLessThan(6);
  });

  test('counts from the preStop hook: drain, 503, the answer, SIGTERM, asked to stop at once', async () => {
    await using service = await Service.start('c', {
      flags: ['--drain-delay', '2s', '--stop-grace', '5s'],
      command: deaf,
    });
    const drain = service.baton('drain');
    await service.until(({ phase }) => phase === 'stopping');
    expect(await service.health('/readyz')).toMatchObject({ status: 503 });
    expect(await service.health('/livez')).toMatchObject({ status: 200 });
    expect(await drain).toMatchObject({ code: 0, stdout: 'drained\n' });
    expect(await service.stop()).toEqual({ code: 128 + 9, signal: null });
    const { log } = service;
    const signalled = log.findIndex(({ msg }) => msg === 'stop asked for by a signal');
    expect(log[signalled + 1]).toMatchObject({ msg: 'asking to stop' });
    // 4.5 s for all, of which 2 went to the hook.
    expect(hadFor(log.find(isLoss) as LogLine)).toBeLessThan(3.5);
  });
});
