/** The container's end, whatever is going on: everything is asked to stop and reaped, and the exit code says how it went. */
import { kill } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { BuildOptions } from '../../apps/build.ts';
import type { LogLine } from '../../support/deployed.ts';
import { baton } from '../../support/namespace.ts';
import { Service, type ServiceOptions } from '../../support/service.ts';

const modes = ['pid1', 'subreaper'] as const;

/** A shell around the app. */
const shell = (script: string) => (app: readonly string[]) => ['sh', '-c', script, 'sh', ...app];

const isPromoted = ({ outcome }: LogLine) => outcome === 'promoted';
const isServing = (service: Service) => service.waitForLog(isPromoted);
const isUp = (service: Service) => service.waitForLog(({ msg }) => msg === 'listening');

/** Where SIGTERM may find a service. */
interface Situation {
  readonly when: string;
  readonly flags?: readonly string[];
  readonly build?: BuildOptions;
  readonly reach: (service: Service) => Promise<unknown>;
  /** Default 0. */
  readonly code?: number;
}

const situations: readonly Situation[] = [
  { when: 'while Node boots', reach: (service) => service.agentPid() },
  { when: 'steady', reach: isServing },
  {
    when: 'while the first artifact settles',
    flags: ['--settle', '60s'],
    reach: async (service) => {
      await isUp(service);
      await service.until(({ phase }) => phase === 'preparing');
    },
  },
  {
    when: 'while the first generation starts',
    build: { variant: 'never-ready' },
    code: 128 + 15,
    reach: async (service) => {
      await isUp(service);
      await service.until(({ candidate }) => candidate !== null);
    },
  },
  {
    when: 'while an artifact settles',
    flags: ['--settle', '1s'],
    reach: async (service) => {
      await isServing(service);
      await service.update('new');
      await service.until(({ phase }) => phase === 'preparing');
    },
  },
  {
    when: 'while a candidate starts',
    reach: async (service) => {
      await isServing(service);
      await service.update('stuck', { variant: 'never-ready' });
      await service.until(({ candidate }) => candidate !== null);
    },
  },
  {
    when: 'while an old generation drains',
    reach: async (service) => {
      await isServing(service);
      await service.slow(2000).begun;
      service.running.kill('SIGHUP');
      await service.until(({ draining }) => draining.length > 0);
    },
  },
  {
    when: 'while it waits to restart what crashed',
    flags: ['--restart-delay', '1h', '--restart-delay-max', '1h'],
    reach: async (service) => {
      await isServing(service);
      const [pid] = await service.mainPids();
      kill(pid as number, 'SIGKILL');
      await service.waitForLog(({ msg }) => msg.includes('starting it again in 3600000 ms'));
    },
  },
];

describe.each(modes)('as %s', (as) => {
  test.concurrent.each(situations)('SIGTERM $when', async ({ flags = [], build = {}, reach, code = 0 }) => {
    await using service = await Service.launch('c', { as, flags, build });
    await reach(service);
    expect(await service.stop()).toEqual({ code, signal: null });
    expect(await service.leftovers()).toEqual([]);
  });

  test.concurrent('what ignores SIGTERM is killed with its group when its time is up', async () => {
    const command = shell('trap "" TERM; "$@" & while :; do wait; done');
    await using service = await Service.start('c', { as, command, flags: ['--stop-timeout', '500ms'] });
    expect(await service.stop()).toEqual({ code: 128 + 9, signal: null });
    const { signal, scope } = await service.waitForLog(({ msg }) => msg.startsWith('drain time is up'));
    expect({ signal, scope }).toEqual({ signal: 9, scope: 'group' });
    expect(await service.leftovers()).toEqual([]);
  });

  test.concurrent('orphans that left the session end with it', async () => {
    const command = shell('(setsid sleep 1000 &); exec "$@"');
    await using service = await Service.start('c', { as, command });
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(await service.leftovers()).toEqual([]);
  });
});

describe.concurrent('the exit code', () => {
  const cases: readonly (readonly [string, number, ServiceOptions])[] = [
    ["the program's own", 7, { command: shell('trap "kill \\$!; wait; exit 7" TERM; "$@" & wait') }],
    ['128+n when a signal ended it', 128 + 2, { flags: ['--stop-signal', 'SIGINT'] }],
  ];
  test.each(cases)('is %s', async (_, code, options) => {
    await using service = await Service.start('c', options);
    expect(await service.stop()).toEqual({ code, signal: null });
  });

  test.each(['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)('is 0 after %s when all went well', async (signal) => {
    await using service = await Service.start('c');
    expect(await service.stop(signal)).toEqual({ code: 0, signal: null });
    expect(service.log.filter(({ msg }) => msg === 'asking to stop')).toHaveLength(1);
  });
});

describe.concurrent('clients', () => {
  test('are turned away by /readyz before the program is asked to stop', async () => {
    const command = shell('trap "\\$BATON ready; echo exit=\\$?; kill \\$!" TERM; "$@" & wait; wait');
    await using service = await Service.start('c', { command, environment: { BATON: baton } });
    await service.stop();
    expect(service.running.stdout).toBe('draining\nexit=1\n');
  });

  test('have their request finished', async () => {
    await using service = await Service.start('c');
    const { begun, result } = service.slow(2000);
    await begun;
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(await result).toMatchObject({ kind: 'ok' });
  });

  test('are served throughout the lame duck, in which nothing is reloaded, and which a second signal ends', async () => {
    await using service = await Service.start('c', {
      version: 'old',
      flags: ['--drain-delay', '1h', '--stop-grace', '2h'],
    });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 100 });
    service.running.kill('SIGTERM');
    await service.until(({ phase }) => phase === 'stopping');
    expect(await service.health('/readyz')).toEqual({ status: 503, body: 'draining\n' });
    expect(await service.health('/livez')).toMatchObject({ status: 200 });

    await service.update('new');
    expect(await service.baton('reload')).toMatchObject({
      code: 1,
      stdout: 'refused: the container is stopping\n',
    });
    service.running.kill('SIGHUP');
    await service.waitForLog(({ outcome, by }) => outcome === 'refused' && by === 'signal');
    await load.completed(20);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0 });
    expect([...report.versions.keys()]).toEqual(['old']);

    expect(service.log.some(({ msg }) => msg === 'asking to stop')).toBe(false);
    expect(await service.stop('SIGINT')).toEqual({ code: 0, signal: null });
  });

  test('are served when a crash comes in the lame duck', async () => {
    await using service = await Service.start('c', { flags: ['--drain-delay', '1h', '--stop-grace', '2h'] });
    service.running.kill('SIGTERM');
    const { active } = await service.until(({ phase }) => phase === 'stopping');
    const [pid] = await service.mainPids();
    kill(pid as number, 'SIGKILL');
    await service.until(
      (now) =>
        now.active?.processes[0]?.state === 'ready' &&
        now.active.processes[0].pid !== active?.processes[0]?.pid,
    );
    expect((await service.health('/readyz')).status).toBe(503);
    expect(await service.stop()).toEqual({ code: 0, signal: null });
  });
});
