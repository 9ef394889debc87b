/** Each way for a new generation to prove that it serves: the old one is not asked to stop before. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Gate } from '../../support/gate.ts';
import { testWith } from '../../support/installed.ts';
import { Service } from '../../support/service.ts';

/** A server that a candidate's proof is asked of: by default it answers everyone with 200. */
async function checks() {
  const check = { url: '', asked: [] as string[], answer: (_path: string) => 200 };
  const server = createServer(({ url = '' }, response) => {
    check.asked.push(url);
    response.writeHead(check.answer(url)).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  check.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(check, { [Symbol.dispose]: () => server.close() });
}

/** A new generation is started; it stays a candidate, and the old one untouched, until `prove`. */
async function handOver(service: Service, prove: () => Promise<unknown>): Promise<void> {
  const load = service.load({ mode: 'per-request', connections: 2, rate: 100 });
  const before = await service.status();
  service.running.kill('SIGHUP');
  await service.until(({ candidate }) => candidate?.processes[0]?.state === 'running');
  await load.completed(10);
  expect(await service.status()).toMatchObject({ active: before.active, draining: [] });
  expect(service.log.filter(({ msg }) => msg === 'asking to stop')).toEqual([]);
  await prove();
  await service.until(({ active, draining }) => active?.generation === 2 && draining.length === 0);
  expect(await load.stop()).toMatchObject({ failed: 0 });
}

/** What a candidate is refused for that never proves anything. */
async function failure(service: Service): Promise<string> {
  const { code, stdout } = await service.baton('reload');
  expect(code).toBe(1);
  expect((await service.status()).active?.generation).toBe(1);
  return stdout;
}

describe.concurrent('--ready', () => {
  test('accepting: nothing is asked of the program', async () => {
    await using service = await Service.start('c', { flags: ['--ready', 'accepting'] });
    expect((await service.baton('reload')).stdout).toBe('promoted: generation 2 serves\n');
  });

  testWith('go')('notify: READY=1', async () => {
    await using service = await Service.start('go', { flags: ['--ready', 'notify'] });
    expect((await service.baton('reload')).stdout).toBe('promoted: generation 2 serves\n');
  });

  test('notify: a program that says nothing is told of', async () => {
    await using service = await Service.launch('c', {
      flags: ['--ready', 'notify', '--ready-timeout', '1s'],
    });
    const { outcome, msg } = await service.waitForLog(({ outcome }) => outcome !== undefined);
    expect(outcome).toBe('failed');
    expect(msg).toMatch(/^failed generation 1: was not ready within 1s: pid \d+ has not sent READY=1$/);
  });

  test('http: an address of the candidate’s own, by its pid', async () => {
    using check = await checks();
    await using service = await Service.start('c', { flags: ['--ready', `${check.url}/of/{pid}`] });
    check.answer = () => 503;
    await handOver(service, async () => {
      const { candidate } = await service.status();
      check.answer = (path) => (path === `/of/${candidate?.processes[0]?.pid}` ? 200 : 503);
    });
    const { active } = await service.status();
    expect(check.asked.at(-1)).toBe(`/of/${active?.processes[0]?.pid}`);
  });

  test('http: what was answered is told', async () => {
    using check = await checks();
    await using service = await Service.start('c', {
      flags: ['--ready', check.url, '--ready-timeout', '1s'],
    });
    check.answer = () => 500;
    expect(await failure(service)).toBe(
      `failed: generation 2: was not ready within 1s: GET ${check.url} answered 500\n`,
    );
  });

  test('exec: a command', async () => {
    await using gate = await Gate.opened();
    await using service = await Service.start('c', { flags: ['--ready', gate.readiness] });
    await gate.close();
    await handOver(service, () => gate.open());
  });

  test('exec: what the command said is told', async () => {
    await using gate = await Gate.opened();
    const check = `exec:sh -c '${gate.readiness.slice('exec:'.length)} || { echo "no database"; exit 4; }'`;
    await using service = await Service.start('c', { flags: ['--ready', check, '--ready-timeout', '1s'] });
    await gate.close();
    expect(await failure(service)).toMatch(
      /^failed: generation 2: was not ready within 1s: check ".*" exited with 4: no database\n$/,
    );
  });

  test('delay: time alone, for programs without listeners', async () => {
    await using service = await Service.start('c', { flags: ['--ready', 'delay:500ms'] });
    expect((await service.baton('reload')).stdout).toBe('promoted: generation 2 serves\n');
    const { history } = await service.status();
    for (const { durationMs } of history) expect(durationMs).toBeGreaterThanOrEqual(500);
  });

  test('delay: who dies meanwhile has not proved anything', async () => {
    await using service = await Service.start('c', { flags: ['--ready', 'delay:500ms'] });
    await service.update('broken', { variant: 'exits-at-once' });
    expect(await failure(service)).toMatch(/exited with code 3 before it was ready\n$/);
  });
});
