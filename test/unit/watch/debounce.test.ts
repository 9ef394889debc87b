import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { debounce } from '../../../agent/watch/debounce.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('one call for a burst, with each thing once, oldest first', () => {
  const fired: (readonly string[])[] = [];
  const burst = debounce((what) => fired.push(what), 100, 1000);
  for (const what of ['b', 'a', 'b']) {
    burst.note(what);
    vi.advanceTimersByTime(99);
  }
  expect(fired).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(fired).toEqual([['b', 'a']]);
  vi.advanceTimersByTime(10_000);
  expect(fired).toHaveLength(1);
});

test('a burst without end is told of all the same, and the next begins anew', () => {
  const fired: (readonly string[])[] = [];
  const burst = debounce((what) => fired.push(what), 100, 1000);
  for (let i = 0; i < 25; i++) {
    burst.note('log');
    vi.advanceTimersByTime(90);
  }
  expect(fired).toHaveLength(2);
});

test('nothing after cancel', () => {
  const fired: (readonly string[])[] = [];
  const burst = debounce((what) => fired.push(what), 100, 1000);
  burst.note('a');
  burst.cancel();
  vi.advanceTimersByTime(10_000);
  expect(fired).toEqual([]);
});
