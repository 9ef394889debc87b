/**
 * Connections that wait although somebody would take them. With EPOLLEXCLUSIVE, which nginx uses, the kernel wakes one process
 * for a connection (epoll_ctl(2)), and one that stops accepting at that moment takes the wake-up with it: the connection,
 * and all that come to wait behind it, stay in the queue until the next one comes. So one comes: opened, and closed at once.
 */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HeldListener } from './init.ts';

/** When the queues are looked at after a process stopped accepting, ms: how long that takes is the program's affair. */
const LOOKS = [30, 100, 300, 600, 1000];
/** A queue that is being served is empty again after this long, ms. */
const PERSISTS = 20;

type Queues = ReadonlyMap<string, number>;

export class Waker {
  readonly #listeners: readonly HeldListener[];
  readonly #queues: () => Promise<Queues>;
  #round: AbortController | null = null;

  /** @param queues connections that wait to be accepted, by TCP listener */
  constructor(listeners: readonly HeldListener[], queues: () => Promise<Queues>) {
    this.#listeners = listeners;
    this.#queues = queues;
  }

  /** A process was asked to stop accepting, or has ended. */
  async look(): Promise<void> {
    this.#round?.abort();
    const round = new AbortController();
    this.#round = round;
    const { signal } = round;
    for (const pause of LOOKS) {
      await sleep(pause, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      await this.#wakeIfStuck();
    }
  }

  async #wakeIfStuck(): Promise<void> {
    const before = await this.#queues();
    if ([...before.values()].every((depth) => depth === 0)) return;
    await sleep(PERSISTS, undefined, { ref: false });
    const after = await this.#queues();
    for (const { name, address } of this.#listeners)
      if ((before.get(name) ?? 0) > 0 && (after.get(name) ?? 0) > 0) knock(address);
  }
}

/** Nothing depends on its success: a refused one has woken nobody, and there was nobody to wake. */
function knock(address: string): void {
  const target = reachable(address);
  if (target)
    connect(target, function (this: { destroy(): void }) {
      this.destroy();
    }).on('error', () => {});
}

/** `tcp://[::]:80` → where the machine itself reaches that; null for what is no TCP address. */
export function reachable(address: string): { host: string; port: number } | null {
  const [, bracketed, plain, port] = /^tcp:\/\/(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(address) ?? [];
  if (port === undefined) return null;
  const host = bracketed ?? plain ?? '';
  const everywhere: Readonly<Record<string, string>> = {
    '::': '::1',
    '0.0.0.0': '127.0.0.1',
    '*': '127.0.0.1',
    '': '127.0.0.1',
  };
  return { host: everywhere[host] ?? host, port: Number(port) };
}
