import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const names = (folder: string) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.c') && name !== 'replay.c')
    .map((name) => basename(name, '.c'));

/** The C side's own tests, compiled with AddressSanitizer and UndefinedBehaviorSanitizer (see the Makefile). */
describe('native unit tests', () => {
  test.each(names('test/unit/init'))('%s', (name) => {
    expect(execFileSync(join(root, 'build/unit', name), { encoding: 'utf8' })).toMatch(
      /^[1-9]\d* checks, 0 failures\n$/,
    );
  });
});

describe('fuzz corpora replayed', () => {
  test.each(names('test/fuzz'))('%s', (name) => {
    const corpus = join(root, 'test/fuzz/corpus', name);
    const inputs = readdirSync(corpus).map((file) => join(corpus, file));
    expect(execFileSync(join(root, 'build/fuzz', name), inputs, { encoding: 'utf8' })).toBe(
      `${inputs.length} inputs\n`,
    );
  });
});
