/** The npm package, installed from its file as a project would. */
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp } from '../../apps/build.ts';
import { describeWith } from '../../support/installed.ts';
import { startAsPid1 } from '../../support/namespace.ts';
import { freePort } from '../../support/service.ts';
import { ask, MAKE_TIMEOUT, make, repository } from './make.ts';

const run = promisify(execFile);

describeWith(['aarch64-linux-gnu-gcc', 'dpkg-query', 'npm'], 'the npm package', () => {
  let project: string;
  let tarball: string;
  let launcher: string;
  let binary: string;

  beforeAll(async () => {
    const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
    tarball = join(repository, 'dist', `baton-${version}.tgz`);
    await make('package');
    project = await mkdtemp(join(tmpdir(), 'baton-npm-'));
    await writeFile(join(project, 'package.json'), '{"name":"service","version":"1.0.0","private":true}\n');
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: project });
    launcher = join(project, 'node_modules/.bin/baton');
    binary = join(project, `node_modules/baton/linux-${process.arch}/baton`);
  }, MAKE_TIMEOUT);

  afterAll(() => rm(project, { recursive: true }));

  test('holds what it should, and brings nothing along', async () => {
    const { stdout } = await run('tar', ['--list', '--file', tarball]);
    const binaries = ['x64', 'arm64'].flatMap((cpu) => [`linux-${cpu}/agent.mjs`, `linux-${cpu}/baton`]);
    const others = ['LICENSE', 'README.md', 'THIRD-PARTY-LICENSES', 'agent.mjs', 'baton.mjs', 'package.json'];
    expect(stdout.trim().split('\n').sort()).toEqual(
      [...binaries, ...others].map((name) => `package/${name}`).sort(),
    );
    const manifest = JSON.parse(await readFile(join(project, 'node_modules/baton/package.json'), 'utf8'));
    expect(Object.keys(manifest)).not.toContain('scripts');
    expect(Object.keys(manifest)).not.toContain('dependencies');
  });

  test('made once more, it is the same to the byte', async () => {
    const before = await readFile(tarball);
    await make('package');
    expect(before.equals(await readFile(tarball))).toBe(true);
  });

  test('as an entrypoint it becomes PID 1, and the program starts without Node.js between them', async () => {
    const script = 'readlink /proc/1/exe; echo "parent $PPID"; exit 7';
    await using container = await startAsPid1([launcher, 'init', '--', 'sh', '-c', script]);
    expect(await container.exit).toEqual({ code: 7, signal: null });
    expect(container.stdout).toBe(`${binary}\nparent 1\n`);
    expect(container.stderr).toBe('');
  });

  test('npx baton run serves and reloads', async () => {
    const [port, health] = await Promise.all([freePort(), freePort()]);
    const { command } = await buildApp('c', 'v1', join(project, 'volume'));
    const addresses = ['--listen', `127.0.0.1:${port}`, '--health', `127.0.0.1:${health}`];
    const npx = ['npx', '--offline', 'baton', 'run', ...addresses, '--', ...command];
    await using container = await startAsPid1(npx, { cwd: project, env: { BATON_NODE: undefined } });
    await container.waitFor(/promoted generation 1/);
    expect(await ask(port)).toContain('"version":"v1"');

    await buildApp('c', 'v2', join(project, 'volume'));
    await container.waitFor(/promoted generation 2/);
    // The old one may have taken this connection already: it is told to stop only now.
    await expect.poll(() => ask(port)).toContain('"version":"v2"');
  });

  test('the agent runs on the Node.js that started it, or on BATON_NODE', async () => {
    const other = join(project, 'other-node');
    await symlink(process.execPath, other);
    const print = ['init', '--', 'printenv', 'BATON_NODE'];
    const { stdout } = await run(launcher, print, { env: { PATH: process.env['PATH'] } });
    expect(stdout).toBe(`${process.execPath}\n`);
    const told = await run(launcher, print, { env: { PATH: process.env['PATH'], BATON_NODE: other } });
    expect(told.stdout).toBe(`${other}\n`);
  });

  test('a Node.js that cannot replace itself is told in one line', async () => {
    const without = '--import=data:text/javascript,delete%20process.execve';
    const started = run(process.execPath, [without, launcher, 'init', '--', 'true']);
    await expect(started).rejects.toMatchObject({
      code: 78,
      stderr: expect.stringMatching(/^baton: Node\.js 22\.15, 23\.11 or newer is needed .*\n$/),
    });
  });

  test('a binary that cannot be executed, too', async () => {
    const alone = join(project, 'alone.mjs');
    await copyFile(join(project, 'node_modules/baton/baton.mjs'), alone);
    await expect(run(process.execPath, [alone, 'run'])).rejects.toMatchObject({
      code: 127,
      stderr: expect.stringMatching(/^baton: ENOENT, .*\/linux-\w+\/baton'\n$/),
    });
  });

  test('the binary is the same as in the image', async () => {
    expect((await readFile(binary)).equals(await readFile(join(repository, 'dist/baton')))).toBe(true);
  });
});
