import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { parseLog } from '../support/deployed.ts';

const module = new URL('../../agent/log.ts', import.meta.url);

test.each(['json', 'pretty'])('%s: every line is out when the flush is over', async (format) => {
  const script = `
    import { flushLog, openLog } from '${module}';
    const log = await openLog({ level: 'info', format: '${format}' });
    for (let line = 1; line <= 100; line++) log.info('line ' + line + '.');
    await flushLog(log);
    process.kill(process.pid, 'SIGKILL');`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const output = await text(child.stderr);
  expect(output.match(/line \d+\./g)).toHaveLength(100);
  if (format === 'json') expect(parseLog(output).at(-1)).toMatchObject({ msg: 'line 100.' });
});

test.each(['json', 'pretty'])('%s: a full disk holds up nobody, not even the end', async (format) => {
  const script = `
    import { flushLog, openLog } from '${module}';
    const log = await openLog({ level: 'info', format: '${format}' });
    for (const line of ['one', 'two', 'three']) {
      log.info(line);
      await flushLog(log);
    }
    log.fatal('the last');
    await flushLog(log);
    process.exit(7);`;
  await using full = await open('/dev/full', 'w'); // every write is ENOSPC: full(4)
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'ignore', full.fd],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  expect(await once(child, 'exit')).toEqual([7, null]);
});
