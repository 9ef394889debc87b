/** One connection to a server: requests one after another, each with exactly one result. */
import { createConnection, type LookupFunction, type Socket } from 'node:net';
import { type Head, MalformedResponse, type Response, ResponseParser } from './parser.ts';

/**
 * How a request failed:
 * - `refused`: no connection (ECONNREFUSED; for a Unix socket also ENOENT);
 * - `reset`: ECONNRESET or EPIPE before the response was whole;
 * - `eof`: the server closed before the response was whole;
 * - `timeout`: not whole in time, connecting included;
 * - `malformed`: not HTTP/1.1 as RFC 9112 has it;
 * - `bad-status`: whole, and not 200;
 * - `bad-body`: whole, and not what the server should have said;
 * - `other`: anything else, mostly this machine's own limits (EMFILE, EADDRNOTAVAIL).
 */
export const failureClasses = [
  'refused',
  'reset',
  'eof',
  'timeout',
  'malformed',
  'bad-status',
  'bad-body',
  'other',
] as const;
export type FailureClass = (typeof failureClasses)[number];

/**
 * `stale` is apart from the failures: a request on a kept-alive connection that the server closed before it sent a
 * byte of the answer. It may have closed before it had the request: the race of RFC 9112 section 9.5, which a client
 * is to expect. Never repeated here.
 */
export type Result =
  | { readonly kind: 'ok'; readonly response: Response; readonly reused: boolean }
  | { readonly kind: FailureClass | 'stale'; readonly detail: string; readonly reused: boolean };

export interface Target {
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly port?: number;
  /** How a name is resolved, for each connection; default: as `dns.lookup` does. */
  readonly lookup?: LookupFunction;
  /** A Unix socket, in place of host and port. */
  readonly socketPath?: string;
}

export interface RequestOptions {
  /** Ask the server to close after the response. */
  readonly close: boolean;
  readonly onHead?: (head: Head) => void;
}

/** Checks a whole response with status 200: what is wrong with its body, or null. */
export type BodyCheck = (path: string, response: Response) => string | null;

export class Connection {
  /** False once no further request can be made on it. */
  usable = true;
  /** Requests made on it so far. */
  requests = 0;
  private readonly socket: Socket;
  private readonly check: BodyCheck;
  private current: Exchange | null = null;
  private error: NodeJS.ErrnoException | null = null;

  constructor(target: Target, check: BodyCheck) {
    this.check = check;
    this.socket = createConnection(
      target.socketPath === undefined
        ? {
            host: target.host ?? '127.0.0.1',
            port: target.port ?? 80,
            noDelay: true,
            // One address a connection: another in place of one that refuses would hide a failure.
            ...(target.lookup && { lookup: target.lookup, autoSelectFamily: false }),
          }
        : { path: target.socketPath },
    );
    this.socket.on('data', (bytes: Buffer) => this.onData(bytes));
    this.socket.on('end', () => this.onClosed());
    this.socket.on('error', (error) => {
      this.error = error;
    });
    this.socket.on('close', () => this.onClosed());
  }

  /** Settles with the result, never rejects. One at a time, and only while `usable`. */
  request(path: string, { close, onHead }: RequestOptions): Promise<Result> {
    if (!this.usable || this.current) throw new Error('the connection is busy or closed');
    const reused = this.requests++ > 0;
    return new Promise((settle) => {
      this.current = { path, close, reused, onHead, settle, parser: new ResponseParser() };
      this.socket.write(
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${close ? 'Connection: close\r\n' : ''}\r\n`,
        'latin1',
      );
    });
  }

  /** Gives up on the request in flight, if there is one. */
  timeOut(): void {
    const { parser } = this.current ?? {};
    this.fail('timeout', parser?.received ? `after ${parser.received} bytes` : 'no byte of an answer');
  }

  close(): void {
    this.usable = false;
    this.socket.destroy();
  }

  private onData(bytes: Buffer): void {
    // Bytes that nobody asked for (408, say, before a server closes an idle connection): it cannot be used again.
    if (!this.current) this.close();
    else this.take(this.current, bytes);
  }

  private take(exchange: Exchange, bytes: Buffer): void {
    const { parser, path, reused } = exchange;
    const headless = parser.head === null;
    let response: Response | null = null;
    let malformed: string | null = null;
    try {
      response = parser.push(bytes);
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error;
      malformed = error.message;
    }
    if (headless && parser.head) exchange.onHead?.(parser.head);
    if (malformed !== null) {
      this.fail('malformed', malformed);
    } else if (response && response.status !== 200) {
      this.fail('bad-status', `status ${response.status}`);
    } else if (response) {
      const problem = this.check(path, response);
      if (problem !== null) this.fail('bad-body', problem);
      else this.finish({ kind: 'ok', response, reused }, exchange.close || response.last);
    }
  }

  private onClosed(): void {
    this.usable = false;
    if (!this.current) return;
    const { reused, parser } = this.current;
    const code = this.error?.code;
    const kind = code === undefined ? 'eof' : classify(code);
    const stale = reused && parser.received === 0 && (kind === 'eof' || kind === 'reset');
    this.fail(stale ? 'stale' : kind, `${code ?? 'closed'} after ${parser.received} bytes of the answer`);
  }

  private fail(kind: FailureClass | 'stale', detail: string): void {
    this.finish({ kind, detail, reused: this.current?.reused ?? false }, true);
  }

  private finish(result: Result, last: boolean): void {
    const exchange = this.current;
    this.current = null;
    if (last) this.close();
    exchange?.settle(result);
  }
}

interface Exchange {
  readonly path: string;
  readonly close: boolean;
  readonly reused: boolean;
  readonly onHead: ((head: Head) => void) | undefined;
  readonly settle: (result: Result) => void;
  readonly parser: ResponseParser;
}

function classify(code: string): FailureClass {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return 'refused';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'reset';
    case 'ETIMEDOUT':
      return 'timeout';
    default:
      return 'other';
  }
}
