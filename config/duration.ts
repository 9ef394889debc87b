/** Durations as people write them: a whole number and one unit, so that no line of a file can be read in two ways. */
import { accepted, type Parsed, refused } from './parsed.ts';

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Matches what {@link parseDuration} reads, before its bounds. */
export const DURATION_PATTERN = '^(0|[0-9]+(ms|s|m|h))$';

/**
 * Parses `500ms`, `20s`, `2m`, `1h` or `0`.
 * @param low the least that is accepted, ms
 * @param high the most that is accepted, ms
 * @returns milliseconds
 */
export function parseDuration(text: string, low: number, high: number): Parsed<number> {
  const expected = durationExpected(low, high);
  const [, digits, unit] = /^([0-9]+)(ms|s|m|h)$/.exec(text) ?? [];
  if (text !== '0' && (digits === undefined || unit === undefined)) return refused(expected, hintFor(text));
  const milliseconds = text === '0' ? 0 : Number(digits) * UNITS[unit as keyof typeof UNITS];
  return milliseconds < low || milliseconds > high ? refused(expected) : accepted(milliseconds);
}

export function durationExpected(low: number, high: number): string {
  return `a duration from ${formatDuration(low)} to ${formatDuration(high)}, such as 500ms, 20s, 2m or 1h`;
}

/** The shortest text that {@link parseDuration} reads as the same time: 90000 → "90s". */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0s';
  const unit = (['h', 'm', 's'] as const).find((name) => milliseconds % UNITS[name] === 0) ?? 'ms';
  return `${milliseconds / UNITS[unit]}${unit}`;
}

function hintFor(text: string): string | undefined {
  if (/^[0-9]+$/.test(text)) return `the unit is missing: ${text}s or ${text}ms?`;
  if (/^[0-9]*\.[0-9]+(ms|s|m|h)$/.test(text)) return 'use a smaller unit instead of a fraction: 1500ms';
  if (/^([0-9]+(ms|s|m|h)){2,}$/.test(text)) return 'one unit only: 90s instead of 1m30s';
  return undefined;
}
