/**
 * `make bench`: measures what Baton promises and prints it beside the bars, as Markdown on stdout. It asserts
 * nothing: a figure is of the machine that it was taken on. docs/benchmarks.md says what each means.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { measureClient } from './client.ts';
import { findContenders, findFloor } from './contenders.ts';
import { measureExec } from './exec.ts';
import { formatSection, formatSummary, outcome, type Section } from './figures.ts';
import { measureHandover } from './handover.ts';
import { measureHealth } from './health.ts';
import { describeMachine, load } from './machine.ts';
import { measureMemory } from './memory.ts';
import { measureSignals } from './signals.ts';

interface Effort {
  readonly exec: number;
  readonly signals: number;
  readonly handovers: number;
  readonly probes: number;
  readonly clients: number;
}

const FULL: Effort = { exec: 400, signals: 2000, handovers: 60, probes: 2000, clients: 500 };
const QUICK: Effort = { exec: 60, signals: 300, handovers: 10, probes: 500, clients: 100 };
const QUICK_SETTLE_MS = 500;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    only: { type: 'string', multiple: true },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const NAMES = ['exec', 'memory', 'signals', 'signals-one-cpu', 'handover', 'health', 'client'] as const;
type Name = (typeof NAMES)[number];

const usage = `usage: bench.ts [--quick] [--json FILE] [--only ${NAMES.join('|')}]…`;
const only = values.only ?? NAMES;
const unknown = only.find((name) => !NAMES.includes(name as Name));
if (values.help) {
  console.log(usage);
} else if (unknown !== undefined) {
  tell(`--only: there is no "${unknown}"; ${usage}`);
  process.exitCode = 64; // EX_USAGE
} else {
  await main(values.quick ? QUICK : FULL);
}

async function main(effort: Effort): Promise<void> {
  const [{ found, missing }, floor] = await Promise.all([findContenders(), findFloor()]);
  for (const name of missing) tell(`${name} is not installed: left out`);
  if (!floor) tell('musl-gcc is not installed: no floor');
  const compared = floor ? [...found, floor] : found;
  const measures: Record<Name, () => Promise<Section | Section[]>> = {
    exec: () => measureExec(compared, effort.exec),
    memory: () => measureMemory(compared, values.quick ? QUICK_SETTLE_MS : undefined),
    signals: () => measureSignals(found, effort.signals, 'free'),
    'signals-one-cpu': () => measureSignals(found, effort.signals, 'one-cpu'),
    handover: () => measureHandover(effort.handovers),
    health: () => measureHealth(effort.probes),
    client: () => measureClient(effort.clients),
  };

  const machine = describeMachine();
  const loadBefore = load();
  const sections: Section[] = [];
  for (const name of NAMES) {
    if (!only.includes(name)) continue;
    tell(`measuring: ${name}`);
    for (const section of [await measures[name]()].flat()) {
      sections.push(section);
      console.log(`${formatSection(section)}\n`);
    }
  }
  const { cpu, cores, memory, kernel, node } = machine;
  const busy = `load average ${loadBefore.toFixed(2)} before, ${load().toFixed(2)} after`;
  const around = `${cpu}, ${cores} cores, ${memory}, ${kernel}, Node ${node}; ${busy}${values.quick ? '; --quick' : ''}`;
  console.log(`### Against the bars\n\n${formatSummary(sections)}\n\n${around}.`);
  if (values.json)
    await writeFile(values.json, `${JSON.stringify({ machine, effort, ...rawOf(sections) }, null, 2)}\n`);
}

function rawOf(sections: readonly Section[]) {
  return {
    sections: sections.map(({ title, figures }) => ({
      title,
      figures: figures.map(({ name, raw, judged }) => ({
        name,
        ...raw,
        ...(judged && { bar: judged.bar.text, value: judged.value, verdict: outcome(judged) }),
      })),
    })),
  };
}

/** On stderr: stdout is the report. */
function tell(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}
