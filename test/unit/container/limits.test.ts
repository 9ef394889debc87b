import { describe, expect, test } from 'vitest';
import { killedTogether, limitVariables, outOfMemory } from '../../../agent/container/limits.ts';

describe('the variables of the program', () => {
  const both = { cpu: 0.5, memory: 67108864 };

  test('say both limits', () => {
    expect(limitVariables(both, {})).toEqual({ BATON_CPU_LIMIT: '0.5', BATON_MEMORY_LIMIT: '67108864' });
  });

  test('are absent without a limit', () => {
    expect(limitVariables({ cpu: null, memory: null }, {})).toEqual({});
    expect(limitVariables({ cpu: 2, memory: null }, {})).toEqual({ BATON_CPU_LIMIT: '2' });
  });

  test("leave the operator's own alone, but for an empty one", () => {
    const environment = { BATON_CPU_LIMIT: '4', BATON_MEMORY_LIMIT: '' };
    expect(limitVariables(both, environment)).toEqual({ BATON_MEMORY_LIMIT: '67108864' });
  });
});

test.each([
  [null, 'out of memory'],
  [67108864, 'out of memory (limit 64 MiB)'],
  [100_000_000, 'out of memory (limit 95.4 MiB)'],
  [3 * 1024 ** 3, 'out of memory (limit 3 GiB)'],
  [2048 * 1024 ** 4, 'out of memory (limit 2048 TiB)'],
  [512, 'out of memory (limit 512 B)'],
])('%s bytes: %s', (memory, text) => expect(outOfMemory({ cpu: null, memory })).toBe(text));

test('that the whole container is killed is told with what to do', () => {
  expect(killedTogether({ cpu: null, memory: 67108864 })).toBe(
    'when memory runs out the kernel kills the whole container (memory.oom.group), not the new generation alone: ' +
      'leave room for two generations in the limit, 64 MiB, or have the kubelet set singleProcessOOMKill',
  );
});
