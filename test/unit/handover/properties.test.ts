import { env } from 'node:process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { project } from '../../../agent/handover/machine.ts';
import type { Policy } from '../../../agent/handover/state.ts';
import { type Program, World } from './world.ts';

/** How many random histories: more of them for a change to the machine. */
const RUNS = Number(env['NUM_RUNS'] ?? 2000);

const policies: fc.Arbitrary<Policy> = fc.record({
  instances: fc.integer({ min: 1, max: 3 }),
  readyTimeout: fc.constant(30),
  stopSignal: fc.constant(15),
  stopTimeout: fc.constantFrom(20, null),
  // Less than a drain takes, or more; and more than what has no stop-timeout has after a reload.
  stopGrace: fc.constantFrom(12, 60, 30_000),
  stopScope: fc.constantFrom('process', 'group'),
  drainDelay: fc.constantFrom(0, 5),
  restartLimit: fc.integer({ min: 1, max: 5 }),
  restartWindow: fc.constant(100),
  restartDelay: fc.integer({ min: 0, max: 4 }),
  restartDelayMax: fc.constant(10),
  maxDraining: fc.integer({ min: 1, max: 2 }),
});

type Action = readonly [kind: keyof typeof actions, pick: number];

/** What can happen, each with one number to choose whom it happens to and how. */
const actions = {
  // One thing that waits goes its ordinary way: most of the runs' length, so that they get far.
  proceed: (world: World, pick: number) => proceed(world, pick),
  deliver: (world: World) => world.deliver(),
  started: (world: World, pick: number) => world.started(pick % (world.spawns.length || 1)),
  notStarted: (world: World, pick: number) =>
    world.notStarted(pick % (world.spawns.length || 1), [1, 1, 126, 127][pick % 4] ?? 1),
  answer: (world: World, pick: number) => world.answer(pick % (world.answers.length || 1)),
  prepared: (world: World, pick: number) => world.prepared('abc'[pick % 3] ?? 'a'),
  refused: (world: World, pick: number) => world.refused([1, 126, 127][pick % 3] ?? 1),
  ready: (world: World, pick: number) => world.probed(pick % (world.probes.length || 1), true),
  unready: (world: World, pick: number) => world.probed(pick % (world.probes.length || 1), false),
  end: (world: World, pick: number) => {
    const alive = world.alive();
    const [code, signal] =
      [
        [0, 0],
        [1, 0],
        [3, 0],
        [0, 11],
        [0, 15],
      ][pick % 5] ?? [];
    world.end(alive[pick % (alive.length || 1)], code ?? 0, signal ?? 0, pick % 3 === 0);
  },
  endGroup: (world: World, pick: number) => {
    const lingering = world.lingering();
    world.endGroup(lingering[pick % (lingering.length || 1)]);
  },
  hup: (world: World) => world.ask('trigger', 'signal'),
  reload: (world: World) => world.ask('trigger', 'control'),
  watch: (world: World) => world.tell({ type: 'trigger', by: 'watch', force: false, event: null }),
  drain: (world: World) => world.ask('drain'),
  stop: (world: World) => world.ask('stop'),
  wait: (world: World, pick: number) => {
    world.at += pick % 4;
    if (pick % 2 === 0) world.tell({ type: 'tick' });
  },
  // An operator drained by hand; the stop signal comes long after.
  idle: (world: World) => {
    world.at += 3000;
    world.tell({ type: 'tick' });
  },
  // docker pause
  freeze: (world: World) => {
    world.at += 3000;
    world.tell({ type: 'held-up', missed: 3000 });
  },
  untilDeadline: (world: World) => pass(world),
  agentDies: (world: World, pick: number) => world.restartAgent(pick % 4 === 0),
  agentDiesAfter: (world: World, pick: number) => {
    world.diesAfter = pick % 4;
  },
  // Late, or about someone that nobody knows.
  stray: (world: World, pick: number) => {
    const retired = world.state.draining.flatMap(({ processes }) => processes.map(({ key }) => key));
    const key = [...retired, '77.0.99'][pick % (retired.length + 1)] ?? '77.0.99';
    world.tell({ type: 'unready', key, reason: 'late' });
    world.tell({ type: 'exited', key: '77.0.99', code: 1, signal: 0 });
    world.tell({ type: 'gone', key: '77.0.99' });
    if (world.preparing === null) world.tell({ type: 'refused', reason: 'late', code: 1 });
  },
};

function weighted(kind: keyof typeof actions, weight: number) {
  return { weight, arbitrary: fc.tuple(fc.constant(kind), fc.nat(59)) };
}

