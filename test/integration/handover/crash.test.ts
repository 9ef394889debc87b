/** The active generation dies: it is started again on the same sockets, where connections wait for it. */
import { chmod, mkdtempDisposable, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kill } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { LogLine } from '../../support/deployed.ts';
import { Service } from '../../support/service.ts';

const crashes = ({ log }: Service) => log.filter(({ msg }) => msg.startsWith('the program '));

/** Kills the active generation and waits for its successor; its pid in there. */
async function crash(service: Service, signal: NodeJS.Signals): Promise<void> {
  const { active } = await service.status();
  const former = active?.processes[0]?.pid;
  const [pid] = await service.mainPids();
  kill(pid as number, signal);
  await service.until(({ active }) => {
    const now = active?.processes.find(({ state }) => state === 'ready')?.pid;
    return now !== undefined && now !== former;
  });
}

describe.concurrent('a crash', () => {
  test.each(['SIGKILL', 'SIGSEGV'] as const)(
    'by %s under load costs only what the dead process had',
    async (signal) => {
      const connections = 4;
      await using service = await Service.start('c', { flags: ['--restart-limit', '100'] });
      const load = service.load({ mode: 'per-request', connections, rate: 400 });
      const times = 5;
      for (let time = 0; time < times; time++) {
        await crash(service, signal);
        await load.completed(20);
      }
      const { failed, failures, ok } = await load.stop();
      // None is refused, none waits for ever, none is answered wrongly.
      expect({ ...failures, reset: 0, eof: 0 }).toEqual(
        Object.fromEntries(Object.keys(failures).map((kind) => [kind, 0])),
      );
      expect(failed).toBeLessThanOrEqual(times * connections);
      expect(ok).toBeGreaterThanOrEqual(times * 20);
      expect(crashes(service)).toHaveLength(times);
      expect(crashes(service)[0]?.msg).toMatch(
        new RegExp(`^the program was killed by (signal )?${signal}.*; starting it again in 100 ms`),
      );
      const { active, history } = await service.status();
      expect(active?.generation).toBe(1);
      expect(history).toHaveLength(1);
    },
  );

  test('lets connections wait while nobody accepts', async () => {
    await using service = await Service.start('c', { flags: ['--restart-delay', '1s'] });
    const [pid] = await service.mainPids();
    kill(pid as number, 'SIGKILL');
    await service.waitForLog(({ msg }) => msg.endsWith('starting it again in 1000 ms'));
    expect((await service.health('/readyz')).status).toBe(503);
    const load = service.load({ mode: 'per-request', connections: 8 });
    await load.completed(8);
    expect(await load.stop()).toMatchObject({ failed: 0 });
    await service.until(({ ready }) => ready);
    expect((await service.health('/readyz')).status).toBe(200);
  });

  test('is mended with what was committed, though something else lies on the volume', async () => {
    await using service = await Service.start('c', {
      version: 'committed',
      flags: ['--watch', 'off'],
      watch: [],
    });
    await service.update('newest', { variant: 'exits-at-once' });
    const load = service.load({ mode: 'per-request', connections: 1, rate: 100 });
    await crash(service, 'SIGKILL');
    await load.completed(10);
    expect([...(await load.stop()).versions.keys()]).toEqual(['committed']);
  });

  test('of a version that was watched, too, and after a refused one', async () => {
    await using service = await Service.start('c', { version: 'committed' });
    await service.outcomeOf(() => service.update('broken', { variant: 'exits-at-once' }));
    await crash(service, 'SIGKILL');
    await rm(service.build.watch[0] as string);
    await crash(service, 'SIGKILL');
    const load = service.load({ mode: 'per-request', connections: 1, rate: 100 });
    await load.completed(10);
    expect([...(await load.stop()).versions.keys()]).toEqual(['committed']);
  });

  test('pauses longer each time, and too many end the container with the code of the last', async () => {
    const limits = ['--restart-limit', '4', '--restart-delay', '10ms', '--restart-delay-max', '20ms'];
    await using service = await Service.start('c', { flags: limits });
    for (let time = 0; time < 3; time++) await crash(service, 'SIGKILL');
    const [pid] = await service.mainPids();
    kill(pid as number, 'SIGSEGV');
    expect(await service.running.exit).toEqual({ code: 128 + 11, signal: null });
    expect(crashes(service).map(({ msg }) => msg.split('; ')[1])).toEqual([
      'starting it again in 10 ms',
      'starting it again in 20 ms',
      'starting it again in 20 ms',
      'too many crashes: stopping',
    ]);
  });
});

describe.concurrent('a version that crashes soon after it was promoted', () => {
  test('ends the container at the limit with its own code', async () => {
    await using service = await Service.launch('c', {
      build: { variant: 'crashes-after-start' },
      flags: ['--restart-limit', '3', '--restart-delay', '1ms'],
    });
    expect(await service.running.exit).toEqual({ code: 128 + 14, signal: null });
    expect(crashes(service)).toHaveLength(3);
  });
});

describe.concurrent('the end of the program', () => {
  const outcome = ({ outcome }: LogLine) => outcome !== undefined;

  test('with 0 is the end of the container, with 0', async () => {
    await using service = await Service.start('c');
    const [pid] = await service.mainPids();
    kill(pid as number, 'SIGTERM');
    expect(await service.running.exit).toEqual({ code: 0, signal: null });
    expect(crashes(service)).toEqual([]);
  });

  test('with 0 before it was ready is, too', async () => {
    await using service = await Service.launch('c', { command: () => ['true'] });
    expect(await service.running.exit).toEqual({ code: 0, signal: null });
  });

  test.each([
    ['no such command', 127, () => ['no-such-command'], /no-such-command: not found on PATH/],
    ['no such file', 127, () => ['/no/such/file'], /\/no\/such\/file: no such file/],
    ['what is not executable', 126, () => ['/etc/passwd'], /\/etc\/passwd: not executable \(mode 0644\)/],
    ['a directory', 126, () => ['/mnt'], /\/mnt: is a directory/],
  ])('%s: exit %i', async (_, code, command, reason) => {
    await using service = await Service.launch('c', { command });
    expect(await service.running.exit).toEqual({ code, signal: null });
    expect(service.log.find(outcome)).toMatchObject({
      outcome: 'refused',
      msg: expect.stringMatching(reason),
    });
  });

  test('what the kernel cannot execute: exit 126', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'baton-garbage-'));
    const path = join(directory.path, 'garbage');
    await writeFile(path, 'no program\n');
    await chmod(path, 0o755);
    await using service = await Service.launch('c', { command: () => [path] });
    expect(await service.running.exit).toEqual({ code: 126, signal: null });
    expect(service.log.find(outcome)).toMatchObject({
      outcome: 'failed',
      msg: expect.stringMatching(/ENOEXEC/),
    });
  });

  test('before it was ready is tried again, and at the limit the container ends with its code', async () => {
    await using service = await Service.launch('c', {
      build: { variant: 'exits-at-once' },
      flags: ['--restart-limit', '3', '--restart-delay', '1ms'],
    });
    expect(await service.running.exit).toEqual({ code: 3, signal: null });
    expect(service.log.filter(outcome).map((line) => line.outcome)).toEqual(['failed', 'failed', 'failed']);
  });
});
