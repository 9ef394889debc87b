import { describe, expect, test } from 'vitest';
import { OomWatch } from '../../../agent/container/oom.ts';

const KILLED = { code: 0, signal: 9 };

/** A cgroup whose counter the test moves, and a clock. */
function world(kills: number | null, seen?: number | null) {
  const kernel = { kills, time: 1_000_000 };
  const told: [number, string][] = [];
  const watch = new OomWatch({
    cgroup: { oomKills: () => kernel.kills, limits: () => ({ cpu: null, memory: 67108864 }) },
    now: () => kernel.time,
    seen,
    onKills: (count, reason) => told.push([count, reason]),
  });
  return { kernel, told, watch };
}

describe('a process that ended by SIGKILL', () => {
  test('was out of memory when the counter has risen', () => {
    const { kernel, told, watch } = world(3);
    kernel.kills = 4;
    expect(watch.explain(KILLED)).toBe('out of memory (limit 64 MiB)');
    expect(told).toEqual([[1, 'out of memory (limit 64 MiB)']]);
  });

  test('was killed by somebody else when it has not, however many were killed before', () => {
    const { told, watch } = world(3);
    expect(watch.explain(KILLED)).toBeNull();
    expect(told).toEqual([]);
  });

  test('is explained where only a look before saw the counter rise', () => {
    const { kernel, watch } = world(0);
    kernel.kills = 1;
    watch.look();
    kernel.time += 2000;
    expect(watch.explain(KILLED)).not.toBeNull();
  });

  test('is not explained by the kill of a child long ago', () => {
    const { kernel, told, watch } = world(0);
    kernel.kills = 1;
    watch.look();
    kernel.time += 60_000;
    expect(watch.explain(KILLED)).toBeNull();
    expect(told).toHaveLength(1);
    kernel.kills = 2;
    expect(watch.explain(KILLED)).not.toBeNull();
    expect(watch.explain(KILLED)).toBeNull();
  });

  test('is not told the same kill as another: each explains one', () => {
    const { kernel, watch } = world(0);
    kernel.kills = 2;
    const three = [KILLED, KILLED, KILLED].map((exit) => watch.explain(exit) !== null);
    expect(three).toEqual([true, true, false]);
  });
});

test('a shell whose child was killed ends with 137', () => {
  const { kernel, watch } = world(0);
  kernel.kills = 1;
  expect(watch.explain({ code: 137, signal: 0 })).not.toBeNull();
});

test('another end needs no explanation, and leaves the kill to the one that does', () => {
  const { kernel, watch } = world(0);
  kernel.kills = 1;
  expect(watch.explain({ code: 3, signal: 0 })).toBeNull();
  expect(watch.explain({ code: 0, signal: 11 })).toBeNull();
  expect(watch.explain(KILLED)).not.toBeNull();
});

describe('an agent that follows one that died', () => {
  test('tells what was killed in between', () => {
    const { told, watch } = world(5, 4);
    expect(watch.explain(KILLED)).not.toBeNull();
    expect(told).toHaveLength(1);
    expect(watch.seen).toBe(5);
  });

  test('begins with the counter where the one before knew of none', () => {
    const { watch } = world(5, null);
    expect(watch.explain(KILLED)).toBeNull();
    expect(watch.seen).toBe(5);
  });
});

test('a kernel that does not count explains nothing, and a counter that starts anew is followed', () => {
  const { kernel, watch } = world(null);
  expect(watch.explain(KILLED)).toBeNull();
  kernel.kills = 7;
  expect(watch.explain(KILLED)).toBeNull();
  kernel.kills = 0;
  expect(watch.explain(KILLED)).toBeNull();
  kernel.kills = 1;
  expect(watch.explain(KILLED)).not.toBeNull();
});
