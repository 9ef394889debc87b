/** What a measurement hands over, and how it is printed: Markdown, so that it can be pasted as it is. */
import type { Summary } from './statistics.ts';

export interface Bar {
  /** As it is printed: `≤ 0.60 × tini`. */
  readonly text: string;
  /** In the unit of the figure. */
  readonly atMost: number;
}

export interface Figure {
  /** Unique within its section: a key of the JSON. */
  readonly name: string;
  /** In the order of the section's columns, the name left out. */
  readonly cells: readonly string[];
  /** The raw numbers, for the JSON. */
  readonly raw: Readonly<Record<string, number>>;
  readonly judged?: Judged;
}

export interface Judged {
  readonly bar: Bar;
  readonly value: number;
  /** The value with its unit. */
  readonly text: string;
}

export interface Section {
  readonly title: string;
  /** Of the first column, then of the cells. */
  readonly columns: readonly string[];
  readonly figures: readonly Figure[];
  /** One sentence each, below the table. */
  readonly notes?: readonly string[];
}

export function formatSection({ title, columns, figures, notes = [] }: Section): string {
  const rows = figures.map(({ name, cells, judged }) => [name, ...cells, judged ? verdict(judged) : '']);
  return [`### ${title}`, '', table([...columns, 'bar'], rows), ...notes.flatMap((note) => ['', note])].join(
    '\n',
  );
}

/** Every figure that has a bar, beside it. */
export function formatSummary(sections: readonly Section[]): string {
  const rows = sections.flatMap(({ title, figures }) =>
    figures.flatMap(({ name, judged }) =>
      judged ? [[`${title}: ${name}`, judged.text, judged.bar.text, outcome(judged)]] : [],
    ),
  );
  return table(['what', 'measured', 'bar', ''], rows);
}

export function outcome({ value, bar }: Judged): 'ok' | 'over' {
  return value <= bar.atMost ? 'ok' : 'over';
}

function verdict(judged: Judged): string {
  return `${judged.bar.text}: ${outcome(judged)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Three digits that mean something: 0.583, 12.4, 1160. */
export function digits(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toPrecision(3);
}

/** `480–610` */
export function spread({ p10, p90 }: Summary, scale = 1): string {
  return `${digits(p10 * scale)}–${digits(p90 * scale)}`;
}

/** `0.45 (0.41–0.52)` */
export function ratio(summary: Summary): string {
  return `${summary.p50.toFixed(2)} (${summary.p10.toFixed(2)}–${summary.p90.toFixed(2)})`;
}
