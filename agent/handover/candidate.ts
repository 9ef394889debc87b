/** The candidate: started beside the active generation, and then promoted or abandoned. */

import type { Artifact } from '../artifact/artifact.ts';
import { conclude } from './outcome.ts';
import { askToStop, spawn } from './process.ts';
import type { EventOf, Generation, Process, Result, State, Trigger } from './state.ts';
import { set, type Turn, update } from './turn.ts';

/** The artifact is there: start it, unless that is what runs or starts already. */
export function takeArtifact(turn: Turn, { artifact }: EventOf<'prepared'>): void {
  const { preparing: trigger, candidate } = turn.state;
  if (trigger === null) return;
  set(turn, { preparing: null });
  const generation = alreadyThere(turn.state, trigger, artifact);
  if (generation === null || generation !== candidate?.generation)
    abandon(turn, 'superseded', 'something newer came before it was ready');
  if (generation === null) start(turn, trigger, artifact);
  else conclude(turn, trigger, { result: 'unchanged', reason: 'nothing has changed', generation });
}

/**
 * The generation that makes a new one needless. A change undone while its candidate starts leads back to the active
 * one, unless someone had insisted on a restart.
 */
function alreadyThere(
  { active, candidate }: State,
  { force }: Trigger,
  { digest }: Artifact,
): Generation | null {
  if (force) return null;
  if (candidate?.generation.artifact.digest === digest) return candidate.generation;
  return active?.artifact.digest === digest && candidate?.trigger.force !== true ? active : null;
}

function start(turn: Turn, trigger: Trigger, artifact: Artifact): void {
  const id = turn.state.lastGeneration + 1;
  const processes = Array.from({ length: turn.policy.instances }, (_, instance) =>
    spawn(turn, { id, artifact }, instance),
  );
  set(turn, { lastGeneration: id, candidate: { generation: { id, artifact, processes }, trigger } });
}

/** All of its processes are ready: only now is the old generation asked to stop. */
export function promoteOnceAllReady(turn: Turn, process: Process): void {
  noteReady(turn, process);
  const { active, candidate } = turn.state;
  if (!candidate?.generation.processes.every(({ state }) => state === 'ready')) return;
  set(turn, { active: candidate.generation, candidate: null, crashes: [], restarts: [] });
  conclude(turn, candidate.trigger, { result: 'promoted', reason: '', generation: candidate.generation });
  if (active !== null) retire(turn, active);
}

export function noteReady(turn: Turn, { key, state }: Process): void {
  if (state === 'running') update(turn, key, { state: 'ready' });
}

/** The candidate comes to nothing; the active generation is not touched. */
export function abandon(turn: Turn, result: Result, reason: string): void {
  const { candidate } = turn.state;
  if (candidate === null) return;
  set(turn, { candidate: null });
  conclude(turn, candidate.trigger, { result, reason, generation: candidate.generation });
  retire(turn, candidate.generation);
}

function retire(turn: Turn, generation: Generation): void {
  if (generation.processes.length === 0) return;
  set(turn, { draining: [...turn.state.draining, generation] });
  stopAll(turn, generation);
}

export function stopAll(turn: Turn, generation: Generation): void {
  for (const process of generation.processes) if (process.stop === null) askToStop(turn, process);
}
