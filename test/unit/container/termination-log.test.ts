import { existsSync, mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeTerminationLog } from '../../../agent/container/termination-log.ts';

/** What is in the file after `text` was added to `content`. */
function written(content: string, text: string): string {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'baton-termination-'));
  const file = join(directory.path, 'termination-log');
  writeFileSync(file, content);
  writeTerminationLog(text, file);
  return readFileSync(file, 'utf8');
}

describe('the termination log', () => {
  test('gets a line', () => {
    expect(written('', 'stopped as asked')).toBe('stopped as asked\n');
  });

  test('keeps what the program said', () => {
    expect(written('my last words\n', 'stopped as asked')).toBe('my last words\nstopped as asked\n');
  });

  test('takes whole characters, up to what the kubelet reads', () => {
    const text = written('x', '€'.repeat(2000));
    expect(text).toBe(`x${'€'.repeat(1365)}`);
    expect(Buffer.byteLength(text)).toBe(4096);
    expect(written('x'.repeat(5000), 'more')).toBe('x'.repeat(5000));
  });

  test('is never made, and nothing else in its place is an error', () => {
    using directory = mkdtempDisposableSync(join(tmpdir(), 'baton-termination-'));
    const file = join(directory.path, 'termination-log');
    writeTerminationLog('x', file);
    expect(existsSync(file)).toBe(false);
    mkdirSync(file);
    writeTerminationLog('x', file);
  });
});
