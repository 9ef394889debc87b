import {
  chmod,
  mkdir,
  mkdtemp,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DigestCache, digestScan, hashFile } from '../../../agent/artifact/digest.ts';
import { ChangedMeanwhile } from '../../../agent/artifact/errors.ts';
import { scanPaths } from '../../../agent/artifact/scan.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-digest-')));
  await mkdir(at('app'));
  await writeFile(at('app/server'), 'one', { mode: 0o755 });
});
afterEach(() => rm(root, { recursive: true }));

const { signal } = new AbortController();
const at = (...parts: string[]) => join(root, ...parts);
const digest = async (path: string, cache: DigestCache = new Map()) =>
  (await digestScan(at(path), await scanPaths([at(path)]), cache, signal)).whole;

/** Makes a file old enough not to be racy; its ctime can only be faked through a whole different clock. */
const longAgo = new Date(Date.now() - 3_600_000);

describe('digestScan', () => {
  test('is of the content: times and inodes do not matter', async () => {
    const before = await digest('app');
    await writeFile(at('new'), 'one', { mode: 0o700 });
    await rename(at('new'), at('app/server'));
    await utimes(at('app/server'), longAgo, longAgo);
    expect(await digest('app')).toBe(before);
  });

  test.each<[string, () => Promise<unknown>]>([
    ['a byte', () => writeFile(at('app/server'), 'onE')],
    ['the executable bit', () => chmod(at('app/server'), 0o644)],
    ['a new file', () => writeFile(at('app/.env'), '')],
    ['a new empty directory', () => mkdir(at('app/views'))],
    ['a name', () => rename(at('app/server'), at('app/served'))],
    ['a link', () => symlink('server', at('app/link'))],
  ])('differs with %s', async (_, change) => {
    const before = await digest('app');
    await change();
    expect(await digest('app')).not.toBe(before);
  });

  test('differs when content moves from one file to the next', async () => {
    await writeFile(at('app/a'), 'xy');
    await writeFile(at('app/b'), 'z');
    const before = await digest('app');
    await writeFile(at('app/a'), 'x');
    await writeFile(at('app/b'), 'yz');
    expect(await digest('app')).not.toBe(before);
  });

  test('differs when a link is swapped, even to the same content', async () => {
    for (const release of ['41', '42']) {
      await mkdir(at('releases', release), { recursive: true });
      await writeFile(at('releases', release, 'server'), 'same');
    }
    await symlink('releases/41', at('current'));
    const before = await digest('current/server');
    await symlink('releases/42', at('next'));
    await rename(at('next'), at('current'));
    expect(await digest('current/server')).not.toBe(before);
  });

  test("of Kubernetes' ..data it is the content alone", async () => {
    await mkdir(at('..2026_1'));
    await writeFile(at('..2026_1/key'), 'value');
    await symlink('..2026_1', at('..data'));
    await symlink('..data/key', at('key'));
    const before = await digest('');
    const swap = async (name: string, value: string) => {
      await mkdir(at(name));
      await writeFile(at(name, 'key'), value);
      await symlink(name, at('..data_tmp'));
      await rename(at('..data_tmp'), at('..data'));
    };
    await swap('..2026_2', 'value');
    expect(await digest('')).toBe(before);
    await swap('..2026_3', 'changed');
    expect(await digest('')).not.toBe(before);
  });

  test('refuses a scan that is no longer true', async () => {
    const scan = await scanPaths([at('app')]);
    await writeFile(at('app/server'), 'another');
    await expect(digestScan(at('app'), scan, new Map(), signal)).rejects.toThrow(ChangedMeanwhile);
  });

  test('says what cannot be read', async () => {
    await symlink('loop', at('loop'));
    await expect(digest('loop')).rejects.toThrow(
      `${at('loop')}: too many levels of symbolic links; break the loop`,
    );
  });
});

describe('the cache', () => {
  // A file of the system: nobody has written to it within the racy window.
  const old = '/etc/passwd';

  test('spares reading what has not changed', async () => {
    const scan = await scanPaths([old]);
    const cache: DigestCache = new Map();
    const first = await digestScan(old, scan, cache, signal);
    const [key] = cache.keys();
    expect(cache.size).toBe(1);
    cache.set(key ?? '', 'remembered');
    const second = await digestScan(old, scan, cache, signal);
    expect(second.contents.get(old)).toBe('remembered');
    expect(first.contents.get(old)).toBe(await hashFile(old, null, signal));
  });

  test('does not remember what was written just now, when ctime may not move with the next write', async () => {
    const cache: DigestCache = new Map();
    await digest('app', cache);
    expect(cache.size).toBe(0);
  });

  test('forgets what is no longer part of it', async () => {
    const cache: DigestCache = new Map();
    await digestScan(old, await scanPaths([old]), cache, signal);
    await digest('app', cache);
    expect(cache.size).toBe(0);
  });
});

describe('hashFile', () => {
  test('is SHA-256, over files larger than a chunk', async () => {
    await writeFile(at('big'), Buffer.alloc(1_000_000, 'a'));
    // printf 'a%.0s' $(seq 1000000) | sha256sum, FIPS 180-2 appendix B.3
    expect(await hashFile(at('big'), null, signal)).toBe(
      'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
    );
  });

  test('stops when it is told to', async () => {
    await expect(hashFile(at('app/server'), null, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
      'enough',
    );
  });

  test('takes a file that is gone or replaced as changed', async () => {
    const expected = await stat(at('app/server'), { bigint: true });
    await writeFile(at('new'), 'one');
    await rename(at('new'), at('app/server'));
    await expect(hashFile(at('app/server'), expected, signal)).rejects.toThrow(ChangedMeanwhile);
    await expect(hashFile(at('none'), expected, signal)).rejects.toThrow(ChangedMeanwhile);
  });
});
