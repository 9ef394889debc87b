/** Where a value came from, and how an error says so. */
import { type OptionKey, optionName, variableName } from './schema.ts';

export type Source =
  | { readonly from: 'flag' }
  | { readonly from: 'environment' }
  | { readonly from: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly from: 'default' };

/** A value as it was given, before it is parsed: text, a list of texts, or something that is wrong. */
export interface Given {
  readonly key: OptionKey;
  readonly input: unknown;
  readonly source: Source;
  /** Where each item of a list is, in a file. */
  readonly items?: readonly Source[];
}

/** A mistake, and where it was made; `default` for one that has no place. */
export interface Problem {
  readonly source: Source;
  /** A line for people, complete but for the place in a file. */
  readonly text: string;
}

/** What is wrong with a value, or with one item of it. `clause` follows its name. */
export function problem(given: Given, index: number | undefined, clause: string): Problem {
  const item = index === undefined ? undefined : given.items?.[index];
  const name = item === undefined ? nameIn(given) : `${nameIn(given)}[${index}]`;
  return { source: item ?? given.source, text: `${name}: ${clause}` };
}

/** The lines to print: `FILE:LINE:COLUMN: KEY: …`, `BATON_KEY: …`, `--key: …`; those of a file first, in its order. */
export function problemLines(problems: readonly Problem[]): string[] {
  return problems
    .toSorted((one, other) => rank(one) - rank(other))
    .map(({ source, text }) =>
      source.from === 'file' ? `${source.file}:${source.line}:${source.column}: ${text}` : text,
    );
}

function nameIn({ key, source }: Given): string {
  if (source.from === 'environment') return variableName(key);
  return source.from === 'flag' && key !== 'command' ? `--${optionName(key)}` : optionName(key);
}

/** Lines are shorter than a million columns, or their order does not matter. */
function rank({ source }: Problem): number {
  return source.from === 'file' ? source.line + source.column / 1e6 : Number.MAX_VALUE;
}

/** For people: `flag --listen`, `environment BATON_LISTEN`, `baton.yaml:3`, `default`. */
export function describeSource(key: OptionKey, source: Source): string {
  switch (source.from) {
    case 'flag':
      return key === 'command' ? 'command line' : `flag --${optionName(key)}`;
    case 'environment':
      return `environment ${variableName(key)}`;
    case 'file':
      return `${source.file}:${source.line}`;
    case 'default':
      return 'default';
  }
}

/** "expected …, got … (hint)", whatever was given cut to a length that fits a line. */
export function mismatch(expected: string, got: unknown, hint?: string): string {
  return `expected ${expected}, got ${show(got)}${hint === undefined ? '' : ` (${hint})`}`;
}

const SHOWN_MAX = 80;

/** A value as a part of one line. */
export function show(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
}
