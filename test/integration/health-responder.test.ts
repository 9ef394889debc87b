/** The health responder, the real binary, started as PID 1 starts it: over loopback, with a client that sees every byte. */
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { Agent, get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPages, type Page } from '../../agent/health/pages.ts';
import { baton, type Running, start } from '../support/namespace.ts';

const root = join(import.meta.dirname, '../..');
const launcher = join(root, 'build/fixtures/responder_launcher');
const isSanitized = baton.includes('asan');
const isRoot = process.getuid?.() === 0;

const PLAIN = 'text/plain; charset=utf-8';
const TABLE = 64;

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-responder-'));
  mkdirSync(join(root, 'build/fixtures'), { recursive: true });
  const sources = [join(root, 'test/fixtures/responder_launcher.c'), join(root, 'agent/init/pages.c')];
  const flags = ['-std=c11', '-D_GNU_SOURCE', '-O1', `-I${join(root, 'agent/init')}`];
  execFileSync('cc', [...flags, '-o', launcher, ...sources]);
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Responder extends AsyncDisposable {
  readonly launcher: Running;
  readonly pid: number;
  readonly port: number;
  /** Opens for writing as the memfd of the pages. */
  readonly pages: string;
}

async function startResponder(...args: string[]): Promise<Responder> {
  const running = await start([launcher, baton, ...(args.length ? args : ['tcp'])]);
  const [, port, pid] = await running.waitFor(/^(\d+) (\d+)\n/);
  return {
    launcher: running,
    pid: Number(pid),
    port: Number(port),
    pages: `/proc/${running.pid}/fd/4`,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

interface Response {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** A connection that keeps what it is sent, and takes it apart by RFC 9112 alone. */
class Client implements Disposable {
  readonly socket: Socket;
  /** The peer's FIN, or a reset. */
  readonly ended: Promise<'end' | 'reset'>;
  received = '';
  #waiting: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket.setNoDelay();
    this.ended = new Promise((resolve) => {
      socket.once('end', () => resolve('end'));
      socket.once('error', () => resolve('reset'));
    });
    void this.ended.then(() => this.#waiting?.());
    socket.setEncoding('latin1').on('data', (text: string) => {
      this.received += text;
      this.#waiting?.();
    });
  }

  static async open(to: number | string): Promise<Client> {
    const socket =
      typeof to === 'number'
        ? connect({ port: to, host: '127.0.0.1', allowHalfOpen: true })
        : connect({ path: to, allowHalfOpen: true });
    await once(socket, 'connect');
    return new Client(socket);
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** The next response, taken off what was received. */
  async response(method = 'GET'): Promise<Response> {
    for (;;) {
      const end = this.received.indexOf('\r\n\r\n');
      if (end >= 0) {
        const [line = '', ...fields] = this.received.slice(0, end).split('\r\n');
        const status = /^HTTP\/1\.1 (\d{3}) [\w ]*$/.exec(line)?.[1];
        if (!status) throw new Error(`no status line: ${line}`);
        const headers = new Map(fields.map((field) => field.split(/: (.*)/) as [string, string]));
        const length = method === 'HEAD' ? 0 : Number(headers.get('Content-Length'));
        if (this.received.length >= end + 4 + length) {
          const body = this.received.slice(end + 4, end + 4 + length);
          this.received = this.received.slice(end + 4 + length);
          return { status: Number(status), headers, body };
        }
      }
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const { length } = this.received;
    const arrived = new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
    await Promise.race([arrived, this.ended]);
    if (this.received.length === length) throw new Error(`ended within a response: ${this.received}`);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

const request = (path: string, ...fields: string[]) =>
  ['GET ', path, ' HTTP/1.1\r\nHost: a\r\n', ...fields.map((field) => `${field}\r\n`), '\r\n'].join('');

async function probe(port: number | string, path: string): Promise<Response> {
  using client = await Client.open(port);
  return await client.send(request(path, 'Connection: close')).response();
}

const cases = (rows: readonly (readonly [request: string, status: number])[]) =>
  rows.map(([text, expected]) => ({ name: JSON.stringify(text).replace(/x{9,}/, 'x…'), text, expected }));

const page = (path: string, body: string, overrides: Partial<Page> = {}): Page => ({
  path,
  status: 200,
  type: 'text/plain',
  body,
  ...overrides,
});

describe('one responder', () => {
  let responder: Responder;
  let port: number;

  beforeEach(async () => {
    responder = await startResponder();
    port = responder.port;
  });

  afterEach(() => responder[Symbol.asyncDispose]());

  const publish = (...pages: Page[]) => openPages(openSync(responder.pages, 'r+')).publish(pages);
  const status = () => readFileSync(`/proc/${responder.pid}/status`, 'utf8');
  /** S: it sleeps, T: it is stopped. */
  const state = async (letter: string) => {
    for (;;) {
      const now = /^State:\s*(.)/m.exec(status())?.[1];
      if (now === letter) return;
      if (now === 'Z') throw new Error('the responder has died');
      await new Promise(setImmediate);
    }
  };
  /** It is still there, and serves. */
  const stays = async (client: Client) =>
    expect((await client.send(request('/livez')).response()).status).toBe(200);

  describe('pages', () => {
    test('before anything is published it lives, and is not ready', async () => {
      expect(await probe(port, '/livez')).toMatchObject({ status: 200, body: 'ok\n' });
      for (const path of ['/readyz', '/startupz', '/status', '/metrics'])
        expect(await probe(port, path)).toMatchObject({ status: 503, body: 'starting\n' });
      expect((await probe(port, '/')).status).toBe(404);
    });

    test('a published page is sent as it is, to the byte', async () => {
      publish(page('/status', '{"é":1}\n', { status: 299, type: 'application/json' }));
      using client = await Client.open(port);
      await client.send(request('/status', 'Connection: close')).ended;
      expect(client.received).toBe(
        'HTTP/1.1 299 \r\nContent-Type: application/json\r\nContent-Length: 9\r\nCache-Control: no-store\r\n' +
          'X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{"\xc3\xa9":1}\n',
      );
    });

    test('each publication replaces the last, on a kept connection too', async () => {
      using client = await Client.open(port);
      for (let turn = 0; turn < 300; turn++) {
        publish(page('/livez', `turn ${turn}`));
        expect(await client.send(request('/livez')).response()).toMatchObject({
          status: 200,
          body: `turn ${turn}`,
        });
        expect((await client.send(request('/readyz')).response()).status).toBe(404);
      }
    });

    test('draining makes /readyz 503, whatever is published, and nothing else', async () => {
      publish(page('/livez', 'alive'), page('/readyz', 'ready'));
      using client = await Client.open(port);
      const read = async (path: string) => (await client.send(request(path)).response()).body;
      expect(await read('/readyz')).toBe('ready');
      responder.launcher.write('d');
      while ((await read('/readyz')) === 'ready');
      expect(await read('/readyz')).toBe('draining\n');
      publish(page('/livez', 'alive'), page('/readyz', 'ready'));
      expect(await read('/readyz')).toBe('draining\n');
      expect(await read('/livez')).toBe('alive');
    });

    test('a torn page is never served, wherever its reader is held up and its writer killed', async () => {
      const turn = Buffer.alloc(4);
      const pages = openSync(responder.pages, 'r');
      const readTurn = () => readSync(pages, turn, 0, 4, 12) && turn.readUInt32LE();
      using client = await Client.open(port);
      for (let killed = 0; killed < 10; killed++) {
        const writer = await start([
          process.execPath,
          join(root, 'test/fixtures/pages_writer.ts'),
          responder.pages,
        ]);
        await writer.waitFor(/published/);
        for (let reads = 0; reads < 100; reads++) {
          // Stopped somewhere between the arrival of the request and the end of its answer, for two publications.
          client.send(request('/page'));
          for (let spin = 0; spin < 4000 * (reads % 50); spin++);
          process.kill(responder.pid, 'SIGSTOP');
          await state('T');
          const before = readTurn();
          while (readTurn() < before + 3) await new Promise(setImmediate);
          process.kill(responder.pid, 'SIGCONT');
          await checkPage(client);
        }
        await writer[Symbol.asyncDispose]();
        await checkPage(client.send(request('/page')));
      }
      closeSync(pages);
    });

    /** See pages_writer.ts. */
    async function checkPage(client: Client): Promise<void> {
      const { status, headers, body } = await client.response();
      const letter = status - 400;
      expect(headers.get('Content-Type')).toBe(`letter/${letter}`);
      expect(body === String.fromCharCode(97 + letter).repeat(200_000 + 1000 * letter)).toBe(true);
    }
  });

  describe('requests', () => {
    beforeEach(() => publish(page('/livez', 'alive', { type: PLAIN }), page('/big', 'x'.repeat(200_000))));

    test.each(
      cases([
        ['GET /livez HTTP/1.1\r\nHost: a\r\n\r\n', 200],
        ['GET /livez?verbose=1 HTTP/1.1\r\nHost: a\r\n\r\n', 200],
        ['GET http://a:9901/livez?x HTTP/1.1\r\nHost: a\r\n\r\n', 200],
        ['GET http://a HTTP/1.1\r\nHost: a\r\n\r\n', 404],
        ['GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 200],
        ['GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', 200],
        ['GET /livez HTTP/1.1\nHost: a\n\n', 200],
        ['\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n', 200],
        ['GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n', 404],
        [`GET /${'x'.repeat(4000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 404],
        [`GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(8000)}\r\n\r\n`, 200],
        ['POST /livez HTTP/1.1\r\nHost: a\r\n\r\n', 405],
        ['DELETE /nowhere HTTP/1.1\r\nHost: a\r\n\r\n', 405],
        ['OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 405],
      ]),
    )('$name is answered with $expected, and the connection stays', async ({ text, expected }) => {
      using client = await Client.open(port);
      const { status, headers } = await client.send(text).response();
      expect(status).toBe(expected);
      expect(headers.get('Connection')).toBe(text.includes('HTTP/1.0') ? 'keep-alive' : undefined);
      expect(headers.get('Allow')).toBe(status === 405 ? 'GET, HEAD' : undefined);
      expect(headers.get('Cache-Control')).toBe('no-store');
      await stays(client);
    });

    test.each(
      cases([
        ['GET /livez HTTP/1.0\r\n\r\n', 200],
        ['GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 200],
        ['GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 404],
        ['GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ', 200],
        ['GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 200],
        ['POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody', 405],
        ['GET /livez HTTP/1.1\r\n\r\n', 400],
        ['GET /livez\r\n', 400],
        ['\x16\x03\x01\x00\xf8\x01\x00', 400],
        ['GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n', 400],
        ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
        [`GET /${'x'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
        [`GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
      ]),
    )('$name is answered with $expected, and the connection is closed', async ({ text, expected }) => {
      using client = await Client.open(port);
      const { status, headers } = await client.send(text).response();
      expect(status).toBe(expected);
      expect(headers.get('Connection')).toBe('close');
      expect(await client.ended).toBe('end');
      expect(client.received).toBe('');
    });

    test('HEAD is GET without the body', async () => {
      using client = await Client.open(port);
      const { body, ...full } = await client.send(request('/livez')).response();
      const head = await client.send(request('/livez').replace('GET', 'HEAD')).response('HEAD');
      expect(body).toBe('alive');
      expect(head).toEqual({ ...full, body: '' });
      const missing = await client.send(request('/nowhere').replace('GET', 'HEAD')).response('HEAD');
      expect(missing.status).toBe(404);
      await stays(client);
    });

    test('pipelined requests are answered in order, the last of them with its close', async () => {
      using client = await Client.open(port);
      const text = [
        request('/livez'),
        request('/livez').replace('GET', 'HEAD'),
        request('/nowhere'),
        request('/livez').replace('GET', 'PUT'),
        request('/livez', 'Connection: close'),
        request('/livez'),
      ].join('');
      client.send(text);
      const statuses = [];
      for (const method of ['GET', 'HEAD', 'GET', 'PUT', 'GET'])
        statuses.push((await client.response(method)).status);
      expect(statuses).toEqual([200, 200, 404, 405, 200]);
      expect(await client.ended).toBe('end');
      expect(client.received).toBe('');
    });

    test('a request may come byte by byte', async () => {
      using client = await Client.open(port);
      for (const byte of request('/livez') + request('/nowhere')) {
        client.send(byte);
        await new Promise(setImmediate);
      }
      expect((await client.response()).status).toBe(200);
      expect((await client.response()).status).toBe(404);
      await stays(client);
    });

    test('a client that has sent its FIN is still answered', async () => {
      using client = await Client.open(port);
      client.socket.end(request('/livez') + request('/big'));
      expect((await client.response()).body).toBe('alive');
      expect((await client.response()).body).toBe('x'.repeat(200_000));
      expect(await client.ended).toBe('end');
    });

    test('an answer is not lost to a reset while the client still sends its body', async () => {
      for (let attempt = 0; attempt < 20; attempt++) {
        using client = await Client.open(port);
        client.socket.pause();
        client.send(
          `POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n${'x'.repeat(300_000)}`,
        );
        await new Promise((resolve) => client.socket.write('', resolve));
        client.socket.resume();
        expect((await client.response()).status).toBe(405);
        expect(await client.ended).toBe('end');
      }
    });

    test('node:http keeps its connection', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const ports = new Set<number | undefined>();
      for (let i = 0; i < 50; i++) {
        const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
          get({ port, path: '/livez', agent }, resolve).on('error', reject);
        });
        ports.add(response.socket.localPort);
        expect((await response.setEncoding('utf8').toArray()).join('')).toBe('alive');
      }
      expect(ports.size).toBe(1);
      agent.destroy();
    });

    test('nothing that a client sends ends it', async () => {
      const piece = fc.oneof(
        fc.constantFrom(
          'GET ',
          '/livez',
          ' HTTP/1.1',
          '\r\n',
          'Host: a',
          ': ',
          'Connection: close',
          '\0',
          '\r',
        ),
        fc.string({ unit: 'binary', maxLength: 40 }),
        fc.constant('x'.repeat(5000)),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
          using client = await Client.open(port);
          client.socket.end(pieces.join(''), 'latin1');
          await client.ended;
        }),
        { numRuns: 300 },
      );
      expect((await probe(port, '/livez')).body).toBe('alive');
    });
  });

  describe('clients that are slow', () => {
    test('do not keep others waiting, get every byte, and leave no memory behind', async () => {
      const body = Array.from({ length: 25_000 }, (_, line) => `${line}`.padStart(9)).join('\n');
      publish(page('/livez', 'alive'), page('/big', body));
      const clients = await Promise.all(Array.from({ length: 8 }, () => Client.open(port)));
      for (const client of clients) {
        client.socket.pause();
        client.send(request('/big').repeat(40)); // 10 MB: no socket's buffers hold that
      }
      for (let i = 0; i < 200; i++) expect((await probe(port, '/livez')).body).toBe('alive');
      await Promise.all(
        clients.map(async (client) => {
          client.socket.resume();
          for (let i = 0; i < 40; i++) expect((await client.response()).body === body).toBe(true);
          await stays(client);
          client[Symbol.dispose]();
        }),
      );
      await probe(port, '/livez');
      if (!isSanitized) expect(Number(/RssAnon:\s*(\d+) kB/.exec(status())?.[1])).toBeLessThan(1024);
    });

    test('with their request are told so, and closed; others are served meanwhile', async () => {
      using silent = await Client.open(port);
      using slow = await Client.open(port);
      slow.send('GET /livez HTTP/1.1\r\nHost: a\r\nX: ');
      await stays(silent);
      const { status, headers } = await slow.response();
      expect({ status, connection: headers.get('Connection') }).toEqual({ status: 408, connection: 'close' });
      expect(await slow.ended).toBe('end');
      await stays(silent);
    });

    test('make room for a probe when the table is full: the one that is idle longest', async () => {
      const clients: Client[] = [];
      for (let i = 0; i < TABLE; i++) {
        const client = await Client.open(port);
        await stays(client);
        clients.push(client);
      }
      const [first, second, ...rest] = clients as [Client, Client, ...Client[]];
      await stays(first);
      expect((await probe(port, '/livez')).status).toBe(200);
      expect(await second.ended).toBe('end');
      for (const client of [first, ...rest]) await stays(client);
      for (const client of clients) client[Symbol.dispose]();
    });

    test('cannot lock a probe out with half a request on every connection, however many', async () => {
      const clients = await Promise.all(Array.from({ length: 3 * TABLE }, () => Client.open(port)));
      for (const client of clients) client.send('GET /livez HTTP/1.1\r\n');
      for (let i = 0; i < 20; i++) expect((await probe(port, '/livez')).status).toBe(200);
      for (const client of clients) client[Symbol.dispose]();
    });
  });

  describe('confinement', () => {
    beforeEach(async () => {
      // Once it answers it is confined.
      expect((await probe(port, '/livez')).status).toBe(200);
    });

    test('no privileges, no way to get any, and the signals left to PID 1', () => {
      const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status())?.[1]?.trim();
      expect(field('Name')).toBe('baton-health');
      expect(readFileSync(`/proc/${responder.pid}/cmdline`, 'utf8')).toBe('baton\0health-responder\0');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(field(set)).toMatch(/^0+$/);
      expect(field('NoNewPrivs')).toBe('1');
      if (isRoot) {
        expect(field('Uid')).toBe('65534\t65534\t65534\t65534');
        expect(field('Gid')).toBe('65534\t65534\t65534\t65534');
        expect(field('Groups')).toBe('');
      }
      // Kernels without it go without; this one has it, or the test's own status would not name the field.
      if (field('Seccomp') !== undefined && !isSanitized) expect(field('Seccomp')).toBe('2');
      const limits = readFileSync(`/proc/${responder.pid}/limits`, 'utf8');
      expect(limits).toMatch(/^Max processes +0 +0 /m);
      expect(limits).toMatch(/^Max core file size +0 +0 /m);
      expect(limits).toMatch(/^Max open files +72 +72 /m);
    });

    test('a signal does not end it', async () => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE', 'SIGUSR1'] as const)
        process.kill(responder.pid, signal);
      expect((await probe(port, '/livez')).status).toBe(200);
    });

    test('being stopped and continued does not end it', async () => {
      using client = await Client.open(port);
      await stays(client);
      await state('S'); // within poll, which the kernel then restarts by a system call of its own
      process.kill(responder.pid, 'SIGSTOP');
      await state('T');
      process.kill(responder.pid, 'SIGCONT');
      await stays(client);
    });

    test.runIf(isRoot && !isSanitized)(
      'nothing is open but stderr, the listener and connections',
      async () => {
        const open = () => readdirSync(`/proc/${responder.pid}/fd`).length;
        expect((await probe(port, '/livez')).status).toBe(200);
        while (open() > 2) await new Promise(setImmediate);
        expect(readdirSync(`/proc/${responder.pid}/fd`)).toEqual(['2', '3']);
      },
    );

    test('it dies with its parent', async () => {
      using client = await Client.open(port);
      await stays(client);
      responder.launcher.kill('SIGKILL');
      await client.ended;
    });
  });
});

describe('listeners', () => {
  test('one that blocks', async () => {
    await using responder = await startResponder('tcp', 'blocking');
    using client = await Client.open(responder.port);
    expect((await client.send(request('/livez')).response()).body).toBe('ok\n');
    expect((await probe(responder.port, '/readyz')).status).toBe(503);
    expect((await client.send(request('/livez')).response()).body).toBe('ok\n');
  });

  test('a Unix socket', async () => {
    const path = join(folder, 'health.sock');
    await using _responder = await startResponder(`unix:${path}`);
    using client = await Client.open(path);
    expect((await client.send(request('/livez')).response()).body).toBe('ok\n');
    expect((await probe(path, '/readyz')).body).toBe('starting\n');
    expect((await client.send(request('/livez')).response()).body).toBe('ok\n');
  });

  test('none: one clear line', () => {
    const { status, stderr } = spawnSync(baton, ['health-responder'], { encoding: 'utf8' });
    expect(status).toBe(69);
    expect(stderr).toBe(
      'baton: health-responder is started by Baton itself: descriptor 3 is not a listening socket\n',
    );
  });
});
