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
  if (format === 'pretty') {
    const { default: pretty } = await import('pino-pretty');
    return pino(
      options,
      pretty({ destination: STDERR, sync: true, colorize: process.stderr.isTTY, ignore: 'name' }),
    );
  }
  // Asynchronous and bounded: whoever reads the container's log may stop reading, and the agent must not wait for it.
  // With a minLength of 0, the default, flush() waits for nothing; 1 is as quick.
  return pino(options, pino.destination({ dest: STDERR, sync: false, minLength: 1, maxLength: 1024 * 1024 }));
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
