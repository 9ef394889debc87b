/** The agent may die at any moment: the service, its probes and whoever waits for an answer do not notice. */

import { kill } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Report } from '../../load/report.ts';
import { unharmed } from '../../load/report.ts';
import { Gate } from '../../support/gate.ts';
import { Service, type ServiceOptions } from '../../support/service.ts';

/** The service under load and both probes, all of which have to go without a failure. */
async function watched(options: ServiceOptions = {}) {
  const service = await Service.start('c', { version: 'old', ...options });
  const watchers = {
    load: service.load({ mode: 'per-request', connections: 2, rate: 200 }),
    livez: service.probe('/livez'),
    readyz: service.probe('/readyz'),
  };
  return {
    service,
    watchers,
    async harm(): Promise<Record<keyof typeof watchers, Report>> {
      const [load, livez, readyz] = await Promise.all([
        watchers.load.stop(),
        watchers.livez.stop(),
        watchers.readyz.stop(),
      ]);
      return { load, livez, readyz };
    },
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  };
}

/** Kills the agent, and waits until the next one has taken over. */
async function killAgent(service: Service): Promise<void> {
  const from = service.log.length;
  kill(await service.agentPid(), 'SIGKILL');
  await service.waitForLog(({ msg }) => msg === 'a new agent carries on', from);
}

/** One recorded outcome for each handover, newest first. */
async function outcomes(service: Service) {
  const { history } = await service.until(({ phase, waiting }) => phase === 'steady' && !waiting);
  return history.map(({ result, generation }) => [result, generation]);
}

describe.concurrent('the agent is killed', () => {
  test('steady: the next one is told nothing twice, and reloads as the last would have', async () => {
    await using run = await watched();
    const { service, watchers } = run;
    service.running.kill('SIGHUP');
    await service.until(({ active, phase }) => active?.generation === 2 && phase === 'steady');
    expect((await service.baton('reload')).code).toBe(0);
    await service.until(({ phase }) => phase === 'steady');
    for (let time = 0; time < 3; time++) await killAgent(service);
    await Promise.all([watchers.load.seen('new'), service.update('new')]);
    expect(await outcomes(service)).toEqual([
      ['promoted', 4],
      ['promoted', 3],
      ['promoted', 2],
      ['promoted', 1],
    ]);
    await service.waitForLog(({ msg, process }) => msg === 'process ended' && process === '3.0.3');
    const told = service.log.filter(({ msg }) => /asked for|process ended/.test(msg));
    expect(told.map(({ msg, process }) => process ?? msg)).toEqual([
      'reload asked for by a signal',
      '1.0.1',
      'reload asked for on the control socket',
      '2.0.2',
      '3.0.3',
    ]);
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
  });

  test('while nobody watches the volume, which changes: the next one sees it', async () => {
    await using run = await watched();
    const { service, watchers } = run;
    const seen = watchers.load.seen('new');
    kill(await service.agentPid(), 'SIGKILL');
    await service.update('new');
    await seen;
    expect(await outcomes(service)).toEqual([
      ['promoted', 2],
      ['promoted', 1],
    ]);
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
  });

  test('preparing: it is prepared again, and who waits is answered', async () => {
    await using run = await watched({ flags: ['--settle', '1500ms'] });
    const { service } = run;
    await service.update('new');
    const reload = service.baton('reload');
    await service.until(({ phase }) => phase === 'preparing');
    await killAgent(service);
    expect(await reload).toMatchObject({ code: 0, stdout: 'promoted: generation 2 serves\n' });
    expect(await outcomes(service)).toEqual([
      ['promoted', 2],
      ['promoted', 1],
    ]);
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
  });

  test('starting: the same candidate is promoted, and who waits is answered', async () => {
    await using gate = await Gate.opened();
    await using run = await watched({ flags: ['--ready', gate.readiness] });
    const { service, watchers } = run;
    await gate.close();
    await service.update('new');
    const reload = service.baton('reload');
    const { candidate } = await service.until(({ candidate }) => candidate?.processes[0]?.pid != null);
    await killAgent(service);
    await gate.open();
    await watchers.load.seen('new');
    expect(await reload).toMatchObject({
      code: 0,
      stdout: `promoted: generation ${candidate?.generation} serves\n`,
    });
    const { active } = await service.status();
    expect(active?.processes[0]?.pid).toBe(candidate?.processes[0]?.pid);
    const [newest, ...rest] = await outcomes(service);
    expect(newest).toEqual(['promoted', candidate?.generation]);
    expect(rest.filter(([result]) => result === 'promoted')).toEqual([['promoted', 1]]);
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
  });

  test('starting what never gets ready: its time is up when it would have been', async () => {
    await using run = await watched({ flags: ['--ready-timeout', '3s'] });
    const { service } = run;
    await service.update('stuck', { variant: 'never-ready' });
    await service.until(({ candidate }) => candidate?.processes[0]?.pid != null);
    const reload = service.baton('reload');
    await service.until(({ waiting }) => waiting);
    await killAgent(service);
    const answer = await reload;
    expect(answer.code).toBe(1);
    expect(answer.stdout).toMatch(/^failed: generation 3: was not ready within 3s/);
    expect(await outcomes(service)).toEqual([
      ['failed', 3],
      ['failed', 2],
      ['promoted', 1],
    ]);
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
  });

  test('draining: the old generation finishes its request', async () => {
    await using run = await watched();
    const { service, watchers } = run;
    const { begun, result } = service.slow(3000);
    await begun;
    await Promise.all([watchers.load.seen('new'), service.update('new')]);
    await service.until(({ phase }) => phase === 'draining');
    await killAgent(service);
    expect(await result).toMatchObject({ kind: 'ok' });
    expect(await outcomes(service)).toEqual([
      ['promoted', 2],
      ['promoted', 1],
    ]);
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
  });

  test('in the lame duck: it goes on serving, not ready, until its time is up', async () => {
    await using run = await watched({ flags: ['--drain-delay', '60s', '--stop-grace', '2m'] });
    const { service, watchers } = run;
    expect(await watchers.readyz.stop()).toMatchObject(unharmed);
    service.running.kill('SIGTERM');
    await service.until(({ phase }) => phase === 'stopping');
    const unready = service.probe('/readyz');
    await killAgent(service);
    await watchers.load.completed(50);
    expect(await unready.stop()).toMatchObject({ ok: 0 });
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed });
    service.running.kill('SIGTERM');
    expect(await service.running.exit).toEqual({ code: 0, signal: null });
  });

  test('stopping: the request in flight is finished, and the container ends', async () => {
    await using run = await watched();
    const { service } = run;
    const { begun, result } = service.slow(3000);
    await begun;
    expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
    service.running.kill('SIGTERM');
    await service.until(({ phase }) => phase === 'stopping');
    await killAgent(service);
    expect((await service.health('/livez')).status).toBe(200);
    expect(await result).toMatchObject({ kind: 'ok' });
    expect(await service.running.exit).toEqual({ code: 0, signal: null });
  });
});

