/** From the execve of the init to the first line of the child's main: what a container's start owes to its init. */
import { BATON_INIT, type Contender, referenceIndex } from './contenders.ts';
import { digits, type Figure, ratio, type Section, spread } from './figures.ts';
import { column, helper, rounds } from './helpers.ts';
import { pairedRatio, summarise } from './statistics.ts';

const BAR = { text: '≤ 0.60 × tini', atMost: 0.6 };
/** The first ones fill the page cache. */
const WARM_UP = 10;

export async function measureExec(contenders: readonly Contender[], count: number): Promise<Section> {
  const child = await helper('exec_child');
  const commands = contenders.flatMap(({ command }) => [...command([child]), ',']);
  const all = await rounds(await helper('exec_launcher'), [String(count + WARM_UP), ...commands]);
  const counted = all.slice(WARM_UP);
  const reference = referenceIndex(contenders);
  return {
    title: 'exec to the child’s main',
    columns: ['init', 'median µs', 'p10–p90', 'to tini, paired (p10–p90)'],
    figures: contenders.map(({ name }, index): Figure => {
      const sample = column(counted, index);
      const summary = summarise(sample);
      const { p10, p50, p90 } = summary;
      const paired = reference < 0 ? null : pairedRatio(sample, column(counted, reference));
      return {
        name,
        cells: [digits(p50 / 1000), spread(summary, 1 / 1000), paired ? ratio(paired) : ''],
        raw: { p10Ns: p10, p50Ns: p50, p90Ns: p90, ...(paired && { ratioToTini: paired.p50 }) },
        ...(name === BATON_INIT &&
          paired && { judged: { bar: BAR, value: paired.p50, text: `${paired.p50.toFixed(2)} × tini` } }),
      };
    }),
    notes: [`${count} rounds, each init as PID 1 of its own namespace.`],
  };
}
