/** A new version that is no good: the old one goes on as if nothing had come. */
import { chmod, mkdir, open, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildApp, type Variant } from '../../apps/build.ts';
import type { LogLine } from '../../support/deployed.ts';
import { Service } from '../../support/service.ts';

const program = (service: Service) => service.build.watch[0] as string;
const isOutcome = ({ outcome }: LogLine) => outcome !== undefined;

/** Puts a file over the program in one step. */
async function replace(service: Service, content: string | Buffer, mode = 0o755): Promise<void> {
  const beside = `${program(service)}.new`;
  await writeFile(beside, content, { mode });
  await chmod(beside, mode);
  await rename(beside, program(service));
}

/** What `buildApp` would put on the volume. */
async function built(service: Service, version: string): Promise<Buffer> {
  const elsewhere = join(service.directory, 'elsewhere');
  await mkdir(elsewhere, { recursive: true });
  const { watch } = await buildApp('c', version, elsewhere);
  return readFile(watch[0] as string);
}

const variant = (name: Variant) => (service: Service) => service.update('bad', { variant: name });

const bad: readonly {
  readonly what: string;
  readonly put: (service: Service) => Promise<unknown>;
  readonly result: 'failed' | 'refused';
  readonly reason: RegExp;
}[] = [
  {
    what: 'exits at once',
    put: variant('exits-at-once'),
    result: 'failed',
    reason: /^exited with code 3 before it was ready$/,
  },
  {
    what: 'never gets ready',
    put: variant('never-ready'),
    result: 'failed',
    reason: /^was not ready within 1s: nobody accepts on [a-z]+ \(fd 3\)/,
  },
  {
    what: 'is not executable',
    put: variant('not-executable'),
    result: 'refused',
    reason: /app: not executable \(mode 0644\); chmod \+x it$/,
  },
  {
    what: 'is no program',
    put: (service) => replace(service, Buffer.from('garbage, but executable\n')),
    result: 'failed',
    reason: /could not be started: .*(ENOEXEC|exec format|not a program)/i,
  },
  {
    what: 'is truncated',
    put: async (service) => {
      const whole = await built(service, 'bad');
      await replace(service, whole.subarray(0, whole.length / 2));
    },
    result: 'refused',
    reason: /app: truncated, its ELF segments end beyond the file; copy it again$/,
  },
  {
    what: 'is empty',
    put: (service) => truncate(program(service), 0),
    result: 'refused',
    reason: /app: empty file; copy the program again$/,
  },
  {
    what: 'is gone',
    put: (service) => rm(program(service)),
    result: 'refused',
    reason: /app: no such file; put it there or correct the path$/,
  },
];

describe('the old generation goes on untouched, and a good version is taken after', () => {
  test.concurrent.each(bad)('when the new one $what', async ({ put, result, reason }) => {
    await using service = await Service.start('c', { version: 'old', flags: ['--ready-timeout', '1s'] });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 200 });
    const readiness = service.probe('/readyz');
    const [pid] = await service.mainPids();

    const seen = await service.outcomeOf(() => put(service));
    expect(seen).toMatchObject({ outcome: result, by: 'watch', level: 50 });
    const from = service.log.length;
    const reload = await service.baton('reload');
    expect(await service.waitForLog(isOutcome, from)).toMatchObject({
      outcome: result,
      by: 'control',
      level: 50,
    });

    expect(reload.code).toBe(1);
    expect(reload.stdout).toMatch(new RegExp(`^${result}: `));
    const { history, active } = await service.status();
    expect(history.map((outcome) => outcome.result)).toEqual([result, result, 'promoted']);
    expect(history.map((outcome) => outcome.by)).toEqual(['control', 'watch', 'start']);
    expect(history[0]?.reason).toMatch(reason);
    expect(reload.stdout.trimEnd()).toContain(history[0]?.reason);
    expect(seen.msg).toContain(history[1]?.reason);
    expect(active?.generation).toBe(1);
    expect(await service.mainPids()).toEqual([pid]);

    await Promise.all([load.seen('good'), service.update('good')]);
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0 });
    expect([...report.versions.keys()]).toEqual(['old', 'good']);
    expect(report.versions.get('old')?.pids.size).toBe(1);
    expect(await readiness.stop()).toMatchObject({ failed: 0 });
  });
});

describe('what is on the volume is taken', () => {
  test('not when only its times changed', async () => {
    await using service = await Service.start('c', { version: 'old' });
    const from = service.log.length;
    await utimes(program(service), new Date(), new Date());
    await service.waitForLog(({ msg }) => msg === 'change seen', from);
    await service.until(({ phase }) => phase === 'steady');
    // It was looked at: the next outcome is that of the next real change.
    expect(await service.outcomeOf(() => service.update('new'))).toMatchObject({
      outcome: 'promoted',
      generation: 2,
    });
    expect((await service.status()).history).toHaveLength(2);
  });

  test('once and whole, when it is written in pieces', async () => {
    await using service = await Service.start('c', { version: 'old', flags: ['--settle', '1500ms'] });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 200 });
    const content = await built(service, 'new');
    await rm(program(service));
    const seen = load.seen('new');
    {
      await using file = await open(program(service), 'w', 0o755);
      const piece = Math.ceil(content.length / 8);
      for (let at = 0; at < content.length; at += piece) {
        // Each piece waits until the last one was noticed, which is long before it has settled.
        const from = service.log.length;
        await file.write(content.subarray(at, at + piece));
        await service.waitForLog(({ msg }) => msg === 'change seen', from);
      }
    }
    await seen;
    await service.until(({ phase, active }) => phase === 'steady' && active?.generation === 2);
    expect(await load.stop()).toMatchObject({ failed: 0 });
    expect((await service.status()).history.map(({ result }) => result)).toEqual(['promoted', 'promoted']);
  });

  test('in place of an older one that is still starting', async () => {
    await using service = await Service.start('c', { version: 'old' });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 200 });
    await service.update('stuck', { variant: 'never-ready' });
    await service.until(({ candidate }) => candidate !== null);
    await Promise.all([load.seen('new'), service.update('new')]);
    expect(await load.stop()).toMatchObject({ failed: 0 });
    const { history } = await service.until(({ active }) => active?.generation === 3);
    expect(history.map(({ result, generation }) => [result, generation])).toEqual([
      ['promoted', 3],
      ['superseded', 2],
      ['promoted', 1],
    ]);
  });

  test('once or twice, when it is asked for twenty times at once', async () => {
    await using service = await Service.start('c');
    const load = service.load({ mode: 'per-request', connections: 2, rate: 200 });
    for (let i = 0; i < 20; i++) service.running.kill('SIGHUP');
    await service.until(({ active }) => active !== null && active.generation > 1);
    await service.until(({ phase, waiting }) => phase === 'steady' && !waiting);
    expect(await load.stop()).toMatchObject({ failed: 0 });
    const { history } = await service.status();
    expect(history.length - 1).toBeLessThanOrEqual(2);
    expect(history.every(({ result }) => result === 'promoted')).toBe(true);
  });
});
