/** What Prometheus is told. Counters start anew with each agent, as Prometheus expects of a restart. */

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Outcome, Projection, State } from '../handover/state.ts';
import type { Counts } from '../init.ts';

/** Seconds: a handover takes from tens of milliseconds to the ready-timeout, a drain up to the stop-timeout. */
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const RESULTS = ['promoted', 'refused', 'failed', 'superseded'] as const;

export interface Metrics {
  readonly type: string;
  /** An outcome was recorded. */
  recorded(outcome: Outcome): void;
  /** A process of the active generation died and will be started again. */
  crashed(): void;
  /** An old generation took this long to end, seconds. */
  drained(seconds: number): void;
  render(sample: Sample): Promise<string>;
}

export interface Counted extends Counts {
  /** null where the kernel does not tell. */
  readonly oomKills: number | null;
}

export interface Sample extends Counted {
  readonly state: State;
  readonly projection: Projection;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers });

  const generation = gauge('baton_generation', 'The generation that serves; 0 before the first.');
  const ready = gauge('baton_ready', '1 while /readyz is 200.');
  const draining = gauge('baton_draining_generations', 'Old generations that still have processes.');
  const queue = gauge('baton_accept_queue_depth', 'Connections that wait to be accepted.', ['listener']);
  // PID 1 and the kernel count these, and do not start anew with an agent.
  const counter = (name: string, help: string) => {
    const counted = new Counter({ name, help, registers });
    return (value: number) => {
      counted.reset();
      counted.inc(value);
    };
  };
  const reaped = counter('baton_processes_reaped_total', 'Processes that PID 1 has reaped.');
  const dropped = counter('baton_events_dropped_total', 'Events that PID 1 had no room for.');
  const oomKills = counter(
    'baton_oom_kills_total',
    "Processes of the container's cgroup killed for want of memory.",
  );
  const handovers = new Counter({
    name: 'baton_handovers_total',
    help: 'Handovers by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const handoverSeconds = new Histogram({
    name: 'baton_handover_seconds',
    help: 'From trigger to outcome.',
    labelNames: ['outcome'],
    buckets: SECONDS,
    registers,
  });
  const drainSeconds = new Histogram({
    name: 'baton_drain_seconds',
    help: 'From the first stop signal of an old generation to its last exit.',
    buckets: SECONDS,
    registers,
  });
  const restarts = new Counter({
    name: 'baton_restarts_total',
    help: 'Processes of the active generation that died unasked.',
    registers,
  });
  for (const outcome of RESULTS) handovers.inc({ outcome }, 0);

  return {
    type: registry.contentType,
    recorded({ result, duration }) {
      handovers.inc({ outcome: result });
      handoverSeconds.observe({ outcome: result }, duration / 1000);
    },
    crashed: () => restarts.inc(),
    drained: (seconds) => drainSeconds.observe(seconds),
    render(sample) {
      generation.set(sample.state.active?.id ?? 0);
      ready.set(sample.projection.ready ? 1 : 0);
      draining.set(sample.state.draining.length);
      reaped(sample.reaped);
      dropped(sample.dropped);
      oomKills(sample.oomKills ?? 0);
      for (const [listener, depth] of sample.queues) queue.set({ listener }, depth);
      return registry.metrics();
    },
  };
}
