/** The watch on real files, changed as editors, deploy tools and the kubelet change them. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Watch, watchPaths } from '../../agent/watch/watch.ts';
import { inMountNamespace, mountTest } from '../support/mounts.ts';

let root: string;
let open: Watch[];
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-watch-')));
  open = [];
});
afterEach(async () => {
  for (const watch of open) await watch.close();
  await rm(root, { recursive: true });
});

const at = (...parts: string[]) => join(root, ...parts);
/** Returns when it is done, with all its events still to come. */
const sh = (script: string) => execFileSync('sh', ['-ec', script], { cwd: root });

/** Counts changes, and lets a test wait for one. */
class Changes {
  readonly reasons: string[] = [];
  readonly warnings: string[] = [];
  #wake: () => void = () => {};
  #taken = 0;

  readonly events = {
    onChange: (reason: string) => {
      this.reasons.push(reason);
      this.#wake();
    },
    onWarning: (text: string) => {
      this.warnings.push(text);
    },
  };

  async next(): Promise<string> {
    while (this.reasons.length <= this.#taken) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.reasons[this.#taken++] ?? '';
  }
}

const QUIET = 40;

async function observe(paths: readonly string[], quiet = QUIET) {
  const changes = new Changes();
  const watch = await watchPaths(
    paths.map((path) => at(path)),
    changes.events,
    { quiet },
  );
  open.push(watch);
  // A second watch, of a file of its own and slower than the first: when it has told of a change, whatever the first had to tell
  // of what came before has been told.
  const barrier = new Changes();
  await writeFile(at('barrier'), '');
  open.push(await watchPaths([at('barrier')], barrier.events, { quiet: quiet * 4 }));
  return {
    watch,
    changes,
    async settled(): Promise<number> {
      sh('echo again >> barrier');
      await barrier.next();
      return changes.reasons.length;
    },
  };
}

/** Each change is told once. */
async function expectOneEach(paths: readonly string[], scripts: readonly string[]): Promise<void> {
  const { watch, changes, settled } = await observe(paths);
  expect(watch.mode).toBe('inotify');
  for (const [index, script] of scripts.entries()) {
    sh(script);
    await changes.next();
    expect([script, await settled()]).toEqual([script, index + 1]);
  }
  expect(changes.warnings).toEqual([]);
}

describe('one change, told once', () => {
  beforeEach(() => sh('mkdir vol; echo 1 > vol/server'));

  test.each<[string, string]>([
    ['a write in place (cp, echo >)', 'echo 2 > vol/server'],
    ['a large write in place', 'head -c 20000000 /dev/zero > vol/server'],
    [
      'a rename into place (install, rsync, vim with backupcopy=no)',
      'echo 2 > vol/.new; mv vol/.new vol/server',
    ],
    [
      'a backup and a new file (vim, emacs)',
      'mv vol/server vol/server~; echo 2 > vol/server; rm vol/server~',
    ],
    ['removed and written anew (cp -f, tar)', 'rm vol/server; echo 2 > vol/server'],
    [
      'a rename that keeps size and mtime (cp -p)',
      'cp -p vol/server vol/n; echo 2 > vol/n; touch -r vol/server vol/n; mv vol/n vol/server',
    ],
    ['a mode', 'chmod +x vol/server'],
    ['the directory swapped', 'cp -r vol new; mv vol old; mv new vol; rm -r old'],
  ])('%s, again and again', async (_, script) => {
    await expectOneEach(
      ['vol/server'],
      [script, `chmod 644 vol/server; ${script}`, 'echo 3 > vol/server', script],
    );
  });

  test('a directory above it swapped, then a write below the new one', async () => {
    sh('mkdir -p a/b/c; echo 1 > a/b/c/server; cp -r a next');
    await expectOneEach(
      ['a/b/c/server'],
      ['mv a old; mv next a', 'echo 2 > a/b/c/server', 'rm -r a', 'mv old a', 'echo 3 > a/b/c/server'],
    );
  });

  test('a link swapped with ln -sfn and by rename', async () => {
    sh(
      'mkdir -p releases/1 releases/2; echo 1 > releases/1/server; echo 2 > releases/2/server; ln -s releases/1 current',
    );
    await expectOneEach(
      ['current/server'],
      [
        'ln -sfn releases/2 current',
        'echo 3 > releases/2/server',
        'ln -s releases/1 n; mv -T n current',
        'echo 4 > releases/1/server',
      ],
    );
  });

  const publish = (name: string) =>
    `mkdir ..${name}; echo ${name} > ..${name}/server; old=$(readlink ..data); ` +
    `ln -s ..${name} ..data_tmp; mv -T ..data_tmp ..data; rm -r "$old"`;

  test.each([
    ['a file of it', 'server'],
    ['the whole of it', ''],
  ])("Kubernetes' ConfigMap published anew, watching %s", async (_, watched) => {
    sh(
      'mkdir cm; cd cm; mkdir ..2026_1; echo 1 > ..2026_1/server; ln -s ..2026_1 ..data; ln -s ..data/server server',
    );
    await expectOneEach(
      [join('cm', watched)],
      [2, 3, 4].map((n) => `cd cm; ${publish(`2026_${n}`)}`),
    );
  });

  test('deleted; there again; replaced', async () => {
    await expectOneEach(
      ['vol/server'],
      ['rm vol/server', 'echo 2 > vol/server', 'echo 3 > vol/n; mv vol/n vol/server', 'echo 4 > vol/server'],
    );
  });

  test('a path that is not there yet, nor the directories above it', async () => {
    await expectOneEach(
      ['none/at/all'],
      [
        'mkdir -p none/at; echo 1 > none/at/all',
        'echo 2 > none/at/all',
        'rm -r none',
        'mkdir -p none/at/all; echo 1 > none/at/all/file',
      ],
    );
  });

  test('many files, one change', async () => {
    sh('echo 1 > vol/other');
    await expectOneEach(
      ['vol/server', 'vol/other'],
      ['echo 2 > vol/other; echo 2 > vol/server; mv vol/other x; mv x vol/other'],
    );
  });
});

describe('a directory', () => {
  test('is watched with all that is below it, new directories included', async () => {
    sh('mkdir -p app/lib; echo 1 > app/lib/a');
    await expectOneEach(
      ['app'],
      [
        'echo 2 > app/lib/a',
        'mkdir -p app/x/y; echo 1 > app/x/y/z',
        'echo 2 > app/x/y/z',
        'mv app/x app/lib/x; echo 3 > app/lib/x/y/z',
        'rm -r app/lib/x',
        'for i in 1 2 3 4 5 6 7 8 9; do echo $i > app/$i; done',
        'cp -r app new; mv app old; mv new app; rm -r old',
        'echo 3 > app/lib/a',
        'rm -r app',
        'mkdir -p app/lib',
        'echo 4 > app/lib/a',
      ],
    );
  });

  test('is watched through the links in it', async () => {
    sh('mkdir app vol; echo 1 > vol/a; ln -s ../vol/a app/a');
    await expectOneEach(
      ['app'],
      ['echo 2 > vol/a', 'echo 3 > vol/n; mv vol/n vol/a', 'ln -s ../vol/b app/b', 'echo 1 > vol/b'],
    );
  });

  test('leaves out node_modules, but not what is named in it', async () => {
    sh('mkdir -p app/node_modules/x; echo 1 > app/node_modules/x/y');
    await expectOneEach(['app', 'app/node_modules/x/y'], ['echo 2 > app/node_modules/x/y']);
  });

  test('but not node_modules and .git', async () => {
    sh('mkdir -p app/lib app/node_modules/x app/.git; echo 1 > app/lib/a');
    const { changes, settled } = await observe(['app']);
    sh(
      'echo 1 > app/node_modules/x/y; echo 1 > app/.git/HEAD; mkdir -p app/lib/node_modules/z; echo 1 > app/lib/node_modules/z/a',
    );
    await settled();
    // The directory lib changed, of course, but nothing that is part of the artifact did.
    expect(changes.reasons.filter((reason) => /node_modules\/|\.git\//.test(reason))).toEqual([]);
    sh('echo 2 > app/lib/a');
    expect(await changes.next()).toBe(`${at('app/lib/a')} changed`);
    expect(changes.reasons).toHaveLength(1);
  });
});

describe('no change', () => {
  test('from other files in the same directory', async () => {
    sh('mkdir vol; echo 1 > vol/server');
    const { changes, settled } = await observe(['vol/server', 'vol/not-yet']);
    sh(
      'echo 1 > vol/other; mv vol/other vol/third; rm vol/third; mkdir vol/dir; touch vol; chmod 700 vol; cat vol/server',
    );
    expect(await settled()).toBe(0);
    sh('echo 2 > vol/server');
    expect(await changes.next()).toBe(`${at('vol/server')} changed`);
  });

  test('after close', async () => {
    sh('mkdir vol; echo 1 > vol/server');
    const { watch, settled } = await observe(['vol/server', 'vol']);
    sh('echo 2 > vol/server');
    await watch.close();
    sh('echo 3 > vol/server');
    expect(await settled()).toBe(0);
  });
});

test.each([
  ['a copy in many writes', 'dd if=/dev/zero of=vol/server bs=4k count=2000 2>&1'],
  [
    'steps of a deploy',
    'cp vol/server vol/n; echo 2 > vol/n; rm vol/server; mv vol/n vol/server; chmod 755 vol/server',
  ],
])('%s, heard of while they happen, is one change', async (_, script) => {
  sh('mkdir vol; echo 1 > vol/server');
  // Not waited for, as sh() is: events come in one by one, and a gap between two must be shorter than this.
  const { changes, settled } = await observe(['vol/server'], 300);
  await promisify(execFile)('sh', ['-ec', script], { cwd: root });
  await changes.next();
  expect(await settled()).toBe(1);
});

test('a write that never ends is told of all the same', async () => {
  sh('mkdir vol; echo 1 > vol/log');
  const changes = new Changes();
  open.push(await watchPaths([at('vol')], changes.events, { quiet: 60_000, latest: 50 }));
  sh('echo 2 > vol/log');
  expect(await changes.next()).toBe(`${at('vol/log')} changed`);
});

/** What a child of ours does in a namespace of its own: prints each change and warning, and runs a script at each change. */
const child = `
  import { execFileSync } from 'node:child_process';
  const { watchPaths } = await import(${JSON.stringify(new URL('../../agent/watch/watch.ts', import.meta.url).href)});
  const [, path, ...scripts] = process.argv;
  const print = (what) => console.log(JSON.stringify(what));
  const step = () => {
    const script = scripts.shift();
    if (script === undefined) return void watch.close();
    execFileSync('sh', ['-ec', script]);
  };
  const watch = await watchPaths([path], {
    onChange: (change) => { print({ change }); step(); },
    onWarning: (warning) => print({ warning }),
  }, { quiet: 40, pollInterval: 20 });
  print({ mode: watch.mode });
  step();
`;
const parse = (output: string) =>
  output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('a single-file bind mount', () => {
  beforeEach(() => sh('mkdir host vol; echo 1 > host/server; echo x > vol/server; ln -s vol link'));
  const warning = (path: string) =>
    `${path}: bind-mounted as a single file, which keeps showing the file that was there at the start: ` +
    'one renamed into its place never arrives; mount its directory instead';

  mountTest.each(['vol/server', 'link/server'])(
    'is told of, and writes from outside arrive all the same (%s)',
    async (watched) => {
      const output = await inMountNamespace(
        `mount --bind ${at('host/server')} ${at('vol/server')}`,
        child,
        at(watched),
        `echo 2 > ${at('host/server')}`,
        `echo 3 > ${at('vol/server')}`,
      );
      expect(parse(output)).toEqual([
        { warning: warning(at(watched)) },
        { mode: 'inotify' },
        { change: `${at('vol/server')} changed` },
        { change: `${at('vol/server')} changed` },
      ]);
    },
  );

  mountTest('a mounted directory is no cause for a warning, and a rename outside arrives', async () => {
    const output = await inMountNamespace(
      `mount --bind ${at('host')} ${at('vol')}`,
      child,
      at('vol/server'),
      `echo 2 > ${at('host/new')}; mv ${at('host/new')} ${at('host/server')}`,
    );
    expect(parse(output)).toEqual([{ mode: 'inotify' }, { change: `${at('vol/server')} changed` }]);
  });
});

describe('polling', () => {
  /** In a user namespace of its own, whose inotify limits can be set: namespaces(7), /proc/sys/user. */
  const limited = (limit: string, value: number, path: string, ...scripts: string[]) => {
    const setup = `echo ${value} > /proc/sys/user/${limit}; exec "$@"`;
    const node = [process.execPath, '--input-type=module', '-e', child, '--', path, ...scripts];
    return spawnSync('unshare', ['--user', '--map-root-user', 'sh', '-ec', setup, 'sh', ...node], {
      encoding: 'utf8',
    });
  };
  const possible = limited('max_inotify_watches', 1, '/none').status === 0;
  const { CI } = process.env;
  const limitTest = test.skipIf(!possible && !CI);

  const instead = 'polling every 20 ms instead';
  const watches = `no inotify watches left on this node (sysctl fs.inotify.max_user_watches); raise it; ${instead}`;
  const instances = `no inotify instances left on this node (sysctl fs.inotify.max_user_instances); raise it; ${instead}`;

  limitTest.each([
    ['max_inotify_watches', 1, 'vol/server', watches],
    ['max_inotify_watches', 40, 'deep', watches],
    ['max_inotify_instances', 0, 'vol/server', instances],
  ])('where %s is %i, told once, watching %s', async (limit, value, watched, warning) => {
    await mkdir(at('vol'));
    await writeFile(at('vol/server'), '1');
    await writeFile(at('vol/two'), '2');
    for (let i = 0; i < 50; i++) await mkdir(at('deep', String(i)), { recursive: true });
    await symlink('../../vol/server', at('deep/7/server'));
    const { stdout, stderr } = limited(
      limit,
      value,
      at(watched),
      `echo 22 > ${at('vol/server')}`,
      `mv ${at('vol/two')} ${at('vol/server')}`,
      `rm ${at('vol/server')}`,
    );
    expect(stderr).toBe('');
    const lines = parse(stdout);
    expect(lines.slice(0, 2)).toEqual([{ warning }, { mode: 'polling' }]);
    expect(lines.slice(2).every(({ change }) => change.endsWith(' changed'))).toBe(true);
    expect(lines.length).toBeGreaterThanOrEqual(5);
  });
});

test('a name costs as many watches in a large directory as in a small one', async () => {
  /** inotify watches of this process, proc_pid_fdinfo(5). */
  const watches = () =>
    Number(execFileSync('sh', ['-c', `cat /proc/${process.pid}/fdinfo/* | grep -c ^inotify || true`]));
  const cost = async (directory: string) => {
    const before = watches();
    open.push(await watchPaths([at(directory, 'tool-1')], new Changes().events));
    return watches() - before;
  };
  await mkdir(at('small'));
  await mkdir(at('large'));
  await writeFile(at('small/tool-1'), '');
  for (let i = 0; i < 300; i++) await writeFile(at('large', `tool-${i}`), '');
  await cost('none');
  // Each has its directory and its file; the directories above both are watched already.
  expect([await cost('small'), await cost('large')]).toEqual([2, 2]);
});
