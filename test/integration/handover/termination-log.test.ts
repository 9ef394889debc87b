/** Why the container ended, where Kubernetes looks for it: the agent's part (test/integration/pid1 has PID 1's). */
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { mountTest, throughDevices } from '../../support/mounts.ts';
import { Service, type ServiceOptions } from '../../support/service.ts';

interface End {
  readonly options: ServiceOptions;
  readonly stop?: true;
  readonly code: number;
  readonly text: string | RegExp;
}

const crash = () => ['sh', '-c', 'exit 3'];

const ends: readonly (readonly [string, End])[] = [
  ['a stop', { options: {}, stop: true, code: 0, text: 'stopped as asked\n' }],
  [
    'a stop that was too short',
    {
      options: {
        flags: ['--stop-grace', '1s'],
        command: (app) => ['sh', '-c', 'trap "" TERM; "$@" & while :; do wait; done', 'sh', ...app],
      },
      stop: true,
      code: 137,
      text: /^stopped as asked; generation 1 \(pid \d+\) did not end within .* stop-grace, 1s, leaves no more .*\n$/,
    },
  ],
  [
    'too many crashes',
    {
      options: { flags: ['--restart-limit', '1'], command: crash },
      code: 3,
      text: 'too many crashes; the last: the program exited with code 3 before it was ready\n',
    },
  ],
  [
    'a program that is not there',
    { options: { command: () => ['/nowhere/server'] }, code: 127, text: /^\/nowhere\/server: .*\n$/ },
  ],
  [
    'a mistake in the configuration',
    {
      options: { flags: ['--drain-delay', '10s', '--settle', 'x'] },
      code: 78,
      text: /^--settle: expected a duration .*\n--drain-delay: 10s leaves no time for the drain: .*\n$/,
    },
  ],
];

describe.concurrent('/dev/termination-log after', () => {
  mountTest.each(ends)('%s', async (_, { options, stop, code, text }) => {
    await using devices = await mkdtempDisposable(join(tmpdir(), 'baton-dev-'));
    const file = join(devices.path, 'termination-log');
    await writeFile(file, '');
    await using service = await Service.launch('c', { ...options, through: throughDevices(devices.path) });
    if (stop) {
      await service.waitForLog(({ outcome }) => outcome === 'promoted');
      service.running.kill('SIGTERM');
    }
    expect(await service.running.exit).toEqual({ code, signal: null });
    const content = await readFile(file, 'utf8');
    if (typeof text === 'string') expect(content).toBe(text);
    else expect(content).toMatch(text);
  });
});
