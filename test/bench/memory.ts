/** What each process keeps resident once it has nothing to do. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { start, startAsPid1 } from '../support/namespace.ts';
import { Service } from '../support/service.ts';
import { BATON_INIT, type Contender } from './contenders.ts';
import type { Bar, Figure, Section } from './figures.ts';
import { reloadBySignal } from './handover.ts';
import { helper } from './helpers.ts';

const PID1_BAR: Bar = { text: '≤ 300 kB', atMost: 300 };
const AGENT_BAR: Bar = { text: '≤ 50 MB', atMost: 50 * 1024 };
/** At both the state that PID 1 keeps for the agent has its full length: 16 outcomes (agent/handover/outcome.ts). */
const RELOADS = [20, 100];
/** For an init, and for V8's heap to come to rest. */
const SETTLE_MS = 300;
const AGENT_SETTLE_MS = 3000;

/** kB. */
interface Resident {
  readonly rss: number;
  readonly anon: number;
  readonly pss: number;
}

export async function measureMemory(contenders: readonly Contender[], settleMs?: number): Promise<Section> {
  const figures: Figure[] = [];
  for (const contender of contenders) figures.push(await ofInit(contender));
  figures.push(...(await ofRun(settleMs ?? AGENT_SETTLE_MS)));
  return {
    title: 'resident memory',
    columns: ['process', 'VmRSS kB', 'RssAnon kB', 'Pss kB'],
    figures,
    notes: [
      'VmRSS counts the pages of a shared file whole, Pss divides them among all who have them just now.',
    ],
  };
}

async function ofInit({ name, command }: Contender): Promise<Figure> {
  await using running = await startAsPid1(command([await helper('idle_child')]));
  await running.waitFor(/up/);
  await sleep(SETTLE_MS);
  return figure(name, await resident(running.pid), name === BATON_INIT ? PID1_BAR : null);
}

async function ofRun(settleMs: number): Promise<Figure[]> {
  await using service = await Service.start('c', { flags: ['--log-level', 'info', '--settle', '0s'] });
  const look = async (when: string) => {
    await sleep(settleMs);
    const [agent, responder] = await Promise.all([service.agentPid(), service.responderPid()]);
    return [
      figure(`baton run: PID 1, ${when}`, await resident(service.running.pid), PID1_BAR),
      figure(`baton run: health responder, ${when}`, await resident(responder), null),
      figure(`baton run: agent, ${when}`, await resident(agent), AGENT_BAR),
    ];
  };
  const figures = await look('after the start');
  let done = 0;
  for (const reloads of RELOADS) {
    for (; done < reloads; done++) await reloadBySignal(service);
    figures.push(...(await look(`after ${reloads} reloads`)));
  }
  return [...figures, await ofNode(await nodeCommand(await service.agentPid()), settleMs)];
}

/** Node itself, as PID 1 starts it for the agent: its path and flags, up to the agent's bundle. */
async function nodeCommand(agent: number): Promise<string[]> {
  const command = (await readFile(`/proc/${agent}/cmdline`, 'utf8')).split('\0');
  return command.slice(
    0,
    command.findIndex((argument) => argument.endsWith('agent.mjs')),
  );
}

/** What of the agent is not the agent's. */
async function ofNode(command: readonly string[], settleMs: number): Promise<Figure> {
  await using running = await start([...command, '-e', 'setInterval(() => {}, 1e9); console.log("up")']);
  await running.waitFor(/up/);
  await sleep(settleMs);
  return figure('Node alone, for comparison', await resident(running.pid), null);
}

function figure(name: string, { rss, anon, pss }: Resident, bar: Bar | null): Figure {
  return {
    name,
    cells: [String(rss), String(anon), String(pss)],
    raw: { rssKb: rss, rssAnonKb: anon, pssKb: pss },
    ...(bar && {
      judged: {
        bar,
        value: rss,
        text: rss < 10_000 ? `${rss} kB` : `${(rss / 1024).toFixed(1)} MB`,
      },
    }),
  };
}

/** proc_pid_status(5), proc_pid_smaps(5). */
async function resident(pid: number): Promise<Resident> {
  const [status, rollup] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'utf8'),
    readFile(`/proc/${pid}/smaps_rollup`, 'utf8'),
  ]);
  return { rss: field(status, 'VmRSS'), anon: field(status, 'RssAnon'), pss: field(rollup, 'Pss') };
}

function field(text: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
  if (!match) throw new Error(`no ${name} in /proc: ${text.slice(0, 80)}`);
  return Number(match[1]);
}
