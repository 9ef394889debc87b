/** Signals by name and number, as PID 1 counts them (signal(7)). */
import { constants } from 'node:os';
import { accepted, type Parsed, refused } from './parsed.ts';

/** The first and last real-time signal as glibc, musl and the shells count them; the kernel's own begin at 32. */
const RT_MIN = 34;
const RT_MAX = 64;

export const SIGNAL_EXPECTED = 'a signal such as SIGTERM, TERM, 15 or SIGRTMIN+3';

const numbers = new Map<string, number>(Object.entries(constants.signals));
const names = new Map<number, string>();
for (const [name, number] of numbers) if (!names.has(number)) names.set(number, name);

/**
 * Parses `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`; case does not matter.
 * @returns the number, 1..64
 */
export function parseSignal(text: string): Parsed<number> {
  const number = numberOf(text.toUpperCase().replace(/^SIG/, ''));
  return number === undefined ? refused(SIGNAL_EXPECTED) : accepted(number);
}

/** 15 → "SIGTERM"; real-time signals as "SIGRTMIN+n". */
export function signalName(number: number): string {
  const name = names.get(number);
  if (name !== undefined) return name;
  return number >= RT_MIN && number <= RT_MAX ? `SIGRTMIN+${number - RT_MIN}` : `signal ${number}`;
}

function numberOf(name: string): number | undefined {
  if (/^[0-9]{1,2}$/.test(name)) return within(Number(name), 1);
  const [, edge, offset] = /^(RTMIN|RTMAX)(?:[+-]([0-9]{1,2}))?$/.exec(name) ?? [];
  if (edge === 'RTMIN' && !name.includes('-')) return within(RT_MIN + Number(offset ?? 0), RT_MIN);
  if (edge === 'RTMAX' && !name.includes('+')) return within(RT_MAX - Number(offset ?? 0), RT_MIN);
  return numbers.get(`SIG${name}`);
}

function within(number: number, low: number): number | undefined {
  return number >= low && number <= RT_MAX ? number : undefined;
}
