/** The life of one process: asked for, watched until it is ready, asked to stop, killed. */

import type { Scope } from '../init.ts';
import { SIGKILL } from './exit.ts';
import type { Generation, Process } from './state.ts';
import { forget, set, type Turn, update } from './turn.ts';

/** Asks for a new process; the caller puts it in its place. */
export function spawn(
  turn: Turn,
  { id, artifact }: Pick<Generation, 'id' | 'artifact'>,
  instance: number,
): Process {
  const run = turn.state.lastRun + 1;
  const key = `${id}.${instance}.${run}`;
  set(turn, { lastRun: run });
  turn.effects.push({ type: 'spawn', key, generation: id, instance, artifact });
  const readyBy = turn.at + turn.policy.readyTimeout;
  return { key, instance, pid: null, state: 'spawning', readyBy, stop: null };
}

/** PID 1 has started it: watch for its readiness. */
export function watchReadiness(turn: Turn, process: Process, { pid }: { pid: number }): void {
  update(turn, process.key, { pid, state: 'running' });
  probe(turn, { ...process, pid });
}

export function probe(turn: Turn, { key, pid, instance }: Process): void {
  if (pid !== null)
    turn.effects.push({ type: 'probe', key, pid, generation: partsOf(key).generation, instance });
}

/**
 * Asks for the stop: the signal now, SIGKILL when the drain time is up. The scope is the group where the main
 * process is lost: what it left behind would hear of it in no other way.
 */
export function askToStop(turn: Turn, process: Process, scope: Scope = turn.policy.stopScope): void {
  if (process.state === 'running') turn.effects.push({ type: 'cancel-probe', key: process.key });
  update(turn, process.key, { stop: { since: turn.at, killed: false, told: false } });
  signal(turn, process, turn.policy.stopSignal, scope);
}

/** It was asked to stop before PID 1 had started it: its drain time begins now. */
export function askToStopAtBirth(turn: Turn, process: Process, { pid }: { pid: number }): void {
  const state = process.state === 'spawning' ? 'running' : process.state;
  update(turn, process.key, { pid, state });
  if (process.stop?.told === false)
    askToStop(turn, { ...process, pid }, state === 'exited' ? 'group' : undefined);
}

/** Its main process ended while it was to serve: whatever it left behind stops too, as with systemd.kill(5). */
export function stopTheRest(turn: Turn, process: Process): void {
  askToStop(turn, process, 'group');
  update(turn, process.key, { state: 'exited' });
}

export function noteTold(turn: Turn, { key, stop }: Process): void {
  if (stop !== null) update(turn, key, { stop: { ...stop, told: true } });
}

export function kill(turn: Turn, process: Process): void {
  update(turn, process.key, { stop: { since: process.stop?.since ?? turn.at, killed: true, told: true } });
  signal(turn, process, SIGKILL, 'group');
}

/**
 * A new agent cannot know which of the last one's requests were heard: those that were not confirmed are
 * made again.
 */
export function askAgain(turn: Turn, process: Process): void {
  if (process.stop?.killed) kill(turn, process);
  else if (process.stop?.told === false)
    askToStop(turn, process, process.state === 'exited' ? 'group' : undefined);
  else if (process.stop === null && process.state === 'running') probe(turn, process);
}

/** What a key, "generation.instance.run", says. */
export function partsOf(key: string): { generation: number; instance: number; run: number } {
  const [generation = 0, instance = 0, run = 0] = key.split('.').map(Number);
  return { generation, instance, run };
}

export function drop(turn: Turn, process: Process): void {
  forget(turn, process.key);
}

function signal(turn: Turn, { key, pid }: Process, number: number, scope: Scope): void {
  if (pid !== null) turn.effects.push({ type: 'kill', key, pid, signal: number, scope });
}
