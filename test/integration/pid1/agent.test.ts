/** The agent's life: it may end at any moment, and the next one carries on with what PID 1 has. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeFrame } from '../../../agent/frames.ts';
import { start } from '../../support/namespace.ts';
import { descendants, type FakeAgent, type Pid1, spawnFields } from '../../support/pid1.ts';
import { actor, describePid1, stage } from './suite.ts';

const { SIGUSR1, SIGUSR2, SIGHUP } = constants.signals;

const bytesOf = (...frames: readonly (readonly (string | number)[])[]) =>
  Buffer.concat(frames.map((fields) => encodeFrame(fields.map(String)))).toString('base64');

/** Its last frames, and its end before PID 1 can look. */
async function dieSaying(
  agent: FakeAgent,
  code: number,
  ...frames: readonly (readonly (string | number)[])[]
) {
  agent.tell({ lastWords: { bytes: bytesOf(...frames), code } });
  await agent.gone;
}

const eventsOf = (frames: readonly (readonly string[])[]) =>
  frames.filter(([verb = '']) => ['signal', 'exit', 'gone', 'notify', 'request'].includes(verb));

/** A program whose exec waits until `release`. */
async function slowProgram(pid1: Pid1, name: string, prepare: (file: string) => void) {
  const file = join(pid1.installation.folder, name);
  prepare(file);
  const holder = await start([stage, 'lease', file]);
  await holder.waitFor(/held/);
  return { file, holder, release: () => holder[Symbol.asyncDispose]() };
}

