import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, test } from 'vitest';
import { buildFixtures, listen, start } from '../../fixtures/readiness/start.ts';

const fixtures = buildFixtures();
afterAll(() => fixtures[Symbol.dispose]());

const NOBODY = { uid: 65534, gid: 65534 };
const asRoot = process.getuid?.() === 0;

/** `baton look`, line by line; `prefix` is what runs it. */
function look(args: (string | number)[], prefix: string[] = [], credentials = {}) {
  const [file = '', ...rest] = [...prefix, fixtures.baton, 'look', ...args.map(String)];
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'], ...credentials });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  return {
    child,
    next: async () => (await lines.next()).value as string | undefined,
    /** Everything that is still printed, and how it ended. */
    end: async () => {
      const stdout: string[] = [];
      for (let line = await lines.next(); !line.done; line = await lines.next()) stdout.push(line.value);
      const [code, signal] = await closed;
      return { last: stdout.at(-1), code, signal, stderr };
    },
  };
}

describe('a process is seen accepting from the moment that it does', () => {
  test.each([
    'epoll',
    'epoll-oneshot-fired',
    'epoll-crowded',
    'blocking-accept',
    'accept-in-thread',
    'poll',
    'poll-briefly',
    'select',
    'grandchild',
    'orphan',
  ])('%s', async (name) => {
    using socket = await listen();
    await using fixture = await start([fixtures.program(name)], [socket]);
    const looking = look([fixture.pid, socket.inode]);
    expect(await looking.next()).toMatch(new RegExp(`^missing ${socket.inode}; looked at [1-3] process`));
    fixture.go();
    expect(await looking.end()).toEqual({ last: 'accepting', code: 0, signal: null, stderr: '' });
  });

  test('node on a Unix socket', async () => {
    using socket = await listen({ path: `${fixtures.folder}/listener` });
    await using fixture = await start(
      [process.execPath, `${import.meta.dirname}/../../fixtures/readiness/http.js`],
      [socket],
    );
    const looking = look([fixture.pid, socket.inode]);
    expect(await looking.next()).toMatch(
      `missing ${socket.inode}; looked at 1 process, 1 of them with such a socket`,
    );
    fixture.go();
    expect(await looking.end()).toMatchObject({ last: 'accepting', code: 0 });
  });

  test('datagrams', async () => {
    await using fixture = await start([fixtures.program('datagrams')], []);
    const looking = look([fixture.pid, statSync(`/proc/${fixture.pid}/fd/3`).ino]);
    expect(await looking.next()).toMatch('missing');
    fixture.go();
    expect(await looking.end()).toMatchObject({ last: 'accepting', code: 0 });
  });
});

describe('a process that does not accept is not taken for one that does', () => {
  test.each(['never', 'select-other', 'poll-for-writing', 'epoll-closed'])('%s', async (name) => {
    using socket = await listen();
    await using fixture = await start([fixtures.program(name)], [socket]);
    fixture.go();
    const { last, code } = await look(['--timeout', 300, fixture.pid, socket.inode]).end();
    expect(last).toMatch(new RegExp(`^missing ${socket.inode}; looked at 1 process, [01] of them`));
    expect(code).toBe(1);
  });

  test('one of two', async () => {
    using first = await listen();
    using second = await listen();
    await using fixture = await start([fixtures.program('one-of-two')], [first, second]);
    fixture.go();
    expect(await look([fixture.pid, second.inode]).end()).toMatchObject({ last: 'accepting', code: 0 });
    const both = await look(['--timeout', 300, fixture.pid, first.inode, second.inode]).end();
    expect(both.last).toMatch(new RegExp(`^missing ${first.inode}; `));
    expect(both.code).toBe(1);
  });

  test('another process with the same socket, outside of the tree', async () => {
    using socket = await listen();
    await using old = await start([fixtures.program('epoll')], [socket]);
    await using fixture = await start([fixtures.program('never')], [socket]);
    old.go();
    expect(await look([old.pid, socket.inode]).end()).toMatchObject({ code: 0 });
    expect(await look(['--timeout', 100, fixture.pid, socket.inode]).end()).toMatchObject({ code: 1 });
  });

  test('an io_uring is named as what cannot be seen', async ({ skip }) => {
    using socket = await listen();
    await using fixture = await start([fixtures.program('io-uring')], [socket]).catch((error: Error) => {
      if (error.message.endsWith('77')) skip('no io_uring here');
      throw error;
    });
    fixture.go();
    const { last, code } = await look(['--timeout', 100, fixture.pid, socket.inode]).end();
    expect(last).toMatch(`pid ${fixture.pid} has an io_uring, which does not show what it accepts on`);
    expect(code).toBe(1);
  });
});

