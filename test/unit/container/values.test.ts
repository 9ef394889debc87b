import { describe, expect, test } from 'vitest';
import { parseBytes, parseCpuMax, parseCpuQuota, parseEntry } from '../../../agent/container/values.ts';

describe('processors', () => {
  test.each([
    ['50000 100000\n', 0.5],
    ['200000 100000\n', 2],
    ['1000 1000000\n', 0.001],
    ['33333 100000\n', 0.333],
    ['max 100000\n', null],
    ['100000\n', null],
    ['50000 0\n', null],
    ['0x10 100000\n', null],
    ['', null],
  ])('v2 cpu.max %j: %j', (text, processors) => expect(parseCpuMax(text)).toBe(processors));

  test.each([
    ['150000\n', '100000\n', 1.5],
    ['-1\n', '100000\n', null],
    ['', '', null],
  ])('v1 quota %j of %j: %j', (quota, period, processors) =>
    expect(parseCpuQuota(quota, period)).toBe(processors),
  );
});

describe('bytes', () => {
  test.each([
    ['67108864\n', 67108864],
    ['max\n', null],
    ['9223372036854771712\n', null], // PAGE_COUNTER_MAX in pages of 4 KiB
    ['9223372036854710272\n', null], // of 64 KiB
    ['9223372036854775807\n', null], // before Linux 3.19
    ['-1\n', null],
    ['64M\n', null],
    ['1e9\n', null],
    ['', null],
  ])('%j: %j', (text, bytes) => expect(parseBytes(text)).toBe(bytes));
});

test('an entry is found by its whole name', () => {
  const text = 'oom 5\noom_kill_disable 0\noom_group_kill 4\noom_kill 2\n';
  expect(parseEntry(text, 'oom_kill')).toBe(2);
  expect(parseEntry(text, 'oom')).toBe(5);
  expect(parseEntry(text, 'kill')).toBeNull();
});
