/** Whom the kernel takes first when memory runs out: `oom` sets it, and takes it back. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { descendants, type Pid1 } from '../../support/pid1.ts';
import { actor, describePid1 } from './suite.ts';

const FIRST = 1000;
const asRoot = process.getuid?.() === 0;
const NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
const without = (...capabilities: readonly string[]) => {
  const list = capabilities.map((name) => `-${name}`).join(',');
  return ['setpriv', `--inh-caps=${list}`, `--bounding-set=${list}`];
};

const scoreOf = (host: number) => Number(readFileSync(`/proc/${host}/oom_score_adj`, 'utf8'));

/** Of a process and all below it; `pid` as its own namespace calls it. */
const scores = (pid1: Pid1, pid: number) => descendants(pid1.hostPid(pid) as number).map(scoreOf);

describePid1((suite) => {
  test('a program and its workers are set, and set back; nobody else is', async () => {
    await using pid1 = await suite.start();
    const own = scoreOf(pid1.running.pid);
    const agent = await pid1.attached();
    const other = await agent.spawn('other', [actor, 'stay']);
    const pid = await agent.spawn('program', [actor, 'child', 'child', 'say:up', 'stay']);
    await pid1.running.waitFor(/^up$/m);
    await agent.request('oom', pid, FIRST);
    expect(scores(pid1, pid)).toEqual([FIRST, FIRST, FIRST]);
    expect([scores(pid1, other), scoreOf(pid1.running.pid)]).toEqual([[own], own]);
    await agent.request('oom', pid, own);
    expect(scores(pid1, pid)).toEqual([own, own, own]);
  });

  test('a worker that was forked meanwhile is set back too', async () => {
    await using pid1 = await suite.start();
    const own = scoreOf(pid1.running.pid);
    const agent = await pid1.attached();
    const script = 'echo up; trap "sleep 60 & echo forked" USR1; while :; do sleep 0.05; done';
    const pid = await agent.spawn('program', ['sh', '-c', script]);
    await pid1.running.waitFor(/^up$/m);
    await agent.request('oom', pid, FIRST);
    await agent.request('kill', pid, 10, 'process');
    await pid1.running.waitFor(/^forked$/m);
    const all = () =>
      descendants(pid1.hostPid(pid) as number)
        .slice(0, 2)
        .map(scoreOf);
    expect(all()).toEqual([FIRST, FIRST]);
    await agent.request('oom', pid, own);
    expect(all()).toEqual([own, own]);
  });

  test('ESRCH for what PID 1 did not start or has reaped', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const ended = await agent.spawn('program', [actor, 'child', 'exit:0']);
    await agent.next('exit');
    for (const pid of [1, agent.hello.pid, ended, 54321])
      await expect(agent.request('oom', pid, FIRST)).rejects.toMatchObject({ code: 'ESRCH' });
    expect(scoreOf(pid1.running.pid)).not.toBe(FIRST);
  });

  test('a score below the container’s own is refused where that takes a capability', async () => {
    await using pid1 = await suite.start({ through: without('sys_resource') });
    const own = scoreOf(pid1.running.pid);
    const agent = await pid1.attached();
    const pid = await agent.spawn('program', [actor, 'stay']);
    await expect(agent.request('oom', pid, -1000)).rejects.toMatchObject({ code: 'EACCES' });
    expect(scores(pid1, pid)).toEqual([own]);
  });

  // What can be raised can be lowered again, whoever PID 1 and the program are.
  describe.runIf(asRoot)('PID 1', () => {
    const user = { options: ['user=1234', 'group=1234'] };

    test.each([
      ['as root, and a program of another user', [], user],
      ['without CAP_SYS_RESOURCE', without('sys_resource'), user],
      [
        'without CAP_DAC_OVERRIDE, and a program of its own user',
        without('dac_override', 'sys_resource'),
        {},
      ],
      ['as another user than root', NOBODY, {}],
    ] as const)('%s: raised and lowered', async (_, through, options) => {
      await using pid1 = await suite.start({ through });
      const own = scoreOf(pid1.running.pid);
      const agent = await pid1.attached();
      const pid = await agent.spawn('program', [actor, 'child', 'say:up', 'stay'], options);
      await pid1.running.waitFor(/^up$/m);
      await agent.request('oom', pid, FIRST);
      expect(scores(pid1, pid)).toEqual([FIRST, FIRST]);
      await agent.request('oom', pid, own);
      expect(scores(pid1, pid)).toEqual([own, own]);
    });

    test('without CAP_DAC_OVERRIDE, and a program of another user: neither', async () => {
      await using pid1 = await suite.start({ through: without('dac_override', 'sys_resource') });
      const own = scoreOf(pid1.running.pid);
      const agent = await pid1.attached();
      const pid = await agent.spawn('program', [actor, 'stay'], user);
      for (const score of [FIRST, own]) {
        await expect(agent.request('oom', pid, score)).rejects.toMatchObject({ code: 'EACCES' });
        expect(scores(pid1, pid)).toEqual([own]);
      }
    });
  });
});
