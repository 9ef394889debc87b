/** What the images consist of: complete, closed, the same each time; the images themselves are tried in test/container. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWith } from '../../support/installed.ts';
import { startAsPid1 } from '../../support/namespace.ts';
import { freePort } from '../../support/service.ts';
import { architecture, ask, MAKE_TIMEOUT, make, repository } from './make.ts';

const dist = join(repository, 'dist', architecture);
const init = join(dist, 'init/opt/baton');
const latest = join(dist, 'latest/opt/baton');
const MB = 1_000_000;

async function files(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Everything that a layer is made of: names, modes, times, bytes. */
async function fingerprint(directory: string): Promise<string> {
  const hash = createHash('sha256');
  for (const entry of (await readdir(directory, { recursive: true })).sort()) {
    const path = join(directory, entry);
    const { mode, mtimeMs } = await stat(path);
    hash.update(`${entry} ${mode} ${mtimeMs}\n`);
  }
  for (const file of await files(directory)) hash.update(await readFile(file));
  return hash.digest('hex');
}

async function size(directory: string): Promise<number> {
  const sizes = await Promise.all((await files(directory)).map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, bytes) => sum + bytes);
}

describeWith(['dpkg-query'], 'what the images consist of', () => {
  beforeAll(() => make(`dist/${architecture}/bundled`, `dist/${architecture}/sample/app`), MAKE_TIMEOUT);

  test('the init image holds the binary and its licences, under 1 MB', async () => {
    expect(await readdir(init)).toEqual(['LICENSE', 'THIRD-PARTY-LICENSES', 'baton']);
    expect(await size(init)).toBeLessThan(MB);
  });

  test('the whole one is under 130 MB', async () => {
    expect(await readdir(latest)).toEqual([
      'LICENSE',
      'THIRD-PARTY-LICENSES',
      'agent.mjs',
      'baton',
      'lib',
      'node',
    ]);
    expect(await size(latest)).toBeLessThan(130 * MB);
  });

  test('Node.js finds every library inside, and none is there that it does not need', async () => {
    const inside = await readdir(join(latest, 'lib'));
    const loader = inside.find((name) => name.startsWith('ld-linux')) as string;
    const libraries = ['--library-path', join(latest, 'lib'), '--inhibit-cache'];
    const { stdout } = await promisify(execFile)(join(latest, 'lib', loader), [
      ...libraries,
      ...['--list', join(latest, 'node')],
    ]);
    const used = stdout.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
    // The loader is listed under the name that it was built with.
    expect(used.filter((path) => !path.includes('ld-linux')).map((path) => join(path, '..'))).toEqual(
      Array.from({ length: inside.length - 1 }, () => join(latest, 'lib')),
    );
  });

  test('no path of this machine is in it', async () => {
    for (const file of [...(await files(init)), ...(await files(latest))]) {
      const bytes = await readFile(file);
      for (const path of [repository, homedir()].filter((path) => path.length > '/'.length))
        expect(bytes.includes(`${path}/`) ? file : null, path).toBeNull();
    }
  });

  test('every licence is there', async () => {
    const licences = await readFile(join(latest, 'THIRD-PARTY-LICENSES'), 'utf8');
    for (const of of ['zod', 'Node.js', 'libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1'])
      expect(licences).toMatch(new RegExp(`^${of.replaceAll('+', '\\+')}( .* of Debian)?$`, 'm'));
  });

  test('put together once more, it is the same to the byte and the second', async () => {
    const before = await Promise.all([fingerprint(join(dist, 'init')), fingerprint(join(dist, 'latest'))]);
    await utimes(join(dist, 'bundled'), 0, 0);
    await make(`dist/${architecture}/bundled`);
    expect(await Promise.all([fingerprint(join(dist, 'init')), fingerprint(join(dist, 'latest'))])).toEqual(
      before,
    );
  });
});

describeWith(['dpkg-query'], 'in a root that is empty but for it and a static program', () => {
  let root: string;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'baton-bundle-'));
    await make(`dist/${architecture}/bundled`, `dist/${architecture}/sample/app`);
    execFileSync('cp', ['-a', join(dist, 'latest/opt'), root]);
    execFileSync('chmod', ['755', root]);
    for (const directory of ['proc', 'dev', 'srv']) await mkdir(join(root, directory));
    await copyFile(join(dist, 'sample/app'), join(root, 'srv/app'));
  }, MAKE_TIMEOUT);

  afterAll(() => rm(root, { recursive: true }));

  test.each([
    ['root', {}],
    [
      'variables that would break Node.js',
      { LD_PRELOAD: '/nonsense.so', LD_LIBRARY_PATH: '/srv', NODE_OPTIONS: '--nonsense' },
    ],
  ])('serves, reloads, stops: %s', (_, variables) => live('0', variables));

  test.runIf(process.getuid?.() === 0)('serves, reloads, stops: a user without a passwd entry', () =>
    live('54321'),
  );

  async function live(user: string, variables: Readonly<Record<string, string>> = {}): Promise<void> {
    const [port, health] = await Promise.all([freePort(), freePort()]);
    const addresses = ['--listen', `127.0.0.1:${port}`, '--health', `127.0.0.1:${health}`];
    const baton = ['/opt/baton/baton', 'run', ...addresses, '--', '/srv/app'];
    const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    // The root is read-only, as `docker run --read-only` has it, and /dev is the machine's.
    const script = `mount --bind ${root} ${root} && mount -t proc proc ${root}/proc && mount --rbind /dev ${root}/dev &&
      mount -o remount,bind,ro ${root} && exec env -i ${settings.join(' ')} $(command -v chroot) --userspec=${user}:${user} ${root} "$@"`;
    await using container = await startAsPid1(['sh', '-c', script, 'sh', ...baton], { unshare: ['--mount'] });

    await container.waitFor(/promoted generation 1/);
    expect(await ask(port)).toContain('"version":"v1"');
    container.kill('SIGHUP');
    await container.waitFor(/promoted generation 2/);
    container.kill('SIGTERM');
    expect(await container.exit).toEqual({ code: 0, signal: null });
  }
});
