/** The sample services by themselves, started as systemd would: what they have to be before they can prove anything of Baton. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type AppBuild,
  type AppName,
  appNames,
  type BuildOptions,
  buildApp,
  missingFor,
} from '../apps/build.ts';
import { SLOW_LENGTH } from '../apps/contract.ts';
import { type Program, SocketHolder } from '../fixtures/listen_exec.ts';
import { startLoad } from '../load/load.ts';
import { startRequest } from '../load/request.ts';

/** nginx closes idle connections the moment it drains: requests may be lost to that race, as `stale`. */
const announcesClose = (name: AppName) => name !== 'nginx';

/** nginx streams by whole seconds. */
const SLOW = '/slow?ms=3000';

/** Room for a SYN that is lost more than once, each time waiting twice as long: the load is as fast as the machine allows. */
const timeoutMs = 30_000;

/**
 * How many processes of this program have said that they sleep: itself, or its workers. Those of others do not count; a worker
 * of the version before that starts late finds the new file, too.
 */
function asleep(program: number): number {
  const pids = readdirSync(directory).flatMap((file) => /^asleep\.(\d+)$/.exec(file)?.[1] ?? []);
  return pids.filter((pid) => Number(pid) === program || parentOf(pid) === program).length;
}

function parentOf(pid: string): number {
  const [, parent] = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(parent);
}

function closeAtOnce(this: Socket): void {
  this.destroy();
}

let directory: string;
let holder: SocketHolder;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'apps-'));
  holder = await SocketHolder.open();
});

afterEach(async () => {
  await holder[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const build = (name: AppName, version: string, options: BuildOptions = {}) =>
  buildApp(name, version, directory, { listen: `127.0.0.1:${holder.port}`, ...options });

async function start(name: AppName, version: string, options?: BuildOptions) {
  const app = await build(name, version, options);
  return { app, program: await holder.run(app) };
}

const stop = ({ app, program }: { app: AppBuild; program: Program }) =>
  process.kill(program.pid, app.stopSignal);

describe.each(appNames)('%s', (name) => {
  const available = missingFor(name).length === 0;

  test.runIf(available)(
    'answers each of its paths, on a connection of its own and on a kept one',
    async () => {
      await start(name, '1.0');
      for (const path of ['/', '/healthz']) {
        for (const mode of ['per-request', 'keep-alive'] as const) {
          const load = startLoad({ port: holder.port, timeoutMs, connections: 2, mode, path });
          await load.completed(2);
          const report = await load.stop();
          expect(report).toMatchObject({ failed: 0, stale: 0, samples: [] });
          expect([...report.versions.keys()]).toEqual(['1.0']);
        }
      }
    },
  );

  test.runIf(available)(
    'finishes a slow answer after its stop signal, while another version answers',
    async () => {
      const old = await start(name, '1');
      const slow = startRequest({ port: holder.port }, SLOW);
      expect((await slow.head).fields.get('x-version')).toBe('1');
      let inFlight = true;
      slow.result.then(() => {
        inFlight = false;
      });
      const load = startLoad({ port: holder.port, timeoutMs, connections: 4, mode: 'per-request' });
      await load.seen('1');
      await start(name, '2');
      stop(old);
      await load.seen('2');
      expect(inFlight).toBe(true);
      expect(await slow.result).toMatchObject({ kind: 'ok', response: { body: { length: SLOW_LENGTH } } });
      expect(await old.program.exited).toEqual({ code: 0, signal: 0 });
      expect(await load.stop()).toMatchObject({ failed: 0, samples: [] });
    },
  );

  test.runIf(available).each(['per-request', 'keep-alive'] as const)(
    'hands over under load: %s',
    async (mode) => {
      // Here is no Baton to make up for a wake-up that an exiting nginx takes with it (agent/waker.ts).
      const knocking = setInterval(() => {
        if (name === 'nginx') connect(holder.port, '127.0.0.1', closeAtOnce).on('error', () => {});
      }, 50);
      let current = await start(name, '0');
      const load = startLoad({ port: holder.port, timeoutMs, connections: 16, mode });
      await load.seen('0');
      for (let version = 1; version <= 4; version++) {
        const next = await start(name, String(version));
        // Kept connections stay with the old version until it drains, so a connection of its own has to ask.
        const probe = startLoad({ port: holder.port, timeoutMs, connections: 2, mode: 'per-request' });
        await probe.seen(String(version));
        stop(current);
        expect(await current.program.exited).toEqual({ code: 0, signal: 0 });
        expect(await probe.stop()).toMatchObject({ failed: 0, samples: [] });
        await load.seen(String(version));
        current = next;
      }
      const report = await load.stop();
      clearInterval(knocking);
      expect(report).toMatchObject({ failed: 0, ...(announcesClose(name) && { stale: 0, samples: [] }) });
      expect([...report.versions.keys()].sort()).toEqual(['0', '1', '2', '3', '4']);
    },
  );

  test.runIf(available)('exits-at-once does', async () => {
    const { program } = await start(name, '1', { variant: 'exits-at-once' });
    const { code, signal } = await program.exited;
    expect(signal).toBe(0);
    expect(code).toBeGreaterThan(0);
  });

  test.runIf(available)('never-ready takes no connection, and stops when asked', async () => {
    await start(name, '1');
    const load = startLoad({ port: holder.port, timeoutMs, mode: 'per-request' });
    await load.seen('1');
    const candidate = await start(name, '2', { variant: 'never-ready' });
    await load.completed(500);
    // On their way there these two have handlers that only note the signal.
    const sleepers = { gunicorn: 2, puma: 1 }[name as string] ?? 0;
    await vi.waitUntil(() => asleep(candidate.program.pid) === sleepers, { timeout: timeoutMs });
    stop(candidate);
    await candidate.program.exited;
    const report = await load.stop();
    expect(report).toMatchObject({ failed: 0, samples: [] });
    expect([...report.versions.keys()]).toEqual(['1']);
  });

  // nginx's master survives a worker that crashes: there is no such variant of it.
  if (name !== 'nginx')
    test.runIf(available)('crashes-after-start answers first', async () => {
      const { program } = await start(name, '1', { variant: 'crashes-after-start' });
      const { result } = startRequest({ port: holder.port }, '/');
      expect(await result).toMatchObject({ kind: 'ok' });
      expect((await program.exited).signal + (await program.exited).code).toBeGreaterThan(0);
    });
});

describe('an update on the volume', () => {
  const inode = async (path: string) => (await stat(path)).ino;

  test('by rename is another file, in place the same one, and each is the new version', async () => {
    const { watch } = await build('node', '1');
    const [program = ''] = watch;
    const first = await inode(program);
    await build('node', '2', { replace: 'in-place' });
    expect(await inode(program)).toBe(first);
    await build('node', '3');
    expect(await inode(program)).not.toBe(first);
    await holder.run(await build('node', '4', { replace: 'in-place' }));
    const { result } = startRequest({ port: holder.port }, '/');
    expect((await result) as object).toMatchObject({ kind: 'ok' });
  });

  test('can lack execute permission', async () => {
    const { program } = await start('c', '1', { variant: 'not-executable' });
    // As env(1) exits when it was not allowed to.
    expect(await program.exited).toEqual({ code: 126, signal: 0 });
  });

  test('is refused when the app has no such variant, or the version is none', async () => {
    await expect(build('nginx', '1', { variant: 'crashes-after-start' })).rejects.toThrow('has no variant');
    await expect(build('c', '1 2')).rejects.toThrow('version "1 2"');
  });
});
