/** `baton init` does what tini does: each behaviour is demanded of both, with one and the same expectation. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Exit, type StartOptions, start, startAsPid1 } from '../../support/namespace.ts';
import { needs, ours, tini } from './inits.ts';
import { removeWitness, witness } from './witness.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-init-'));
  await chmod(folder, 0o755);
  await writeFile(join(folder, 'not-executable'), '#!/bin/sh\n', { mode: 0o644 });
  await writeFile(join(folder, 'no-shebang'), 'echo "$0 $1"; exit 3\n', { mode: 0o755 });
  await writeFile(join(folder, 'no-interpreter'), '#!/nonexistent\n', { mode: 0o755 });
});

afterAll(() => rm(folder, { recursive: true }));
afterAll(removeWitness);

/** Runs to the end as PID 1. */
async function run(
  command: readonly string[],
  options?: StartOptions,
): Promise<Exit & { stdout: string; stderr: string }> {
  await using running = await startAsPid1(command, options);
  const exit = await running.exit;
  return { ...exit, stdout: running.stdout, stderr: running.stderr };
}

/** The signals that an init passes on, of 1..64: all but those that no process can catch, SIGCHLD, those that the kernel
 * raises for a process's own faults, and SIGTTIN and SIGTTOU. */
const unforwarded = [4, 5, 6, 7, 8, 9, 11, 17, 19, 21, 22, 31];
const forwarded = Array.from({ length: 64 }, (_, index) => index + 1).filter((n) => !unforwarded.includes(n));

/** Shell: the pid of a process that lives just until its parent has left it behind. */
const leaveOrphan = `$(sh -c 'while [ -e /proc/$$ ]; do :; done >/dev/null & echo $!')`;

/** Whose the terminal is, from /proc/PID/stat (proc_pid_stat(5)). */
function terminal(stat: string) {
  const [pid, , , , group, session, tty, foreground] = stat.split(' ');
  return {
    leadsGroup: group === pid,
    leadsSession: session === pid,
    hasTerminal: tty !== '0',
    inForeground: foreground === group,
  };
}

