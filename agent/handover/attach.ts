/** A new agent takes over: what PID 1 has is compared with what the last agent thought it had. */

import type { Artifact } from '../artifact/artifact.ts';
import { askAgain, askToStop, partsOf, spawn } from './process.ts';
import type { EventOf, Generation, Process, State } from './state.ts';
import { generations, processes, replace, set, type Turn } from './turn.ts';

type Listed = EventOf<'attached'>['processes'];

/** Of a process that no state speaks of, only its name is known. */
const UNKNOWN_ARTIFACT: Artifact = { digest: '', path: '', source: '' };

/** What happened while no agent was there to be told. */
export function missedNews({ state, at }: Turn, listed: Listed): readonly EventOf<'spawned' | 'gone'>[] {
  return processes(state).flatMap(({ key, state: was, pid }): EventOf<'spawned' | 'gone'>[] => {
    const found = listed.find((process) => process.key === key);
    if (found !== undefined) return pid === null ? [{ type: 'spawned', at, key, pid: found.pid }] : [];
    return was === 'spawning' ? [] : [{ type: 'gone', at, key }];
  });
}

/**
 * Whatever the last agent had asked for and was not seen to get; what the news touched has been asked for
 * just now.
 */
export function askForOutstanding(turn: Turn, before: State): void {
  if (turn.state.preparing !== null) turn.effects.push({ type: 'prepare', trigger: turn.state.preparing });
  const untouched = new Set(processes(before));
  for (const process of processes(turn.state)) if (untouched.has(process)) askAgain(turn, process);
}

/**
 * Processes that PID 1 never started. They are asked for under new keys: an exit of the old key that is still
 * on its way cannot then be taken for theirs.
 */
export function spawnUnanswered(turn: Turn, listed: Listed): void {
  for (const generation of generations(turn.state)) {
    for (const process of generation.processes) {
      if (process.state !== 'spawning' || isListed(listed, process)) continue;
      const successors = process.stop === null ? [spawn(turn, generation, process.instance)] : [];
      replace(turn, process.key, () => successors);
    }
  }
}

/** Processes that the state does not know, because it was lost or is another version's: they have no future here. */
export function stopStrangers(turn: Turn, listed: Listed): void {
  const known = new Set(processes(turn.state).map(({ key }) => key));
  const strangers = listed.filter(({ key }) => !known.has(key));
  for (const [id, members] of Map.groupBy(strangers, ({ key }) => partsOf(key).generation)) {
    const generation: Generation = { id, artifact: UNKNOWN_ARTIFACT, processes: members.map(stranger) };
    const { draining, lastGeneration, lastRun } = turn.state;
    set(turn, {
      draining: [...draining, generation],
      lastGeneration: Math.max(lastGeneration, id),
      lastRun: Math.max(lastRun, ...members.map(({ key }) => partsOf(key).run)),
    });
    for (const process of generation.processes) askToStop(turn, process);
  }
}

function stranger({ key, pid }: Listed[number]): Process {
  return { key, instance: partsOf(key).instance, pid, state: 'ready', readyBy: 0, stop: null };
}

function isListed(listed: Listed, { key }: Process): boolean {
  return listed.some((process) => process.key === key);
}
