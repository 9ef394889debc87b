import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../../../config/duration.ts';

const DAY = 86_400_000;

test.each([
  ['0', 0],
  ['0s', 0],
  ['500ms', 500],
  ['20s', 20_000],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['007s', 7000],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text, 0, DAY)).toEqual({ ok: true, value: ms });
});

test.each([
  ['20', '20s or 20ms'],
  ['1.5s', 'smaller unit'],
  ['1m30s', 'one unit only'],
])('%s is refused, with a hint', (text, hint) => {
  expect(parseDuration(text, 0, DAY)).toEqual({
    ok: false,
    expected: 'a duration from 0s to 24h, such as 500ms, 20s, 2m or 1h',
    hint: expect.stringContaining(hint),
  });
});

test.each([
  '',
  ' 1s',
  '1s ',
  '-1s',
  '+1s',
  '1 s',
  '1S',
  '1d',
  's',
  '1e3s',
  '0x1s',
  '١s',
  '1s\n',
  'Infinity',
  '1us',
])('%j is refused', (text) => {
  expect(parseDuration(text, 0, DAY).ok).toBe(false);
});

test('both bounds are accepted, and nothing beyond them', () => {
  expect(parseDuration('1s', 1000, 2000).ok).toBe(true);
  expect(parseDuration('2s', 1000, 2000).ok).toBe(true);
  expect(parseDuration('999ms', 1000, 2000).ok).toBe(false);
  expect(parseDuration('2001ms', 1000, 2000).ok).toBe(false);
  expect(parseDuration(`${'9'.repeat(400)}h`, 0, DAY).ok).toBe(false);
});

test('every duration survives being written and read', () => {
  fc.assert(
    fc.property(fc.nat({ max: DAY }), (ms) => {
      expect(parseDuration(formatDuration(ms), 0, DAY)).toEqual({ ok: true, value: ms });
    }),
  );
});

test('the pattern that editors check accepts what the parser accepts, and no more', () => {
  const near = fc.array(fc.constantFrom('0', '1', '9', 'm', 's', 'h', '.', ' ', '-'), { maxLength: 6 });
  fc.assert(
    fc.property(
      near.map((parts) => parts.join('')),
      (text) => {
        expect(parseDuration(text, 0, Number.MAX_SAFE_INTEGER).ok).toBe(
          new RegExp(DURATION_PATTERN).test(text),
        );
      },
    ),
  );
});
