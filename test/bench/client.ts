/** What a HEALTHCHECK or an exec probe costs: the native client, from fork to exit. */

import { baton } from '../support/namespace.ts';
import { Service } from '../support/service.ts';
import { digits, type Figure, type Section, spread } from './figures.ts';
import { column, helper, rounds } from './helpers.ts';
import { summarise } from './statistics.ts';

const BAR = { text: 'about 1 ms', atMost: 1.5 };
const TRUE = '/bin/true';

export async function measureClient(count: number): Promise<Section> {
  await using service = await Service.start('c', { flags: ['--log-level', 'info'] });
  const timer = await helper('wall_timer');
  // Inside: the abstract socket's name and PID 1's check of its peers are of the container's namespaces.
  const inside = ['--target', String(service.running.pid), '--pid', '--mount', timer];
  const table = await rounds('nsenter', [...inside, String(count), baton, 'ready', ',', TRUE, ',']);
  const figure = (name: string, index: number, judged: boolean): Figure => {
    const summary = summarise(column(table, index).map((ns) => ns / 1e6));
    const { p50, p99 } = summary;
    return {
      name,
      cells: [digits(p50), spread(summary), digits(p99)],
      raw: { p50Ms: p50, p99Ms: p99 },
      ...(judged && { judged: { bar: BAR, value: p50, text: `${digits(p50)} ms` } }),
    };
  };
  return {
    title: 'the native client',
    columns: ['command', 'median ms', 'p10–p90', 'p99 ms'],
    figures: [figure('baton ready', 0, true), figure(`${TRUE}, for comparison`, 1, false)],
    notes: [`${count} times each, interleaved, from before the fork to the end.`],
  };
}
