/** The control socket: who may ask, what PID 1 answers itself, and what waits for the agent. */
import { once } from 'node:events';
import { openSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeFrame, FrameDecoder } from '../../../agent/frames.ts';
import { openPages } from '../../../agent/health/pages.ts';
import { type Running, start } from '../../support/namespace.ts';
import type { FakeAgent, Options, Pid1 } from '../../support/pid1.ts';
import { describePid1 } from './suite.ts';

/** The answer to `page /livez` before anything is published. */
const ALIVE = ['last', '200', 'ok\n'];

/** A client of the test's own, in the same PID namespace as a Baton that was started `as: 'plain'`. */
class Client implements AsyncDisposable {
  readonly socket: Socket;
  readonly frames: string[][] = [];
  /** Once Baton has closed the connection. */
  readonly closed: Promise<unknown>;
  readonly #decoder = new FrameDecoder();

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {}); // a reset closes too
    socket.on('data', (bytes: Buffer) => this.frames.push(...this.#decoder.push(bytes)));
  }

  static async connect(path: string): Promise<Client> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new Client(socket);
  }

  ask(...request: string[]): this {
    this.socket.write(encodeFrame(request));
    return this;
  }

  /** Everything that was answered. */
  async answer(): Promise<readonly string[][]> {
    await this.closed;
    return this.frames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** Its exit code, and what it printed. */
async function result(running: Running) {
  await using client = running;
  const { code } = await client.exit;
  return { code, stdout: client.stdout, stderr: client.stderr };
}

function publish(pid1: Pid1, agent: FakeAgent, pages: readonly (readonly [string, number, string])[]) {
  const memory = openPages(openSync(`/proc/${pid1.hostPid(agent.hello.pid)}/fd/4`, 'r+'));
  memory.publish(pages.map(([path, status, body]) => ({ path, status, type: 'text/plain', body })));
}

describePid1((suite) => {
  let count = 0;
  const path = () => join(suite.installation.folder, `control-${++count}.sock`);

  /** Here, with a socket file, so that the test is a peer. */
  async function startHere(options: Options = {}) {
    const file = path();
    const pid1 = await suite.start({ as: 'plain', args: ['--health', 'off', '--control', file], ...options });
    return { pid1, file, agent: await pid1.attached() };
  }

  test('a request goes to the agent with its sender, and the replies to whoever asked', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    await using client = await Client.connect(file);
    client.ask('reload', 'no-wait', '', 'a\nb');
    const [seq = '', ...request] = await agent.next('request');
    const when = expect.stringMatching(/^[0-9]+$/);
    expect(request).toEqual(['0', String(process.pid), when, 'reload', 'no-wait', '', 'a\nb']);
    await agent.request('reply', seq, 'more', 'half way');
    await agent.request('reply', seq, 'more', '');
    await agent.request('reply', seq, 'last', 3, 'no');
    expect(await client.answer()).toEqual([
      ['more', 'half way'],
      ['more', ''],
      ['last', '3', 'no'],
    ]);
    await expect(agent.request('done', seq)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(agent.request('reply', seq, 'last', 3, 'no')).rejects.toMatchObject({ code: 'EPIPE' });
  });

  test('a request may come in pieces, and what follows it is ignored', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    await using client = await Client.connect(file);
    for (const byte of encodeFrame(['drain'])) {
      client.socket.write(Buffer.from([byte]));
      await agent.request('ping'); // a round of the loop
    }
    const [seq = ''] = await agent.next('request');
    client.ask('reload').socket.write(Buffer.alloc(100_000));
    await agent.request('reply', seq, 'last', 0, 'drained');
    expect(await client.answer()).toEqual([['last', '0', 'drained']]);
    await agent.request('list');
    expect(agent.frames.left.filter(([verb]) => verb === 'request')).toEqual([]);
  });

  test.each([
    ['an empty frame', Buffer.alloc(4)],
    ['a frame without its NUL', Buffer.from([2, 0, 0, 0, 65, 66])],
    ['a frame of more than 8 KiB', Buffer.concat([Buffer.from([1, 32, 0, 0]), Buffer.alloc(8193)])],
    ['a length that can be no frame', Buffer.from([255, 255, 255, 255])],
    ['a page without a path', encodeFrame(['page'])],
    ['a page with two', encodeFrame(['page', '/readyz', '/livez'])],
  ])('%s is refused with 64', async (_, bytes) => {
    const { pid1, file, agent } = await startHere();
    await using __ = pid1;
    await using client = await Client.connect(file);
    client.socket.write(bytes);
    expect(await client.answer()).toEqual([['last', '64', expect.any(String)]]);
    await agent.request('list');
    expect(agent.frames.left.filter(([verb]) => verb === 'request')).toEqual([]);
  });

  test('half a request is waited for, but not for ever', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    const pings = setInterval(() => agent.send('ping'), 500);
    try {
      await using silent = await Client.connect(file);
      await using half = await Client.connect(file);
      half.socket.write(encodeFrame(['reload']).subarray(0, 7));
      expect(await half.answer()).toEqual([]);
      expect(await silent.answer()).toEqual([]);
    } finally {
      clearInterval(pings);
    }
    await using client = await Client.connect(file);
    expect(await client.ask('page', '/livez').answer()).toEqual([ALIVE]);
  });

  test('12 may wait; one more is told that Baton is busy, and may come when one has left; probes are answered', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    const waiting = [];
    for (let n = 0; n < 12; n++) {
      waiting.push((await Client.connect(file)).ask('reload', String(n)));
      await agent.next('request');
    }
    const refused = await result(await start([suite.installation.baton, 'reload', '--socket', file]));
    expect(refused).toMatchObject({ code: 75, stdout: expect.stringMatching(/^busy/) });
    const probe = await result(await start([suite.installation.baton, 'live', '--socket', file]));
    expect(probe).toMatchObject({ code: 0 });

    await waiting[3]?.[Symbol.asyncDispose]();
    await agent.request('ping'); // a round of the loop
    waiting.push((await Client.connect(file)).ask('reload', 'next'));
    expect((await agent.next('request')).at(-1)).toBe('next');
    const silent = [];
    for (let n = 0; n < 4; n++) silent.push(await Client.connect(file));
    await using more = await Client.connect(file);
    expect(await more.answer()).toEqual([['last', '75', expect.stringMatching(/^busy/)]]);
    for (const client of [...waiting, ...silent]) await client[Symbol.asyncDispose]();
  });

  test('who leaves while waiting frees the place; what was asked for is the agent’s to do', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    for (let n = 0; n < 40; n++) {
      const client = (await Client.connect(file)).ask('reload', String(n));
      const [seq = ''] = await agent.next('request');
      await client[Symbol.asyncDispose]();
      await agent.request('ping'); // a round of the loop, in which PID 1 sees it go
      await expect(agent.request('reply', seq, 'last', 0, 'done')).rejects.toMatchObject({ code: 'EPIPE' });
      await expect(agent.request('done', seq)).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });

  test('one that does not read loses lines, and holds nobody up', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    await using client = await Client.connect(file);
    client.socket.pause();
    client.ask('reload');
    const [seq = ''] = await agent.next('request');
    const line = 'x'.repeat(10_000);
    for (let n = 0; n < 100; n++) await agent.request('reply', seq, 'more', line);
    await using other = await Client.connect(file);
    expect(await other.ask('page', '/livez').answer()).toEqual([ALIVE]);
    client.socket.resume();
    await agent.request('reply', seq, 'last', 0, 'end');
    const frames = await client.answer();
    expect(frames.at(-1)).toEqual(['last', '0', 'end']);
    expect(frames.slice(0, -1).every(([, text]) => text === line)).toBe(true);
  });

  test('a request waits while there is no agent, and the next one answers it', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    await using told = (await Client.connect(file)).ask('drain');
    const drain = await agent.next('request');
    const [seq = ''] = drain;
    expect(drain.at(-1)).toBe('drain');
    await agent.kill();
    await using untold = (await Client.connect(file)).ask('reload');
    const next = await pid1.attached();
    expect(await next.next('request')).toEqual(drain);
    const [later = ''] = await next.next('request');
    await next.request('reply', later, 'last', 1, 'reload');
    await next.request('reply', seq, 'last', 0, 'drain');
    expect(await told.answer()).toEqual([['last', '0', 'drain']]);
    expect(await untold.answer()).toEqual([['last', '1', 'reload']]);
  });

  test('pages are answered with no agent, of any size', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    const big = 'b'.repeat(250_000);
    publish(pid1, agent, [
      ['/readyz', 200, 'ready\n'],
      ['/big', 418, big],
    ]);
    await agent.kill();
    for (const [page, answer] of [
      ['/readyz', ['last', '200', 'ready\n']],
      ['/big', ['last', '418', big]],
      ['/nothing', ['last', '404', 'no such page']],
    ] as const) {
      await using client = await Client.connect(file);
      expect(await client.ask('page', page).answer()).toEqual([answer]);
    }
  });

  test('the agent may move it; the file is for its owner alone', async () => {
    const { pid1, file, agent } = await startHere();
    await using _ = pid1;
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const other = path();
    await agent.request('control', other);
    await agent.request('control', other);
    await using client = await Client.connect(other);
    expect(await client.ask('page', '/livez').answer()).toEqual([ALIVE]);
    await expect(Client.connect(file)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    for (const [bad, code] of [
      ['relative.sock', 'EINVAL'],
      [`/${'x'.repeat(107)}`, 'ENAMETOOLONG'],
      ['/nonexistent/x.sock', 'ENOENT'],
    ] as const)
      await expect(agent.request('control', bad)).rejects.toMatchObject({ code });
    await using still = await Client.connect(other);
    expect(await still.ask('page', '/livez').answer()).toEqual([ALIVE]);
  });

  test('BATON_CONTROL names it for Baton and for its client', async () => {
    const file = path();
    await using pid1 = await suite.start({ args: ['--health', 'off'], env: { BATON_CONTROL: file } });
    await pid1.attached();
    const client = await pid1.exec('env', `BATON_CONTROL=${file}`, suite.installation.baton, 'live');
    expect(await result(client)).toMatchObject({ code: 0 });
  });

  test.each([
    ['root', [], 0],
    ['somebody else', ['--reuid', '65534', '--regid', '65534', '--clear-groups'], 77],
  ])('by default at the abstract address of the container: %s', async (_, who, code) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    publish(pid1, agent, [['/readyz', 200, 'ready\n']]);
    const { baton } = suite.installation;
    for (const verb of ['ready', 'reload']) {
      if (code === 0 && verb === 'reload') continue; // which would wait for an answer
      const client = await result(await pid1.exec('setpriv', ...who, baton, verb));
      expect(client).toMatchObject({ code, stdout: expect.stringMatching(code ? /^refused/ : /^ready$/m) });
    }
    await agent.request('list');
    expect(agent.frames.left.filter(([verb]) => verb === 'request')).toEqual([]);
  });

  test('a peer of another PID namespace is refused, even root', async () => {
    const file = path();
    await using pid1 = await suite.start({ args: ['--health', 'off', '--control', file] });
    await pid1.attached();
    for (const verb of ['ready', 'reload'])
      expect(await result(await start([suite.installation.baton, verb, '--socket', file]))).toMatchObject({
        code: 77,
      });
    expect(await result(await pid1.client('live', '--socket', file))).toMatchObject({ code: 0 });
  });

  test('Baton that is not root obeys its own user and root', async () => {
    const through = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    await using pid1 = await suite.start({ through });
    await pid1.attached();
    const { baton } = suite.installation;
    expect(await result(await pid1.exec(...through, baton, 'live'))).toMatchObject({ code: 0 });
    expect(await result(await pid1.client('live'))).toMatchObject({ code: 0 });
    const stranger = ['setpriv', '--reuid', '65533', '--regid', '65533', '--clear-groups', baton, 'live'];
    expect(await result(await pid1.exec(...stranger))).toMatchObject({ code: 77 });
  });

  test('an address that is taken is told, and Baton goes on without', async () => {
    const { pid1, file } = await startHere();
    await using _ = pid1;
    await using second = await suite.start({ as: 'plain', args: ['--health', 'off', '--control', file] });
    await second.attached();
    expect(second.running.stderr).toMatch(
      /^baton: control socket .*: EADDRINUSE, another program answers there;/m,
    );
  });
});
