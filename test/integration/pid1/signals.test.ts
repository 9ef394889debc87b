/** Every signal becomes an event, or goes straight to the program; none is lost, whenever it comes. */
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import type { FakeAgent, Pid1 } from '../../support/pid1.ts';
import { actor, describePid1, stage, witness } from './suite.ts';

const { SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE } = constants.signals;

/** Of 1..64: all but KILL and STOP, which nobody can catch, and CHLD, which is PID 1's own. */
const catchable = Array.from({ length: 64 }, (_, index) => index + 1).filter((n) => ![9, 17, 19].includes(n));

const when = expect.stringMatching(/^[0-9]+$/);

/** One at a time: SIGCONT and the stop signals cancel each other while they wait (signal(7)). */
async function expectEvents(pid1: Pid1, agent: FakeAgent, signals: readonly number[]) {
  for (const signal of signals) {
    pid1.running.kill(signal);
    const [seq, ...event] = await agent.next('signal');
    expect(event).toEqual([String(signal), 'user', '0', '0', when]);
    await agent.request('done', seq as string);
  }
}

/** Starts a program that says which signals it gets, each on a line of its own. */
async function spawnWitness(pid1: Pid1, agent: FakeAgent, name = 'witness') {
  const pid = await agent.spawn(name, [witness, 'signals', '100']);
  await pid1.running.waitFor(new RegExp(`^ready ${pid}$`, 'm'));
  return pid;
}

