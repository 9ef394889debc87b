/** The load client on the command line; exits 1 when a request failed. */
import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type LoadOptions, startLoad } from './load.ts';
import { formatReport } from './report.ts';

const number = (text: string) => {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('Give a number greater than 0.');
  return value;
};

const { seconds, anyBody, ...options } = new Command('load')
  .description('Steady load on an HTTP server, with every failed request classified')
  .option('--host <host>', 'address of the server', '127.0.0.1')
  .option('--port <port>', 'its port', number)
  .option('--socket-path <path>', 'its Unix socket, in place of host and port')
  .option('--path <path>', 'what to ask for', '/')
  .option('--seconds <seconds>', 'how long', number, 10)
  .option('--connections <count>', 'requests in flight at most', number, 8)
  .addOption(
    new Option('--mode <mode>', 'a connection for each request, or kept ones')
      .choices(['per-request', 'keep-alive'])
      .default('per-request'),
  )
  .option('--timeout-ms <milliseconds>', 'for one request', number, 5000)
  .option('--rate <requests>', 'requests a second at most', number)
  .option('--any-body', 'the server is none of the sample services')
  .parse()
  .opts<LoadOptions & { seconds: number; anyBody?: true }>();

if (options.port === undefined && options.socketPath === undefined) {
  console.error('load: whom to ask? Give --port or --socket-path');
  process.exit(2);
}
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
const load = startLoad(anyBody ? { ...options, check: () => null } : options);
await delay(seconds * 1000, undefined, { signal: interrupted.signal }).catch(() => {});
const report = await load.stop();
console.log(formatReport(report));
process.exitCode = report.failed > 0 ? 1 : 0;
