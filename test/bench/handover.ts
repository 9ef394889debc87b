/** What Baton adds to the time that the program needs to boot, and what the clients notice of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report } from '../load/report.ts';
import { Service } from '../support/service.ts';
import { digits, type Section, spread } from './figures.ts';
import { column, helper, rounds } from './helpers.ts';
import { summarise } from './statistics.ts';

const COST_BAR = { text: '< 20 ms', atMost: 20 };
const FAILED_BAR = { text: '0', atMost: 0 };
const RATE = 400;
const CONNECTIONS = 4;
/** Between two handovers, so that the old generation is gone before the next. */
const PAUSE_MS = 20;

export interface Reload {
  /** From the trigger to the promotion, as the agent counts it: whole ms. */
  readonly durationMs: number;
  /** From before the kill(2) to the arrival of the log line that tells of the promotion, ms. */
  readonly seenMs: number;
}

/** SIGHUP to PID 1, awaited. @throws Error when it comes to anything but a promotion */
export async function reloadBySignal({ running }: Service): Promise<Reload> {
  const from = running.stderr.length;
  const start = performance.now();
  running.kill('SIGHUP');
  for (;;) {
    await running.heard();
    const match = /"outcome":"(\w+)".*?"durationMs":(\d+)/.exec(running.stderr.slice(from));
    if (match?.[1] === 'promoted') return { durationMs: Number(match[2]), seenMs: performance.now() - start };
    if (match) throw new Error(`the reload ended as ${match[1]}:\n${running.stderr.slice(from)}`);
  }
}

export async function measureHandover(count: number): Promise<Section[]> {
  // Nothing has to stand still, and a signal is no file event that waits for the next: what it asks for begins at once.
  const flags = ['--log-level', 'info', '--settle', '0s'];
  await using service = await Service.start('c', { flags });
  const boots = await rounds(await helper('boot'), [String(count), ...service.build.command]);
  const boot = summarise(column(boots, 0).map((ns) => ns / 1e6));
  const quiet = await reloads(service, count);
  const undisturbed = service.load({ mode: 'per-request', connections: CONNECTIONS, rate: RATE });
  await sleep(count * (summarise(quiet.map(({ seenMs }) => seenMs)).p50 + PAUSE_MS));
  const before = await undisturbed.stop();
  const loaded = service.load({ mode: 'per-request', connections: CONNECTIONS, rate: RATE });
  const busy = await reloads(service, count);
  const during = await loaded.stop();

  const timed = (name: string, sample: readonly Reload[]) => {
    const duration = summarise(sample.map(({ durationMs }) => durationMs));
    const seen = summarise(sample.map(({ seenMs }) => seenMs));
    const own = duration.p50 - boot.p50;
    return {
      name,
      cells: [digits(own), digits(duration.p50), spread(duration), digits(seen.p50), spread(seen)],
      raw: { ownMs: own, durationMs: duration.p50, seenMs: seen.p50, bootMs: boot.p50 },
      judged: { bar: COST_BAR, value: own, text: `${digits(own)} ms` },
    };
  };
  return [
    {
      title: 'handover’s own cost',
      columns: ['', 'median ms', 'boot included', 'p10–p90', 'seen from outside', 'p10–p90'],
      figures: [
        timed(`${count} handovers, idle`, quiet),
        timed(`${count} handovers at ${RATE} requests/s`, busy),
      ],
      notes: [
        `The sample service in C by itself, from its exec to its first answer: ${digits(boot.p50)} ms (${spread(boot)}); the first column is without it.`,
      ],
    },
    {
      title: 'requests meanwhile',
      columns: ['', 'requests', 'failed', 'p50 ms', 'p99 ms', 'slowest ms'],
      figures: [requests(`during ${count} handovers`, during), requests('without, for comparison', before)],
      notes: [`${RATE} a second, each on a connection of its own.`],
    },
  ];
}

function requests(name: string, { latency, requests: total, failed, stale }: Report) {
  const lost = failed + stale;
  return {
    name,
    cells: [String(total), String(lost), digits(latency.p50), digits(latency.p99), digits(latency.max)],
    raw: { slowestMs: latency.max, p50Ms: latency.p50, p99Ms: latency.p99, requests: total, failed: lost },
    judged: { bar: FAILED_BAR, value: lost, text: `${lost} failed` },
  };
}

async function reloads(service: Service, count: number): Promise<Reload[]> {
  const sample: Reload[] = [];
  for (let handover = 0; handover < count; handover++) {
    sample.push(await reloadBySignal(service));
    await sleep(PAUSE_MS);
  }
  return sample;
}