describePid1((suite) => {
  test('each of 1 to 64 is an event, the real-time ones and those that libc hides included', async () => {
    await using pid1 = await suite.start();
    await expectEvents(pid1, await pid1.attached(), catchable);
  });

  test('a signal of the container tells its sender', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await using sender = await pid1.exec('sh', '-c', 'kill -USR1 1; echo $$');
    const [, ...event] = await agent.next('signal');
    const [pid] = await sender.waitFor(/\d+/);
    expect(event).toEqual([String(SIGUSR1), 'user', pid, '0', when]);
  });

  test('one that is pending when PID 1 is executed is told once an agent attaches', async () => {
    await using pid1 = await suite.start({ through: [witness, 'exec-blocked', String(SIGTERM)] });
    const frames = await (await pid1.agent()).attach();
    expect(frames).toContainEqual(['signal', '1', String(SIGTERM), 'user', '1', '0', when]);
  });

  test('those that come before an agent attaches are told once it does, each number once', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.agent();
    for (const signal of [SIGUSR1, SIGUSR2, SIGUSR1, 64, SIGUSR1, 64]) pid1.running.kill(signal);
    await agent.request('list'); // a round of the loop
    const events = (await agent.attach()).filter(([verb]) => verb === 'signal');
    expect(events.map(([, , signal]) => Number(signal)).sort((a, b) => a - b)).toEqual([
      SIGUSR1,
      SIGUSR2,
      64,
    ]);
  });

  test('one that comes again after the agent has seen it is an event again', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    pid1.running.kill(SIGHUP);
    const [first] = await agent.next('signal');
    pid1.running.kill(SIGHUP);
    const [second] = await agent.next('signal');
    expect(Number(second)).toBeGreaterThan(Number(first));
  });

  test('routed ones go straight to the program, and are no events', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await spawnWitness(pid1, agent);
    await agent.request('route', catchable.join(','), pid);
    for (const signal of catchable) {
      pid1.running.kill(signal);
      await pid1.running.waitFor(new RegExp(`^${signal}$`, 'm'));
    }
    expect(pid1.running.stdout.trim().split('\n').slice(1).map(Number)).toEqual(catchable);
    await agent.request('list');
    expect(agent.frames.left.filter(([verb]) => verb === 'signal')).toEqual([]);
  });

  test('each of several real-time signals is passed on', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await spawnWitness(pid1, agent);
    await agent.request('route', '40,64', pid);
    for (const signal of [40, 40, 40, 64]) pid1.running.kill(signal);
    await pid1.running.waitFor(/^40\n40\n40\n64$/m);
  });

  test('routes name the signals and the processes, and are replaced whole', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const first = await spawnWitness(pid1, agent, 'first');
    const second = await spawnWitness(pid1, agent, 'second');

    await agent.request('route', `${SIGUSR1},${SIGUSR2}`, first, second);
    pid1.running.kill(SIGUSR1);
    await pid1.running.waitFor(/^10\n(.*\n)*10$/m);
    await expectEvents(pid1, agent, [SIGHUP]);

    await agent.request('route', SIGUSR2, first);
    await expectEvents(pid1, agent, [SIGUSR1]);
    pid1.running.kill(SIGUSR2);
    await pid1.running.waitFor(/^12$/m);

    await agent.request('route', '');
    await expectEvents(pid1, agent, [SIGUSR1, SIGUSR2]);
    expect(pid1.running.stdout.match(/^1[02]$/gm)).toEqual(['10', '10', '12']);
  });

  test('routes stay while there is no agent', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await spawnWitness(pid1, agent);
    await agent.request('route', SIGUSR1, pid);
    await agent.kill();
    pid1.running.kill(SIGUSR1);
    await pid1.running.waitFor(/^10$/m);
    expect((await (await pid1.agent()).attach()).filter(([verb]) => verb === 'signal')).toEqual([]);
  });

  test('a routed signal that finds no process is an event after all', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await agent.spawn('short', ['true']);
    await agent.request('route', SIGUSR1, pid, 54321);
    await agent.next('gone');
    await expectEvents(pid1, agent, [SIGUSR1]);
  });

  test.each([
    ['9999', [1]],
    ['0', [1]],
    ['17', [1]],
    ['USR1', [1]],
    ['10,x', [1]],
    ['10', ['x']],
    ['10', [0]],
    ['10', Array.from({ length: 257 }, () => 1)],
  ])('a route of %j to %j is refused, and the one before stays', async (signals, pids) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await spawnWitness(pid1, agent);
    await agent.request('route', SIGUSR2, pid);
    await expect(agent.request('route', signals, ...pids)).rejects.toMatchObject({ code: 'EPROTO' });
    pid1.running.kill(SIGUSR2);
    await pid1.running.waitFor(/^12$/m);
  });

  test('a HUP of the kernel, when the terminal goes away, is told as such and never routed', async () => {
    await using pid1 = await suite.start({ through: [stage, 'terminal'] });
    const [, holder] = await pid1.running.waitFor(/^terminal (\d+)$/m);
    const agent = await pid1.attached();
    const pid = await spawnWitness(pid1, agent);
    await agent.request('route', `${SIGHUP},18`, pid);
    await using _ = await pid1.exec('kill', '-9', holder as string);
    const [, ...event] = await agent.next('signal');
    expect(event).toEqual([String(SIGHUP), 'kernel', '0', '0', when]);
    // A user's HUP still takes the route.
    pid1.running.kill(SIGHUP);
    await pid1.running.waitFor(/^1$/m);
  });

  test("PID 1's own SIGPIPE, of a log line that nobody reads, never reaches the program", async () => {
    await using pid1 = await suite.start({ through: [stage, 'mute'] });
    const agent = await pid1.attached();
    const pid = await spawnWitness(pid1, agent);
    await agent.request('route', `${SIGPIPE},${SIGUSR1}`, pid);
    await agent.kill(); // which is said
    await pid1.attached();
    pid1.running.kill(SIGUSR1);
    await pid1.running.waitFor(/^10$/m);
    pid1.running.kill(SIGPIPE); // somebody else's does
    await pid1.running.waitFor(/^13$/m);
    expect(pid1.running.stdout.match(/^\d+$/gm)).toEqual(['10', '13']);
  });

  test('a stop signal goes to the agent and to nobody else', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('program', [actor, 'stay']);
    await expectEvents(pid1, agent, [SIGTERM, SIGINT, SIGQUIT]);
    expect(agent.frames.left.filter(([verb]) => verb === 'exit')).toEqual([]);
  });
});
