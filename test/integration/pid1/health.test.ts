/** The health endpoint answers before, between and after the agents. */

import { once } from 'node:events';
import { openSync } from 'node:fs';
import { get } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openPages } from '../../../agent/health/pages.ts';
import { descendants, type FakeAgent, type Pid1, statusOf } from '../../support/pid1.ts';
import { freePort } from '../../support/service.ts';
import { actor, describePid1 } from './suite.ts';

type Where = { readonly socketPath: string } | { readonly port: number };

/** The status, or the code of the error. */
function ask(where: Where, path: string): Promise<number | string | undefined> {
  return new Promise((resolve) => {
    const request = get({ ...where, host: '127.0.0.1', path, agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}

/** The responder, as seen from here: Baton's child that is no agent. Waits until it has been executed. */
async function responder(pid1: Pid1, agent: FakeAgent, not?: number): Promise<number> {
  for (;;) {
    const host = descendants(pid1.running.pid).find(
      (pid) => pid !== pid1.running.pid && pid !== pid1.hostPid(agent.hello.pid) && pid !== not,
    );
    if (host !== undefined) return host;
    await agent.request('ping');
  }
}

describePid1((suite) => {
  const path = (name: string) => join(suite.installation.folder, name);

  test.each([
    ['--health 127.0.0.1:PORT', (port: number) => ({ args: ['--health', `127.0.0.1:${port}`] })],
    ['--health=tcp://127.0.0.1:PORT', (port: number) => ({ args: [`--health=tcp://127.0.0.1:${port}`] })],
    ['BATON_HEALTH', (port: number) => ({ args: [], env: { BATON_HEALTH: `127.0.0.1:${port}` } })],
    [
      'a --health of the program',
      (port: number) => ({
        args: ['--', 'x', '--health', 'off'],
        env: { BATON_HEALTH: `127.0.0.1:${port}` },
      }),
    ],
  ])('%s: live and not ready while no agent attaches', async (_, options) => {
    const port = await freePort();
    await using pid1 = await suite.start(options(port));
    await pid1.agent();
    expect(await ask({ port }, '/livez')).toBe(200);
    for (const page of ['/readyz', '/startupz']) expect(await ask({ port }, page)).toBe(503);
  });

  test('where fewer files may be open than the responder would take connections', async () => {
    const port = await freePort();
    const args = ['--health', `127.0.0.1:${port}`];
    await using pid1 = await suite.start({ args, through: ['prlimit', '--nofile=48:48'] });
    await pid1.agent();
    expect(await ask({ port }, '/livez')).toBe(200);
    expect(pid1.running.stderr).toBe('');
  });

  test('a configuration file may move the endpoint, so that it waits for the agent', async () => {
    await using pid1 = await suite.start({ args: ['--config', '/nonexistent'] });
    const agent = await pid1.agent();
    await agent.request('ping');
    expect(descendants(pid1.running.pid)).toEqual([pid1.running.pid, pid1.hostPid(agent.hello.pid)]);
  });

  test('what the agent published stays when it dies', async () => {
    const where = { socketPath: path('published.sock') };
    await using pid1 = await suite.start({ args: ['--health', `unix://${where.socketPath}`] });
    const agent = await pid1.attached();
    const pages = openPages(openSync(`/proc/${pid1.hostPid(agent.hello.pid)}/fd/4`, 'r+'));
    pages.publish([{ path: '/readyz', status: 200, type: 'text/plain', body: 'ready\n' }]);
    expect(await ask(where, '/readyz')).toBe(200);
    await agent.kill();
    expect(await ask(where, '/readyz')).toBe(200);
    await pid1.attached();
    expect(await ask(where, '/readyz')).toBe(200);
  });

  test('a responder that is killed is started again, on the same socket', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const [address = ''] = await agent.request('health', 'tcp://127.0.0.1:0');
    const where = { port: Number(/\d+$/.exec(address)?.[0]) };
    let last: number | undefined;
    for (let life = 0; life < 4; life++) {
      expect(await ask(where, '/livez')).toBe(200); // it waits in the queue where nobody answers yet
      last = await responder(pid1, agent, last);
      process.kill(last, 'SIGKILL');
    }
    expect(await ask(where, '/livez')).toBe(200);
    expect(await agent.request('health', 'tcp://127.0.0.1:0')).toEqual([address]);
  });

  test('a responder that is killed while there is no agent is started again', async () => {
    const where = { socketPath: path('alone.sock') };
    await using pid1 = await suite.start({ args: ['--health', `unix://${where.socketPath}`] });
    const agent = await pid1.agent();
    const killed = await responder(pid1, agent);
    process.kill(killed, 'SIGKILL');
    expect(await ask(where, '/livez')).toBe(200);
    expect(await responder(pid1, agent, killed)).not.toBe(killed);
  });

  test('the same address again changes nothing, however it is written', async () => {
    const port = await freePort();
    await using pid1 = await suite.start({ args: ['--health', `localhost:${port}`] });
    const agent = await pid1.attached();
    const before = await responder(pid1, agent);
    const bound = [`tcp://127.0.0.1:${port}`];
    expect(await agent.request('health', `tcp://127.0.0.1:${port}`)).toEqual(bound);
    expect(await agent.request('health', `tcp://localhost:${port}`)).toEqual(bound);
    expect(await responder(pid1, agent)).toBe(before);
  });

  test('it moves, goes, and comes back', async () => {
    const [here, there] = [{ socketPath: path('here.sock') }, { socketPath: path('there.sock') }];
    await using pid1 = await suite.start({ args: ['--health', `unix://${here.socketPath}`] });
    const agent = await pid1.attached();
    expect(await ask(here, '/livez')).toBe(200);

    expect(await agent.request('health', `unix://${there.socketPath}`)).toEqual([
      `unix://${there.socketPath}`,
    ]);
    expect(await ask(there, '/livez')).toBe(200);
    expect(await ask(here, '/livez')).toBe('ECONNREFUSED');

    expect(await agent.request('health', 'off')).toEqual(['off']);
    expect(await agent.request('health', 'off')).toEqual(['off']);
    expect(await ask(there, '/livez')).toBe('ECONNREFUSED');

    await agent.request('health', `unix://${here.socketPath}`);
    expect(await ask(here, '/livez')).toBe(200);
  });

  test('an address that cannot be had is an error by name, and the old one stays', async () => {
    const where = { socketPath: path('stays.sock') };
    await using pid1 = await suite.start({ args: ['--health', `unix://${where.socketPath}`] });
    const agent = await pid1.attached();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(agent.request('health', `tcp://127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    await expect(agent.request('health', 'nonsense')).rejects.toMatchObject({ code: 'EINVAL' });
    server.close();
    expect(await ask(where, '/livez')).toBe(200);
  });

  test('the responder is neither a process of the list nor a program that is told of', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    await agent.request('health', 'tcp://127.0.0.1:0');
    const host = await responder(pid1, agent);
    await agent.request('list');
    const pid = statusOf(host, 'NSpid').split(/\s+/).at(-1) as string;
    await expect(agent.request('kill', pid, 9, 'process')).rejects.toMatchObject({ code: 'ESRCH' });
    process.kill(host, 'SIGKILL');
    await agent.spawn('one', [actor, 'exit:0']);
    await agent.next('gone', ([, , name]) => name === 'one');
    expect(agent.frames.left.map(([verb]) => verb)).not.toContain('process');
    expect(agent.frames.left.filter(([verb]) => verb === 'gone')).toEqual([]);
  });
});
