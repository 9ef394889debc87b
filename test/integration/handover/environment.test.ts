/** What the container's environment holds reaches the program byte for byte, whatever Node makes of it. */
import { expect, test } from 'vitest';
import { baton, startAsPid1 } from '../../support/namespace.ts';

test('bytes that are no UTF-8, and what is meant for a Node program', async () => {
  const print = 'printf "%s" "$RAW" | od -An -tx1; echo "$NODE_OPTIONS|$BATON_GENERATION|$BATON_INSTANCE"';
  const run = [baton, 'run', '--health', 'off', '--ready', 'delay:10s', '--', 'sh', '-c', print];
  await using running = await startAsPid1(
    ['sh', '-c', 'RAW=$(printf "caf\\351\\377") exec "$@"', 'sh', ...run],
    {
      env: { BATON_NODE: process.execPath, NODE_OPTIONS: '--no-such-option' },
    },
  );
  expect(await running.exit).toEqual({ code: 0, signal: null });
  expect(running.stdout).toBe(' 63 61 66 e9 ff\n--no-such-option|1|0\n');
});
