/** What the native client is told, and what it makes Baton do. */
import { once } from 'node:events';
import { mkdtempDisposable } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeFrame, FrameDecoder } from '../../../agent/frames.ts';
import { Service } from '../../support/service.ts';

describe.concurrent('questions', () => {
  test('health, ready, live and status, for people and as JSON', async () => {
    await using service = await Service.start('c');
    const { active } = await service.status();
    const pid = active?.processes[0]?.pid;
    for (const verb of ['health', 'ready', 'live'] as const) {
      expect(await service.baton(verb)).toEqual({ code: 0, stdout: 'ok\n', stderr: '' });
      const { stdout } = await service.baton(verb, '--json');
      expect(JSON.parse(stdout)).toEqual({ verb, ok: true, text: 'ok' });
    }
    const { code, stdout } = await service.baton('status');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(`^generation 1 ready, pid ${pid}, steady; last: promoted generation 1 in \\d+ ms\n$`),
    );
    expect(JSON.parse((await service.baton('status', '--json')).stdout)).toEqual(await service.status());
  });

  test('while nothing is ready yet: not ready, but alive', async () => {
    await using service = await Service.launch('c', { build: { variant: 'never-ready' } });
    await service.waitForLog(({ msg }) => msg === 'listening');
    await service.until(({ phase }) => phase === 'starting');
    for (const verb of ['health', 'ready'])
      expect(await service.baton(verb)).toMatchObject({ code: 1, stdout: 'not ready\n' });
    expect(await service.baton('live')).toMatchObject({ code: 0 });
    expect(await service.baton('status')).toMatchObject({
      code: 0,
      stdout: 'no generation serves yet, starting\n',
    });
  });
});

describe.concurrent('reload', () => {
  test('--json: the whole outcome', async () => {
    await using service = await Service.start('c');
    const { code, stdout } = await service.baton('reload', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      text: 'promoted: generation 2 serves',
      outcome: { result: 'promoted', generation: 2, by: 'control', reason: '' },
    });
    await service.update('bad', { variant: 'not-executable' });
    const refused = await service.baton('reload', '--json');
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      ok: false,
      outcome: {
        result: 'refused',
        generation: null,
        by: 'control',
        reason: expect.stringContaining('chmod +x'),
      },
    });
  });

  test('--no-wait: answered at once, whatever becomes of it', async () => {
    await using service = await Service.start('c', { flags: ['--ready-timeout', '1s'] });
    await service.update('stuck', { variant: 'never-ready' });
    expect(await service.baton('reload', '--no-wait')).toEqual({
      code: 0,
      stdout: 'reload started\n',
      stderr: '',
    });
    await service.waitForLog(({ outcome, by }) => outcome === 'failed' && by === 'control');
  });

  test('--timeout: the client gives up, the reload goes on', async () => {
    await using service = await Service.start('c', { flags: ['--settle', '1s'] });
    await service.update('new');
    const { code, stderr } = await service.baton('reload', '--timeout', '10ms');
    expect({ code, stderr }).toEqual({ code: 75, stderr: 'baton: reload: no answer within 10 ms\n' });
    await service.waitForLog(({ outcome, generation }) => outcome === 'promoted' && generation === 2);
  });

  test('many at once collapse: each is answered, with the outcome of the one that it became part of', async () => {
    await using service = await Service.start('c');
    const answers = await Promise.all(Array.from({ length: 12 }, () => service.baton('reload')));
    for (const { code, stdout } of answers)
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: expect.stringMatching(/^promoted: generation \d+ serves\n$/),
      });
    const { history } = await service.until(({ phase, waiting }) => phase === 'steady' && !waiting);
    const told = new Set(answers.map(({ stdout }) => Number(/generation (\d+)/.exec(stdout)?.[1])));
    const promoted = history.flatMap(({ generation, by }) => (by === 'control' ? (generation ?? []) : []));
    expect([...told].toSorted()).toEqual(promoted.toSorted());
    expect(promoted.length).toBeLessThan(answers.length);
  });
});

describe.concurrent('drain', () => {
  test('waits for the end of the lame duck; the stop signal that follows is obeyed at once', async () => {
    await using service = await Service.start('c', { flags: ['--drain-delay', '1s'] });
    const load = service.load({ mode: 'per-request', connections: 2, rate: 100 });
    let answered = false;
    const drain = service.baton('drain').finally(() => {
      answered = true;
    });
    await service.until(({ phase }) => phase === 'stopping');
    expect((await service.health('/readyz')).status).toBe(503);
    expect(answered).toBe(false);
    expect(await drain).toEqual({ code: 0, stdout: 'drained\n', stderr: '' });
    // Drained is not stopped: it serves until the signal comes.
    await load.completed(20);
    expect(await load.stop()).toMatchObject({ failed: 0 });
    expect(await service.baton('drain')).toMatchObject({ code: 0, stdout: 'drained\n' });
    expect(await service.baton('reload')).toMatchObject({
      code: 1,
      stdout: 'refused: the container was asked to drain\n',
    });
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    const stop = service.log.findIndex(({ msg }) => msg === 'stop asked for by a signal');
    expect(service.log[stop + 1]).toMatchObject({ msg: 'asking to stop' });
  });

  test('cut short by the stop signals is answered all the same', async () => {
    await using service = await Service.start('c', { flags: ['--drain-delay', '1h', '--stop-grace', '2h'] });
    const { begun, result } = service.slow(1000);
    await begun;
    const drain = service.baton('drain');
    await service.until(({ phase }) => phase === 'stopping');
    service.running.kill('SIGTERM');
    await service.waitForLog(({ msg }) => msg === 'stop asked for by a signal');
    service.running.kill('SIGTERM');
    expect(await drain).toMatchObject({ code: 0, stdout: 'drained\n' });
    expect(await result).toMatchObject({ kind: 'ok' });
    expect(await service.running.exit).toEqual({ code: 0, signal: null });
  });
});

describe.concurrent('what is not known', () => {
  test('a verb or an option: the client says so', async () => {
    await using service = await Service.start('c');
    const option = await service.baton('reload', '--hard');
    expect(option.code).toBe(64);
    expect(option.stderr).toMatch(
      /^baton: reload: unknown option or missing value: --hard; see `baton reload --help`\n$/,
    );
  });

  test('a verb or an argument of another version: refused, and nothing happens', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'baton-control-'));
    const control = join(directory.path, 'baton.sock');
    await using service = await Service.start('c', { as: 'subreaper', flags: ['--control', control] });
    expect(await ask(control, ['dance'])).toEqual(['last', '1', 'this Baton has no "dance"']);
    expect(await ask(control, ['reload', 'twice'])).toEqual([
      'last',
      '1',
      'reload: unknown argument "twice"',
    ]);
    expect((await service.status()).history).toHaveLength(1);
    await service.stop();
  });
});

/** One request as any client may make it; the first frame of the answer. */
async function ask(path: string, fields: readonly string[]): Promise<string[] | undefined> {
  const socket = createConnection({ path });
  const decoder = new FrameDecoder();
  socket.write(encodeFrame(fields));
  const frames: string[][] = [];
  socket.on('data', (bytes: Buffer) => frames.push(...decoder.push(bytes)));
  await once(socket, 'close');
  return frames[0];
}
