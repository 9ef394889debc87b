/**
 * One turn of the machine: the state so far, and what was asked for on the way. It lives no longer than one `step`;
 * the state inside is replaced, never changed, so that the caller's stays as it was.
 */
import type { Effect, Generation, Policy, Process, State } from './state.ts';

export interface Turn {
  readonly policy: Policy;
  /** Now. */
  readonly at: number;
  state: State;
  readonly effects: Effect[];
}

/** Whose news it is. `leaving`: asked to stop, in whatever generation. */
export type Role = 'candidate' | 'active' | 'leaving';

export function set(turn: Turn, change: Partial<State>): void {
  turn.state = { ...turn.state, ...change };
}

/** Every generation that has, or may have, processes. */
export function generations({ active, candidate, draining }: State): readonly Generation[] {
  return [...(active ? [active] : []), ...(candidate ? [candidate.generation] : []), ...draining];
}

export function processes(state: State): readonly Process[] {
  return generations(state).flatMap((generation) => generation.processes);
}

export function find(state: State, key: string): Process | undefined {
  return processes(state).find((process) => process.key === key);
}

export function roleOf({ candidate }: State, process: Process): Role {
  if (process.stop !== null) return 'leaving';
  return candidate?.generation.processes.includes(process) ? 'candidate' : 'active';
}

export function update(turn: Turn, key: string, change: Partial<Process>): void {
  replace(turn, key, (process) => [{ ...process, ...change }]);
}

export function forget(turn: Turn, key: string): void {
  replace(turn, key, () => []);
}

/** Puts other processes, or none, in the place of one. */
export function replace(turn: Turn, key: string, by: (process: Process) => readonly Process[]): void {
  const within = <G extends Generation | null>(generation: G): G =>
    generation?.processes.some((process) => process.key === key)
      ? {
          ...generation,
          processes: generation.processes.flatMap((process) =>
            process.key === key ? by(process) : [process],
          ),
        }
      : generation;
  const { active, candidate, draining } = turn.state;
  set(turn, {
    active: within(active),
    candidate: candidate && { ...candidate, generation: within(candidate.generation) },
    draining: draining.map(within).filter((generation) => generation.processes.length > 0),
  });
}
