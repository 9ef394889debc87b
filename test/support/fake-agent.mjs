/**
 * Stands beside a copy of the binary, as its `agent.mjs`, and hands the wire on to a test (pid1.ts), which then is
 * the agent itself and sees each byte. Lines of JSON in both directions, bytes in base64.
 */
import { connect, Socket } from 'node:net';
import process from 'node:process';
import { createInterface } from 'node:readline';

const { FAKE_AGENT: address } = process.env;
const wire = new Socket({ fd: 3 });
const test = connect(address);

const tell = (line) => test.write(`${JSON.stringify(line)}\n`);

const commands = {
  write: (bytes) => wire.write(Buffer.from(bytes, 'base64')),
  /** Says nothing more to the test and, once its own buffer is full, reads nothing more. */
  pause: () => wire.pause(),
  resume: () => wire.resume(),
  /** The wire; the process goes on. */
  close: () => wire.destroy(),
  exit: (code) => process.exit(code),
  /** Bytes, and the end right behind them. */
  lastWords: ({ bytes, code }) => wire.write(Buffer.from(bytes, 'base64'), () => process.exit(code)),
  kill: (signal) => process.kill(process.pid, signal),
};

const { pid, ppid, argv, execArgv, env } = process;
tell({ hello: { pid, ppid, argv: argv.slice(2), execArgv, env, cwd: process.cwd() } });

wire.on('data', (bytes) => tell({ read: bytes.toString('base64') }));
wire.on('end', () => tell({ ended: true }));
wire.on('error', () => {});
// The test is over, or it failed: PID 1 goes on without us until its namespace ends.
test.on('close', () => process.exit(0));
test.on('error', () => process.exit(0));
createInterface({ input: test }).on('line', (line) => {
  for (const [name, argument] of Object.entries(JSON.parse(line))) commands[name](argument);
});
