/** A script on a volume under an interpreter, which alone is watched by default. */
import { dirname } from 'node:path';
import { execPath, kill } from 'node:process';
import { describe, expect } from 'vitest';
import type { LogLine } from '../../support/deployed.ts';
import { mountTest } from '../../support/mounts.ts';
import { Service } from '../../support/service.ts';

/** Makes a mount of the directory of the script, which is the last argument, as an engine does for a volume. */
const onVolume = [
  'sh',
  '-c',
  'for script; do :; done; d=$(dirname "$script"); mount --bind "$d" "$d"; exec "$@"',
  'sh',
];

const isHint = ({ msg }: LogLine) => msg.includes('starts no reload');

describe.concurrent('a script that nobody watches', () => {
  mountTest('is told of, once in the life of the container', async () => {
    await using service = await Service.start('node', { watch: [], through: onVolume });
    const { msg } = await service.waitForLog(isHint);
    const script = service.build.command.at(-1) as string;
    expect(msg).toBe(
      `watching ${execPath} alone; a change of ${script} starts no reload: add --watch ${dirname(script)} (BATON_WATCH)`,
    );
    kill(await service.agentPid(), 'SIGKILL');
    await service.waitForLog(({ msg }) => msg === 'a new agent carries on');
    expect((await service.baton('reload')).code).toBe(0);
    await service.stop();
    expect(service.log.filter(isHint)).toMatchObject([{ level: 40 }]);
  });

  mountTest.for([
    ['but named', {}],
    ['where nothing is to be watched', { watch: ['off'] }],
  ] as const)('%s: nothing is told', async ([, options]) => {
    await using service = await Service.start('node', { ...options, through: onVolume });
    expect((await service.baton('reload')).code).toBe(0);
    await service.stop();
    expect(service.log.filter(isHint)).toEqual([]);
  });
});