describe.each([ours, tini])('$name', (init) => {
  beforeEach((context) => needs(init, context));

  test.each([
    ['exits as the child does', ['true'], 0],
    ['passes an exit code on', ['sh', '-c', 'exit 7'], 7],
    ['passes the highest exit code on', ['sh', '-c', 'exit 255'], 255],
    ['a program that is not there', ['/nonexistent'], 127],
    ['a name that PATH does not have', ['nonexistent-program'], 127],
    ['an interpreter that is not there', ['./no-interpreter'], 127],
    ['a file that is not executable', ['./not-executable'], 126],
    ['a directory', ['/tmp'], 126],
    ['any other exec error', [`/${'x'.repeat(300)}`], 1],
  ])('%s', async (_, command, code) => {
    // A folder in PATH that may not be read would make "not found" a "not allowed".
    const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
    const result = await run([...init.command, '--', ...command], { cwd: folder, env });
    expect(result).toMatchObject({ code, signal: null });
  });

  test('says why the program could not be executed', async () => {
    const { stderr } = await run([...init.command, '--', '/nonexistent']);
    expect(stderr).toMatch(/exec \/nonexistent failed: No such file or directory\n$/);
  });

  test.each([
    ['by path', './no-shebang'],
    ['by name', 'no-shebang'],
  ])('a script without #! is run by /bin/sh, %s', async (_, script) => {
    const { PATH } = process.env;
    const options = { cwd: folder, env: { PATH: `/nonexistent:${PATH}:${folder}` } };
    const result = await run([...init.command, '--', script, 'argument'], options);
    expect(result).toMatchObject({ code: 3, stdout: expect.stringMatching(/^\S*\/no-shebang argument\n$/) });
  });

  test.each([1, 2, 3, 6, 9, 11, 13, 15, 34, 64])('a child ended by signal %i is 128 more', async (signal) => {
    const code = 128 + signal;
    expect(await run([...init.command, '--', 'sh', '-c', `kill -${signal} $$`])).toMatchObject({ code });
  });

  test.each([
    [['-e', '7'], 'exit 7', 0],
    [['-e', '143'], 'kill $$', 0],
    [['-e', '7', '-e143'], 'exit 7', 0],
    [['-e', '7'], 'exit 6', 6],
    [['-e', '256'], 'exit 0', 1],
    [['-e', 'x'], 'exit 0', 1],
    [['-p', 'SIGNONE'], 'exit 0', 1],
    [['-x'], 'exit 0', 1],
  ])('%j, %s → %i', async (flags, script, code) => {
    expect(await run([...init.command, ...flags, '--', 'sh', '-c', script])).toMatchObject({ code });
  });

  test.each(['-h', '-l', '--version'])('%s prints to stdout and exits 0', async (flag) => {
    expect(await run([init.command[0] as string, ...(init === ours ? ['init'] : []), flag])).toEqual({
      code: 0,
      signal: null,
      stdout: expect.stringMatching(/tini|licen[cs]e/i),
      stderr: '',
    });
  });

  test('no command is an error', async () => {
    expect(await run([...init.command, '-g'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/./) });
  });

  test('passes on every signal that it should, and no other', async () => {
    // Under AddressSanitizer too a fault that is sent to PID 1 shall meet its default action.
    const env = { ASAN_OPTIONS: 'handle_segv=0:handle_sigbus=0:handle_sigfpe=0' };
    await using running = await startAsPid1([...init.command, '--', witness, 'signals', '64'], { env });
    await running.waitFor(/ready/);
    for (const signal of unforwarded.filter((n) => n !== 9 && n !== 19)) running.kill(signal);
    // tini cannot wait for 32 and 33, which its libc keeps for itself.
    const expected = forwarded.filter((n) => init === ours || (n !== 32 && n !== 33));
    // One at a time: SIGCONT and the stop signals cancel each other while they wait (signal(7)).
    for (const signal of expected) {
      running.kill(signal);
      await running.waitFor(new RegExp(`^${signal}\n`, 'm'));
    }
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(running.stdout.trim().split('\n').slice(1).map(Number)).toEqual(expected);
  });

  test('passes on each of several real-time signals', async () => {
    await using running = await startAsPid1([...init.command, '--', witness, 'signals', '64']);
    await running.waitFor(/ready/);
    for (const signal of [40, 40, 40, 64]) running.kill(signal);
    await running.exit;
    expect(running.stdout).toMatch(/^ready \d+\n40\n40\n40\n64\n$/);
  });

  test.each([
    ['alone', [], {}, 'trap "exit 6" USR1', 6],
    ['and its group with -g', ['-g'], {}, 'trap "" USR1', 5],
    ['and its group with TINI_KILL_PROCESS_GROUP', [], { TINI_KILL_PROCESS_GROUP: '1' }, 'trap "" USR1', 5],
  ])('signals reach the child %s', async (_, flags, env, trap, code) => {
    const script = `${trap}; ${witness} signals 10 & child=$!; wait $child; exit 5`;
    await using running = await startAsPid1([...init.command, ...flags, '--', 'sh', '-c', script], { env });
    await running.waitFor(/ready/);
    running.kill('SIGUSR1');
    expect(await running.exit).toEqual({ code, signal: null });
    expect(running.stdout.includes('\n10\n')).toBe(code === 5);
  });

  test('reaps orphans, however many', async () => {
    // Each is left behind by its parent; the loop ends only once it is reaped.
    const script = `
      for i in $(seq 50); do
        orphan=${leaveOrphan}
        while [ -e /proc/$orphan ]; do :; done
      done; echo all`;
    expect(await run([...init.command, '--', 'sh', '-c', script])).toMatchObject({
      code: 0,
      stdout: 'all\n',
      stderr: '',
    });
  });

  test.each([
    ['with -w', ['-w'], {}, 1],
    ['without', [], {}, 0],
    ['with -w and TINI_VERBOSITY=0', ['-w'], { TINI_VERBOSITY: '0' }, 0],
  ])('tells of reaped zombies: %s', async (_, flags, env, count) => {
    const script = `orphan=${leaveOrphan}; while [ -e /proc/$orphan ]; do :; done`;
    const { stderr } = await run([...init.command, ...flags, '--', 'sh', '-c', script], { env });
    expect(stderr.match(/reaped zombie process with pid/gi) ?? []).toHaveLength(count);
  });

  test('adopts orphans where it is not PID 1, without a warning', async () => {
    // The orphan's parent becomes the init, which is the script's own parent.
    const script = `
      parent=$PPID; me=$$
      orphan=$(sh -c 'sleep infinity >/dev/null & echo $!')
      read _ _ _ adopter _ < /proc/$orphan/stat
      kill $orphan; while [ -e /proc/$orphan ]; do :; done
      [ $adopter = $parent ] && echo adopted`;
    await using running = await start([...init.command, '--', 'sh', '-c', script]);
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(running).toMatchObject({ stdout: 'adopted\n', stderr: '' });
  });

  test('-p: the signal asked for comes when the parent dies', async () => {
    // The middle shell is the init's parent and ends on a line of input; PID 1 stays, to hold the namespace.
    const middle = 'exec 4<&0; "$@" & read line <&4';
    const command = ['sh', '-c', 'sh -c "$@"; exec sleep infinity', 'sh', middle, 'sh'];
    await using running = await startAsPid1([
      ...command,
      ...init.command,
      '-p',
      'SIGUSR1',
      '--',
      witness,
      'signals',
      '10',
    ]);
    await running.waitFor(/ready/);
    running.write('\n');
    await running.waitFor(/^10$/m);
  });

  test('the child leads a group in the foreground of the terminal', async () => {
    const command = `exec ${[...init.command, '--', 'cat', '/proc/self/stat'].join(' ')}`;
    await using running = await start(['script', '-qefc', command, '/dev/null'], {
      env: { SHELL: '/bin/sh' },
    });
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(terminal(running.stdout)).toEqual({
      leadsGroup: true,
      leadsSession: false,
      hasTerminal: true,
      inForeground: true,
    });
  });

  test("the terminal's own signals reach the child once", async () => {
    const command = `exec ${[...init.command, '--', witness, 'signals', '3'].join(' ')}`;
    await using running = await start(['script', '-qefc', command, '/dev/null'], {
      env: { SHELL: '/bin/sh' },
    });
    await running.waitFor(/ready/);
    running.write('\x03'); // INTR
    await running.waitFor(/2\r$/m);
    running.write('\x1c'); // QUIT
    expect(await running.exit).toEqual({ code: 0, signal: null });
    // Whatever stands before them is the terminal's echo.
    expect(running.stdout.match(/\d+\r$/gm)?.slice(1)).toEqual(['2\r', '3\r']);
  });

  test('without a terminal the child leads a group all the same', async () => {
    const { stdout } = await run([...init.command, '--', 'cat', '/proc/self/stat']);
    expect(terminal(stdout)).toMatchObject({ leadsGroup: true, leadsSession: false });
  });

  test('works for a user who is not root', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
    const mapped = process.getuid?.() === 0 ? nobody : [];
    await using running = await startAsPid1([...mapped, ...init.command, '--', witness, 'signals', '15'], {
      cwd: '/',
    });
    await running.waitFor(/ready/);
    running.kill('SIGTERM');
    expect(await running.exit).toEqual({ code: 0, signal: null });
  });
});

