/**
 * The load client as a program, for where the tests themselves cannot be: in a container's network.
 * `node client.ts HOST PORT MODE`: a line for each result, until stdin is closed; then a line with the counts.
 */
import { resolve4 } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { startLoad } from '../../load/load.ts';

const [, , host = '', port = '', mode = ''] = process.argv;

/** Asks again for every connection, and takes any of the addresses: what a load balancer by DNS wants of its clients. */
const lookup: LookupFunction = (name, _, callback) => {
  resolve4(name, (error, addresses) => {
    callback(error, addresses?.[Math.floor(Math.random() * addresses.length)] ?? '', 4);
  });
};

const load = startLoad({
  host,
  lookup,
  port: Number(port),
  mode: mode === 'keep-alive' ? 'keep-alive' : 'per-request',
  connections: 4,
  rate: 100,
  timeoutMs: 30_000,
  onResult: (result) => {
    const version = result.kind === 'ok' ? result.response.fields.get('x-version') : undefined;
    console.log(JSON.stringify({ kind: result.kind, version }));
  },
});

process.stdin.resume().on('end', async () => {
  const { ok, failed, stale, failures, samples } = await load.stop();
  console.log(JSON.stringify({ report: { ok, failed, stale, failures, samples } }));
});
