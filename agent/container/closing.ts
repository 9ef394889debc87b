/**
 * TCP connections that this side has closed and the other has not yet: proc_pid_net(5), Documentation/networking/proc_net_tcp.rst
 * in the kernel's tree; the states are RFC 9293's (section 3.3.2), their numbers those of include/net/tcp_states.h.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

const FILES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

const FIN_WAIT1 = 0x04;
const FIN_WAIT2 = 0x05;
const LAST_ACK = 0x09;
const CLOSING = 0x0b;
const STATES: readonly number[] = [FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING];

const LOOK_MS = 10;

/** How many such connections there are to one of these local ports. What is no line of that table counts as none. */
export function countClosing(table: string, ports: readonly number[]): number {
  const lines = table.split('\n').slice(1);
  return lines.filter((line) => {
    const [, local = '', , state = ''] = line.trim().split(/\s+/);
    const port = Number.parseInt(local.split(':')[1] ?? '', 16);
    return ports.includes(port) && STATES.includes(Number.parseInt(state, 16));
  }).length;
}

/**
 * Resolves once there is none, and at the latest after `limit` ms. The last bytes of an answer are the kernel's when the program
 * has exited; with the container goes its network, and with that whatever has not arrived.
 */
export async function allClosed(ports: readonly number[], limit: number): Promise<void> {
  const ends = performance.now() + limit;
  while (ports.length > 0 && performance.now() < ends) {
    const tables = await Promise.all(FILES.map((path) => readFile(path, 'utf8').catch(() => '')));
    if (tables.every((table) => countClosing(table, ports) === 0)) return;
    await pause(LOOK_MS);
  }
}
