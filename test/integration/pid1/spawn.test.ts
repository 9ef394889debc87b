/** Programs are started as asked, or the error comes back; their ends are told, the group's after the process's. */
import { readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { descendants, type FakeAgent } from '../../support/pid1.ts';
import { actor, describePid1 } from './suite.ts';

/** `exit`, without its number. */
interface End {
  readonly pid: number;
  readonly name: string;
  readonly code: number;
  readonly signal: number;
  readonly cpu: number;
  readonly maxrss: number;
}

async function end(agent: FakeAgent, name: string): Promise<End> {
  const [, pid, , code, signal, user, system, maxrss] = (
    await agent.next('exit', ([, , of]) => of === name)
  ).map(Number);
  return { pid, name, code, signal, cpu: (user as number) + (system as number), maxrss } as End;
}

const inventory = async (agent: FakeAgent, verb: string) => {
  await agent.request('list');
  const found = [];
  while (agent.frames.left.some(([first]) => first === verb)) found.push(await agent.next(verb));
  return found;
};

/** Orphans are counted once they are reaped. */
async function reapedAtLeast(agent: FakeAgent, count: number) {
  for (;;) {
    const [reaped] = await agent.request('ping');
    if (Number(reaped) >= count) return;
  }
}

describePid1((suite) => {
  const file = (name: string, content: string, mode: number) => {
    const path = join(suite.installation.folder, name);
    writeFileSync(path, content, { mode });
    return path;
  };

  test.each([
    ['no such file', 'ENOENT', () => ({ argv: ['/nonexistent'] })],
    ['a name that PATH does not have', 'ENOENT', () => ({ argv: ['nonexistent-program'] })],
    ['an interpreter that is not there', 'ENOENT', () => ({ argv: [file('e1', '#!/nonexistent\n', 0o755)] })],
    ['a file that is not executable', 'EACCES', () => ({ argv: [file('e2', '#!/bin/sh\n', 0o644)] })],
    ['a directory', 'EACCES', () => ({ argv: ['/usr'] })],
    ['a file that is no program', 'ENOEXEC', () => ({ argv: [file('e3', 'no program\n', 0o755)] })],
    ['no such directory', 'ENOENT', () => ({ argv: ['true'], options: ['directory=/nonexistent'] })],
    [
      'a user that is not there',
      'EINVAL',
      () => ({ argv: ['true'], options: ['user=nobody-has-this-name'] }),
    ],
    [
      'a group that is not there',
      'EINVAL',
      () => ({ argv: ['true'], options: ['group=nobody-has-this-name'] }),
    ],
  ])('%s: %s, and nothing stays', async (_, code, request) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const { argv, options = [] } = request() as { argv: string[]; options?: string[] };
    await expect(agent.spawn('bad', argv, { options })).rejects.toMatchObject({ code });
    expect(await inventory(agent, 'process')).toEqual([]);
    expect(agent.frames.left.filter(([verb]) => verb === 'exit' || verb === 'gone')).toEqual([]);
  });

  test('argv, environment, working directory and user are as asked', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const script = 'echo "$0|$1|$V|$(pwd)|$(id -u):$(id -g)"';
    const options = ['path=/bin/sh', 'directory=/usr/bin', 'user=65534', 'group=65533'];
    await agent.spawn('one', ['argv0', '-c', script, 'name', 'an argument'], {
      options,
      env: { V: 'a=b\nc' },
    });
    await pid1.running.waitFor(/^name\|an argument\|a=b\nc\|\/usr\/bin\|65534:65533$/m);
  });

  test('sockets are handed down in the order asked, and announced; nothing else is open', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const path = join(suite.installation.folder, 'handed-down.sock');
    const [webInode, web] = await agent.request('listen', 'web', 'tcp://127.0.0.1:0');
    const [adminInode] = await agent.request('listen', 'admin', `unix://${path}`);
    const [, udp] = await agent.request('listen', 'udp', 'udp://127.0.0.1:0');
    const env = {
      LISTEN_FDS: '9',
      LISTEN_PID: '1',
      LISTEN_FDNAMES: 'lie',
      NOTIFY_SOCKET: '/lie',
      SERVER_STARTER_PORT: 'lie',
    };
    const script = 'env; ls -l /proc/$$/fd; echo "pid $$"; exec sleep 60';
    const options = ['listeners=admin,web,udp,web'];
    const pid = await agent.spawn('one', ['sh', '-c', script], { options, env });
    const { running } = pid1;
    await running.waitFor(/^pid \d+$/m);
    const variable = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(running.stdout)?.[1];
    const port = (address: string | undefined) => /\d+$/.exec(address ?? '')?.[0];
    expect(variable('LISTEN_FDS')).toBe('4');
    expect(variable('LISTEN_PID')).toBe(String(pid));
    expect(variable('LISTEN_FDNAMES')).toBe('admin:web:udp:web');
    expect(variable('NOTIFY_SOCKET')).toMatch(/^@baton-notify\/\d+\/1$/);
    const tcp = `127.0.0.1:${port(web)}`;
    expect(variable('SERVER_STARTER_PORT')).toBe(`${path}=3;${tcp}=4;127.0.0.1:u${port(udp)}=5;${tcp}=6`);
    const host = pid1.hostPid(pid);
    const links = [3, 4, 6].map((fd) => readlinkSync(`/proc/${host}/fd/${fd}`));
    expect(links).toEqual([`socket:[${adminInode}]`, `socket:[${webInode}]`, `socket:[${webInode}]`]);
    const open = [...running.stdout.matchAll(/ (\d+) -> /g)].map(([, fd]) => Number(fd));
    expect(open.filter((fd) => fd < 10)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test.each([
    ['exit:0', 0, 0],
    ['exit:255', 255, 0],
  ])('%s: code %i, signal %i', async (step, code, signal) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await agent.spawn('one', [actor, step]);
    expect(await end(agent, 'one')).toMatchObject({ pid, code, signal });
    expect((await agent.next('gone')).slice(1)).toEqual([String(pid), 'one']);
    expect(await inventory(agent, 'process')).toEqual([]);
  });

  test.each([9, 15, 64])('killed by signal %i', async (signal) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await agent.spawn('one', [actor, 'stay']);
    await agent.request('kill', pid, signal, 'process');
    expect(await end(agent, 'one')).toMatchObject({ pid, code: 0, signal });
  });

  test('what a process used is told', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('busy', [actor, 'spin:50']);
    await agent.spawn('idle', [actor, 'exit:0']);
    const [busy, idle] = await Promise.all([end(agent, 'busy'), end(agent, 'idle')]);
    expect(busy.cpu).toBeGreaterThanOrEqual(50_000);
    expect(idle.cpu).toBeLessThan(busy.cpu);
    expect(busy.maxrss).toBeGreaterThan(100); // kB: less is no libc
    expect(busy.maxrss).toBeLessThan(100_000);
  });

  test('gone is told when the last of the group has ended, and not before', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const pid = await agent.spawn('one', [actor, 'child', 'exit:3']);
    expect(await end(agent, 'one')).toMatchObject({ code: 3 });
    expect(await inventory(agent, 'process')).toEqual([[String(pid), 'one', 'exited', expect.anything()]]);
    await agent.request('kill', pid, 0, 'group');
    await expect(agent.request('kill', pid, 0, 'process')).rejects.toMatchObject({ code: 'ESRCH' });
    expect(agent.frames.left.filter(([verb]) => verb === 'gone')).toEqual([]);
    await agent.request('kill', pid, 9, 'group');
    expect((await agent.next('gone')).slice(1)).toEqual([String(pid), 'one']);
    await expect(agent.request('kill', pid, 0, 'group')).rejects.toMatchObject({ code: 'ESRCH' });
  });

  test('a group whose last member another process reaps is told to be gone too', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    // The daemon has left the group; its child has not.
    const pid = await agent.spawn('one', [actor, 'leave', 'child', 'setsid', 'say:daemon', 'reap', 'stay']);
    await end(agent, 'one');
    await pid1.running.waitFor(/^daemon$/m);
    await agent.request('kill', pid, 9, 'group');
    await agent.next('gone');
  });

  test.each(['pid1', 'subreaper'] as const)('orphans are reaped and counted (%s)', async (as) => {
    await using pid1 = await suite.start({ as });
    const agent = await pid1.attached();
    const [before] = await agent.request('ping');
    await agent.spawn('one', [actor, 'leave', 'setsid', 'leave', 'exit:0']);
    await reapedAtLeast(agent, Number(before) + 3);
    await agent.next('gone');
  });

  test.each(['pid1', 'subreaper'] as const)(
    'exit kills and reaps all, whatever it hid behind (%s)',
    async (as) => {
      await using pid1 = await suite.start({ as });
      const agent = await pid1.attached();
      await agent.spawn('daemon', [
        actor,
        'deaf',
        'leave',
        'setsid',
        'leave',
        'say:daemon',
        'fork',
        'say:child',
        'stay',
      ]);
      await agent.spawn('program', [actor, 'deaf', 'child', 'say:program', 'stay']);
      for (const text of ['daemon', 'child', 'program'])
        await pid1.running.waitFor(new RegExp(`^${text}$`, 'm'));
      const before = descendants(pid1.running.pid).length;
      expect(before).toBeGreaterThanOrEqual(6);
      agent.send('exit', 42);
      expect(await pid1.exit).toEqual({ code: 42, signal: null });
      if (as === 'subreaper') expect(pid1.running.stdout).toMatch(/^left behind: $/m);
    },
  );

  test.each([['1'], ['2'], ['54321'], ['2147483647']])(
    'kill of %s, which is none of ours: ESRCH',
    async (pid) => {
      await using pid1 = await suite.start();
      const agent = await pid1.attached();
      for (const scope of ['process', 'group'])
        await expect(agent.request('kill', pid, 9, scope)).rejects.toMatchObject({ code: 'ESRCH' });
      await agent.request('ping');
    },
  );

  test('256 processes, and an error for one more', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const names = Array.from({ length: 256 }, (_, index) => `p${index}`);
    const pids = await Promise.all(names.map((name) => agent.spawn(name, [actor, 'stay'])));
    expect(new Set(pids).size).toBe(256);
    await expect(agent.spawn('more', [actor, 'stay'])).rejects.toMatchObject({ code: 'EAGAIN' });
    for (const pid of pids) agent.send('kill', pid, 9, 'process');
    await Promise.all(names.map((name) => agent.next('gone', ([, , of]) => of === name)));
    await agent.spawn('more', [actor, 'stay']);
  });

  test("stdout and stderr are the container's own", async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.spawn('one', ['sh', '-c', 'echo out; echo err >&2']);
    await pid1.running.waitFor(/^out$/m);
    await pid1.running.waitFor(/^err$/m);
    expect([pid1.running.stdout, pid1.running.stderr]).toEqual(['out\n', 'err\n']);
  });
});