const sequences: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    weighted('proceed', 60),
    weighted('deliver', 10),
    weighted('started', 3),
    weighted('notStarted', 1),
    weighted('answer', 3),
    weighted('prepared', 4),
    weighted('refused', 1),
    weighted('ready', 4),
    weighted('unready', 1),
    weighted('end', 6),
    weighted('endGroup', 2),
    weighted('hup', 5),
    weighted('reload', 2),
    weighted('watch', 6),
    weighted('drain', 1),
    weighted('stop', 1),
    weighted('wait', 6),
    weighted('idle', 1),
    weighted('freeze', 1),
    weighted('untilDeadline', 4),
    weighted('agentDies', 3),
    weighted('agentDiesAfter', 4),
    weighted('stray', 2),
  ),
  { minLength: 1, maxLength: 120, size: 'max' },
);

/** Lets the clock run to the machine's next deadline. */
function pass(world: World): boolean {
  const { deadline } = project(world.policy, world.state);
  if (deadline === null) return false;
  world.at = Math.max(world.at, deadline);
  world.tell({ type: 'tick' });
  return true;
}

/** Some programs do not listen to the stop signal, and some leave children behind that only SIGKILL ends. */
const isDeaf = ({ pid }: Program) => pid % 3 === 0;
const leavesChildren = ({ pid }: Program) => pid % 4 === 0;
/** And some never get ready, nor say so. */
const hangs = (world: World, key: string) => (world.programs.get(key)?.pid ?? 0) % 5 === 0;

function obey(world: World): boolean {
  for (const program of world.programs.values()) {
    if (program.killed && !program.gone) {
      world.end(program, 0, 9, false);
      world.endGroup(program);
      return true;
    }
    if (program.alive && program.toldAt !== null && !isDeaf(program)) {
      world.end(program, 0, 15, leavesChildren(program));
      return true;
    }
  }
  return false;
}

/** One thing that waits goes well; false when nothing waits. */
function proceed(world: World, pick: number): boolean {
  const choices = [
    () => world.deliver(),
    () => world.started(0),
    () => world.answer(0),
    () => world.prepared('abc'[Math.floor(pick / 7) % 3] ?? 'a'),
    () =>
      world.probed(
        world.probes.findIndex((key) => !hangs(world, key)),
        true,
      ),
    () => obey(world),
  ];
  return choices.some((_, index) => choices[(index + pick) % choices.length]?.());
}

/** Faults end: everything that waits goes well, and where nothing does, time passes. */
function settleDown(world: World): void {
  world.diesAfter = null;
  for (let round = 0; round < 5000 && world.exit === null; round++) {
    if (!proceed(world, round) && !pass(world)) return;
  }
  if (world.exit === null) throw new Error('it never comes to rest');
}

function isSteady({ policy, state, exit }: World): boolean {
  if (exit !== null) return true;
  const { active, preparing, candidate, next, draining, restarts, stopping } = state;
  const resting = preparing === null && candidate === null && next === null && draining.length === 0;
  if (!resting || restarts.length > 0) return false;
  // Drained, and waiting for the stop signal.
  if (stopping !== null && (stopping.event !== null || stopping.stage !== 'lame-duck')) return false;
  if (active === null) return stopping !== null;
  return (
    active.processes.length === policy.instances && active.processes.every(({ state }) => state === 'ready')
  );
}

function play(policy: Policy, sequence: readonly Action[]): World {
  const world = new World(policy);
  for (const [kind, pick] of sequence) {
    if (world.exit !== null) break;
    actions[kind](world, pick);
  }
  return world;
}

test('whatever the order of events and whatever is killed, no rule is broken and it comes to rest', () => {
  const reached = { promoted: 0, failed: 0, refused: 0, superseded: 0, exited: 0, restarted: 0, drained: 0 };
  fc.assert(
    fc.property(policies, sequences, (policy, sequence) => {
      const world = play(policy, sequence);
      settleDown(world);
      if (!isSteady(world)) throw new Error(`it came to rest, but not well: ${JSON.stringify(world.state)}`);
      if (world.exit === null) {
        const unanswered = [...world.asked].filter((event) => !world.settled.has(event));
        if (unanswered.length > 0) throw new Error(`never answered: ${unanswered}`);
        if (world.alive().length !== (world.state.active?.processes.length ?? 0))
          throw new Error('someone is left');
      }
      for (const { result } of world.state.history) if (result in reached) reached[result as 'promoted']++;
      if (world.exit !== null) reached.exited++;
      if (world.state.stopping?.stage === 'lame-duck') reached.drained++;
      if (world.state.active?.processes.some(({ key }) => Number(key.split('.')[2]) > policy.instances * 2))
        reached.restarted++;
    }),
    { numRuns: RUNS },
  );
  // A property that never meets a case says nothing about it.
  for (const [what, count] of Object.entries(reached)) expect(count, what).toBeGreaterThan(RUNS / 100);
});
