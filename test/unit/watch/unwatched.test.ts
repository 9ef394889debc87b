import { mkdir, mkdtempDisposable, realpath, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unwatchedCode } from '../../../agent/watch/unwatched.ts';

const FILES = ['bin/node', 'image/server.js', 'vol/server.js', 'vol/data.db', 'vol/app/main.py'];

/** What is told of a command, `ROOT/vol` being a volume; paths relative to the root of a tree with {@link FILES}. */
async function told(
  argv: readonly string[],
  { directory = '', volume = 'vol' } = {},
): Promise<string | null> {
  await using tree = await mkdtempDisposable(join(await realpath(tmpdir()), 'baton-unwatched-'));
  const at = (path: string) => join(tree.path, path);
  for (const file of FILES) {
    await mkdir(dirname(at(file)), { recursive: true });
    await writeFile(at(file), '', { mode: 0o755 });
  }
  await symlink(at('vol/server.js'), at('image/linked.js'));
  const command = argv.map((text) => text.replace('ROOT', tree.path));
  const points = new Set(['/', '/proc', at(volume)]);
  const text = await unwatchedCode({ command, directory: at(directory), searchPath: at('bin') }, points);
  return text?.replaceAll(tree.path, 'ROOT') ?? null;
}

describe('code on a volume, where the interpreter alone is watched', () => {
  const advice = (path: string, watch: string) =>
    `watching ROOT/bin/node alone; a change of ${path} starts no reload: add --watch ${watch} (BATON_WATCH)`;

  test.each([
    ['the script', ['node', 'ROOT/vol/server.js'], 'ROOT/vol/server.js', 'ROOT/vol'],
    [
      'behind options',
      ['node', '--port', '80', '-u', 'ROOT/vol/app/main.py'],
      'ROOT/vol/app/main.py',
      'ROOT/vol/app',
    ],
    [
      'the first that is on one',
      ['ROOT/bin/node', 'ROOT/image/server.js', 'ROOT/vol/server.js'],
      'ROOT/vol/server.js',
      'ROOT/vol',
    ],
    ['a link into it', ['node', 'ROOT/image/linked.js'], 'ROOT/image/linked.js', 'ROOT/image'],
  ])('%s', async (_, argv, path, watch) => expect(await told(argv)).toBe(advice(path, watch)));

  test('relative to the directory', async () => {
    expect(await told(['node', 'server.js'], { directory: 'vol' })).toBe(
      advice('ROOT/vol/server.js', 'ROOT/vol'),
    );
  });

  test('a file that is itself mounted', async () => {
    const path = 'ROOT/vol/server.js';
    expect(await told(['node', path], { volume: 'vol/server.js' })).toBe(advice(path, path));
  });
});

test.each([
  ['code of the image', ['node', 'ROOT/image/server.js']],
  ['data', ['node', '--log', 'ROOT/vol/data.db', 'ROOT/vol']],
  ['a file that is not there', ['node', 'ROOT/vol/other.js']],
  ['a script that is the program, and watched', ['ROOT/vol/server.js', '--port', '80']],
  ['a name that only ends alike', ['node', 'ROOT/volserver.js', 'x.json']],
  ['an interpreter that is not there', ['python', 'ROOT/vol/app/main.py']],
])('nothing is told of %s', async (_, argv) => expect(await told(argv)).toBe(null));
