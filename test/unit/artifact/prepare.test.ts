import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type PrepareOptions, prepareArtifact, watchedPaths } from '../../../agent/artifact/prepare.ts';
import { systemClock } from '../../../agent/artifact/settle.ts';
import { openFirst, type Store, storeKey } from '../../../agent/artifact/store.ts';

let programs: string;
let root: string;
let store: Store;

/** Programs that print their version, then wait for their standard input to end. */
const program = (version: number) => join(programs, String(version));

beforeAll(async () => {
  programs = await mkdtemp(join(tmpdir(), 'baton-programs-'));
  for (const version of [1, 2]) {
    const source = `#include <stdio.h>\nint main(void) { puts("${version}"); fflush(stdout); return getchar() == EOF ? 0 : 1; }`;
    execFileSync('cc', ['-x', 'c', '-', '-o', program(version)], { input: source });
  }
});
afterAll(() => rm(programs, { recursive: true }));

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-prepare-')));
  store = await openFirst([{ path: at('store'), shared: false }], undefined, process.pid);
  await mkdir(at('vol'));
  await copyFile(program(1), at('vol/server'));
});
afterEach(() => rm(root, { recursive: true }));

const at = (...parts: string[]) => join(root, ...parts);
const prepare = (options: Partial<PrepareOptions> = {}) =>
  prepareArtifact({
    command: [at('vol/server')],
    directory: root,
    searchPath: '/usr/bin:/bin',
    watch: [],
    settle: 20,
    store,
    signal: new AbortController().signal,
    ...options,
  });
const version = async (path: string) => {
  const run = promisify(execFile)(path);
  run.child.stdin?.end();
  return Number((await run).stdout);
};

