import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { probe, type Target } from '../../../agent/readiness/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'baton-exec-'));
afterAll(() => rmSync(folder, { recursive: true }));
const script = (name: string) => join(import.meta.dirname, '../../fixtures/readiness', name);

const target: Target = {
  key: '1.0.1',
  pid: 4711,
  listeners: [],
  credentials: {},
  directory: tmpdir(),
  environment: { ...process.env, COLOUR: 'blue' },
  notified: (async function* () {})(),
  binary: '/nowhere',
};
const exec = (command: string[], signal = new AbortController().signal, more: Partial<Target> = {}) =>
  probe({ method: 'exec', command }, { ...target, ...more }, signal);

test('is run again until it exits 0, in the environment of the program', async () => {
  const file = join(folder, 'ready');
  const { ready, lastSeen } = exec([script('check.sh'), file]);
  await vi.waitUntil(() => lastSeen().includes('exited'));
  expect(lastSeen()).toBe(`check "${script('check.sh')} ${file}" exited with 3: no ${file} yet`);
  writeFileSync(file, '');
  await expect(ready).resolves.toBeUndefined();
  expect(lastSeen()).toBe(`check "${script('check.sh')} ${file}" is running: pid 4711, colour blue`);
});

test('runs in the working directory of the program', async () => {
  const stop = new AbortController();
  const { ready, lastSeen } = exec(['sh', '-c', 'pwd; exit 1'], stop.signal, { directory: folder });
  await vi.waitUntil(() => lastSeen().includes('exited'));
  expect(lastSeen()).toMatch(new RegExp(`exited with 1: ${folder}$`));
  stop.abort();
  await expect(ready).rejects.toThrow('exited with 1');
});

test('an abort kills its whole group, and it was never run twice at once', async () => {
  const starts = join(folder, 'starts');
  const stop = new AbortController();
  const { ready, lastSeen } = exec([script('hang.sh'), starts], stop.signal);
  await vi.waitUntil(() => lastSeen().includes('child'));
  const child = Number(/child (\d+)$/.exec(lastSeen())?.[1]);
  // Longer than the first pauses: a second run would have started by now.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const pids = readFileSync(starts, 'utf8').trim().split('\n').map(Number);
  expect(pids).toHaveLength(1);
  for (const pid of [...pids, child]) expect(() => process.kill(pid, 0)).not.toThrow();
  stop.abort();
  await expect(ready).rejects.toThrow(`check "${script('hang.sh')} ${starts}" is running: child ${child}`);
  for (const pid of [...pids, child]) await vi.waitFor(() => expect(isRunning(pid)).toBe(false));
});

/** An orphan's zombie stays until the machine's PID 1 reaps it. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('what a run leaves behind ends with it, and does not delay it', async () => {
  const file = join(folder, 'left');
  const { ready } = exec(['sh', '-c', `sleep 1000 & echo $! >${file}`]);
  await expect(ready).resolves.toBeUndefined();
  await vi.waitFor(() => expect(isRunning(Number(readFileSync(file, 'utf8')))).toBe(false));
});

test('one that is killed is run again', async () => {
  const file = join(folder, 'killed');
  const { ready, lastSeen } = exec(['sh', '-c', `[ -e ${file} ] || kill -9 $$`]);
  await vi.waitUntil(() => lastSeen().includes('was killed by SIGKILL'));
  writeFileSync(file, '');
  await expect(ready).resolves.toBeUndefined();
});

test.runIf(process.getuid?.() === 0)('runs as the user of the program', async () => {
  const credentials = { uid: 65534, gid: 65533 };
  const { ready } = exec(['sh', '-c', '[ "$(id -u):$(id -g)" = 65534:65533 ]'], undefined, { credentials });
  await expect(ready).resolves.toBeUndefined();
});

test('a command that cannot be run is a definite failure', async () => {
  const notExecutable = join(folder, 'text');
  writeFileSync(notExecutable, 'not a program');
  await expect(exec(['/nowhere/check']).ready).rejects.toThrow(
    /^readiness check "\/nowhere\/check" cannot be run: ENOENT$/,
  );
  await expect(exec([notExecutable]).ready).rejects.toThrow(/ cannot be run: EACCES$/);
  await expect(exec([`${notExecutable}/check`]).ready).rejects.toThrow(/ cannot be run: ENOTDIR$/);
});
