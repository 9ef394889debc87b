/** What happens before there is an agent: Node and the agent are found, or Baton says what is missing. */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mountTest, throughDevices } from '../../support/mounts.ts';
import { type Exit, startAsPid1 } from '../../support/namespace.ts';
import { Installation, Pid1 } from '../../support/pid1.ts';
import { describePid1, type Suite, stage } from './suite.ts';

/** Runs a copy of the binary that lives alone in a folder, to its end. */
async function runAlone(
  { installation }: Suite,
  name: string,
  env: Record<string, string | undefined>,
  prepare: (folder: string) => void,
): Promise<Exit & { stderr: string; folder: string }> {
  const folder = join(installation.folder, name);
  mkdirSync(folder);
  copyFileSync(installation.baton, join(folder, 'baton'));
  prepare(folder);
  await using running = await startAsPid1(['env', 'PATH=/nonexistent', join(folder, 'baton'), 'run'], {
    env: { BATON_NODE: undefined, ASAN_OPTIONS: 'detect_leaks=0', ...env },
  });
  return { ...(await running.exit), stderr: running.stderr, folder };
}

const putAgent = (folder: string) => writeFileSync(join(folder, 'agent.mjs'), 'process.exit(5);');

/** Node's libraries and their loader, as the image has them beside its Node. */
function bundleLibraries(folder: string): void {
  const lib = join(folder, 'lib');
  mkdirSync(lib);
  const list = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
  for (const [, file] of list.matchAll(/(\/\S+) \(0x/g))
    copyFileSync(file as string, join(lib, basename(file as string)));
}

/** An image for another libc, or with a program that wants its own: all of this would break our Node or change it. */
const hostile = (folder: string) => ({
  LD_LIBRARY_PATH: folder,
  LD_BIND_NOW: '1',
  GLIBC_TUNABLES: 'glibc.malloc.check=3',
  MALLOC_ARENA_MAX: '1',
  OPENSSL_CONF: join(folder, 'openssl.cnf'),
  UV_THREADPOOL_SIZE: '64',
});

describePid1((suite) => {
  test('the agent is executed with the arguments, in the directory, and with a small heap', async () => {
    const args = ['--health', 'off', '--', 'program', '--flag', ''];
    await using pid1 = await suite.start({ args, cwd: '/usr' });
    const { hello } = await pid1.agent();
    expect(hello).toMatchObject({ ppid: 1, argv: ['run', ...args], cwd: '/usr' });
    expect(hello.execArgv).toContain('--max-old-space-size=64');
  });

  test("Node's own settings are handed on under other names", async () => {
    const env = { NODE_OPTIONS: '--nonsense-that-node-refuses', NODE_ENV: 'production', NODEJS: 'kept' };
    await using pid1 = await suite.start({ env });
    const { hello } = await pid1.agent();
    expect(hello.env).toMatchObject({
      BATON_PROGRAM_NODE_OPTIONS: '--nonsense-that-node-refuses',
      BATON_PROGRAM_NODE_ENV: 'production',
      NODEJS: 'kept',
    });
    expect(hello.env).not.toHaveProperty('NODE_OPTIONS');
    expect(hello.env).not.toHaveProperty('NODE_ENV');
  });

  test('Node beside the binary is started by the loader beside it, whatever the image says of its own', async () => {
    using bundle = new Installation(suite.binary);
    const { folder } = bundle;
    bundleLibraries(folder);
    symlinkSync(process.execPath, join(folder, 'node'));
    const broken = join(folder, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'libatomic.so.1'), 'no library, but Node would take it');
    writeFileSync(join(broken, 'openssl.cnf'), 'nodejs_conf = [ broken');
    const env = hostile(broken);
    await using pid1 = await Pid1.start(bundle, { env: { ...env, BATON_NODE: undefined } });
    const agent = await pid1.attached();
    const told = Object.entries(env).map(([name, value]) => [`BATON_PROGRAM_${name}`, value]);
    expect(agent.hello.env).toMatchObject(Object.fromEntries(told));
    for (const name of Object.keys(env)) expect(agent.hello.env).not.toHaveProperty(name);
    expect(pid1.running.stderr).toBe('');

    const host = pid1.hostPid(agent.hello.pid);
    const commandLine = readFileSync(`/proc/${host}/cmdline`, 'utf8').split('\0');
    expect(commandLine[0]).toBe(join(folder, 'node'));
    expect(commandLine).toContain(join(folder, 'agent.mjs'));
    const libraries = readFileSync(`/proc/${host}/maps`, 'utf8').match(/\/\S*\.so[.\d]*$/gm) ?? [];
    expect(libraries.length).toBeGreaterThan(0);
    for (const file of libraries) expect(file).toContain(`${folder}/lib/`);

    // The program has them as they were.
    const script = Object.keys(env).map((name) => `echo "${name}=$${name}"`);
    await agent.request('spawn', 'program', 'inherit=environment', '', 3, 'sh', '-c', script.join('\n'));
    await agent.next('exit');
    await pid1.running.waitFor(/UV_THREADPOOL_SIZE/);
    expect(pid1.running.stdout).toBe(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
  });

  test('a Node of the image keeps its libraries, and settings of Node’s kind are the program’s all the same', async () => {
    const env = { LD_LIBRARY_PATH: '/nonexistent', OPENSSL_CONF: '/nonexistent', MALLOC_ARENA_MAX: '1' };
    await using pid1 = await suite.start({ env });
    const { hello } = await pid1.agent();
    expect(hello.env).toMatchObject({
      LD_LIBRARY_PATH: '/nonexistent',
      BATON_PROGRAM_OPENSSL_CONF: '/nonexistent',
      BATON_PROGRAM_MALLOC_ARENA_MAX: '1',
    });
    expect(hello.env).not.toHaveProperty('OPENSSL_CONF');
    expect(hello.env).not.toHaveProperty('MALLOC_ARENA_MAX');
  });

  if (!suite.sanitized)
    mountTest('in an image that has nothing but Baton and an openssl.cnf that Node cannot read', async () => {
      const root = join(suite.installation.folder, 'scratch');
      const folder = join(root, 'opt/baton');
      for (const path of ['opt/baton', 'proc', 'dev', 'etc/ssl'])
        mkdirSync(join(root, path), { recursive: true });
      writeFileSync(join(root, 'etc/ssl/openssl.cnf'), 'nodejs_conf = [ broken');
      bundleLibraries(folder);
      copyFileSync(suite.installation.baton, join(folder, 'baton'));
      writeFileSync(join(folder, 'node'), '', { mode: 0o755 });
      writeFileSync(
        join(folder, 'agent.mjs'),
        'console.log(process.argv.slice(1).join(" ")); process.exit(5)',
      );
      const mounts = `set -e
mount --bind "$1" $0/opt/baton/node
mount --rbind /dev $0/dev
mount -t proc proc $0/proc
exec chroot $0 /opt/baton/baton run -- program`;
      await using running = await startAsPid1(['sh', '-c', mounts, root, process.execPath], {
        env: { BATON_NODE: undefined },
      });
      expect(await running.exit).toEqual({ code: 5, signal: null });
      expect(running.stdout).toBe('/opt/baton/agent.mjs run -- program\n');
      expect(running.stderr).toBe('');
    });

  test('PID 1 keeps its standard streams, closes what else it inherited, and pins no directory', async () => {
    const script = 'exec "$@" 77</dev/zero';
    await using pid1 = await suite.start({ through: ['sh', '-c', script, 'sh'], cwd: '/usr' });
    await pid1.attached();
    const proc = `/proc/${pid1.running.pid}`;
    const open = readdirSync(`${proc}/fd`);
    expect(open).toEqual(expect.arrayContaining(['0', '1', '2']));
    expect(open).not.toContain('77');
    expect(readlinkSync(`${proc}/cwd`)).toBe('/');
  });

  test('closed standard streams become /dev/null, before anything else gets their numbers', async () => {
    await using pid1 = await suite.start({ through: ['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh'] });
    await pid1.attached();
    const links = [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid1.running.pid}/fd/${fd}`));
    expect(links).toEqual(['/dev/null', '/dev/null', '/dev/null']);
  });

  test('Node beside the binary is found', async () => {
    const result = await runAlone(suite, 'beside', {}, (folder) => {
      putAgent(folder);
      symlinkSync(process.execPath, join(folder, 'node'));
    });
    expect(result).toMatchObject({ code: 5, stderr: '' });
  });

  test('Node on PATH is found', async () => {
    const folder = join(suite.installation.folder, 'on-path');
    mkdirSync(folder);
    symlinkSync(process.execPath, join(folder, 'node'));
    const through = ['env', `PATH=/nonexistent::${folder}`];
    await using pid1 = await suite.start({ env: { BATON_NODE: undefined }, through });
    await pid1.attached();
  });

  test.each([
    [
      'no Node',
      {},
      putAgent,
      127,
      (folder: string) =>
        `baton: found no Node.js: put \`node\` beside this binary in ${folder}/ or on PATH, or set BATON_NODE\n`,
    ],
    [
      'a BATON_NODE that is not there',
      { BATON_NODE: '/nonexistent' },
      putAgent,
      127,
      () => 'baton: cannot execute BATON_NODE=/nonexistent: ENOENT\n',
    ],
    [
      'no agent',
      { BATON_NODE: process.execPath },
      () => {},
      127,
      (folder: string) =>
        `baton: cannot read the agent, ${folder}/agent.mjs: ENOENT; it belongs beside this binary\n`,
    ],
    [
      'a Node that is no program',
      { BATON_NODE: '/usr' },
      putAgent,
      126,
      () => 'baton: cannot execute /usr: EACCES\n',
    ],
  ])('%s: one line, and an exit code as of a shell', async (name, env, prepare, code, line) => {
    const result = await runAlone(suite, name.replaceAll(' ', '-'), env, prepare);
    expect(result).toEqual({ code, signal: null, stderr: line(result.folder), folder: result.folder });
  });

  describe('an agent that ends before it attaches', () => {
    test.each([0, 7, 255])('by itself with %i: Baton too', async (code) => {
      await using pid1 = await suite.start();
      (await pid1.agent()).exit(code);
      expect(await pid1.exit).toEqual({ code, signal: null });
      expect(pid1.running.stderr).toBe('');
    });

    test('by a signal: it is started again', async () => {
      await using pid1 = await suite.start();
      await (await pid1.agent()).kill();
      await pid1.attached();
      expect(pid1.running.stderr).toMatch(
        /^baton: the agent was killed by signal 9; starting it again in 50 ms, nothing runs yet\n$/,
      );
    });

    mountTest(
      'by a signal, as every other one: Baton too, for there is nothing to keep running',
      async () => {
        const devices = mkdtempSync(join(suite.installation.folder, 'dev-'));
        writeFileSync(join(devices, 'termination-log'), '');
        await using pid1 = await suite.start({ through: throughDevices(devices) });
        for (let killed = 0; killed < 8; killed++) await (await pid1.agent()).kill();
        expect(await pid1.exit).toEqual({ code: 137, signal: null });
        const why =
          'the agent was killed by SIGKILL, the 8th time, before it ran anything: if it was the kernel, for want of memory, raise the limit\n';
        expect(pid1.running.stderr.endsWith(`baton: ${why}`)).toBe(true);
        expect(readFileSync(join(devices, 'termination-log'), 'utf8')).toBe(why);
      },
    );
  });

  test('a stderr that nobody reads is no reason to end', async () => {
    await using pid1 = await suite.start({ through: [stage, 'mute'] });
    await (await pid1.attached()).kill();
    await pid1.attached();
  });
});
