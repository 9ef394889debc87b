import { readFile } from 'node:fs/promises';
import type { HeldListener } from '../init.ts';

/**
 * How many connections wait in each TCP listener's queue: of a listening socket the kernel shows that as its rx_queue
 * (proc_pid_net(5); Linux, net/ipv4/tcp_ipv4.c, get_tcp4_sock). Of Unix sockets it shows none.
 */
export async function acceptQueues(listeners: readonly HeldListener[]): Promise<Map<string, number>> {
  const depths = new Map<string, number>();
  const tcp = listeners.filter(({ address }) => address.startsWith('tcp:'));
  if (tcp.length === 0) return depths;
  const tables = await Promise.all(
    ['/proc/self/net/tcp', '/proc/self/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const byInode = parseQueues(tables.join('\n'));
  for (const { name, inode } of tcp) {
    const depth = byInode.get(inode);
    if (depth !== undefined) depths.set(name, depth);
  }
  return depths;
}

const LISTEN = '0A';

/** Lines of /proc/net/tcp: sl local remote st tx:rx tr:when retrnsmt uid timeout inode … */
export function parseQueues(table: string): Map<number, number> {
  const depths = new Map<number, number>();
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const [, , , state, queues = '', , , , , inode] = fields;
    if (state === LISTEN) depths.set(Number(inode), Number.parseInt(queues.split(':')[1] ?? '', 16));
  }
  return depths;
}
