import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { allClosed, countClosing } from '../../../agent/container/closing.ts';

/** Local port 8080 in each state from 1 to 12 (include/net/tcp_states.h), and what is none of ours. */
const TABLE = [
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
  ...Array.from({ length: 12 }, (_, index) => {
    const state = (index + 1).toString(16).padStart(2, '0').toUpperCase();
    return `   ${index}: 0100007F:1F90 0100007F:D431 ${state} 00000000:00000000 00:00000000 00000000     0        0 0 1`;
  }),
  '  12: 0100007F:0050 0100007F:1F90 04 00000000:00000000 00:00000000 00000000     0        0 0 1',
  '',
].join('\n');

test('counts what waits for the other end, on our ports alone', () => {
  expect(countClosing(TABLE, [8080])).toBe(4); // FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING
  expect(countClosing(TABLE, [80, 443])).toBe(1);
  expect(countClosing(TABLE, [])).toBe(0);
  for (const odd of ['', 'no table\n', 'head\n  0: 1F90\n\n']) expect(countClosing(odd, [8080])).toBe(0);
});

test('waits for a real client to close, and no longer than it may', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.resume().end('bye')).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const closing = () => countClosing(readFileSync('/proc/self/net/tcp', 'utf8'), [port]);
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume();
  await once(client, 'end');
  expect(closing()).toBe(1);
  await allClosed([port], 50);
  expect(closing()).toBe(1);

  const waiting = allClosed([port], 30_000).then(() => closing());
  client.end();
  expect(await waiting).toBe(0);
  server.close();
});
