/** The native client: one line of output, and an exit code that says what happened. No Node is involved. */
import { openSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openPages } from '../../../agent/health/pages.ts';
import { type Running, start } from '../../support/namespace.ts';
import type { FakeAgent, Pid1 } from '../../support/pid1.ts';
import { describePid1 } from './suite.ts';

async function result(running: Running) {
  await using client = running;
  const { code } = await client.exit;
  return { code, stdout: client.stdout, stderr: client.stderr };
}

/** A container whose agent has published, or not. */
async function publish(pid1: Pid1, agent: FakeAgent, ready: number) {
  const pages = openPages(openSync(`/proc/${pid1.hostPid(agent.hello.pid)}/fd/4`, 'r+'));
  const page = (path: string, status: number, body: string) => ({ path, status, type: 'text/plain', body });
  pages.publish([
    page('/livez', 200, 'alive\nmore\n'),
    page('/readyz', ready, ready === 200 ? 'ready\n' : 'draining\n'),
    page('/status', 200, '{"generation":1}\n'),
    page('/status.txt', 200, 'generation 1 "serves"\n'),
  ]);
}

describePid1((suite) => {
  test('before anything is published: alive, not ready', async () => {
    await using pid1 = await suite.start();
    await pid1.agent();
    for (const [verb, code] of [
      ['live', 0],
      ['ready', 1],
      ['health', 1],
      ['status', 1],
    ] as const)
      expect(await result(await pid1.client(verb)), verb).toEqual({
        code,
        stdout: expect.stringMatching(/^[^\n]+\n$/),
        stderr: '',
      });
  });

  test.each([200, 503])('what was published, ready %i', async (ready) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await publish(pid1, agent, ready);
    await agent.kill(); // nobody needs it
    const code = ready === 200 ? 0 : 1;
    const text = ready === 200 ? 'ready' : 'draining';
    const ok = ready === 200;
    expect(await result(await pid1.client('ready'))).toMatchObject({ code, stdout: `${text}\n` });
    expect(await result(await pid1.client('health'))).toMatchObject({ code, stdout: `${text}\n` });
    const json = await result(await pid1.client('ready', '--json'));
    expect(json).toMatchObject({ code, stderr: '' });
    expect(JSON.parse(json.stdout)).toEqual({ verb: 'ready', ok, text });
    expect(await result(await pid1.client('live'))).toMatchObject({ code: 0, stdout: 'alive\n' });
    expect(await result(await pid1.client('status'))).toMatchObject({
      code: 0,
      stdout: 'generation 1 "serves"\n',
    });
    expect(await result(await pid1.client('status', '--json'))).toMatchObject({
      code: 0,
      stdout: '{"generation":1}\n',
    });
  });

  test.each([
    ['reload', [], ['reload']],
    ['reload', ['--no-wait'], ['reload', 'no-wait']],
    ['reload', ['--json'], ['reload', 'json']],
    ['drain', ['--timeout', '1h'], ['drain']],
  ])('%s %j asks the agent, and exits with its code', async (verb, flags, asked) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await using client = await pid1.client(verb, ...flags);
    const [seq = '', , , , ...request] = await agent.next('request');
    expect(request).toEqual(asked);
    await agent.request('reply', seq, 'more', 'working');
    await client.waitFor(/^working$/m); // on stderr, at once
    await agent.request('reply', seq, 'last', 3, 'a "word" \\ and\nmore');
    const { code, stdout, stderr } = await result(client);
    expect({ code, stderr }).toEqual({ code: 3, stderr: 'working\n' });
    if (flags.includes('--json'))
      expect(JSON.parse(stdout)).toEqual({ verb, ok: false, text: 'a "word" \\ and' });
    else expect(stdout).toBe('a "word" \\ and\n');
  });

  test('an answer that is JSON already is printed as it is', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await using client = await pid1.client('reload', '--json');
    const [seq = ''] = await agent.next('request');
    await agent.request('reply', seq, 'last', 0, '{"ok":true}');
    expect(await result(client)).toEqual({ code: 0, stdout: '{"ok":true}\n', stderr: '' });
  });

  test.each(['health', 'ready', 'live', 'status', 'reload', 'drain'])('%s --help', async (verb) => {
    const help = await result(await start([suite.installation.baton, verb, '--help']));
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(new RegExp(`^usage: baton ${verb} `));
    expect(help.stdout.includes('--no-wait')).toBe(verb === 'reload');
  });

  test.each([
    [['ready', '--nonsense']],
    [['ready', '--no-wait']],
    [['ready', 'argument']],
    [['ready', '--socket']],
    [['ready', '--timeout']],
    [['ready', '--timeout', '5']],
    [['ready', '--timeout', 'x']],
    [['ready', '--timeout', '-1s']],
    [['ready', '--timeout', '1000000h']],
    [['ready', '--timeout', 'nans']],
  ])('%j is wrong usage: 64, and one line', async (args) => {
    expect(await result(await start([suite.installation.baton, ...args]))).toEqual({
      code: 64,
      stdout: '',
      stderr: expect.stringMatching(/^baton: [^\n]+\n$/),
    });
  });

  test.each([
    ['/nonexistent.sock', 'ENOENT'],
    [`/${'x'.repeat(107)}`, 'ENAMETOOLONG'],
  ])('nobody at %s: 69', async (path, error) => {
    expect(await result(await start([suite.installation.baton, 'ready', '--socket', path]))).toEqual({
      code: 69,
      stdout: '',
      stderr: `baton: ready: no Baton answers at ${path}: ${error}\n`,
    });
  });

  test('nobody at the abstract address: 69', async () => {
    const client = await start(['unshare', '--mount', suite.installation.baton, 'ready'], {
      env: { BATON_CONTROL: undefined },
    });
    expect(await result(client)).toEqual({
      code: 69,
      stdout: '',
      stderr: expect.stringMatching(/^baton: ready: no Baton answers at @baton\/\d+: ECONNREFUSED\n$/),
    });
  });

  test('a Baton that ends while it is asked: 69', async () => {
    const args = ['--health', 'off', '--control', socket('ends')];
    await using pid1 = await suite.start({ as: 'plain', args });
    const agent = await pid1.attached();
    await using client = await start([suite.installation.baton, 'reload', '--socket', socket('ends')]);
    await agent.next('request');
    agent.send('exit', 0);
    expect(await pid1.exit).toMatchObject({ code: 0 });
    expect(await result(client)).toEqual({
      code: 69,
      stdout: '',
      stderr: 'baton: reload: Baton closed the connection\n',
    });
  });

  test('no answer in time: 75, and what was asked for is still done', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const client = await result(await pid1.client('reload', '--timeout', '100ms'));
    expect(client).toEqual({ code: 75, stdout: '', stderr: 'baton: reload: no answer within 100 ms\n' });
    const [, , , , verb] = await agent.next('request');
    expect(verb).toBe('reload');
  });

  test('a Baton that does not even accept: 75', async () => {
    await using pid1 = await suite.start({
      as: 'plain',
      args: ['--health', 'off', '--control', socket('stopped')],
    });
    await pid1.agent();
    pid1.running.kill('SIGSTOP');
    const ask = (timeout: string) =>
      start([suite.installation.baton, 'ready', '--socket', socket('stopped'), '--timeout', timeout]);
    // The queue takes 64 and one; whoever comes then waits in connect.
    const queued = await Promise.all(Array.from({ length: 65 }, () => ask('10m')));
    await using _ = await ask('100ms').then(async (client) => {
      expect((await client.exit).code).toBe(75);
      return client;
    });
    pid1.running.kill('SIGCONT');
    for (const client of queued) expect([1, 75]).toContain((await result(client)).code);
  });

  test('something else at the socket, which answers nonsense: no crash, and 69 at its end', async () => {
    const path = socket('nonsense');
    const server = createServer((peer) => {
      peer.on('error', () => {});
      peer.write(Buffer.from([0, 0, 0, 0, 1, 0, 0, 0, 65, 5, 0, 0, 0, 108, 97, 115, 116, 0]));
      peer.end(Buffer.from([255, 255, 255, 255, 1, 2, 3]));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(await result(await start([suite.installation.baton, 'ready', '--socket', path]))).toMatchObject({
      code: 69,
    });
    server.close();
  });

  function socket(name: string): string {
    return join(suite.installation.folder, `${name}.sock`);
  }
});
