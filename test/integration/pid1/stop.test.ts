/** A stop signal is obeyed, with an agent or without. */

import { openSync } from 'node:fs';
import { get } from 'node:http';
import { constants } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openPages } from '../../../agent/health/pages.ts';
import type { FakeAgent, Options, Pid1 } from '../../support/pid1.ts';
import { actor, describePid1, type Suite, stage } from './suite.ts';

const { SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP } = constants.signals;

interface Program {
  readonly argv: readonly string[];
  readonly options?: readonly string[];
}

const trap = (signal: string, code: number): readonly string[] => [
  'sh',
  '-c',
  `trap 'echo got ${signal}; exit ${code}' ${signal}; echo up; while :; do sleep 0.05; done`,
];

/** A container with a program, whose agent has died and whose next one never attaches. */
async function orphaned({ start }: Suite, program: Program, options?: Options): Promise<Pid1> {
  const pid1 = await start(options);
  const agent = await pid1.attached();
  await agent.spawn('program', program.argv, { options: program.options ?? [] });
  await pid1.running.waitFor(/^up$/m);
  await agent.kill();
  await pid1.agent();
  return pid1;
}

/** Each agent that comes does the same, until Baton ends. */
async function everyAgent(pid1: Pid1, act: (agent: FakeAgent) => Promise<void>) {
  for (;;) {
    const agent = await pid1.agent().catch(() => null);
    if (agent === null) return;
    await act(agent).catch(() => {}); // it may be killed meanwhile
  }
}

