import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { median, pairedRatio, percentile, summarise } from '../../bench/statistics.ts';

const sample = fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 200 });

describe('percentile', () => {
  test.each([
    { values: [7], percent: 0, is: 7 },
    { values: [7], percent: 99, is: 7 },
    { values: [3, 1, 2], percent: 50, is: 2 },
    { values: [4, 1, 3, 2], percent: 50, is: 2.5 },
    { values: [10, 20, 30, 40, 50], percent: 25, is: 20 },
    { values: [10, 20, 30, 40, 50], percent: 90, is: 46 },
    { values: [0, 100], percent: 99, is: 99 },
    // By number, not by text: "9" sorts after "10".
    { values: [9, 10, 100], percent: 50, is: 10 },
  ])('the $percent. of $values is $is', ({ values, percent, is }) => {
    expect(percentile(values, percent)).toBeCloseTo(is, 10);
  });

  test('depends on no order, changes no sample, and grows from the least to the most', () => {
    fc.assert(
      fc.property(sample, fc.integer({ min: 0, max: 100 }), (values, percent) => {
        const before = [...values];
        const at = percentile(values, percent);
        expect(values).toEqual(before);
        expect(percentile(values.toReversed(), percent)).toBe(at);
        expect(percentile(values, 0)).toBe(Math.min(...values));
        expect(percentile(values, 100)).toBe(Math.max(...values));
        expect(percentile(values, Math.min(100, percent + 1))).toBeGreaterThanOrEqual(at);
      }),
    );
  });

  test('as many lie below the median as above', () => {
    fc.assert(
      fc.property(sample, (values) => {
        const middle = median(values);
        const half = values.length / 2;
        expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(half);
        expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(half);
      }),
    );
  });

  test.each([-1, 101, Number.NaN])('there is no %d.', (percent) => {
    expect(() => percentile([1, 2], percent)).toThrow(RangeError);
  });

  test('nothing has none', () => {
    expect(() => percentile([], 50)).toThrow(RangeError);
    expect(() => summarise([])).toThrow(RangeError);
  });
});

test('a summary is the sample’s percentiles', () => {
  const values = Array.from({ length: 101 }, (_, index) => index);
  expect(summarise(values)).toEqual({ count: 101, p10: 10, p50: 50, p90: 90, p99: 99, max: 100 });
});

describe('a paired ratio', () => {
  test('is taken round by round: what slows a whole round down cancels out', () => {
    const reference = [10, 1000, 20];
    const halved = [5, 500, 10];
    expect(pairedRatio(halved, reference)).toMatchObject({ count: 3, p10: 0.5, p50: 0.5, p90: 0.5 });
  });

  test('is not the ratio of the medians', () => {
    const [slow, fast] = [
      [2, 30, 4],
      [1, 10, 100],
    ];
    expect(median(slow) / median(fast)).toBeCloseTo(0.4, 10);
    expect(pairedRatio(slow, fast).p50).toBe(2);
  });

  test('does not depend on how fast the machine was in each round', () => {
    const round = fc.record({
      ours: fc.integer({ min: 1, max: 1000 }),
      theirs: fc.integer({ min: 1, max: 1000 }),
      slowness: fc.constantFrom(1, 2, 8, 64),
    });
    fc.assert(
      fc.property(fc.array(round, { minLength: 1 }), (rounds) => {
        const ratio = (slow: boolean) =>
          pairedRatio(
            rounds.map(({ ours, slowness }) => ours * (slow ? slowness : 1)),
            rounds.map(({ theirs, slowness }) => theirs * (slow ? slowness : 1)),
          );
        expect(ratio(true)).toEqual(ratio(false));
      }),
    );
  });

  test.each([
    { ours: [1, 2], theirs: [1], why: 'rounds of different numbers' },
    { ours: [1], theirs: [0], why: 'a reference of 0' },
    { ours: [], theirs: [], why: 'no rounds' },
  ])('refuses $why', ({ ours, theirs }) => {
    expect(() => pairedRatio(ours, theirs)).toThrow(RangeError);
  });
});
