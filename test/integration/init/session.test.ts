/** `baton init --setsid` does what dumb-init does, and `--rewrite` what its own does. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { start, startAsPid1 } from '../../support/namespace.ts';
import { dumbInit, needs, ours, oursWithSession } from './inits.ts';
import { removeWitness, witness } from './witness.ts';

afterAll(removeWitness);

/** The state letter of a process, "T" while it is stopped (proc_pid_stat(5)). */
async function state(pid: number | string): Promise<string | undefined> {
  return (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[2];
}

describe.each([oursWithSession, dumbInit])('$name', (init) => {
  beforeEach((context) => needs(init, context));

  test('the child leads a session that has the terminal, and hears nothing of the change', async () => {
    const command = `exec ${[...init.command, '--', witness, 'signals', '15'].join(' ')}`;
    await using running = await start(['script', '-qefc', command, '/dev/null'], {
      env: { SHELL: '/bin/sh' },
    });
    const [, pid] = await running.waitFor(/ready (\d+)/);
    const stat = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ');
    const [, , , parent, group, session, terminal, foreground] = stat;
    expect({ group, session, foreground }).toEqual({ group: pid, session: pid, foreground: pid });
    expect(terminal).not.toBe('0');
    process.kill(Number(parent), 'SIGTERM');
    await running.exit;
    expect(running.stdout.match(/^\d+\r$/gm)).toEqual(['15\r']);
  });

  test('a signal reaches the whole group', async () => {
    const script = `trap "" USR1; ${witness} signals 10 & wait $!; exit 5`;
    await using running = await startAsPid1([...init.command, '--', 'sh', '-c', script]);
    await running.waitFor(/ready/);
    running.kill('SIGUSR1');
    expect(await running.exit).toEqual({ code: 5, signal: null });
    expect(running.stdout).toMatch(/\n10\n$/);
  });

  test('what is left of the session is asked to end with the child', async () => {
    // PID 1 is a shell that stays, so that the namespace does not end what is left before it can say anything.
    const script = `${witness} signals 15 & read line; exit 3`;
    const stay = ['sh', '-c', '"$@"; echo code $?; exec sleep infinity', 'sh'];
    await using running = await startAsPid1([...stay, ...init.command, '--', 'sh', '-c', script]);
    await running.waitFor(/ready/);
    running.write('\n');
    await running.waitFor(/^15$/m);
    await running.waitFor(/^code 3$/m);
  });

  test.each(['SIGTSTP', 'SIGTTIN', 'SIGTTOU'] as const)(
    '%s stops the child and itself, SIGCONT continues both',
    async (signal) => {
      await using running = await start([...init.command, '--', witness, 'signals', '15']);
      const [, child] = await running.waitFor(/ready (\d+)/);
      running.kill(signal);
      await expect.poll(() => state(running.pid)).toBe('T');
      await expect.poll(() => state(child as string)).toBe('T');
      running.kill('SIGCONT');
      await running.waitFor(/^18$/m);
      running.kill('SIGTERM');
      expect(await running.exit).toEqual({ code: 0, signal: null });
      expect(running.stdout).toMatch(/^ready \d+\n18\n15\n$/);
    },
  );

  test.each([
    ['20:20', 'SIGTSTP', '20'],
    ['21:10', 'SIGTTIN', '10'],
  ] as const)('--rewrite %s holds against what job control would send', async (rewrite, signal, heard) => {
    await using running = await start([
      ...init.command,
      '--rewrite',
      rewrite,
      '--',
      witness,
      'signals',
      '15',
    ]);
    await running.waitFor(/ready/);
    running.kill(signal);
    await running.waitFor(new RegExp(`^${heard}$`, 'm'));
    await expect.poll(() => state(running.pid)).toBe('T');
    running.kill('SIGCONT');
    await running.waitFor(/^18$/m);
    running.kill('SIGTERM');
    expect(await running.exit).toEqual({ code: 0, signal: null });
  });

  test('even a fault is forwarded when somebody sent it', async () => {
    await using running = await startAsPid1([...init.command, '--', witness, 'signals', '15']);
    await running.waitFor(/ready/);
    running.kill('SIGSEGV');
    await running.waitFor(/^11$/m);
    running.kill('SIGTERM');
    expect(await running.exit).toEqual({ code: 0, signal: null });
  });

  test.each([
    ['a child ended by a signal', 'kill -9 $$', 137],
    ['an exit code', 'exit 9', 9],
  ])('exits as the child does: %s', async (_, script, code) => {
    await using running = await startAsPid1([...init.command, '--', 'sh', '-c', script]);
    expect(await running.exit).toEqual({ code, signal: null });
  });
});

/** Of dumb-init 1.2.5, which takes numbers alone, and none of a real-time signal. */
const singleChild = { ...dumbInit, command: [...dumbInit.command, '--single-child'] };

describe.each([ours, singleChild])('$name, --rewrite', (init) => {
  beforeEach((context) => needs(init, context));

  test.each([
    [['15:3'], 'SIGTERM', '3'],
    [['15:10', '1:12'], 'SIGHUP', '12'],
    [['15:2', '15:3'], 'SIGTERM', '3'],
  ] as const)('%j, on %s: the child gets %s', async (rewrites, sent, heard) => {
    const flags = rewrites.flatMap((rewrite) => ['--rewrite', rewrite]);
    await using running = await startAsPid1([...init.command, ...flags, '--', witness, 'signals', heard]);
    await running.waitFor(/ready/);
    running.kill(sent);
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(running.stdout).toMatch(new RegExp(`^ready \\d+\n${heard}\n$`));
  });

  test('0 drops a signal, and the others go on', async () => {
    await using running = await startAsPid1([
      ...init.command,
      '--rewrite',
      '1:0',
      '--',
      witness,
      'signals',
      '15',
    ]);
    await running.waitFor(/ready/);
    running.kill('SIGHUP');
    running.kill('SIGTERM');
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(running.stdout).toMatch(/^ready \d+\n15\n$/);
  });

  test.each(['15', '15:', ':15', 'NONE:15', '15:99'])('%s is refused', async (rewrite) => {
    await using running = await startAsPid1([...init.command, '--rewrite', rewrite, '--', 'true']);
    expect(await running.exit).toEqual({ code: 1, signal: null });
  });
});

describe('baton init --rewrite, beyond dumb-init', () => {
  test.each([
    ['TERM:QUIT', 15, '3'],
    ['SIGHUP:SIGUSR2', 1, '12'],
    ['TERM:35', 15, '35'],
    ['RTMIN+3:RTMAX', 37, '64'],
    ['SEGV:USR1', 11, '10'],
  ])('%s', async (rewrite, sent, heard) => {
    await using running = await startAsPid1([
      ...ours.command,
      '--rewrite',
      rewrite,
      '--',
      witness,
      'signals',
      heard,
    ]);
    await running.waitFor(/ready/);
    running.kill(sent);
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(running.stdout).toMatch(new RegExp(`^ready \\d+\n${heard}\n$`));
  });

  test.each(['KILL:TERM', 'STOP:TERM', 'CHLD:TERM'])(
    '%s is refused: it could never happen',
    async (rewrite) => {
      await using running = await startAsPid1([...ours.command, '--rewrite', rewrite, '--', 'true']);
      expect(await running.exit).toEqual({ code: 1, signal: null });
    },
  );
});