describe('the snapshot', () => {
  test('is a private copy under the name of the program, and runs', async () => {
    const artifact = await prepare();
    expect(artifact.source).toBe(at('vol/server'));
    expect(artifact.path).toBe(join(store.directory ?? '', storeKey(artifact.digest), 'server'));
    expect(artifact.digest).toMatch(/^[0-9a-f]{64}$/);
    const [copy, source] = [await stat(artifact.path), await stat(artifact.source)];
    expect(copy.ino).not.toBe(source.ino);
    expect(copy.nlink).toBe(1);
    expect(copy.mode & 0o7777).toBe(0o755);
    expect(await version(artifact.path)).toBe(1);
    expect(await readdir(store.directory ?? '')).toEqual([storeKey(artifact.digest)]);
  });

  test('keeps the committed bytes when the volume changes in place, and lets the writer write while it runs', async () => {
    const first = await prepare();
    const running = spawn(first.path, { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(running.stdout, 'data');
    // What cp(1) does: O_WRONLY|O_TRUNC, which is ETXTBSY for a file that is being executed.
    await expect(open(first.path, 'r+')).rejects.toThrow('ETXTBSY');
    await copyFile(program(2), at('vol/server'));
    const second = await prepare();
    expect([await version(first.path), await version(second.path)]).toEqual([1, 2]);
    running.stdin.end();
    expect(await once(running, 'exit')).toEqual([0, null]);
  });

  test('is used again when nothing changed, and made anew when it was damaged', async () => {
    const first = await prepare();
    const { ino } = await stat(first.path);
    expect(await prepare()).toEqual(first);
    expect((await stat(first.path)).ino).toBe(ino);
    await truncate(first.path, 100);
    expect(await prepare()).toEqual(first);
    expect(await version(first.path)).toBe(1);
  });

  test('is not a hard link where the source is one', async () => {
    await link(at('vol/server'), at('vol/other'));
    const { path } = await prepare();
    await copyFile(program(2), at('vol/other'));
    expect(await version(path)).toBe(1);
  });
});

describe('run in place', () => {
  test('what is not watched', async () => {
    await writeFile(at('server.js'), '');
    const { path, source } = await prepare({ watch: ['server.js'] });
    expect([path, source]).toEqual([at('vol/server'), at('vol/server')]);
  });

  test('but not what is in a watched directory, or watched by another name', async () => {
    await symlink('vol/server', at('alias'));
    for (const watch of [['vol'], ['alias']]) {
      const { path, source } = await prepare({ watch });
      expect(path.startsWith(store.directory ?? '')).toBe(true);
      expect(source).toBe(at('vol/server'));
    }
  });

  test('a script, which finds its neighbours by its path', async () => {
    await writeFile(at('vol/script'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    expect((await prepare({ command: [at('vol/script')] })).path).toBe(at('vol/script'));
  });

  test('a set-user-ID program, whose copy would be none', async () => {
    await chmod(at('vol/server'), 0o4755);
    expect((await prepare()).path).toBe(at('vol/server'));
  });

  test('everything where there is no store', async () => {
    const none = await openFirst([], undefined, process.pid);
    expect((await prepare({ store: none })).path).toBe(at('vol/server'));
  });
});

describe('the artifact', () => {
  test('is the program that argv[0] finds on PATH, and all that is watched', async () => {
    await writeFile(at('config'), 'a');
    const options = { command: ['server', '--flag'], searchPath: `/usr/bin:${at('vol')}`, watch: ['config'] };
    const first = await prepare(options);
    expect(first.source).toBe(at('vol/server'));
    await writeFile(at('config'), 'b');
    expect((await prepare(options)).digest).not.toBe(first.digest);
  });

  test('is resolved once: a later swap of a link does not reach it', async () => {
    for (const release of [1, 2]) {
      await mkdir(at('releases', String(release)), { recursive: true });
      await copyFile(program(release), at('releases', String(release), 'server'));
    }
    await symlink('releases/1', at('current'));
    const command = [at('current/server')];
    const first = await prepare({ command });
    await symlink('releases/2', at('next'));
    await rename(at('next'), at('current'));
    const second = await prepare({ command });
    expect([first.source, second.source]).toEqual([at('releases/1/server'), at('releases/2/server')]);
    expect([await version(first.path), await version(second.path)]).toEqual([1, 2]);
    expect(await readlink(at('current'))).toBe('releases/2');
  });

  test('does not depend on when it was copied there', async () => {
    const { digest } = await prepare();
    await copyFile(program(1), at('vol/new'));
    await utimes(at('vol/new'), 1, 1);
    await rename(at('vol/new'), at('vol/server'));
    expect((await prepare()).digest).toBe(digest);
  });

  test('is taken whole although it is written while it is looked at', async () => {
    const bytes = await readFile(program(2));
    const writer = await open(at('vol/server'), 'w');
    let written = 0;
    // Each pause between two looks writes a piece: the writer is never ahead of the reader, whatever the machine does.
    const artifact = await prepare({
      clock: {
        ...systemClock,
        async sleep(ms, signal) {
          if (written < bytes.length) {
            written += (await writer.write(bytes, written, Math.min(2000, bytes.length - written)))
              .bytesWritten;
          }
          await systemClock.sleep(ms, signal);
        },
      },
    });
    await writer.close();
    expect(written).toBe(bytes.length);
    expect(await version(artifact.path)).toBe(2);
  });
});

describe('refusals', () => {
  test.each<[string, () => Promise<unknown>, string]>([
    [
      'a mode without x',
      () => chmod(at('vol/server'), 0o644),
      'vol/server: not executable (mode 0644); chmod +x it',
    ],
    [
      'a truncated copy',
      () => truncate(at('vol/server'), 5000),
      'vol/server: truncated, its ELF segments end beyond the file; copy it again',
    ],
    [
      'nothing there',
      () => rm(at('vol/server')),
      'vol/server: no such file; put it there or correct the path',
    ],
  ])('%s', async (_, damage, message) => {
    await damage();
    await expect(prepare()).rejects.toThrow(at(message));
  });

  test('a store that stopped working after it was opened', async () => {
    const { path } = await prepare();
    await rm(dirname(path), { recursive: true });
    await writeFile(dirname(path), '');
    await expect(prepare()).rejects.toThrow(
      `${path}: a part of the path is not a directory; correct the path`,
    );
  });

  test('when told to stop', async () => {
    await expect(prepare({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

describe('watchedPaths', () => {
  const ask = (command: string[], watch: string[], searchPath = '/none:/usr/none') =>
    watchedPaths({ command, directory: '/srv', searchPath, watch });

  test('are those configured, relative to the directory of the program', async () => {
    expect(await ask(['server'], ['config', '/etc/app'])).toEqual(['/srv/config', '/etc/app']);
  });

  test('are the program where none is configured, wherever it may appear', async () => {
    expect(await ask(['./server'], [])).toEqual(['/srv/server']);
    expect(await ask(['server'], [], `/none:${at('vol')}`)).toEqual([at('vol/server')]);
    expect(await ask(['server'], [])).toEqual(['/none/server', '/usr/none/server']);
  });
});
