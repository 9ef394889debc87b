import { mkdir, mkdtemp, realpath, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { difference, scanPaths } from '../../../agent/artifact/scan.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-scan-')));
});
afterEach(() => rm(root, { recursive: true }));

const at = (...parts: string[]) => join(root, ...parts);
const put = async (path: string, content = path) => {
  await mkdir(join(at(path), '..'), { recursive: true });
  await writeFile(at(path), content);
};
const brief = async (...paths: string[]) =>
  (await scanPaths(paths.map((path) => at(path)))).entries.map(({ path, real, kind, text }) =>
    `${kind} ${path.replace(root, '')} ${real.replace(root, '')} ${text}`.trim(),
  );

describe('scanPaths', () => {
  test('follows every link on the way, as the kernel does', async () => {
    await put('releases/42/server');
    await symlink('releases/42', at('current'));
    await symlink('../current/../42/server', at('releases/server'));
    expect(await brief('releases/server')).toEqual([
      'link /releases/server /releases/server ../current/../42/server',
      'link /releases/server /current releases/42',
      'file /releases/server /releases/42/server',
    ]);
  });

  test('notes each name that decides what a path leads to, in the directory that holds it', async () => {
    await put('..1/file');
    await symlink('..1', at('..data'));
    await symlink('..data/file', at('file'));
    const { names } = await scanPaths([at('file')]);
    expect([...(names.get(root) ?? [])].sort()).toEqual(['..1', '..data', 'file']);
    expect([...(names.get(at('..1')) ?? [])]).toEqual(['file']);
    expect(names.has('/')).toBe(true);
  });

  test('takes a directory with all that is below it, but not node_modules, .git and names that start with ".."', async () => {
    await put('app/b/deep');
    await put('app/a');
    await put('app/node_modules/x');
    await put('app/.git/HEAD');
    await put('app/..2026/a');
    await put('app/.env');
    expect((await brief('app')).filter((line) => line.startsWith('file'))).toEqual([
      'file /app/.env /app/.env',
      'file /app/a /app/a',
      'file /app/b/deep /app/b/deep',
    ]);
  });

  test('follows a link in a directory out of it, and ends where links form a circle', async () => {
    await put('elsewhere/file');
    await put('app/file');
    await symlink('../elsewhere/file', at('app/out'));
    await symlink('.', at('app/self'));
    await symlink('loop', at('app/loop'));
    const lines = await brief('app');
    expect(lines).toContain('file /app/out /elsewhere/file');
    expect(lines).toContain('link /app/self /app/self .');
    expect(lines.filter((line) => line.includes('/app/file'))).toHaveLength(1);
    expect(lines).toContain('link /app/out /app/out ../elsewhere/file');
    expect(lines).toContain('absent /app/loop /app/loop ELOOP');
  });

  test('names the errno of what is not there', async () => {
    await put('file');
    await symlink('nowhere', at('dangling'));
    expect(await brief('dangling', 'file/below', 'none/at/all')).toEqual([
      'link /dangling /dangling nowhere',
      'absent /dangling /nowhere ENOENT',
      'absent /file/below /file ENOTDIR',
      'absent /none/at/all /none ENOENT',
    ]);
  });

  test('stops when it is told to', async () => {
    await expect(scanPaths([root], AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('difference', () => {
  test('is null while nothing changes and names what did', async () => {
    await put('app/a', 'one');
    await put('app/c', 'one');
    const paths = [at('app')];
    const first = await scanPaths(paths);
    expect(difference(first, await scanPaths(paths))).toBeNull();

    await put('app/c', 'another');
    const second = await scanPaths(paths);
    expect(difference(first, second)).toBe(at('app/c'));

    await put('new', 'another');
    await rename(at('new'), at('app/c'));
    expect(difference(second, await scanPaths(paths))).not.toBeNull();

    const third = await scanPaths(paths);
    await unlink(at('app/c'));
    // The directory that lost it comes first.
    expect(difference(third, await scanPaths(paths))).toBe(at('app'));
  });
});
