import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openFirst, openStore, storeCandidates, storeKey } from '../../../agent/artifact/store.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-store-')));
});
afterEach(() => rm(root, { recursive: true }));

const at = (...parts: string[]) => join(root, ...parts);
const trusted = (path: string) => ({ path: at(path), shared: false });
const shared = (path: string) => ({ path: at(path), shared: true });

test('the places to try, best first', () => {
  expect(
    storeCandidates('/var/lib/store', { XDG_RUNTIME_DIR: '/run/user/1000' }, 1000).map(({ path }) => path),
  ).toEqual(['/var/lib/store', '/run/baton', '/run/user/1000/baton', '/tmp/baton-1000']);
  expect(storeCandidates(undefined, { TMPDIR: '/scratch' }, 7).at(-1)).toEqual({
    path: '/scratch/baton-7',
    shared: true,
  });
});

describe('opening', () => {
  test('makes a directory of its own that others can pass through but not list', async () => {
    const store = await openStore({
      configured: at('store'),
      environment: {},
      pid: process.pid,
      memoryLeft: () => null,
    });
    expect(store).toMatchObject({ directory: at('store', String(process.pid)), note: '' });
    for (const path of [at('store'), store.directory ?? ''])
      expect((await stat(path)).mode & 0o777).toBe(0o711);
    expect(await readdir(store.directory ?? '')).toEqual([]);
  });

  test('goes on to the next where one cannot be used, and tells only of the configured one', async () => {
    await writeFile(at('file'), '');
    const found = await openFirst([trusted('file'), trusted('good')], undefined, process.pid);
    expect(found).toMatchObject({ directory: at('good', String(process.pid)), note: '' });
    const configured = await openFirst([trusted('file'), trusted('good')], at('file'), process.pid);
    expect(configured.note).toBe(
      `${at('file')}: a part of the path is not a directory; correct the path; using ${at('good')}`,
    );
  });

  test('says what it means that there is none', async () => {
    const store = await openFirst([trusted('none/store')], undefined, process.pid);
    expect(store.directory).toBeNull();
    expect(store.note).toContain(`(${at('none/store')}: no such file): the program runs from its own path`);
    expect(store.note).toContain('mount a tmpfs without noexec at /run/baton');
    await store.prune([]);
  });

  test('trusts no directory in a shared place that somebody else could have made', async () => {
    await mkdir(at('real'));
    await symlink('real', at('link'));
    expect((await openFirst([shared('link')], undefined, 1)).note).toContain(
      `${at('link')}: not a directory`,
    );
    await chmod(at('real'), 0o777);
    expect((await openFirst([shared('real')], undefined, 1)).note).toContain('others may write to it');
    expect((await openFirst([trusted('real')], undefined, 1)).directory).toBe(at('real/1'));
  });

  test('removes what dead owners left, and leaves the living and itself alone', async () => {
    const child = spawn('true');
    await once(child, 'exit');
    for (const owner of [child.pid, process.pid, process.ppid, 'other']) {
      await mkdir(at('store', String(owner), '0123456789abcdef'), { recursive: true });
    }
    await openFirst([trusted('store')], undefined, process.pid);
    expect((await readdir(at('store'))).sort()).toEqual(
      [String(process.pid), String(process.ppid), 'other'].sort(),
    );
    expect(await readdir(at('store', String(process.pid)))).toEqual(['0123456789abcdef']);
  });
});

test('prune keeps the copies of the given digests alone', async () => {
  const store = await openFirst([trusted('store')], undefined, process.pid);
  const digests = ['a', 'b', 'c'].map((digit) => digit.repeat(64));
  for (const digest of digests) await mkdir(join(store.directory ?? '', storeKey(digest)));
  await store.prune(digests.slice(1));
  expect(await readdir(store.directory ?? '')).toEqual(digests.slice(1).map(storeKey));
});
