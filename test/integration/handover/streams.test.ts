/** stdout and stderr are the program's own, whatever Baton does to its log, and whether somebody reads that or not. */
import { constants } from 'node:fs';
import { expect, test } from 'vitest';
import { baton, startAsPid1 } from '../../support/namespace.ts';

/** The shell makes the pipes, as the container's runtime would: Node would give Baton sockets. */
const inPipes = (pipeline: string, program: string) => {
  const run = [baton, 'run', '--health', 'off', '--ready', 'delay:0s', '--', 'sh', '-c', program];
  return startAsPid1(['sh', '-c', pipeline, 'sh', ...run], { env: { BATON_NODE: process.execPath } });
};

test('pipes stay blocking for the program while an agent logs to them', async () => {
  await using running = await inPipes(
    'cat | "$@" 2>&1 | cat',
    'read go; for fd in 0 1 2; do sed -n "s/^flags:[^0-7]*/fd $fd flags 0/p" /proc/$$/fdinfo/$fd; done; read end',
  );
  await running.waitFor(/promoted generation 1/);
  running.write('go\n');
  await running.waitFor(/fd 2 flags \d+\n/);
  const flags = [...running.stdout.matchAll(/^fd \d flags (\d+)$/gm)].map(([, octal = '']) =>
    parseInt(octal, 8),
  );
  expect(flags).toHaveLength(3);
  expect(flags.map((each) => each & constants.O_NONBLOCK)).toEqual([0, 0, 0]);
});

test('a log that nobody reads holds up neither PID 1 nor the agent nor the end', async () => {
  await using running = await inPipes(
    // Descriptor 4 is read by this test, stderr by nobody, and full from the beginning: pipe(7).
    'exec 4>&1; { head -c 65536 /dev/zero; "$@" 2>&1 >&4; echo "code $?" >&4; } | sleep infinity',
    `trap 'exit 7' TERM
     # The agent, of whose death PID 1 has something to say.
     for pid in $(cat /proc/$PPID/task/$PPID/children); do [ $pid = $$ ] || kill -KILL $pid; done
     kill -TERM $PPID; echo asked
     while :; do sleep 1 & wait; done`,
  );
  await running.waitFor(/asked/);
  await running.waitFor(/code 7\n/);
});
