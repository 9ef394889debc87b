import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { probe, type Target } from '../../../agent/readiness/index.ts';

const target: Target = {
  key: '1.0.1',
  pid: 4711,
  listeners: [],
  credentials: {},
  directory: '/',
  environment: {},
  notified: (async function* () {})(),
  binary: '/nowhere',
};
const http = (url: string, signal = new AbortController().signal) =>
  probe({ method: 'http', url }, target, signal);

async function serve(server: Server) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}
const answering = (listener: RequestListener) => serve(createServer(listener));

test.each([200, 204, 301, 399])('%i is ready', async (status) => {
  using server = await answering((_, response) =>
    response.writeHead(status, { location: '/elsewhere' }).end(),
  );
  await expect(http(`http://127.0.0.1:${server.port}`).ready).resolves.toBeUndefined();
});

test.each([400, 404, 503])('%i is not, and is asked again', async (status) => {
  let ready = false;
  using server = await answering((_, response) => response.writeHead(ready ? 200 : status).end('a body'));
  const probing = http(`http://127.0.0.1:${server.port}/health`);
  await vi.waitUntil(
    () => probing.lastSeen().includes('answered 4') || probing.lastSeen().includes('answered 5'),
  );
  expect(probing.lastSeen()).toBe(`GET http://127.0.0.1:${server.port}/health answered ${status}`);
  ready = true;
  await expect(probing.ready).resolves.toBeUndefined();
});

test('asks for the path of the process, each time on a connection that it closes', async () => {
  const asked: (string | undefined)[][] = [];
  using server = await answering((request, response) => {
    asked.push([request.method, request.url, request.headers.connection]);
    response.end();
  });
  await http(`http://127.0.0.1:${server.port}/{pid}/ready?pid={pid}`).ready;
  expect(asked).toEqual([['GET', '/4711/ready?pid=4711', 'close']]);
});

test('a refused connection is tried again', async () => {
  const { port, ...gone } = await answering(() => {});
  gone[Symbol.dispose]();
  const probing = http(`http://127.0.0.1:${port}/`);
  await vi.waitUntil(() => probing.lastSeen().includes('failed'));
  expect(probing.lastSeen()).toBe(
    `GET http://127.0.0.1:${port}/ failed: connect ECONNREFUSED 127.0.0.1:${port}`,
  );
  const server = createServer((_, response) => response.end()).listen(port, '127.0.0.1');
  await expect(probing.ready).resolves.toBeUndefined();
  server.close();
});

test('no answer is given up after a second and tried again', async () => {
  let tries = 0;
  using server = await answering((_, response) => {
    if (++tries > 1) response.end();
  });
  const probing = http(`http://127.0.0.1:${server.port}/`);
  await vi.waitUntil(() => probing.lastSeen().includes('failed'), 10_000);
  expect(probing.lastSeen()).toMatch(/ failed: no answer within 1000 ms$/);
  await expect(probing.ready).resolves.toBeUndefined();
});

test('a body without end keeps nobody waiting', async () => {
  let closed: Promise<unknown> | undefined;
  using server = await answering((_, response) => {
    closed = once(response, 'close');
    response.write('for ever');
  });
  await expect(http(`http://127.0.0.1:${server.port}/`).ready).resolves.toBeUndefined();
  await closed;
});

test('an abort closes the connection', async () => {
  const tcp = createTcpServer();
  using server = await serve(tcp);
  const stop = new AbortController();
  const probing = http(`http://127.0.0.1:${server.port}/`, stop.signal);
  const [socket] = await once(tcp, 'connection');
  const closed = once(socket.resume(), 'close');
  stop.abort();
  await expect(probing.ready).rejects.toThrow(`GET http://127.0.0.1:${server.port}/ was not answered yet`);
  await closed;
});

test('https needs no certificate that anyone trusts', async () => {
  const pem = readFileSync(join(import.meta.dirname, '../../fixtures/readiness/self-signed.pem'));
  using server = await serve(createSecureServer({ key: pem, cert: pem }, (_, response) => response.end()));
  await expect(http(`https://127.0.0.1:${server.port}/`).ready).resolves.toBeUndefined();
});

test.each(['ftp://127.0.0.1/', 'not a URL', 'http://'])('%s is a definite failure', async (url) => {
  await expect(http(url).ready).rejects.toThrow(`readiness URL ${url} is not an http:// or https:// URL`);
});
