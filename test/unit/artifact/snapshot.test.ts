import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ChangedMeanwhile } from '../../../agent/artifact/errors.ts';
import { snapshot } from '../../../agent/artifact/snapshot.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-snapshot-')));
  await writeFile(join(root, 'server'), 'bytes');
});
afterEach(() => rm(root, { recursive: true }));

const { signal } = new AbortController();
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const source = (content: string) => ({
  real: join(root, 'server'),
  content: sha256(content),
  digest: 'd'.repeat(64),
});
const files = async () =>
  (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length;

test('a copy of what was digested is kept', async () => {
  const path = await snapshot(source('bytes'), root, null, signal);
  expect(path).toBe(join(root, 'd'.repeat(16), 'server'));
  expect(await readFile(path, 'utf8')).toBe('bytes');
  expect(await files()).toBe(2);
});

test('a copy of anything else is not, and nothing is left of it', async () => {
  await expect(snapshot(source('other bytes'), root, null, signal)).rejects.toThrow(ChangedMeanwhile);
  expect(await files()).toBe(1);
});

test('a source that is gone has changed', async () => {
  await rm(join(root, 'server'));
  await expect(snapshot(source('bytes'), root, null, signal)).rejects.toThrow(ChangedMeanwhile);
});

test('what was left of an interrupted copy does not matter', async () => {
  await writeFile(join(root, `.${'d'.repeat(16)}.partial`), 'half', { mode: 0o400 });
  expect(await readFile(await snapshot(source('bytes'), root, null, signal), 'utf8')).toBe('bytes');
});

test('an interrupted one leaves nothing', async () => {
  await expect(snapshot(source('bytes'), root, null, AbortSignal.abort(new Error('enough')))).rejects.toThrow(
    'enough',
  );
  expect(await files()).toBe(1);
});

test('one that would not fit into memory is not begun, and one that is there is used all the same', async () => {
  await expect(snapshot(source('bytes'), root, 4, signal)).rejects.toThrow(
    `${join(root, 'server')}: no room for a copy in ${root}, which is in memory`,
  );
  expect(await files()).toBe(1);
  const copy = await snapshot(source('bytes'), root, 5, signal);
  expect(await snapshot(source('bytes'), root, 0, signal)).toBe(copy);
});
