import { execFileSync } from 'node:child_process';
import { copyFile, mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inspectProgram } from '../../../agent/artifact/inspect.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'baton-inspect-'));
});
afterEach(() => rm(root, { recursive: true }));

const at = (name: string) => join(root, name);
const compile = (name: string, ...flags: string[]) => {
  execFileSync('cc', ['-x', 'c', '-', '-o', at(name), ...flags], { input: 'int main(void) { return 0; }' });
  return at(name);
};

test('an ordinary program may be run from anywhere', async () => {
  expect(await inspectProgram(compile('plain'))).toEqual({ truncated: false, bound: null });
  expect(await inspectProgram(compile('static', '-static'))).toEqual({ truncated: false, bound: null });
  expect(await inspectProgram(process.execPath)).toEqual({ truncated: false, bound: null });
});

test.each([
  ['$ORIGIN/../lib', '--enable-new-dtags', 'origin'],
  ['$ORIGIN/../lib', '--disable-new-dtags', 'origin'],
  ['/opt:$' + '{ORIGIN}', '--enable-new-dtags', 'origin'],
  ['/opt/lib', '--enable-new-dtags', null],
])('a run path of %s (%s) binds it to its place: %s', async (path, tags, bound) => {
  expect(await inspectProgram(compile('rpath', `-Wl,-rpath,${path},${tags}`))).toEqual({
    truncated: false,
    bound,
  });
});

test('a script finds its neighbours by its own path', async () => {
  await writeFile(at('script'), '#!/usr/bin/env node\nimport "./lib.js";\n');
  expect(await inspectProgram(at('script'))).toEqual({ truncated: false, bound: 'script' });
});

test('a copy that stopped half-way is truncated, wherever it stopped', async () => {
  const whole = compile('whole', '-static');
  const { size } = await stat(whole);
  for (const length of [4, 20, 63, 64, 100, 4096, Math.floor(size / 2)]) {
    await copyFile(whole, at('cut'));
    await truncate(at('cut'), length);
    expect([length, (await inspectProgram(at('cut'))).truncated]).toEqual([length, true]);
  }
});

test('what it does not know is left to execve', async () => {
  for (const bytes of ['', '#', 'MZ\x90\0', '\x7fEL', `\x7fELF\x02\x01\x01${'\xff'.repeat(200)}`]) {
    await writeFile(at('odd'), Buffer.from(bytes, 'latin1'));
    expect((await inspectProgram(at('odd'))).bound).toBeNull();
  }
});