describe('the end of the process', () => {
  test('before the look', async () => {
    const { pid } = spawnSync('true');
    expect(await look([pid, 1]).end()).toEqual({ last: undefined, code: 3, signal: null, stderr: '' });
  });

  test('during the look', async () => {
    using socket = await listen();
    await using fixture = await start([fixtures.program('never')], [socket]);
    const looking = look([fixture.pid, socket.inode]);
    await looking.next();
    fixture.child.kill('SIGKILL');
    expect(await looking.end()).toMatchObject({ code: 3 });
  });
});

test('the look ends with a signal, though PID 1 blocks them all', async () => {
  using socket = await listen();
  await using fixture = await start([fixtures.program('never')], [socket]);
  const looking = look([fixture.pid, socket.inode]);
  await looking.next();
  looking.child.kill('SIGTERM');
  expect(await looking.end()).toMatchObject({ code: null, signal: 'SIGTERM' });
});

test.each([
  [[]],
  [['1']],
  [['x', '1']],
  [['0', '1']],
  [['1', 'x']],
  [['1', '0']],
  [['--timeout', '-1', '1', '1']],
  [['--interval', '0', '1', '1']],
  [['--nonsense', '1', '1', '1']],
  [['1', ...Array(65).fill('1')]],
])('wrong arguments: %j', async (args) => {
  const { code, stderr } = await look(args).end();
  expect(code).toBe(78);
  expect(stderr).toMatch(/^baton: usage: baton look .*\n$/);
});

// Root of a container may have none of root's powers: Docker leaves out SYS_PTRACE, and drop: ALL the rest.
const without = (...capabilities: string[]) => {
  const list = capabilities.map((capability) => `-${capability}`).join();
  return ['setpriv', `--inh-caps=${list}`, `--bounding-set=${list}`];
};

describe.runIf(asRoot)('a process of another user', () => {
  test.each([
    ['as root', [], {}],
    ['as that user', [], NOBODY],
    ['as root without SYS_PTRACE, as in Docker', without('sys_ptrace'), {}],
    [
      'as root without SYS_PTRACE and DAC_OVERRIDE',
      without('sys_ptrace', 'dac_override', 'dac_read_search'),
      {},
    ],
  ])('%s', async (_, prefix, credentials) => {
    for (const name of ['epoll', 'blocking-accept', 'poll']) {
      using socket = await listen();
      await using fixture = await start([fixtures.program(name)], [socket], NOBODY);
      const looking = look([fixture.pid, socket.inode], prefix, credentials);
      expect(await looking.next()).toMatch(`missing ${socket.inode}; looked at 1 process, 1 of them`);
      fixture.go();
      expect(await looking.end()).toEqual({ last: 'accepting', code: 0, signal: null, stderr: '' });
    }
  });

  test.each([
    ['as a third user', [], { uid: 65533, gid: 65533 }],
    ['as root without the right to', without('sys_ptrace', 'setuid', 'setgid'), {}],
  ])('not seen %s', async (_, prefix, credentials) => {
    using socket = await listen();
    await using fixture = await start([fixtures.program('epoll')], [socket], NOBODY);
    fixture.go();
    expect(await look([fixture.pid, socket.inode], prefix, credentials).end()).toEqual({
      last: expect.stringContaining(`may not look at pid ${fixture.pid} (EACCES)`),
      code: 4,
      signal: null,
      stderr: expect.stringMatching(
        new RegExp(
          `^baton: look: may not look at pid ${fixture.pid} \\(EACCES on /proc/${fixture.pid}\\): run .*\n$`,
        ),
      ),
    });
  });

  test.each([1, 2])('hidden by hidepid=%i', async (hidepid) => {
    using socket = await listen();
    await using fixture = await start([fixtures.program('epoll')], [socket], NOBODY);
    const hide = `mount -t proc -o hidepid=${hidepid} proc /proc && exec setpriv --reuid 65533 --regid 65533 --clear-groups "$@"`;
    const { code, stderr } = await look(
      [fixture.pid, socket.inode],
      ['unshare', '--mount', 'sh', '-c', hide, 'sh'],
    ).end();
    expect(stderr).toMatch(
      `baton: look: pid ${fixture.pid} does not show in /proc: is it mounted with hidepid?`,
    );
    expect(code).toBe(4);
  });
});

test.runIf(asRoot)('a /proc that shows no epoll (gVisor, Linux before 4.13) is told at once', async () => {
  using socket = await listen();
  await using fixture = await start([fixtures.program('epoll')], [socket]);
  const { code, stderr } = await look(
    [fixture.pid, socket.inode],
    ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /proc && exec "$@"', 'sh'],
  ).end();
  expect(stderr).toMatch('baton: look: this /proc does not show what an epoll waits for');
  expect(code).toBe(4);
});
