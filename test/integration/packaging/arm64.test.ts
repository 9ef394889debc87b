/** What Debian's cross compiler makes of Baton, run under qemu's user mode: the kernel and the children are this machine's. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { describeWith } from '../../support/installed.ts';
import { type Exit, type Running, start, startAsPid1 } from '../../support/namespace.ts';
import { MAKE_TIMEOUT, make, repository } from './make.ts';

const arm64 = join(repository, 'dist/arm64');
const bundle = join(arm64, 'latest/opt/baton');
const emulated = (program: string, ...args: readonly string[]) => ['qemu-aarch64', program, ...args];
const init = emulated(join(arm64, 'baton'), 'init', '--');

async function ended(running: Running): Promise<Exit & { stdout: string; stderr: string }> {
  await using program = running;
  const exit = await program.exit;
  return { ...exit, stdout: program.stdout, stderr: program.stderr };
}

describeWith(['aarch64-linux-gnu-gcc', 'qemu-aarch64'], 'arm64, under qemu', () => {
  beforeAll(() => make('dist/arm64/baton', 'dist/arm64/bundled'), MAKE_TIMEOUT);

  test('the binary is under 1 MB', async () => {
    expect((await stat(join(arm64, 'baton'))).size).toBeLessThan(1_000_000);
  });

  test('baton init --version', async () => {
    const result = await ended(await start(emulated(join(arm64, 'baton'), 'init', '--version')));
    expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/^baton /), stderr: '' });
  });

  test.each([
    ['exit 0', 0],
    ['exit 255', 255],
    ['kill -9 $$', 137],
    ['kill -15 $$', 143],
  ])('%s → %i', async (script, code) => {
    expect(await ended(await startAsPid1([...init, 'sh', '-c', script]))).toMatchObject({ code });
  });

  test('a program that is not there', async () => {
    const result = await ended(await startAsPid1([...init, '/nonexistent']));
    expect(result).toMatchObject({ code: 127, stderr: expect.stringContaining('/nonexistent') });
  });

  test.each(['SIGHUP', 'SIGUSR1', 'SIGTERM', 'SIGUSR2'] as const)('passes %s on', async (signal) => {
    const script = `trap 'exit 7' ${signal.slice(3)}; echo ready; while :; do read line; done`;
    await using running = await startAsPid1([...init, 'bash', '-c', script]);
    await running.waitFor(/ready/);
    running.kill(signal);
    expect(await running.exit).toEqual({ code: 7, signal: null });
  });

  test('reaps what its child leaves behind', async () => {
    // It lives just until its parent has left it, and is gone from /proc once the only one who can has waited for it.
    const orphan = "$(sh -c 'while [ -e /proc/$$ ]; do :; done >/dev/null & echo $!')";
    const script = `orphan=${orphan}; while [ -e /proc/$orphan ]; do :; done; exit 7`;
    expect(await ended(await startAsPid1([...init, 'sh', '-c', script]))).toMatchObject({ code: 7 });
  });

  test("the agent on the image's own Node.js, loader and libraries", async () => {
    const loader = join(bundle, 'lib/ld-linux-aarch64.so.1');
    const node = [join(bundle, 'node'), join(bundle, 'agent.mjs')];
    const libraries = ['--library-path', join(bundle, 'lib'), '--inhibit-cache'];
    const { code, stdout } = await ended(await start(emulated(loader, ...libraries, ...node, 'schema')));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ title: 'Baton' });
  });
});
