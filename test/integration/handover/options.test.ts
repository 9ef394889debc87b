/** What the options about the program do to a real one. */
import { mkdtempDisposable, readFile, readlink, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kill } from 'node:process';
import { describe, expect, test } from 'vitest';
import { Service } from '../../support/service.ts';

const temporary = () => mkdtempDisposable(join(tmpdir(), 'baton-options-'));

describe.concurrent('the program', () => {
  test('--instances: all of them answer, and each is restarted alone', async () => {
    await using service = await Service.start('c', { flags: ['--instances', '3'] });
    const pids = async () => (await service.status()).active?.processes.map(({ pid }) => pid) ?? [];
    const first = await pids();
    expect(new Set(first).size).toBe(3);
    const load = service.load({ mode: 'per-request', connections: 16 });
    while ((load.report().versions.get('v1')?.pids.size ?? 0) < 3) await load.completed(1);
    expect(await load.stop()).toMatchObject({ failed: 0 });

    kill(await service.hostPid(first[1] as number), 'SIGKILL');
    await service.until(
      ({ active }) =>
        active?.processes.length === 3 &&
        active.processes.every(({ pid, state }) => state === 'ready' && pid !== first[1]),
    );
    expect((await pids()).toSorted()).toEqual(expect.arrayContaining([first[0], first[2]]));

    expect((await service.baton('reload')).code).toBe(0);
    await service.until(({ phase }) => phase === 'steady');
    const second = await pids();
    expect(second).toHaveLength(3);
    expect(second.filter((pid) => first.includes(pid))).toEqual([]);
  });

  test('--pidfile: whoever reads it finds a pid, at any moment', async () => {
    await using directory = await temporary();
    const path = join(directory.path, 'app.pid');
    await using service = await Service.start('c', { flags: ['--pidfile', path] });
    const seen = new Set<string>();
    const handovers = 10;
    const reading = new AbortController();
    const reader = (async () => {
      while (!reading.signal.aborted) seen.add(await readFile(path, 'utf8'));
    })();
    for (let handover = 0; handover < handovers; handover++)
      expect((await service.baton('reload')).code).toBe(0);
    const { active } = await service.until(({ phase }) => phase === 'steady');
    expect(await readFile(path, 'utf8')).toBe(`${active?.processes[0]?.pid}\n`);
    reading.abort();
    await reader;
    expect([...seen].filter((text) => !/^\d+\n$/.test(text))).toEqual([]);
    expect(seen.size).toBeGreaterThan(2);
    await service.stop();
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  test('--pidfile: one that can neither be written nor removed keeps nobody from running, or from ending', async () => {
    await using directory = await temporary();
    await using service = await Service.start('c', { flags: ['--pidfile', directory.path] });
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    expect(service.log.filter(({ level }) => level >= 40).map(({ msg }) => msg)).toEqual([
      `pidfile ${directory.path}: EISDIR; the service goes on without it`,
      `pidfile ${directory.path}: ERR_FS_EISDIR; the service goes on without it`,
    ]);
  });

  test.runIf(process.getuid?.() === 0)(
    '--user: it runs as somebody else, and is still seen accepting',
    async () => {
      await using service = await Service.start('c', {
        flags: ['--user', '65534:65534', '--ready', 'accepting'],
      });
      const [pid] = await service.mainPids();
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
      expect(status).toMatch(/^Gid:\t65534\t65534\t65534\t65534$/m);
      expect((await service.baton('reload')).stdout).toBe('promoted: generation 2 serves\n');
    },
  );

  test('--directory', async () => {
    await using directory = await temporary();
    await using service = await Service.start('c', { flags: ['--directory', directory.path] });
    const [pid] = await service.mainPids();
    expect(await readlink(`/proc/${pid}/cwd`)).toBe(directory.path);
  });

  test('--stop-scope group: what a wrapper does not pass on reaches the server all the same', async () => {
    const command = (app: readonly string[]) => ['sh', '-c', '"$@" & wait', 'sh', ...app];
    await using service = await Service.start('c', { command, flags: ['--stop-scope', 'group'] });
    const { begun, result } = service.slow(1000);
    await begun;
    expect(await service.stop()).toEqual({ code: 128 + 15, signal: null });
    expect(await result).toMatchObject({ kind: 'ok' });
    expect(service.log.some(({ msg }) => msg.startsWith('drain time is up'))).toBe(false);
  });
});
