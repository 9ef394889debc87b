/** The program's sd_notify datagrams, kept per process until somebody asks for them. */

import type { Init, InitEvent } from './init.ts';
import { Mailbox } from './mailbox.ts';

type Notification = Extract<InitEvent, { type: 'notify' }>;

const UNREAD_MAX = 16;

export class Notifications {
  readonly #init: Pick<Init, 'done'>;
  readonly #boxes = new Map<number, Mailbox<string>>();
  /** The READY=1 of each, not `done` before the process is ready: an agent that dies between a READY=1 and its effect must hear of it again. */
  readonly #unfinished = new Map<number, number>();

  constructor(init: Pick<Init, 'done'>) {
    this.#init = init;
  }

  of(pid: number): Mailbox<string> {
    const box = this.#boxes.get(pid) ?? new Mailbox<string>();
    this.#boxes.set(pid, box);
    return box;
  }

  /** @param isAwaited somebody may still ask whether this process is ready */
  take({ seq, pid, payload }: Notification, isAwaited: boolean): void {
    const isNews = isAwaited && !this.#unfinished.has(pid);
    const isReady = payload.split('\n').includes('READY=1');
    // PID 1's queue is for everybody: one READY=1 of a process may wait there, and nothing that is only talk.
    if (isNews && isReady) this.#unfinished.set(pid, seq);
    else void this.#init.done(seq);
    // Nobody reads where readiness is proved in another way: no flood may fill the memory then.
    if (isNews && (isReady || this.of(pid).size < UNREAD_MAX)) this.of(pid).put(payload);
  }

  /** Nobody will ask for those of this process any more: it is ready, or it ended. */
  finish(pid: number): void {
    const seq = this.#unfinished.get(pid);
    if (seq !== undefined) void this.#init.done(seq);
    this.#unfinished.delete(pid);
    this.#boxes.get(pid)?.close();
    this.#boxes.delete(pid);
  }
}
