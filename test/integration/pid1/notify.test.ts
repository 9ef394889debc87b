/** sd_notify: the kernel says who speaks, and the payload is believed only as text of a program of ours. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { FakeAgent, Pid1 } from '../../support/pid1.ts';
import { actor, describePid1 } from './suite.ts';

/** Runs the steps of actor.c to their end; what it notified, as [pid, sender, payload], all of it. */
async function notificationsOf(agent: FakeAgent, ...steps: readonly string[]) {
  const pid = await agent.spawn('one', [actor, ...steps]);
  await agent.next('exit');
  const told = [];
  while (agent.frames.left.some(([verb]) => verb === 'notify'))
    told.push((await agent.next('notify')).slice(1));
  return { pid, told };
}

const openDescriptors = (pid1: Pid1) => readdirSync(`/proc/${pid1.running.pid}/fd`).length;

describePid1((suite) => {
  test('the sender is who the kernel says, whatever the payload says, and comes before its exit', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const { pid, told } = await notificationsOf(
      agent,
      'send:READY=1\nMAINPID=1',
      'send:STATUS=almost\n',
      'send:WATCHDOG=1',
    );
    const me = String(pid);
    expect(told).toEqual([
      [me, me, 'READY=1\nMAINPID=1'],
      [me, me, 'STATUS=almost'],
      [me, me, 'WATCHDOG=1'],
    ]);
  });

  test('a worker, or what it leaves behind, speaks for the process in whose session it is', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await agent.spawn('one', [actor, 'fork', 'leave', 'say:worker %', 'send:READY=1', 'stay']);
    const [, worker] = await pid1.running.waitFor(/^worker (\d+)$/m);
    expect((await agent.next('notify')).slice(1)).toEqual([String(pid), worker, 'READY=1']);
  });

  test('one that is said and the process ended at once is still its own', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    for (let round = 0; round < 50; round++) {
      const { pid, told } = await notificationsOf(agent, `send:ROUND=${round}`, 'exit:0');
      expect(told).toEqual([[String(pid), String(pid), `ROUND=${round}`]]);
      await agent.next('gone');
    }
  });

  test('an orphan that speaks and ends at once is heard too', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    for (let round = 0; round < 50; round++) {
      const pid = await agent.spawn('one', [actor, 'leave', `send:ROUND=${round}`]);
      await agent.next('gone');
      expect((await agent.next('notify')).slice(1)).toEqual([
        String(pid),
        expect.anything(),
        `ROUND=${round}`,
      ]);
    }
  });

  test.each([
    ['a session of its own', ['fork', 'setsid', 'leave']],
    ['no process of ours', []],
  ])('%s is not heard', async (_, steps) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await agent.spawn('one', ['sh', '-c', 'echo "$NOTIFY_SOCKET"; exec sleep 60']);
    const [address] = await pid1.running.waitFor(/^@baton-notify.*$/m);
    if (steps.length) {
      await agent.spawn('two', [actor, ...steps, 'send:READY=1', 'say:sent', 'stay']);
    } else {
      await using stranger = await pid1.exec(
        'env',
        `NOTIFY_SOCKET=${address}`,
        actor,
        'send:READY=1',
        'say:sent',
      );
      await stranger.exit;
    }
    if (steps.length) await pid1.running.waitFor(/^sent$/m);
    await agent.request('kill', pid, 9, 'process');
    await agent.next('gone', ([, , name]) => name === 'one');
    expect(agent.frames.left.filter(([verb]) => verb === 'notify')).toEqual([]);
  });

  test('what is not lines of KEY=VALUE is ignored', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const { told } = await notificationsOf(
      agent,
      'send-hex:',
      'send-hex:00',
      'send-hex:0a0a',
      'send-hex:00ff00ff',
      'send-hex:52454144593d310058', // READY=1 NUL X
      'send-hex:ffff3d31',
      'send:READY',
      'send:=1',
      'send:READY=1\nnonsense',
      `send:X=${'x'.repeat(4095)}`, // 4097 bytes
      `send:X=${'x'.repeat(4094)}`,
      'send:STATUS=ünïcode',
      'send:READY=1',
    );
    expect(told.map(([, , payload]) => payload)).toEqual([
      `X=${'x'.repeat(4094)}`,
      'STATUS=ünïcode',
      'READY=1',
    ]);
  });

  test('descriptors that come along are closed', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const before = openDescriptors(pid1);
    const { told } = await notificationsOf(agent, ...Array.from({ length: 20 }, (_, n) => `send-fds:N=${n}`));
    expect(told).toHaveLength(20);
    await agent.next('gone');
    expect(openDescriptors(pid1)).toBe(before);
  });

  test('those that no agent has finished are told to the next', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const pid = String(await first.spawn('one', [actor, 'send:READY=1', 'send:STATUS=up', 'stay']));
    const [seq] = await first.next('notify');
    await first.next('notify');
    await first.request('done', seq as string);
    await first.kill();
    const second = await pid1.attached();
    const told = second.frames.left.filter(([verb]) => verb === 'notify');
    expect(told).toEqual([['notify', '2', pid, pid, 'STATUS=up']]);
  });
});
