import { describe, expect, test } from 'vitest';
import { digits, formatSection, formatSummary, outcome, type Section } from '../../bench/figures.ts';

const bar = { text: '≤ 300 kB', atMost: 300 };
const section: Section = {
  title: 'memory',
  columns: ['process', 'kB'],
  figures: [
    { name: 'tini', cells: ['1332'], raw: { kb: 1332 } },
    { name: 'ours', cells: ['300'], raw: { kb: 300 }, judged: { bar, value: 300, text: '300 kB' } },
    { name: 'worse', cells: ['301'], raw: { kb: 301 }, judged: { bar, value: 301, text: '301 kB' } },
  ],
  notes: ['Once settled.'],
};

test.each([
  [300, 'ok'],
  [301, 'over'],
  // What could not be measured is not within the bar.
  [Number.NaN, 'over'],
])('%d against a bar of 300 is %s', (value, verdict) => {
  expect(outcome({ bar, value, text: '' })).toBe(verdict);
});

test('a section is a Markdown table, each figure beside its bar', () => {
  expect(formatSection(section)).toBe(
    [
      '### memory',
      '',
      '| process | kB | bar |',
      '| --- | --- | --- |',
      '| tini | 1332 |  |',
      '| ours | 300 | ≤ 300 kB: ok |',
      '| worse | 301 | ≤ 300 kB: over |',
      '',
      'Once settled.',
    ].join('\n'),
  );
});

test('the summary has those with a bar, and no others', () => {
  expect(formatSummary([section])).toBe(
    [
      '| what | measured | bar |  |',
      '| --- | --- | --- | --- |',
      '| memory: ours | 300 kB | ≤ 300 kB | ok |',
      '| memory: worse | 301 kB | ≤ 300 kB | over |',
    ].join('\n'),
  );
});

describe('digits', () => {
  test.each([
    [0, '0'],
    [0.58312, '0.583'],
    [1, '1.00'],
    [12.44, '12.4'],
    [99.96, '100'],
    [1160.7, '1161'],
    [-0.5, '-0.500'],
  ])('%d is written %s', (value, text) => {
    expect(digits(value)).toBe(text);
  });
});