test.concurrent('an agent that hangs is replaced', async () => {
  await using run = await watched();
  const { service, watchers } = run;
  kill(await service.agentPid(), 'SIGSTOP');
  const reload = service.baton('reload');
  await service.running.waitFor(/baton: the agent has been silent for 5 s: killing it\n/);
  await service.waitForLog(({ msg }) => msg === 'a new agent carries on');
  expect(await reload).toMatchObject({ code: 0 });
  await watchers.load.completed(50);
  expect(await outcomes(service)).toEqual([
    ['promoted', 2],
    ['promoted', 1],
  ]);
  expect(await run.harm()).toMatchObject({ load: unharmed, livez: unharmed, readyz: unharmed });
});

test.concurrent('a health responder that is killed loses at most the probe that it had accepted', async () => {
  const kills = 10;
  await using run = await watched();
  const { service, watchers } = run;
  let pid = await service.responderPid();
  for (let time = 0; time < kills; time++) {
    kill(pid, 'SIGKILL');
    const former = pid;
    while (pid === former) {
      await pause(5);
      pid = await service.responderPid();
    }
    await watchers.livez.completed(20);
  }
  const { load, livez, readyz } = await run.harm();
  expect(load).toMatchObject(unharmed);
  for (const { failed, failures } of [livez, readyz]) {
    expect(failures).toMatchObject({ refused: 0, timeout: 0, 'bad-status': 0, malformed: 0, other: 0 });
    // Accepted by the responder that was killed: each probe makes one connection at a time.
    expect(failed).toBeLessThanOrEqual(kills);
  }
});
