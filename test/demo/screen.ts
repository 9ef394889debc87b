/** What the demo prints: aligned text, coloured on a terminal alone. */
import { styleText } from 'node:util';
import type { Report } from '../load/report.ts';
import { failuresOf } from './loads.ts';

type Style = Parameters<typeof styleText>[0];

/** A row of the live part, one for each handover. */
export interface Row {
  /** Since the start of the demo. */
  readonly seconds: number;
  readonly change: string;
  readonly trigger: string;
  readonly outcome: string;
  readonly generation: number | null;
  readonly pid: number | null;
  /** From trigger to outcome. */
  readonly milliseconds: number;
  readonly requests: number;
  readonly failures: number;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly align: 'left' | 'right';
  readonly cell: (row: Row) => string;
  readonly style?: (row: Row) => Style | null;
}

const columns: readonly Column[] = [
  { title: 'time', width: 6, align: 'right', cell: ({ seconds }) => `${seconds.toFixed(1)} s` },
  { title: 'what happened', width: 29, align: 'left', cell: ({ change }) => change },
  { title: 'trigger', width: 7, align: 'left', cell: ({ trigger }) => trigger },
  {
    title: 'outcome',
    width: 8,
    align: 'left',
    cell: ({ outcome }) => outcome,
    style: ({ outcome }) => (outcome === 'promoted' ? 'green' : 'yellow'),
  },
  { title: 'generation', width: 10, align: 'right', cell: ({ generation }) => number(generation) },
  { title: 'pid', width: 6, align: 'right', cell: ({ pid }) => (pid === null ? '' : String(pid)) },
  { title: 'took', width: 7, align: 'right', cell: ({ milliseconds }) => `${Math.round(milliseconds)} ms` },
  { title: 'requests', width: 8, align: 'right', cell: ({ requests }) => number(requests) },
  {
    title: 'failed',
    width: 6,
    align: 'right',
    cell: ({ failures }) => number(failures),
    style: ({ failures }) => (failures > 0 ? 'red' : null),
  },
];

export function printHeader(): void {
  print(line(columns.map((column) => style('dim', pad(column, column.title)))));
}

export function printRow(row: Row): void {
  print(line(columns.map((column) => style(column.style?.(row) ?? null, pad(column, column.cell(row))))));
}

/** Under the column of what happened. */
export function printNote(text: string): void {
  const indent = ' '.repeat((columns[0]?.width ?? 0) + 2);
  print(style('dim', `${indent}${text}`));
}

/** Something other than a handover. */
export function printEvent(seconds: number, what: string, detail: string): void {
  const [time, change] = columns as [Column, Column];
  print(`${`${seconds.toFixed(1)} s`.padStart(time.width)}  ${what.padEnd(change.width)}  ${detail}`);
}

/** The closing table: a column for each load. */
export function printLoads(loads: readonly (readonly [string, Report])[]): void {
  const milliseconds = (value: number) => `${value < 10 ? value.toFixed(2) : number(Math.round(value))} ms`;
  const rows: readonly (readonly [string, (report: Report) => string])[] = [
    ['requests', ({ requests }) => number(requests)],
    ['failed', (report) => number(failuresOf(report))],
    ['connections', ({ connections }) => number(connections)],
    ['p50', ({ latency }) => milliseconds(latency.p50)],
    ['p99', ({ latency }) => milliseconds(latency.p99)],
    ['slowest', ({ latency }) => milliseconds(latency.max)],
  ];
  const width = Math.max(...loads.map(([name]) => name.length)) + 3;
  print(style('dim', ''.padEnd(12) + loads.map(([name]) => name.padStart(width)).join('')));
  for (const [name, cell] of rows)
    print(name.padEnd(12) + loads.map(([, report]) => cell(report).padStart(width)).join(''));
}

export function printFacts(facts: readonly (readonly [string, string])[]): void {
  const width = Math.max(...facts.map(([name]) => name.length)) + 2;
  for (const [name, fact] of facts) print(`${name.padEnd(width)}${fact}`);
}

export function printVerdict(failures: readonly string[]): void {
  if (failures.length === 0) print(style('green', 'Nothing failed.'));
  for (const failure of failures) print(style('red', failure));
}

export function print(text = ''): void {
  process.stdout.write(`${text}\n`);
}

export function number(value: number | null): string {
  return value === null ? '' : value.toLocaleString('en-US');
}

function pad({ width, align }: Column, text: string): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width);
}

/** No colour where stdout is no terminal, or where NO_COLOR asks for none. */
function style(format: Style | null, text: string): string {
  return format === null ? text : styleText(format, text, { stream: process.stdout });
}

const line = (cells: readonly string[]) => cells.join('  ').trimEnd();
