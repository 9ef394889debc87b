/** The container's limits, as its program and people read them. Pure. */

import type { Limits } from './cgroup.ts';

/**
 * For the program's environment: processors as a decimal (`0.5`, `2`), bytes; no variable without a limit. What the
 * container's own environment says of them stands, as the operator's word: of limits that are not seen from inside.
 *
 * The CPU quota alone: a cpuset is seen by every program through sched_getaffinity(2), the quota by few.
 */
export function limitVariables(
  { cpu, memory }: Limits,
  environment: NodeJS.ProcessEnv,
): Readonly<Record<string, string>> {
  const entries = Object.entries({ BATON_CPU_LIMIT: cpu, BATON_MEMORY_LIMIT: memory });
  return Object.fromEntries(
    entries.flatMap(([name, limit]) => (limit === null || environment[name] ? [] : [[name, String(limit)]])),
  );
}

/** "out of memory (limit 64 MiB)" */
export function outOfMemory({ memory }: Limits): string {
  return memory === null ? 'out of memory' : `out of memory (limit ${binary(memory)})`;
}

/** What `killsTogether` (cgroup.ts) means, and what to do. */
export function killedTogether({ memory }: Limits): string {
  const limit = memory === null ? '' : `, ${binary(memory)}`;
  return `when memory runs out the kernel kills the whole container (memory.oom.group), not the new generation alone: leave room for two generations in the limit${limit}, or have the kubelet set singleProcessOOMKill`;
}

function binary(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}
