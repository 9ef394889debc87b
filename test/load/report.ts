/** Counts results and prints them. */
import { createHistogram } from 'node:perf_hooks';
import { type FailureClass, failureClasses, type Result } from './connection.ts';

export interface VersionCount {
  readonly requests: number;
  readonly pids: ReadonlyMap<number, number>;
}

export interface Failure {
  readonly kind: FailureClass | 'stale';
  readonly detail: string;
  /** Seconds since the start of the load. */
  readonly at: number;
}

export interface Report {
  readonly seconds: number;
  /** `ok` + `failed` + `stale`. */
  readonly requests: number;
  readonly ok: number;
  /** The sum of `failures`. */
  readonly failed: number;
  readonly failures: Readonly<Record<FailureClass, number>>;
  readonly stale: number;
  /** Connections opened, or tried. */
  readonly connections: number;
  /** Kept-alive connections that the server closed between two requests, which is its right. */
  readonly closedIdle: number;
  /** Of the `ok` ones, milliseconds, from before connecting (if there was no connection) to the last byte. */
  readonly latency: {
    readonly mean: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  };
  /** Answers by `X-Version` and `X-Pid`, in the order first seen. */
  readonly versions: ReadonlyMap<string, VersionCount>;
  /** The first few that failed or were stale. */
  readonly samples: readonly Failure[];
}

/** What a report says where every request was answered, and answered whole. */
export const unharmed: Partial<Report> = { failed: 0, stale: 0 };

const SAMPLES = 10;

export class Recorder {
  connections = 0;
  closedIdle = 0;
  private ok = 0;
  private stale = 0;
  private readonly start = performance.now();
  private readonly failures = Object.fromEntries(failureClasses.map((kind) => [kind, 0])) as Record<
    FailureClass,
    number
  >;
  private readonly histogram = createHistogram();
  private readonly versions = new Map<string, { requests: number; pids: Map<number, number> }>();
  private readonly samples: Failure[] = [];

  record(result: Result, milliseconds: number): void {
    if (result.kind === 'ok') {
      this.ok++;
      this.histogram.record(Math.max(1, Math.round(milliseconds * 1000)));
      this.countVersion(result.response.fields);
      return;
    }
    if (result.kind === 'stale') this.stale++;
    else this.failures[result.kind]++;
    if (this.samples.length < SAMPLES) {
      this.samples.push({ kind: result.kind, detail: result.detail, at: this.seconds() });
    }
  }

  report(): Report {
    const { ok, stale, connections, closedIdle, histogram, samples, versions } = this;
    const failed = Object.values(this.failures).reduce((sum, count) => sum + count, 0);
    const percentile = (percent: number) => (ok > 0 ? histogram.percentile(percent) / 1000 : 0);
    return {
      seconds: this.seconds(),
      requests: ok + failed + stale,
      ok,
      failed,
      failures: { ...this.failures },
      stale,
      connections,
      closedIdle,
      latency: {
        mean: ok > 0 ? histogram.mean / 1000 : 0,
        p50: percentile(50),
        p90: percentile(90),
        p99: percentile(99),
        max: ok > 0 ? histogram.max / 1000 : 0,
      },
      versions: new Map(
        [...versions].map(([version, count]) => [version, { ...count, pids: new Map(count.pids) }]),
      ),
      samples: [...samples],
    };
  }

  private countVersion(fields: ReadonlyMap<string, string>): void {
    const version = fields.get('x-version') ?? '';
    const pid = Number(fields.get('x-pid') ?? 0);
    let count = this.versions.get(version);
    if (!count) {
      count = { requests: 0, pids: new Map() };
      this.versions.set(version, count);
    }
    count.requests++;
    count.pids.set(pid, (count.pids.get(pid) ?? 0) + 1);
  }

  private seconds(): number {
    return (performance.now() - this.start) / 1000;
  }
}

/** For people: one row a line. */
export function formatReport(report: Report): string {
  const { latency } = report;
  const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 1)} ms`;
  const failures = failureClasses.filter((kind) => report.failures[kind] > 0);
  const rows: [string, string][] = [
    ['requests', `${report.requests} in ${report.seconds.toFixed(1)} s`],
    ['failed', `${report.failed}${failures.map((kind) => `  ${kind} ${report.failures[kind]}`).join('')}`],
    ['stale (keep-alive race)', String(report.stale)],
    ['connections', `${report.connections}, closed by the server while idle ${report.closedIdle}`],
    [
      'latency',
      `p50 ${ms(latency.p50)}  p90 ${ms(latency.p90)}  p99 ${ms(latency.p99)}  slowest ${ms(latency.max)}`,
    ],
    ...[...report.versions].map(([version, { requests, pids }]): [string, string] => [
      `version ${version || '(none)'}`,
      `${requests} by pid ${[...pids.keys()].join(', ')}`,
    ]),
    ...report.samples.map(({ kind, detail, at }): [string, string] => [
      `at ${at.toFixed(3)} s`,
      `${kind}: ${detail}`,
    ]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}
