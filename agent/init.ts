/** The typed client of PID 1's wire (docs/wire.md). PID 1 is the one source of truth about what runs. */

import { Socket } from 'node:net';
import { encodeFrame, FrameDecoder } from './frames.ts';

/** Where PID 1 puts the two descriptors of the agent. */
const WIRE_FD = 3;
export const PAGES_FD = 4;
const VERSION = 1;

/** A request that PID 1 refused; `code` is the errno's symbol. */
export class InitError extends Error {
  override readonly name = 'InitError';
  readonly code: string;

  constructor(code: string, text: string) {
    super(text.includes(code) ? text : `${text}: ${code}`.replace(/^: /, ''));
    this.code = code;
  }
}

export interface RunningProcess {
  readonly pid: number;
  readonly key: string;
  /** False: the main process is reaped, others of its group live. */
  readonly running: boolean;
  /** CLOCK_MONOTONIC, ms. */
  readonly started: number;
}

export interface HeldListener {
  readonly name: string;
  /** Normalised, with the port that the kernel chose. */
  readonly address: string;
  readonly inode: number;
}

export interface Inventory {
  readonly processes: readonly RunningProcess[];
  readonly listeners: readonly HeldListener[];
  /** What the agent before had kept; empty at the first start. */
  readonly kept: string;
}

/** Whom a signal goes to: the main process, or its whole process group. */
export type Scope = 'process' | 'group';

export interface SpawnRequest {
  readonly key: string;
  readonly argv: readonly string[];
  /** Over the container's own, which PID 1 hands on byte for byte: Node would have decoded it. */
  readonly environment: Readonly<Record<string, string>>;
  /** The file to execute, where it is not argv[0]. */
  readonly path?: string | undefined;
  readonly listeners: readonly string[];
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  readonly directory?: string | undefined;
  readonly stopSignal: number;
  /** ms */
  readonly stopTimeout: number;
  /**
   * When PID 1 makes the container's stop without an agent: ms from the stop signal after which nothing is left, whatever
   * stopTimeout says.
   */
  readonly stopGrace?: number | undefined;
  readonly stopScope: Scope;
}

/** An event stays with PID 1, and is told to the next agent again, until `done` (or, for a request, its last reply). */
export type InitEvent = { readonly seq: number } & (
  | {
      readonly type: 'signal';
      readonly signal: number;
      readonly fromKernel: boolean;
      readonly pid: number;
      readonly uid: number;
      /** When PID 1 got it: CLOCK_MONOTONIC, ms. */
      readonly since: number;
    }
  | {
      readonly type: 'exit';
      readonly pid: number;
      readonly key: string;
      readonly code: number;
      readonly signal: number;
      readonly usage: Usage;
    }
  | { readonly type: 'gone'; readonly pid: number; readonly key: string }
  | { readonly type: 'notify'; readonly pid: number; readonly sender: number; readonly payload: string }
  | {
      readonly type: 'request';
      readonly uid: number;
      readonly pid: number;
      readonly since: number;
      readonly verb: string;
      readonly args: readonly string[];
    }
);

export interface Usage {
  /** CPU time, µs. */
  readonly user: number;
  readonly system: number;
  /** Peak resident memory, kB. */
  readonly maxrss: number;
}

/** What PID 1 counted since the container's start, and counts now. */
export interface Counts {
  readonly reaped: number;
  /** Events that there was no room for. */
  readonly dropped: number;
  /** Connections that wait to be accepted, by TCP listener. */
  readonly queues: ReadonlyMap<string, number>;
}

interface Pending {
  resolve(fields: string[]): void;
  reject(error: InitError): void;
}

export interface InitHandlers {
  onEvent(event: InitEvent): void;
  /** PID 1 is gone, or the bytes are not the wire: the agent is of no use any more. */
  onEnd(reason: string): void;
}

export class Init {
  readonly #socket: Socket;
  readonly #handlers: InitHandlers;
  readonly #pending = new Map<number, Pending>();
  readonly #decoder = new FrameDecoder();
  #lastId = 0;
  #inventory: { processes: RunningProcess[]; listeners: HeldListener[]; kept: string } = emptyInventory();

  constructor(socket: Socket, handlers: InitHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('error', (error) => handlers.onEnd(error.message));
    socket.on('close', () => handlers.onEnd('PID 1 closed the wire'));
  }

  static connect(handlers: InitHandlers): Init {
    return new Init(new Socket({ fd: WIRE_FD }), handlers);
  }

  /** From here on events flow, those first that no agent has finished. */
  async attach(): Promise<Inventory> {
    this.#inventory = emptyInventory();
    await this.#request('attach', VERSION);
    return this.#inventory;
  }

  async listen(name: string, address: string): Promise<HeldListener> {
    const [inode = '', bound = ''] = await this.#request('listen', name, address);
    return { name, inode: Number(inode), address: bound };
  }

