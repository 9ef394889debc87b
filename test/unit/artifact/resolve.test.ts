import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { locateProgram, programCandidates, programTrouble } from '../../../agent/artifact/resolve.ts';
import { scanPaths } from '../../../agent/artifact/scan.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-resolve-')));
});
afterEach(() => rm(root, { recursive: true }));

const at = (...parts: string[]) => join(root, ...parts);
const put = async (path: string, mode: number, content = '#!/bin/sh\n') => {
  await mkdir(join(at(path), '..'), { recursive: true });
  await writeFile(at(path), content);
  await chmod(at(path), mode);
};
const locate = (name: string, searchPath = '/usr/bin') =>
  locateProgram({ command: [name], directory: root, searchPath });
const trouble = async (path: string) => programTrouble((await scanPaths([at(path)])).entries);

describe('locateProgram', () => {
  test('takes a name with a slash relative to the working directory of the program', async () => {
    expect(await locate('./server')).toBe(at('server'));
    expect(await locate('bin/server')).toBe(at('bin/server'));
    expect(await locate('/srv/app/../server')).toBe('/srv/server');
  });

  test('searches PATH in order, passing over what cannot be executed', async () => {
    await mkdir(at('a/server'), { recursive: true });
    await put('b/server', 0o644);
    await put('c/server', 0o755);
    await put('d/server', 0o755);
    expect(await locate('server', [at('none'), at('a'), at('b'), at('c'), at('d')].join(':'))).toBe(
      at('c/server'),
    );
  });

  test('takes an empty or relative element of PATH as execvp does', async () => {
    await put('server', 0o755);
    await put('bin/tool', 0o755);
    expect(await locate('server', '/usr/bin:')).toBe(at('server'));
    expect(await locate('tool', 'bin')).toBe(at('bin/tool'));
    expect(programCandidates({ command: ['x'], directory: '/srv', searchPath: ':/bin' })).toEqual([
      '/srv/x',
      '/bin/x',
    ]);
  });

  test('returns what is there although it is unfit, for the error to say why', async () => {
    await put('b/server', 0o644);
    expect(await locate('server', `${at('none')}:${at('b')}`)).toBe(at('b/server'));
  });

  test('says where it has looked', async () => {
    await expect(locate('server', '/usr/none:/none')).rejects.toThrow(
      'server: not found on PATH (/usr/none:/none); install it, or give its path',
    );
    await expect(locate('')).rejects.toThrow('no command to run; give one after "--"');
  });
});

describe('programTrouble', () => {
  test.each<[string, () => Promise<unknown>, string]>([
    ['is not there', async () => {}, ': no such file; put it there or correct the path'],
    ['is not executable', () => put('server', 0o644), ': not executable (mode 0644); chmod +x it'],
    ['is a directory', () => mkdir(at('server')), ': is a directory; name the program in it'],
    ['is empty', () => put('server', 0o755, ''), ': empty file; copy the program again'],
    [
      'is a loop',
      () => symlink('server', at('server')),
      ': too many levels of symbolic links; break the loop',
    ],
  ])('%s', async (_, make, message) => {
    await make();
    expect((await trouble('server'))?.message).toBe(at('server') + message);
  });

  test('is a dangling symlink', async () => {
    await symlink('releases/43', at('current'));
    expect((await trouble('current'))?.message).toBe(
      `${at('current')}: dangling symlink (${at('current')} -> releases/43): ` +
        `there is no ${at('releases')}; point it at a file that exists`,
    );
  });

  test('is none, also through links', async () => {
    await put('releases/42/server', 0o755);
    await symlink('releases/42', at('current'));
    expect(await trouble('current/server')).toBeNull();
  });
});
