import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { baton, startAsPid1 } from '../support/namespace.ts';

/** A root directory as of an image made `FROM scratch`: two static files, no /proc, no /dev, no /tmp, no library. */
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'baton-scratch-'));
  copyFileSync(baton, join(root, 'baton'));
  const source = join(root, 'hello.c');
  writeFileSync(source, '#include <stdio.h>\nint main(void) { return puts("served") < 0 ? 1 : 7; }\n');
  execFileSync('cc', ['-static', '-o', join(root, 'hello'), source]);
  rmSync(source);
});

afterAll(() => rmSync(root, { recursive: true }));

test('baton init runs a program in an empty root', async () => {
  await using init = await startAsPid1(['chroot', root, '/baton', 'init', '--', '/hello']);
  expect(await init.exit).toEqual({ code: 7, signal: null });
  expect(init.stdout).toBe('served\n');
  expect(init.stderr).toBe('');
});

test('baton run says what it misses there', async () => {
  await using run = await startAsPid1(['chroot', root, '/baton', 'run', '--', '/hello']);
  expect(await run.exit).toEqual({ code: 127, signal: null });
  expect(run.stderr).toMatch(/^baton: cannot find the agent: \/proc\/self\/exe: ENOENT; mount \/proc\n$/);

  mkdirSync(join(root, 'proc'));
  const mounted = `mount -t proc proc ${join(root, 'proc')} && exec chroot ${root} /baton run -- /hello`;
  await using second = await startAsPid1(['sh', '-c', mounted], { unshare: ['--mount'] });
  expect(await second.exit).toEqual({ code: 127, signal: null });
  expect(second.stderr).toMatch(
    /^baton: cannot read the agent, \/agent.mjs: ENOENT; it belongs beside this binary\n$/,
  );
});

test('the client says that there is nobody to talk to', async () => {
  await using client = await startAsPid1(['chroot', root, '/baton', 'ready']);
  expect(await client.exit).toEqual({ code: 69, signal: null });
  expect(client.stderr).toMatch(/^baton: ready: no Baton answers at @baton\/\d+: ECONNREFUSED\n$/);
});
