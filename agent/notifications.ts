/** The program's sd_notify datagrams, kept per process until somebody asks for them. */

import type { Init, InitEvent } from './init.ts';
import { Mailbox } from './mailbox.ts';

type Notification = Extract<InitEvent, { type: 'notify' }>;

export class Notifications {
  readonly #init: Pick<Init, 'done'>;
  readonly #boxes = new Map<number, Mailbox<string>>();
  /** Not `done` before the process is ready: an agent that dies between a READY=1 and its effect must hear of it again. */
  readonly #unfinished = new Map<number, number[]>();

  constructor(init: Pick<Init, 'done'>) {
    this.#init = init;
  }

  of(pid: number): Mailbox<string> {
    const box = this.#boxes.get(pid) ?? new Mailbox<string>();
    this.#boxes.set(pid, box);
    return box;
  }

  take({ seq, pid, payload }: Notification, isReady: boolean): void {
    if (isReady) {
      void this.#init.done(seq);
      return;
    }
    this.#unfinished.set(pid, [...(this.#unfinished.get(pid) ?? []), seq]);
    this.of(pid).put(payload);
  }

  /** Nobody will ask for those of this process any more: it is ready, or it ended. */
  finish(pid: number): void {
    for (const seq of this.#unfinished.get(pid) ?? []) void this.#init.done(seq);
    this.#unfinished.delete(pid);
    this.#boxes.get(pid)?.close();
    this.#boxes.delete(pid);
  }
}
