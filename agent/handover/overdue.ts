/** Time to drain that is up: SIGKILL, and word of what it costs. */
import { formatDuration } from '../../config/duration.ts';
import { drainTime, toKill } from './due.ts';
import { kill, partsOf } from './process.ts';
import type { Process } from './state.ts';
import { addReason } from './stop.ts';
import type { Turn } from './turn.ts';

export function killOverdue(turn: Turn): void {
  const due = toKill(turn.policy, turn.state, turn.at);
  for (const process of due) kill(turn, process);
  for (const [limit, processes] of Map.groupBy(due, (process) => limitOf(turn, process))) {
    const text = sentence(turn, processes, limit);
    turn.effects.push({ type: 'overdue', pids: processes.flatMap(({ pid }) => pid ?? []), text });
    addReason(turn, text);
  }
}

type Limit = 'stop-timeout' | 'stop-grace';

/** What would have to be raised. */
function limitOf({ policy, state, at }: Turn, { stop }: Process): Limit {
  return stop !== null && stop.since + drainTime(policy, state) <= at ? 'stop-timeout' : 'stop-grace';
}

function sentence({ policy, state, at }: Turn, processes: readonly Process[], limit: Limit): string {
  const which = [...Map.groupBy(processes, ({ key }) => partsOf(key).generation)].map(
    ([generation, members]) => `generation ${generation} (pid ${members.map(({ pid }) => pid).join(', ')})`,
  );
  const waited = Math.max(...processes.map(({ stop }) => at - (stop?.since ?? at)));
  const seconds = `${(waited / 1000).toFixed(1)} s`;
  const remedy =
    limit === 'stop-timeout'
      ? `stop-timeout is ${formatDuration(drainTime(policy, state))} (raise it)`
      : `stop-grace, ${formatDuration(policy.stopGrace)}, leaves no more (raise it together with the orchestrator's own)`;
  return `${which.join(', ')} did not end within ${seconds} and was killed, what it had begun is lost: ${remedy}`;
}
