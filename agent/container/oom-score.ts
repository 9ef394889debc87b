/** How readily the kernel takes a process when memory runs out: proc_pid_oom_score_adj(5). */
import { readFileSync } from 'node:fs';

/** Before all others. */
export const OOM_FIRST = 1000;

/** This process's own, which is PID 1's as well: it inherited it. 0 where /proc is not mounted. */
export function ownOomScore(): number {
  try {
    return Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
  } catch {
    return 0;
  }
}
