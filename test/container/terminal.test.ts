/** `docker run -it`: a real terminal, whose keys are signals. */
import { describe, expect } from 'vitest';
import { unharmed } from '../load/report.ts';
import { Container, containerTest, docker } from './support/container.ts';
import { removable } from './support/leftovers.ts';
import { CTRL_C, CTRL_Z, Terminal } from './support/terminal.ts';

/** TIOCGWINSZ: ioctl_tty(2). */
const TELL_SIZE =
  '$| = 1; $SIG{WINCH} = sub { ioctl(STDIN, 0x5413, my $size = pack("S4", (0) x 4)); print join(" ", (unpack("S4", $size))[0, 1]), "\\n" };' +
  'sleep 1 while 1';
const TELL_JOB = '$| = 1; $SIG{CONT} = sub { print "continued\\n" }; print "begun\\n"; sleep 1 while 1';

describe('baton run', () => {
  containerTest('Ctrl-C stops, after what is being answered', async () => {
    await using container = await Container.start({ terminal: true });
    const terminal = await Terminal.attach(container.id);
    const { begun, result } = container.slow(1500);
    await begun;
    terminal.type(CTRL_C);
    expect(await result).toMatchObject({ kind: 'ok' });
    expect(await docker.getContainer(container.id).wait()).toMatchObject({ StatusCode: 0 });
  });

  // Behind an init Baton is in a process group that the terminal can stop; as PID 1 it is not.
  for (const Init of [false, true])
    containerTest(`Ctrl-Z stops nobody${Init ? ', behind --init neither' : ''}`, async () => {
      await using container = await Container.start({ terminal: true, hostConfig: { Init } });
      const terminal = await Terminal.attach(container.id);
      const load = container.load({ mode: 'per-request', connections: 2, rate: 50 });
      const probes = container.probe('/readyz');
      await load.completed(1);
      terminal.type(CTRL_Z);
      await terminal.waitFor(/\^Z/);
      expect(await container.outcomeOf(() => container.update('v2'))).toMatchObject({ outcome: 'promoted' });
      await load.seen('v2');
      await probes.completed(10);
      expect(await load.stop()).toMatchObject(unharmed);
      expect(await probes.stop()).toMatchObject(unharmed);
      terminal.type(CTRL_C);
      expect(await docker.getContainer(container.id).wait()).toMatchObject({ StatusCode: 0 });
    });

  containerTest('a terminal that goes away is a stop', async () => {
    // Docker keeps its terminals until the container ends: this one is script(1)'s.
    const run = '/opt/baton/baton run --ready delay:0s --watch off -- sleep infinity';
    const inTerminal = `sleep infinity | script -qfc "exec ${run} 2>&8" /dev/null >/dev/null`;
    const commands = `exec 8>&2; ${inTerminal} & read; kill -KILL $!; read`;
    await using shell = await Shell.start(['/bin/bash', '-c', commands]);
    const { terminal } = shell;
    await terminal.waitFor(/promoted generation 1/);
    terminal.type('\r');
    await terminal.waitFor(/everything has ended/);
    terminal.type('\r');
    await shell.ended();
  });

  containerTest('a change of the window reaches the program', async () => {
    await using shell = await Shell.start([
      ...['/opt/baton/baton', 'run', '--ready', 'delay:0s', '--watch', 'off', '--', 'perl', '-e', TELL_SIZE],
    ]);
    const { terminal } = shell;
    // Who the program is, and thus whom a signal goes to, is settled with its promotion.
    await terminal.waitFor(/promoted generation 1/);
    await terminal.resize(111, 33);
    await terminal.waitFor(/^33 111\r$/m);
    terminal.type(CTRL_C);
    await shell.ended();
  });
});

describe('baton init', () => {
  for (const flags of [[], ['-g'], ['--setsid']])
    containerTest(`${['init', ...flags].join(' ')}: a shell has job control`, async () => {
      await using shell = await Shell.start([
        '/opt/baton/baton',
        'init',
        ...flags,
        '--',
        '/bin/bash',
        '--norc',
        '-i',
      ]);
      const { terminal } = shell;
      await terminal.enter('echo $((6 * 7))', /^42\r$/m);
      await terminal.enter(`perl -e '${TELL_JOB}'`, /^begun\r$/m);
      terminal.type(CTRL_Z);
      await terminal.waitFor(/\[1\]\+ +Stopped/);
      await terminal.enter('fg', /^continued\r$/m);
      terminal.type(CTRL_C);
      // The shell has outlived it, and knows what ended it: 128 + SIGINT.
      await terminal.enter('echo code $?', /^code 130\r$/m);
      terminal.type('exit 7\r');
      expect(await shell.ended()).toBe(7);
    });
});

/** A command of its own in a container with a terminal. */
class Shell implements AsyncDisposable {
  readonly terminal: Terminal;
  readonly #id: string;
  readonly #remove = removable(() => docker.getContainer(this.#id).remove({ force: true }));

  private constructor(id: string, terminal: Terminal) {
    this.#id = id;
    this.terminal = terminal;
  }

  static async start(command: readonly string[]): Promise<Shell> {
    const container = await docker.createContainer({
      Image: 'baton-on-debian',
      Entrypoint: [...command],
      Tty: true,
      OpenStdin: true,
    });
    const terminal = await Terminal.attach(container.id);
    await container.start();
    return new Shell(container.id, terminal);
  }

  async ended(): Promise<number> {
    const { StatusCode } = await docker.getContainer(this.#id).wait();
    return StatusCode;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#remove();
  }
}
