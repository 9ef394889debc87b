/** Where the options come from, and how Baton itself talks. */
import { mkdtempDisposable, readlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { baton, start } from '../../support/namespace.ts';
import { Service } from '../../support/service.ts';

const temporary = () => mkdtempDisposable(join(tmpdir(), 'baton-configuration-'));

describe.concurrent('configuration', () => {
  test('--log-format pretty: lines for people', async () => {
    await using service = await Service.launch('c', {
      flags: ['--log-format', 'pretty', '--log-level', 'info'],
    });
    await service.running.waitFor(/^\[.*\] INFO.*: promoted generation 1 in \d+ ms$/m);
    expect(service.running.stderr).not.toMatch(/^\{/m);
    expect(service.running.stderr).not.toMatch(/DEBUG/);
  });

  test('mistakes in a file: exit 78 with all of them, each with its place', async () => {
    await using directory = await temporary();
    const file = join(directory.path, 'baton.yaml');
    await writeFile(
      file,
      'command: [sleep, "1000"]\nready: sometimes\nsettle: 5 parsecs\nlisten:\n  - ":99999"\ncolour: red\n',
    );
    const env = { BATON_NODE: process.execPath };
    for (const command of [
      [baton, 'run', '--config', file],
      [baton, 'validate', '--config', file],
    ]) {
      await using running = await start(command, { env });
      expect(await running.exit).toEqual({ code: 78, signal: null });
      const lines = running.stderr.trimEnd().split('\n');
      expect(lines.map((line) => /^.*?baton\.yaml:(\d+):\d+: ([\w-]+)/.exec(line)?.slice(1))).toEqual([
        ['2', 'ready'],
        ['3', 'settle'],
        ['5', 'listen'],
        ['6', 'colour'],
      ]);
    }
  });

  test('a file without mistakes: what it says is done', async () => {
    await using directory = await temporary();
    const file = join(directory.path, 'baton.yaml');
    await writeFile(file, `instances: 2\ndirectory: ${directory.path}\n`);
    await using valid = await start([baton, 'validate', '--config', file], {
      env: { BATON_NODE: process.execPath },
    });
    expect(await valid.exit).toEqual({ code: 0, signal: null });
    await using service = await Service.start('c', { flags: ['--config', file] });
    const pids = await service.mainPids();
    expect(pids).toHaveLength(2);
    for (const pid of pids) expect(await readlink(`/proc/${pid}/cwd`)).toBe(directory.path);
  });

  test('baton schema: a JSON Schema', async () => {
    await using running = await start([baton, 'schema'], { env: { BATON_NODE: process.execPath } });
    expect(await running.exit).toEqual({ code: 0, signal: null });
    expect(JSON.parse(running.stdout)).toMatchObject({ type: 'object', properties: { listen: {} } });
  });
});