  /** @returns the pid, once exec succeeded */
  async spawn(request: SpawnRequest): Promise<number> {
    const options = Object.entries({
      listeners: request.listeners.join(','),
      inherit: 'environment',
      path: request.path,
      user: request.user,
      group: request.group,
      directory: request.directory,
      'stop-signal': request.stopSignal,
      'stop-timeout': Math.round(request.stopTimeout),
      'stop-grace': request.stopGrace === undefined ? undefined : Math.round(request.stopGrace),
      scope: request.stopScope,
    }).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
    const environment = Object.entries(request.environment).map(([name, value]) => `${name}=${value}`);
    const [pid = ''] = await this.#request(
      'spawn',
      request.key,
      ...options,
      '',
      request.argv.length,
      ...request.argv,
      ...environment,
    );
    return Number(pid);
  }

  async kill(pid: number, signal: number, scope: Scope): Promise<void> {
    await this.#request('kill', pid, signal, scope);
  }

  /**
   * How readily the kernel kills this process and its children when memory runs out: -1000 (never) to 1000 (first of all),
   * proc_pid_oom_score_adj(5). Rejects with EACCES where PID 1 may not set it, and with ESRCH for what has ended.
   */
  async oom(pid: number, score: number): Promise<void> {
    await this.#request('oom', pid, score);
  }

  /** From here on these signals go straight to these processes, and are no events. */
  async route(signals: readonly number[], pids: readonly number[]): Promise<void> {
    await this.#request('route', signals.join(','), ...pids);
  }

  /** Replaces what is kept for the next agent. At most 128 KiB. */
  async keep(bytes: string): Promise<void> {
    await this.#request('keep', bytes);
  }

  async done(seq: number): Promise<void> {
    await this.#request('done', seq);
  }

  /** Answers a control request for good; also its `done`. */
  async reply(seq: number, code: number, text: string): Promise<void> {
    await this.#request('reply', seq, 'last', code, text);
  }

  /** @returns where the responder listens */
  async health(address: string): Promise<string> {
    const [bound = ''] = await this.#request('health', address);
    return bound;
  }

  async control(path: string): Promise<void> {
    await this.#request('control', path);
  }

  /** Due each second: PID 1 takes five missed ones for a hang. */
  async ping(): Promise<Counts> {
    const [reaped, dropped, ...queues] = await this.#request('ping');
    const depths = queues.flatMap((name, index) =>
      index % 2 === 0 ? [[name, Number(queues[index + 1])] as const] : [],
    );
    return { reaped: Number(reaped), dropped: Number(dropped), queues: new Map(depths) };
  }

  /** Ends the container. Nothing answers. */
  exit(code: number): void {
    this.#send('exit', code);
  }

  #send(verb: string, ...fields: (string | number)[]): number {
    const id = ++this.#lastId;
    this.#socket.write(encodeFrame([verb, String(id), ...fields.map(String)]));
    return id;
  }

  #request(verb: string, ...fields: (string | number)[]): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.#pending.set(this.#send(verb, ...fields), { resolve, reject });
    });
  }

  #receive(bytes: Buffer): void {
    let frames: string[][];
    try {
      frames = this.#decoder.push(bytes);
    } catch (error) {
      this.#handlers.onEnd((error as Error).message);
      return;
    }
    for (const [verb = '', ...fields] of frames) this.#take(verb, fields);
  }

  #take(verb: string, fields: string[]): void {
    const number = (index: number) => Number(fields[index]);
    const text = (index: number) => fields[index] ?? '';
    const pending = this.#pending.get(number(0));
    switch (verb) {
      case 'ok':
        this.#pending.delete(number(0));
        pending?.resolve(fields.slice(1));
        break;
      case 'error':
        this.#pending.delete(number(0));
        pending?.reject(new InitError(text(1), text(2)));
        break;
      case 'process':
        this.#inventory.processes.push({
          pid: number(0),
          key: text(1),
          running: text(2) === 'running',
          started: number(3),
        });
        break;
      case 'listener':
        this.#inventory.listeners.push({ name: text(0), address: text(1), inode: number(2) });
        break;
      case 'kept':
        this.#inventory.kept = text(0);
        break;
      default: {
        const event = parseEvent(verb, fields);
        if (event) this.#handlers.onEvent(event);
      }
    }
  }
}

function emptyInventory() {
  return { processes: [], listeners: [], kept: '' };
}

/** A verb that this agent does not know is of a newer PID 1, and meant for a newer agent. */
function parseEvent(verb: string, fields: readonly string[]): InitEvent | undefined {
  const number = (index: number) => Number(fields[index]);
  const text = (index: number) => fields[index] ?? '';
  const seq = number(0);
  switch (verb) {
    case 'signal':
      return {
        type: 'signal',
        seq,
        signal: number(1),
        fromKernel: text(2) === 'kernel',
        pid: number(3),
        uid: number(4),
        since: number(5),
      };
    case 'exit': {
      const usage = { user: number(5), system: number(6), maxrss: number(7) };
      return { type: 'exit', seq, pid: number(1), key: text(2), code: number(3), signal: number(4), usage };
    }
    case 'gone':
      return { type: 'gone', seq, pid: number(1), key: text(2) };
    case 'notify':
      return { type: 'notify', seq, pid: number(1), sender: number(2), payload: text(3) };
    case 'request':
      return {
        type: 'request',
        seq,
        uid: number(1),
        pid: number(2),
        since: number(3),
        verb: text(4),
        args: fields.slice(5),
      };
    default:
      return undefined;
  }
}