describePid1((suite) => {
  test.each([
    ['TERM', SIGTERM],
    ['INT', SIGINT],
    ['QUIT', SIGQUIT],
  ])('%s without an agent: the program is stopped, and its code is the container’s', async (_, signal) => {
    await using pid1 = await orphaned(suite, { argv: trap('TERM', 7) });
    pid1.running.kill(signal);
    expect(await pid1.exit).toEqual({ code: 7, signal: null });
    expect(pid1.running.stdout).toBe('up\ngot TERM\n');
    expect(pid1.running.stderr).toMatch(
      /^baton: no agent to make the stop: stopping the service without it$/m,
    );
  });

  test('with the stop signal that the program wants', async () => {
    await using pid1 = await orphaned(suite, { argv: trap('USR1', 9), options: [`stop-signal=${SIGUSR1}`] });
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 9, signal: null });
  });

  test('with SIGKILL once its time is over', async () => {
    const argv = [actor, 'deaf', 'child', 'say:up', 'stay'];
    await using pid1 = await orphaned(suite, { argv, options: ['stop-timeout=100'] });
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 137, signal: null });
    expect(pid1.running.stderr).toMatch(/^baton: pid \d+ did not end within 100 ms: killing it$/m);
  });

  test('with SIGKILL before whoever stops the container sends it, whatever time the program was promised', async () => {
    const argv = ['sh', '-c', "trap 'echo asked' TERM; echo up; while :; do sleep 0.05; done"];
    await using pid1 = await orphaned(suite, { argv, options: ['stop-timeout=600000', 'stop-grace=3000'] });
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 137, signal: null });
    expect(pid1.running.stdout).toBe('up\nasked\n');
    expect(pid1.running.stderr).toMatch(
      /^baton: pid \d+ did not end within 3000 ms of the container's stop signal: killing it$/m,
    );
  });

  test('a process whose own time is over first is killed then', async () => {
    const argv = [actor, 'deaf', 'say:up', 'stay'];
    await using pid1 = await orphaned(suite, { argv, options: ['stop-timeout=100', 'stop-grace=600000'] });
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 137, signal: null });
    expect(pid1.running.stderr).toMatch(/^baton: pid \d+ did not end within 100 ms: killing it$/m);
  });

  test('no further agent is waited for once half of such a time is over', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('program', trap('TERM', 7), { options: ['stop-timeout=600000', 'stop-grace=4000'] });
    await pid1.running.waitFor(/^up$/m);
    pid1.running.kill(SIGTERM);
    await agent.next('signal');
    // Where nobody attaches that half is over by the end of this one.
    using _ = agent.pinging();
    await using yardstick = await orphaned(suite, { argv: trap('TERM', 7) });
    yardstick.running.kill(SIGTERM);
    await yardstick.exit;
    await agent.kill();
    expect(await pid1.exit).toEqual({ code: 7, signal: null });
    await expect(pid1.agent()).rejects.toThrow('baton has ended');
  });

  test('nor is one that hangs', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('program', trap('TERM', 7), { options: ['stop-timeout=600000', 'stop-grace=4000'] });
    await pid1.running.waitFor(/^up$/m);
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 7, signal: null });
    expect(pid1.running.stderr).toMatch(/^baton: the agent hangs: stopping the service without it$/m);
    expect(pid1.running.stderr).not.toMatch(/killing it/);
  });

  test('the whole group, where the scope is the group', async () => {
    const argv = [actor, 'child', 'deaf', 'say:up', 'reap', 'exit:4'];
    await using pid1 = await orphaned(suite, { argv, options: ['scope=group'] });
    pid1.running.kill(SIGTERM); // only the child, which is not deaf, can end this
    expect(await pid1.exit).toEqual({ code: 4, signal: null });
  });

  test('what is left of a group whose process has ended is stopped too', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('program', [actor, 'child', 'exit:6']);
    await agent.next('exit');
    await agent.kill();
    await pid1.agent();
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 6, signal: null });
  });

  test('a zombie that nobody reaps does not keep the container', async () => {
    // The daemon leaves the group and never reaps its child, which is in it.
    const argv = [actor, 'fork', 'child', 'setsid', 'say:up', 'stay'];
    await using pid1 = await orphaned(suite, { argv, options: ['stop-timeout=100'] });
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 143, signal: null });
  });

  test('signals that come again and again do not put it off', async () => {
    await using pid1 = await orphaned(suite, { argv: trap('TERM', 7) });
    const again = setInterval(() => {
      try {
        pid1.running.kill(SIGTERM);
      } catch {} // it has ended
    }, 50);
    const exit = await pid1.exit.finally(() => clearInterval(again));
    expect(exit).toEqual({ code: 7, signal: null });
  });

  test('agents that attach and die of it do not put it off', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('program', trap('TERM', 7));
    await pid1.running.waitFor(/^up$/m);
    pid1.running.kill(SIGTERM);
    await agent.next('signal');
    await agent.kill();
    let agents = 0;
    await everyAgent(pid1, async (next) => {
      agents++;
      await next.attach();
      await next.kill();
    });
    expect(await pid1.exit).toEqual({ code: 7, signal: null });
    expect(agents).toBeLessThanOrEqual(3);
  });

  test('a stop that an agent took up is not forgotten when it dies', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('program', trap('TERM', 7));
    await pid1.running.waitFor(/^up$/m);
    pid1.running.kill(SIGTERM);
    const [seq] = await agent.next('signal');
    await agent.request('done', seq as string);
    await agent.kill();
    await pid1.agent();
    expect(await pid1.exit).toEqual({ code: 7, signal: null });
  });

  test('an agent that attaches in time makes the stop itself', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    await first.spawn('program', trap('TERM', 7));
    await pid1.running.waitFor(/^up$/m);
    await first.kill();
    pid1.running.kill(SIGTERM);
    const second = await pid1.agent();
    const told = ['signal', '1', String(SIGTERM), 'user', '0', '0', expect.any(String)];
    expect(await second.attach()).toContainEqual(told);
    // Where nobody attaches the time is over by the end of this one.
    await using yardstick = await orphaned(suite, { argv: trap('TERM', 7) });
    const pings = setInterval(() => second.send('ping'), 200);
    yardstick.running.kill(SIGTERM);
    await yardstick.exit.finally(() => clearInterval(pings));
    expect(pid1.running.stdout).toBe('up\n');
    second.send('exit', 11);
    expect(await pid1.exit).toEqual({ code: 11, signal: null });
  });

  test('other signals wait for an agent', async () => {
    await using pid1 = await orphaned(suite, { argv: trap('TERM', 7) });
    pid1.running.kill(SIGHUP);
    await using yardstick = await orphaned(suite, { argv: trap('TERM', 7) });
    yardstick.running.kill(SIGTERM);
    await yardstick.exit;
    expect(pid1.running.stdout).toBe('up\n');
    expect(pid1.running.stderr).not.toMatch(/no agent/);
  });

  test('the terminal’s end is a stop', async () => {
    await using pid1 = await orphaned(suite, { argv: trap('TERM', 7) }, { through: [stage, 'terminal'] });
    const [, holder] = await pid1.running.waitFor(/^terminal (\d+)$/m);
    await using _ = await pid1.exec('kill', '-9', holder as string);
    expect(await pid1.exit).toEqual({ code: 7, signal: null });
  });

  test('a container without a program ends at once', async () => {
    await using pid1 = await suite.start();
    await pid1.agent();
    pid1.running.kill(SIGTERM);
    expect(await pid1.exit).toEqual({ code: 0, signal: null });
  });

  test('readiness is 503 before the program hears of it', async () => {
    const socketPath = join(suite.installation.folder, 'draining.sock');
    await using pid1 = await suite.start({ args: ['--health', `unix://${socketPath}`] });
    const agent = await pid1.attached();
    const pages = openPages(openSync(`/proc/${pid1.hostPid(agent.hello.pid)}/fd/4`, 'r+'));
    pages.publish([{ path: '/readyz', status: 200, type: 'text/plain', body: 'ready\n' }]);
    await agent.spawn('program', [
      'sh',
      '-c',
      "trap 'echo stopping' TERM; echo up; while :; do sleep 0.05; done",
    ]);
    await pid1.running.waitFor(/^up$/m);
    const ready = () =>
      new Promise<number | undefined>((resolve, reject) =>
        get({ socketPath, path: '/readyz', agent: false }, (response) =>
          resolve(response.resume().statusCode),
        ).on('error', reject),
      );
    expect(await ready()).toBe(200);
    await agent.kill();
    await pid1.agent();
    pid1.running.kill(SIGTERM);
    await pid1.running.waitFor(/^stopping$/m);
    expect(await ready()).toBe(503);
  });

  test('as a subreaper it kills what hid elsewhere, and nobody else', async () => {
    await using pid1 = await suite.start({ as: 'subreaper' });
    const agent = await pid1.attached();
    await using bystander = await pid1.exec(actor, 'say:%', 'stay');
    const [stranger] = await bystander.waitFor(/\d+/);
    await agent.spawn('program', [actor, 'child', 'leave', 'setsid', 'leave', 'deaf', 'say:up', 'stay']);
    await pid1.running.waitFor(/^up$/m);
    await agent.next('exit');
    await agent.kill();
    await pid1.agent();
    process.kill(pid1.hostPid(agent.hello.ppid) as number, SIGTERM);
    expect(await pid1.exit).toEqual({ code: 0, signal: null });
    expect(pid1.running.stdout).toMatch(/^left behind: $/m);
    expect(pid1.running.stdout).toMatch(new RegExp(`^alive: .*/proc/${stranger}\\b`, 'm'));
  });
});
