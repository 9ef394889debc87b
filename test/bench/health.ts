/** How long a probe waits for its answer, whatever the agent is doing. */
import { start } from '../support/namespace.ts';
import { Service } from '../support/service.ts';
import { digits, type Figure, type Section, spread } from './figures.ts';
import { column, helper, rounds } from './helpers.ts';
import { summarise } from './statistics.ts';

const BAR = { text: 'p99 < 1 ms', atMost: 1 };

export async function measureHealth(count: number): Promise<Section> {
  await using bare = await start([await helper('bare_responder')]);
  const [, barePort] = await bare.waitFor(/port (\d+)/);
  await using service = await Service.start('c', { flags: ['--log-level', 'info'] });
  const probe = await helper('probe');
  const floors: number[] = [];
  const probes = async (name: string) => {
    const table = await rounds(probe, [
      ...[String(count), '/readyz'],
      ...[String(service.healthPort), String(barePort)],
    ]);
    floors.push(...column(table, 2));
    return judged(name, column(table, 0), column(table, 1));
  };
  const alive = await probes('agent alive');
  const agent = await service.agentPid();
  // PID 1 takes it for hung after five seconds: the probes need less than one.
  process.kill(agent, 'SIGSTOP');
  const stopped = await probes('agent stopped (SIGSTOP)');
  process.kill(agent, 'SIGCONT');
  process.kill(agent, 'SIGKILL');
  const killed = await probes('agent killed, the next one booting');
  const floor = figure('a bare responder meanwhile, for comparison', floors, 0);
  return {
    title: 'health probe answered',
    columns: ['', 'p50 µs', 'p10–p90', 'p99 µs', 'slowest µs', 'not 200'],
    figures: [alive, stopped, killed, floor],
    notes: [
      `${count} probes of /readyz, one after the other, each on a connection of its own, in turn with the bare responder.`,
    ],
  };
}

function judged(name: string, ns: readonly number[], statuses: readonly number[]): Figure {
  const measured = figure(name, ns, statuses.filter((status) => status !== 200).length);
  const p99 = summarise(ns).p99 / 1e6;
  return { ...measured, judged: { bar: BAR, value: p99, text: `p99 ${digits(p99)} ms` } };
}

function figure(name: string, ns: readonly number[], not200: number): Figure {
  const summary = summarise(ns.map((value) => value / 1000));
  const { p50, p99, max } = summary;
  return {
    name,
    cells: [digits(p50), spread(summary), digits(p99), digits(max), String(not200)],
    raw: { p50Us: p50, p99Us: p99, maxUs: max, not200 },
  };
}