describe('baton init, where it does not follow tini', () => {
  const { command } = ours;

  test('obeys a signal that was sent before its first instruction', async () => {
    const result = await run([witness, 'exec-blocked', '15', ...command, '--', 'sleep', 'infinity']);
    expect(result).toMatchObject({ code: 143, signal: null });
  });

  test('the child has an empty mask and default dispositions whatever was inherited', async () => {
    const inherited = [witness, 'exec-blocked', '28'];
    const { stdout } = await run([
      ...inherited,
      ...command,
      '--',
      'grep',
      '-E',
      'Sig(Blk|Ign)',
      '/proc/self/status',
    ]);
    expect(stdout).toBe('SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
  });

  test('keeps the exit code where SIGCHLD was inherited as ignored', async () => {
    expect(await run([witness, 'exec-blocked', '28', ...command, '--', 'sh', '-c', 'exit 7'])).toMatchObject({
      code: 7,
    });
  });

  test.each(['<&-', '<&- >&-', '<&- >&- 2>&-'])('works with closed descriptors: %s', async (closed) => {
    const script = `exec "$@" ${closed}`;
    const result = await run(['sh', '-c', script, 'sh', ...command, '--', 'sh', '-c', 'exit 4']);
    expect(result).toMatchObject({ code: 4, stderr: '' });
  });

  test('stops reading flags at the command, as POSIX has it', async () => {
    expect(await run([...command, 'echo', '-g', '-l', '--version'])).toMatchObject({
      stdout: '-g -l --version\n',
    });
  });

  test('pins no working directory, and leaves the child its own', async () => {
    const script = 'until [ "$(readlink /proc/1/cwd)" = / ]; do :; done; pwd';
    expect(await run([...command, '--', 'sh', '-c', script], { cwd: folder })).toMatchObject({
      stdout: `${folder}\n`,
    });
  });

  test('says on stderr what it does, the more the more it is asked', async () => {
    // SIGHUP comes before SIGCHLD: of those that wait the kernel delivers the lowest first.
    const script = 'kill -HUP $PPID; exit 7';
    const levels = ['-g', '-v', '-vv'].map((flag) => [
      ...command,
      flag,
      '--rewrite',
      'HUP:0',
      '--',
      'sh',
      '-c',
      script,
    ]);
    const started = 'baton: init: started sh as pid 2\n';
    const received = 'baton: init: received SIGHUP\n';
    const exited = 'baton: init: the child exited with 7\n';
    const said = await Promise.all(levels.map(async (level) => (await run(level)).stderr));
    expect(said).toEqual(['', `${started}${exited}`, `${started}${received}${exited}`]);
  });

  test.each([
    [['--bogus'], 'baton: init: unknown option --bogus; see baton init -h\n'],
    [['-e', '300', 'true'], 'baton: init: -e takes an exit code from 0 to 255, not "300"\n'],
  ])('an error is one clear line: %j', async (flags, stderr) => {
    expect(await run([...command, ...flags])).toMatchObject({ code: 1, stderr });
  });

  test('its version is that of the package', async () => {
    const { version } = JSON.parse(
      await readFile(join(import.meta.dirname, '../../../package.json'), 'utf8'),
    );
    expect((await run([...command, '--version'])).stdout).toContain(`baton ${version},`);
  });
});
