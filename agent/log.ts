/** One line an event on stderr. The program's own output never passes through here. */

import { type Logger, pino } from 'pino';

export type Log = Logger;

export interface LogOptions {
  readonly level: string;
  readonly format: 'json' | 'pretty';
}

const STDERR = 2;
const FLUSH_MS = 500;

export async function openLog({ level, format }: LogOptions): Promise<Log> {
  const options = { level, base: { name: 'baton' }, timestamp: pino.stdTimeFunctions.isoTime };
  const pretty = format === 'pretty' ? (await import('pino-pretty')).default : null;
  // Asynchronous and bounded: whoever reads the container's log may stop reading, and the agent must not wait for it.
  // With a minLength of 0, the default, flush() waits for nothing; 1 is as quick.
  const destination = pino.destination(
    pretty
      ? { dest: STDERR, sync: true }
      : { dest: STDERR, sync: false, minLength: 1, maxLength: 1024 * 1024 },
  );
  // On a full disk lines wait until there is room, and the service does not.
  destination.on('error', () => {});
  // pino calls this after a fatal line and at the exit; it would try for ever.
  destination.flushSync = () => {};
  return pino(
    options,
    pretty ? pretty({ destination, colorize: process.stderr.isTTY, ignore: 'name' }) : destination,
  );
}

/** Writes out what is buffered; before the process ends. Not for ever: whoever reads the log may have stopped reading. */
export function flushLog(log: Log): Promise<void> {
  return new Promise((resolve) => {
    const patience = setTimeout(resolve, FLUSH_MS);
    log.flush(() => {
      clearTimeout(patience);
      resolve();
    });
  });
}
