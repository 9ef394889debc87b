/** How much later a signal reaches the program because an init passes it on. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { baton, type Running, startAsPid1 } from '../support/namespace.ts';
import { BATON_INIT, type Contender, referenceIndex } from './contenders.ts';
import { digits, type Figure, ratio, type Section, spread } from './figures.ts';
import { column, helper, rounds } from './helpers.ts';
import { pairedRatio, summarise } from './statistics.ts';

const BATON_RUN = 'baton run, routed';
/** tini differs from itself by as much, from run to run. */
const BAR = { text: 'no worse than tini (≤ 1.05)', atMost: 1.05 };

const alone: Contender = { name: 'no init: the kernel alone', command: (child) => [...child] };
const run: Contender = {
  name: BATON_RUN,
  command: (child) => [
    ...[baton, 'run', '--health', 'off', '--watch', 'off', '--ready', 'delay:0s', '--log-format', 'json'],
    ...['--', ...child],
  ],
};

/**
 * `one-cpu`: all on the same processor, as in a container that has no more: the program often waits until its init
 * sleeps.
 */
export type Placement = 'free' | 'one-cpu';

export async function measureSignals(
  inits: readonly Contender[],
  count: number,
  placement: Placement,
): Promise<Section> {
  const contenders = [...inits, run, alone];
  const pinned = placement === 'free' ? [] : ['taskset', '--cpu-list', await firstCpu()];
  const directory = await mkdtemp(join(tmpdir(), 'baton-bench-'));
  await using started = new AsyncDisposableStack();
  started.defer(() => rm(directory, { recursive: true, force: true }));
  const [child, sender] = [await helper('signal_child'), await helper('signal_sender')];
  const targets: string[] = [];
  for (const [index, { name, command }] of contenders.entries()) {
    const fifo = join(directory, String(index));
    await promisify(execFile)('mkfifo', [fifo]);
    const running = started.use(
      await startAsPid1([...pinned, ...command([child, fifo])], { env: { BATON_NODE: process.execPath } }),
    );
    await ready(running, name === BATON_RUN);
    targets.push(String(running.pid), fifo);
  }
  const [file, ...args] = [...pinned, sender, String(count), ...targets] as [string, ...string[]];
  const table = await rounds(file, args);
  const reference = referenceIndex(contenders);
  return {
    title: placement === 'free' ? 'a signal passed on' : 'a signal passed on, one processor for all',
    columns: ['init', 'p50 µs', 'p10–p90', 'p99 µs', 'to tini, paired (p10–p90)'],
    figures: contenders.map(({ name }, index): Figure => {
      const sample = column(table, index);
      const summary = summarise(sample);
      const { p10, p50, p90, p99 } = summary;
      const paired = reference < 0 ? null : pairedRatio(sample, column(table, reference));
      return {
        name,
        cells: [
          digits(p50 / 1000),
          spread(summary, 1 / 1000),
          digits(p99 / 1000),
          paired ? ratio(paired) : '',
        ],
        raw: { p10Ns: p10, p50Ns: p50, p90Ns: p90, p99Ns: p99, ...(paired && { ratioToTini: paired.p50 }) },
        ...((name === BATON_RUN || name === BATON_INIT) &&
          paired && { judged: { bar: BAR, value: paired.p50, text: `${paired.p50.toFixed(2)} × tini` } }),
      };
    }),
    notes: [`${count} rounds of SIGUSR1, from before kill(2) to the return of the program’s sigwaitinfo(2).`],
  };
}

async function ready(running: Running, handedOver: boolean): Promise<void> {
  await running.waitFor(/up\n/);
  if (handedOver) await running.waitFor(/"outcome":"promoted"/);
}

/** The first that this process may use: proc_pid_status(5). */
async function firstCpu(): Promise<string> {
  const status = await readFile('/proc/self/status', 'utf8');
  return /^Cpus_allowed_list:\s+(\d+)/m.exec(status)?.[1] ?? '0';
}
