import { nextDeadline } from './due.ts';
import type { Policy, Process, Projection, State } from './state.ts';

/** What is true of a state, whatever led to it. Pure. */
export function project(policy: Policy, state: State): Projection {
  const { active, candidate, stopping } = state;
  const running = (active ?? candidate?.generation)?.processes.filter(isRunning) ?? [];
  return {
    ready: stopping === null && active !== null && active.processes.some(isServing),
    started: active !== null,
    routes: running.flatMap(({ pid }) => pid ?? []),
    expendable:
      active === null ? [] : (candidate?.generation.processes.flatMap(({ pid }) => pid ?? []) ?? []),
    mainPid: active === null ? null : (running.toSorted(byInstance)[0]?.pid ?? null),
    deadline: nextDeadline(policy, state),
  };
}

function isRunning({ state, pid }: Process): boolean {
  return pid !== null && (state === 'running' || state === 'ready');
}

function isServing({ state, stop }: Process): boolean {
  return state === 'ready' && stop === null;
}

/** A process that is to serve goes before one of the same instance that is on its way out. */
function byInstance(one: Process, other: Process): number {
  return one.instance - other.instance || Number(one.stop !== null) - Number(other.stop !== null);
}