describePid1((suite) => {
  test('what was not done is told again to the next agent, under the same numbers; what was done is not', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const told = [];
    for (const signal of [SIGUSR1, SIGUSR2, SIGHUP, 40]) {
      pid1.running.kill(signal);
      told.push(['signal', ...(await first.next('signal'))]);
    }
    await first.request('done', told[1]?.[1] as string);
    await first.kill();

    const second = await pid1.agent();
    expect(eventsOf(await second.attach())).toEqual([told[0], told[2], told[3]]);
    for (const [, seq] of [told[0], told[2], told[3]] as string[][])
      await second.request('done', seq as string);
    await second.kill();

    const third = await pid1.agent();
    expect(eventsOf(await third.attach())).toEqual([]);
    pid1.running.kill(SIGUSR1);
    expect((await third.next('signal'))[0]).toBe('5'); // no number is used twice
  });

  test('events that no agent has seen come before the answer to attach, oldest first', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    await first.kill();
    pid1.running.kill(SIGUSR1);
    const second = await pid1.agent();
    pid1.running.kill(SIGUSR2);
    await second.request('list');
    expect(eventsOf(second.frames.left)).toEqual([]); // list does not attach
    const events = eventsOf(await second.attach());
    expect(events.map(([, seq, signal]) => [seq, Number(signal)])).toEqual([
      ['1', SIGUSR1],
      ['2', SIGUSR2],
    ]);
  });

  test('done is refused for what is no event', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    for (const seq of ['1', '99999999999'])
      await expect(agent.request('done', seq)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('sockets, processes and the kept bytes outlive the agent', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const [inode, address] = await first.request('listen', 'web', 'tcp://127.0.0.1:0');
    const pid = await first.spawn('one', [actor, 'stay']);
    const ended = await first.spawn('two', [actor, 'child', 'say:two', 'stay']);
    await pid1.running.waitFor(/^two$/m);
    await first.request('kill', ended, 9, 'process');
    await first.next('exit');
    await first.request('keep', 'ünïcode and\nnewlines');
    const before = await first.request('list').then(() => first.frames.left);
    expect(before).toEqual([
      ['kept', ''], // of attach
      ['process', String(pid), 'one', 'running', expect.stringMatching(/^\d+$/)],
      ['process', String(ended), 'two', 'exited', expect.stringMatching(/^\d+$/)],
      ['listener', 'web', address, inode],
      ['kept', 'ünïcode and\nnewlines'],
    ]);
    for (let life = 0; life < 3; life++) {
      const agent = life === 0 ? first : await pid1.attached();
      if (life > 0) expect(agent.frames.left.slice(0, 4)).toEqual(before.slice(1));
      await agent.kill();
    }
  });

  test('one that exits after it attached is started again, whatever its code', async () => {
    await using pid1 = await suite.start();
    for (const code of [0, 1, 78]) {
      const agent = await pid1.attached();
      agent.exit(code);
      await agent.gone;
      await pid1.running.waitFor(
        new RegExp(`the agent exited with ${code}; starting it again in \\d+ ms, the service goes on`),
      );
    }
    await pid1.attached();
    const pauses = [...pid1.running.stderr.matchAll(/again in (\d+) ms/g)].map(([, ms]) => Number(ms));
    expect(pauses).toEqual([50, 100, 200]);
  });

  test('one that closes the wire is replaced', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    agent.tell({ close: true });
    await agent.gone;
    const next = await pid1.attached();
    expect(next.hello.pid).not.toBe(agent.hello.pid);
  });

  test('what it asked for just before it died is done', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    pid1.running.kill(SIGUSR1);
    const [seq] = await first.next('signal');
    const spawn = spawnFields('late', [actor, 'stay']);
    await dieSaying(first, 1, ['keep', 1, 'last words'], ['done', 2, seq as string], ['spawn', 3, ...spawn]);
    const frames = await (await pid1.agent()).attach();
    expect(frames).toContainEqual(['kept', 'last words']);
    expect(frames).toContainEqual(['process', expect.anything(), 'late', 'running', expect.anything()]);
    expect(eventsOf(frames)).toEqual([]);
  });

  test('an exit that it asked for just before it died is done', async () => {
    await using pid1 = await suite.start();
    await dieSaying(await pid1.agent(), 1, ['attach', 1, 1], ['exit', 2, 42]);
    expect(await pid1.exit).toEqual({ code: 42, signal: null });
  });

  test('one that hangs is killed and replaced; one that pings is not', async () => {
    await using hanging = await suite.start();
    await using pinging = await suite.start();
    const [hung, well] = await Promise.all([hanging.attached(), pinging.attached()]);
    const pings = setInterval(() => well.request('ping'), 500);
    try {
      const next = await hanging.attached();
      expect(next.hello.pid).not.toBe(hung.hello.pid);
      expect(hanging.running.stderr).toMatch(/^baton: the agent has been silent for 5 s: killing it$/m);
      await well.request('list');
      expect(pinging.running.stderr).toBe('');
    } finally {
      clearInterval(pings);
    }
  });

  test('a signal that stops it is survived as a hang is', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const host = pid1.hostPid(agent.hello.pid) as number;
    process.kill(host, 'SIGSTOP');
    await pid1.attached();
    expect(pid1.running.stderr).toMatch(/silent/);
  });

  test('one that reads nothing for a while misses nothing, and its requests are answered in order', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.request('keep', 'x'.repeat(60_000));
    agent.tell({ pause: true });
    // More than all buffers hold: 40 answers of 60 kB.
    const asked = Array.from({ length: 40 }, () => agent.send('list'));
    const signals = [SIGUSR1, SIGUSR2, SIGHUP];
    for (const signal of signals) pid1.running.kill(signal);
    agent.tell({ resume: true });
    for (const id of asked) await agent.answer(id);
    const kept = agent.frames.left.filter(([verb, bytes]) => verb === 'kept' && bytes?.length === 60_000);
    expect(kept).toHaveLength(40);
    const events = await Promise.all(signals.map(() => agent.next('signal')));
    expect(events.map(([, signal]) => Number(signal)).sort()).toEqual(signals.toSorted());
  });

  test('small requests by the thousand are all answered, without a wait for the next tick', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const count = 30_000;
    const ids = Array.from({ length: count }, (_, index) => `n${index}`);
    agent.write(Buffer.concat(ids.map((id) => encodeFrame(['done', id, '1']))));
    const refused = await Promise.allSettled([agent.answer('n0'), agent.answer(`n${count - 1}`)]);
    expect(refused.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(agent.answersLeft).toBe(count - 2);
  });

  test('a spawn whose exec takes its time keeps nobody waiting', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const slow = await slowProgram(pid1, 'slow-waits', (file) => copyFileSync(actor, file));
    await using _ = slow.holder;
    const id = agent.send('spawn', ...spawnFields('slow', [slow.file, 'exit:3']));
    await slow.holder.waitFor(/asked/);
    await agent.request('ping');
    await agent.request('list');
    expect(agent.frames.left.filter(([verb]) => verb === 'process')).toEqual([]); // not before it is known to run
    await slow.release();
    const [pid] = await agent.answer(id);
    expect(await agent.next('exit')).toMatchObject({ 1: pid, 2: 'slow', 3: '3', 4: '0' });
  });

  test('an agent that dies while an exec is pending leaves the process to its successor', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const slow = await slowProgram(pid1, 'slow-runs', (file) => copyFileSync(actor, file));
    await using _ = slow.holder;
    first.send('spawn', ...spawnFields('slow', [slow.file, 'say:runs', 'stay']));
    await slow.holder.waitFor(/asked/);
    await first.kill();
    const second = await pid1.agent();
    const frames = await second.attach();
    expect(frames).toContainEqual(['process', expect.anything(), 'slow', 'running', expect.anything()]);
    await slow.release();
    await pid1.running.waitFor(/^runs$/m);
    const [pid] = frames.filter(([verb]) => verb === 'process').map(([, number]) => number);
    await second.request('kill', pid as string, 9, 'process');
    expect(await second.next('exit')).toMatchObject({ 1: pid, 2: 'slow', 3: '0', 4: '9' });
  });

  test('an exec that fails after its agent died is an exit for the successor', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const slow = await slowProgram(pid1, 'slow-fails', (file) =>
      writeFileSync(file, 'no program', { mode: 0o755 }),
    );
    await using _ = slow.holder;
    first.send('spawn', ...spawnFields('slow', [slow.file]));
    await slow.holder.waitFor(/asked/);
    await first.kill();
    const second = await pid1.attached();
    await slow.release();
    expect(await second.next('exit')).toMatchObject({ 2: 'slow', 3: '126', 4: '0' });
    await second.next('gone');
    expect(pid1.running.stderr).toMatch(/cannot execute .*slow-fails: ENOEXEC/);
  });

  test('nothing of an agent stays behind when it is replaced', async () => {
    await using pid1 = await suite.start();
    for (let life = 0; life < 4; life++) await (await pid1.attached()).kill();
    const last = await pid1.attached();
    await last.request('ping');
    expect(descendants(pid1.running.pid)).toEqual([pid1.running.pid, pid1.hostPid(last.hello.pid)]);
  });
});
