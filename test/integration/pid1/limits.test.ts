/** Nothing that others do makes PID 1 grow without bound, spin, or end. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeFrame } from '../../../agent/frames.ts';
import { start } from '../../support/namespace.ts';
import { type FakeAgent, type Pid1, statusOf } from '../../support/pid1.ts';
import { actor, describePid1 } from './suite.ts';

const { SIGTERM } = constants.signals;

/** kB. Under ASan the shadow memory counts too, which says nothing. */
const resident = (pid1: Pid1) => Number.parseInt(statusOf(pid1.running.pid, 'VmRSS'), 10);
const isMusl = (file: string) => !readFileSync(file).includes('GNU C Library');

/** Lists, in rounds, until PID 1 has seen all that the test did before. */
async function settled(agent: FakeAgent, rounds = 3) {
  for (let round = 0; round < rounds; round++) await agent.request('ping');
}

/** In ticks of 1/100 s: proc_pid_stat(5), utime and stime. */
function cpuTicks(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const fields = rest.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

describePid1((suite) => {
  // Of no meaning with the shadow memory of a sanitizer.
  if (!suite.sanitized)
    test('idle, with an agent, it needs little memory', async () => {
      await using pid1 = await suite.start();
      await settled(await pid1.attached());
      expect(resident(pid1)).toBeLessThan(isMusl(suite.installation.baton) ? 400 : 1500);
    });

  test('10,000 signals and notifications that no agent reads: bounded memory, and no exit is lost', async () => {
    await using pid1 = await suite.start();
    const first = await pid1.attached();
    const flood = await first.spawn('flood', [actor, 'flood:10000', 'say:flooded', 'exit:5']);
    first.tell({ pause: true });
    const names = Array.from({ length: 60 }, (_, index) => `p${index}`);
    for (const [index, name] of names.entries()) first.send('spawn', name, '', '2', actor, `exit:${index}`);
    for (let n = 0; n < 10_000; n++) pid1.running.kill(34 + (n % 31));
    await pid1.running.waitFor(/^flooded$/m);
    pid1.running.kill(SIGTERM);
    if (!suite.sanitized) expect(resident(pid1)).toBeLessThan(1024);

    await first.kill();
    const second = await pid1.attached();
    const [, dropped] = await second.request('ping');
    expect(Number(dropped)).toBeGreaterThan(0);
    await second.next('signal', ([, signal]) => Number(signal) === SIGTERM);
    const ends = new Map<string, string>();
    for (let n = 0; n <= names.length; n++) {
      const [seq = '', , name = '', code = ''] = await second.next('exit');
      ends.set(name, code);
      await second.request('done', seq);
    }
    expect(ends.get('flood')).toBe('5');
    for (const [index, name] of names.entries()) expect(ends.get(name)).toBe(String(index));
    expect(flood).toBeGreaterThan(0);
  });

  test('ends for which there is no room are told once there is', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    // None is `done` yet: names of 64 characters fill the 256 KiB with about a thousand ends.
    using _ = agent.pinging();
    const running: string[] = [];
    for (let full = false; !full; ) {
      const names = Array.from({ length: 100 }, (_, index) => `${running.length + index}`.padStart(64, 'n'));
      const started = await Promise.allSettled(names.map((name) => agent.spawn(name, [actor, 'exit:0'])));
      running.push(...names.filter((_, index) => started[index]?.status === 'fulfilled'));
      full = started.some(({ status }) => status === 'rejected'); // of 256 slots all are held by what cannot be told
    }
    const told = { exit: new Set<string>(), gone: new Set<string>() };
    for (const verb of ['exit', 'gone'] as const)
      while (told[verb].size < running.length) {
        const [seq = '', , name = ''] = await agent.next(verb);
        told[verb].add(name);
        await agent.request('done', seq);
        // The arena is full of both: an end is told only once there is room.
        for (const other of agent.frames.left.filter(([first]) => first === 'exit' || first === 'gone')) {
          told[other[0] as 'exit'].add(other[3] as string);
          await agent.next(other[0] as string, ([number]) => number === other[1]);
          await agent.request('done', other[1] as string);
        }
      }
    expect([...told.gone].sort()).toEqual(running.toSorted());
    expect([...told.exit].sort()).toEqual(running.toSorted());
    await agent.spawn('after', [actor, 'exit:0']);
    await agent.next('gone', ([, , name]) => name === 'after');
  });

  test('requests that no agent answers are refused as busy at last', async () => {
    const file = join(suite.installation.folder, 'flooded.sock');
    await using pid1 = await suite.start({ as: 'plain', args: ['--health', 'off', '--control', file] });
    const agent = await pid1.attached();
    await agent.kill();
    await pid1.agent();
    const frame = encodeFrame(['reload', 'x'.repeat(8000)]);
    const answers: Buffer[] = [];
    for (let n = 0; n < 100 && answers.length === 0; n++) {
      const socket = connect(file);
      socket.on('error', () => {});
      socket.on('data', (bytes) => answers.push(bytes as Buffer));
      socket.end(frame); // and leaves
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(answers.join('')).toContain('busy: too many events wait for the agent');
    pid1.running.kill(SIGTERM); // for which there is room
    expect(await pid1.exit).toEqual({ code: 0, signal: null });
  });

  test('without descriptors PID 1 names the error, answers what it can, and does not spin', async () => {
    const file = join(suite.installation.folder, 'emfile.sock');
    const through = ['prlimit', '--nofile=20:', '--'];
    await using pid1 = await suite.start({
      as: 'plain',
      args: ['--health', 'off', '--control', file],
      through,
    });
    const agent = await pid1.attached();
    const address = 'tcp://127.0.0.1:0';
    let held = 0;
    for (;;) {
      const refusal = await agent.request('listen', `s${held}`, address).then(
        () => null,
        (error) => error,
      );
      if (refusal) {
        expect(refusal).toMatchObject({ code: 'EMFILE' });
        break;
      }
      held++;
    }
    expect(held).toBeGreaterThan(5);
    await expect(agent.spawn('one', [actor, 'exit:0'])).rejects.toMatchObject({ code: 'EMFILE' });
    await expect(agent.request('health', address)).rejects.toMatchObject({ code: 'EMFILE' });

    // A client waits in the queue until there is a descriptor for it.
    const client = connect(file);
    client.write(encodeFrame(['page', '/livez']));
    const answer = new Promise<Buffer>((resolve) => client.once('data', resolve));
    const before = cpuTicks(pid1.running.pid);
    for (let n = 0; n < 3; n++) await new Promise((resolve) => setTimeout(resolve, 200)); // time in which it could spin
    expect(cpuTicks(pid1.running.pid) - before).toBeLessThan(5);
    await agent.request('close', 's0');
    expect((await answer).toString()).toContain('200');
    client.destroy();

    await agent.request('close', 's1');
    await agent.request('close', 's2');
    await agent.spawn('one', [actor, 'exit:0']);
    await agent.next('gone');
    await agent.kill();
    await pid1.attached();
  });

  test('an agent that cannot be started for lack of descriptors is started once there are some', async () => {
    const file = join(suite.installation.folder, 'no-agent.sock');
    await using pid1 = await suite.start({
      as: 'plain',
      args: ['--health', 'off', '--control', file],
      through: ['prlimit', '--nofile=20:', '--'],
    });
    const agent = await pid1.attached();
    for (let n = 0; ; n++)
      if (
        await agent.request('listen', `s${n}`, 'tcp://127.0.0.1:0').then(
          () => false,
          () => true,
        )
      )
        break;
    await agent.kill(); // which frees one; two are needed
    await pid1.running.waitFor(/^baton: cannot start the agent: EMFILE; trying again$/m);
    await using limit = await start(['prlimit', '--pid', String(pid1.running.pid), '--nofile=1024:']);
    await limit.exit;
    await pid1.attached();
  });

  test('a limit that is lowered below what is open is survived', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    for (let n = 0; n < 30; n++) await agent.request('listen', `s${n}`, 'tcp://127.0.0.1:0');
    await using limit = await pid1.exec('prlimit', '--pid', '1', '--nofile=2:');
    await limit.exit;
    await settled(agent);
    await using restored = await pid1.exec('prlimit', '--pid', '1', '--nofile=1024:');
    await restored.exit;
    await agent.spawn('one', [actor, 'exit:0']);
    await agent.next('gone');
  });

  test('waiting costs nothing', async () => {
    const file = join(suite.installation.folder, 'idle.sock');
    await using pid1 = await suite.start({ as: 'plain', args: ['--health', 'off', '--control', file] });
    const agent = await pid1.attached();
    // One that waits for an answer and has sent more than it should.
    const client = connect(file);
    client.write(Buffer.concat([encodeFrame(['reload']), Buffer.alloc(100_000)]));
    await agent.next('request');
    await agent.spawn('left', [actor, 'child', 'exit:0']); // and a group that lingers
    await agent.next('exit');
    const before = cpuTicks(pid1.running.pid);
    for (let n = 0; n < 3; n++) await new Promise((resolve) => setTimeout(resolve, 200)); // time in which it could spin
    expect(cpuTicks(pid1.running.pid) - before).toBeLessThan(5);
    client.destroy();
    agent.send('exit', 0);
    await pid1.exit;
  });
});
