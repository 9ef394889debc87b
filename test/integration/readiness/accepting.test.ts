import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { probe, type Target } from '../../../agent/readiness/index.ts';
import { buildFixtures, listen, type Socket, start } from '../../fixtures/readiness/start.ts';

const fixtures = buildFixtures();
afterAll(() => fixtures[Symbol.dispose]());

const target = (pid: number, sockets: readonly Socket[], more: Partial<Target> = {}): Target => ({
  key: '1.0.1',
  pid,
  listeners: sockets.map(({ inode }, index) => ({ name: ['web', 'admin'][index] ?? '', inode })),
  credentials: {},
  directory: '/',
  environment: {},
  notified: (async function* () {})(),
  binary: fixtures.baton,
  ...more,
});
const accepting = { method: 'accepting' } as const;

test('names the listeners that nobody accepts on, and is ready when there are none left', async () => {
  using first = await listen();
  using second = await listen();
  await using fixture = await start([fixtures.program('one-of-two')], [first, second]);
  const { signal } = new AbortController();
  const { ready, lastSeen } = probe(accepting, target(fixture.pid, [second]), signal);
  await vi.waitUntil(() => lastSeen().includes('nobody'));
  expect(lastSeen()).toBe(
    `nobody accepts on web (fd 3) in the process tree of pid ${fixture.pid}: ` +
      'looked at 1 process, 1 of them with such a socket open',
  );
  fixture.go();
  await expect(ready).resolves.toBeUndefined();

  const stop = new AbortController();
  const both = probe(accepting, target(fixture.pid, [first, second]), stop.signal);
  await vi.waitUntil(() => both.lastSeen().includes('nobody'));
  stop.abort();
  await expect(both.ready).rejects.toThrow(
    `nobody accepts on web (fd 3) in the process tree of pid ${fixture.pid}: looked at 1 process`,
  );
});

test.runIf(process.getuid?.() === 0)('looks as the user of the program', async () => {
  using socket = await listen();
  await using fixture = await start([fixtures.program('epoll')], [socket], { uid: 65534, gid: 65534 });
  fixture.go();
  const { signal } = new AbortController();
  const owner = target(fixture.pid, [socket], { credentials: { uid: 65534, gid: 65534 } });
  await expect(probe(accepting, owner, signal).ready).resolves.toBeUndefined();
  const stranger = target(fixture.pid, [socket], { credentials: { uid: 65533, gid: 65533 } });
  await expect(probe(accepting, stranger, signal).ready).rejects.toThrow(
    /^may not look at pid \d+ \(EACCES on .*choose another readiness method$/,
  );
});

test('an abort ends the look', async () => {
  using socket = await listen();
  const pidFile = join(fixtures.folder, 'look.pid');
  const binary = join(fixtures.folder, 'slow-look');
  writeFileSync(binary, `#!/bin/sh\necho $$ >${pidFile}; echo "missing $3; nothing"; exec sleep 1000\n`, {
    mode: 0o755,
  });
  const stop = new AbortController();
  const { ready, lastSeen } = probe(accepting, target(process.pid, [socket], { binary }), stop.signal);
  await vi.waitUntil(() => existsSync(pidFile) && lastSeen().endsWith(': nothing'));
  const pid = Number(readFileSync(pidFile, 'utf8'));
  expect(() => process.kill(pid, 0)).not.toThrow();
  stop.abort();
  await expect(ready).rejects.toThrow(
    `nobody accepts on web (fd 3) in the process tree of pid ${process.pid}: nothing`,
  );
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'));
});

test('a process that has ended is left to PID 1, which tells how', async () => {
  using socket = await listen();
  const stop = new AbortController();
  const { ready, lastSeen } = probe(accepting, target(2 ** 30, [socket]), stop.signal);
  await vi.waitUntil(() => lastSeen() === 'pid 1073741824 is gone');
  stop.abort();
  await expect(ready).rejects.toThrow(/^pid 1073741824 is gone$/);
});

test('definite failures', async () => {
  using socket = await listen();
  const { signal } = new AbortController();
  const failure = (of: Target) => expect(probe(accepting, of, signal).ready).rejects;

  await failure(target(process.pid, [])).toThrow('nothing is listened on, so nobody can be seen accepting');
  await failure(target(process.pid, [socket], { binary: '/nowhere' })).toThrow(
    /^\/nowhere look cannot be run.*ENOENT$/,
  );
  await failure(target(process.pid, [socket], { binary: '/etc/passwd' })).toThrow(/EACCES$/);
  await failure(target(process.pid, [socket], { binary: 'false' })).toThrow('false look ended with 1');
});
