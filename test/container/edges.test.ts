/** What goes wrong in a container: nothing to run, no room, no agent. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kill } from 'node:process';
import { describe, expect } from 'vitest';
import { unharmed } from '../load/report.ts';
import { parseLog } from '../support/deployed.ts';
import { Container, containerTest } from './support/container.ts';
import { dockerRun } from './support/run.ts';

describe('nothing to run: one line, and the exit code that docker itself would have', () => {
  containerTest('no command', async () => {
    expect(await dockerRun('baton-on-scratch')).toEqual({
      code: 78,
      stdout: '',
      stderr: 'command: there is nothing to run (put the program after --, or set "command" in the file)\n',
    });
  });

  for (const [what, code, command, text] of [
    ['no such file', 127, '/no/such', '/no/such: no such file; put it there or correct the path'],
    ['not on PATH', 127, 'nosuch', /^nosuch: not found on PATH \(.*\); install it, or give its path$/],
    [
      'a volume that is empty',
      127,
      '/srv/app/app',
      '/srv/app/app: no such file; put it there or correct the path',
    ],
    ['not executable', 126, '/etc/passwd', '/etc/passwd: not executable (mode 0644); chmod +x it'],
    ['a directory', 126, '/srv/app', '/srv/app: is a directory; name the program in it'],
  ] as const)
    containerTest(what, async () => {
      const { stderr, ...ended } = await dockerRun('--volume', '/srv/app', 'baton-on-debian', '--', command);
      expect(ended).toEqual({ code, stdout: '' });
      const errors = parseLog(stderr).filter(({ level }) => level >= 40);
      const reason = typeof text === 'string' ? text : expect.stringMatching(text);
      expect(parseLog(stderr).at(-1)).toMatchObject({ code, reason });
      expect(errors.map(({ msg }) => msg)).toEqual([expect.stringMatching(/^refused: /)]);
    });
});

describe('a store in memory', () => {
  containerTest(
    'with room for one copy: the next version is refused, and what serves does not notice',
    async () => {
      // A copy is 880 KiB.
      await using container = await Container.start({
        hostConfig: { Tmpfs: { '/run/baton': 'exec,size=1m' } },
      });
      const load = container.load({ mode: 'per-request', connections: 2, rate: 50 });
      await load.completed(1);
      expect(await container.outcomeOf(() => container.update('v2'))).toMatchObject({
        outcome: 'refused',
        msg: expect.stringMatching(
          /no space left on device; free some space there or configure another store$/,
        ),
      });
      await load.completed(10);
      expect([...(await load.stop()).versions.keys()]).toEqual(['v1']);
    },
  );

  containerTest('mounted noexec, as docker does by default, is passed over', async () => {
    const hostConfig = { ReadonlyRootfs: true, Tmpfs: { '/run/baton': '' } };
    await using container = await Container.start({ hostConfig });
    expect(container.log.filter(({ level }) => level >= 40).map(({ msg }) => msg)).toEqual([
      expect.stringMatching(
        /^no store for snapshots \(\/run\/baton: mounted noexec; .*mount a tmpfs without noexec at/,
      ),
    ]);
  });
});

containerTest('the agent is killed in the middle of a handover: the next one makes it', async () => {
  await using container = await Container.launch({ flags: ['--ready', 'exec:/usr/bin/test -e /srv/app/go'] });
  const gate = join(container.directory, 'volume/go');
  await writeFile(gate, '');
  await container.waitForLog(({ outcome }) => outcome === 'promoted');
  const loads = container.loads();
  const probes = container.probe('/readyz');
  await Promise.all(loads.map((load) => load.completed(1)));

  await rm(gate);
  await container.update('v2');
  await container.until(({ candidate }) => candidate?.processes[0]?.pid != null);
  kill(await container.agentPid(), 'SIGKILL');
  await container.waitForLog(({ msg }) => msg === 'a new agent carries on');
  expect(await container.outcomeOf(() => writeFile(gate, ''))).toMatchObject({
    outcome: 'promoted',
    generation: 2,
  });
  await Promise.all(loads.map((load) => load.seen('v2')));
  for (const load of [...loads, probes]) expect(await load.stop()).toMatchObject(unharmed);
  expect(await container.stop()).toBe(0);
});
