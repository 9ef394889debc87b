import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { inMountNamespace, mountTest } from '../../support/mounts.ts';

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'baton-mounts-')));
  for (const name of ['store', 'other', 'vol']) await mkdir(at(name));
});
afterEach(() => rm(root, { recursive: true }));

const at = (...parts: string[]) => join(root, ...parts);
const module = (name: string) => new URL(`../../../agent/artifact/${name}.ts`, import.meta.url).href;

const openAndPrint = `
  const { openFirst } = await import(${JSON.stringify(module('store'))});
  const [, first, second] = process.argv;
  const store = await openFirst([{ path: first, shared: false }, { path: second, shared: false }], first, process.pid);
  console.log(JSON.stringify({ ...store, pid: process.pid }));
`;

mountTest.for([
  ['-o noexec', 'mounted noexec'],
  ['-o ro', 'read-only file system; configure a store that can be written to'],
])('a store that is mounted %s is passed over, and told', async ([options, why]) => {
  const output = await inMountNamespace(
    `mount -t tmpfs ${options} none ${at('store')}`,
    openAndPrint,
    at('store'),
    at('other'),
  );
  const store = JSON.parse(output);
  expect(store.directory).toBe(at('other', String(store.pid)));
  expect(store.note).toBe(`${at('store')}: ${why}; using ${at('other')}`);
});

mountTest('a store without room for the program is named, and nothing is left in it', async () => {
  // Larger than the store, and no zeros, so that no file system can save the room.
  await writeFile(at('vol/server'), Buffer.alloc(1024 * 1024, 'x'), { mode: 0o755 });
  const output = await inMountNamespace(
    `mount -t tmpfs -o size=256k none ${at('store')}`,
    `
      import { readdir } from 'node:fs/promises';
      const { openFirst } = await import(${JSON.stringify(module('store'))});
      const { prepareArtifact } = await import(${JSON.stringify(module('prepare'))});
      const [, path, program] = process.argv;
      const store = await openFirst([{ path, shared: false }], undefined, process.pid);
      const { signal } = new AbortController();
      const options = { command: [program], directory: '/', searchPath: '', watch: [], settle: 1, store, signal };
      const message = await prepareArtifact(options).then(() => 'prepared', (error) => error.message);
      const left = await readdir(store.directory, { recursive: true, withFileTypes: true });
      console.log(JSON.stringify({ message, files: left.filter((entry) => entry.isFile()).length }));
    `,
    at('store'),
    at('vol/server'),
  );
  const { message, files } = JSON.parse(output);
  expect(message).toMatch(
    /^.*store\/\d+\/[0-9a-f]{16}: no space left on device; free some space there or configure another store$/,
  );
  expect(files).toBe(0);
});

mountTest.for([
  ['tmpfs', 7],
  ['ramfs', 7],
  // What else a namespace may mount without a device.
  ['overlay', null],
] as const)(
  'a store on %s has room for %s bytes where as many are left of the memory',
  async ([type, room]) => {
    const [lower, upper, work] = [at('other'), at('vol/upper'), at('vol/work')];
    const options = type === 'overlay' ? `-o lowerdir=${lower},upperdir=${upper},workdir=${work}` : '';
    const output = await inMountNamespace(
      `mkdir ${upper} ${work}; mount -t ${type} ${options} none ${at('store')}`,
      `
      const { openFirst } = await import(${JSON.stringify(module('store'))});
      const [, path] = process.argv;
      const store = await openFirst([{ path, shared: false }], undefined, process.pid, () => 7);
      console.log(JSON.stringify({ directory: store.directory, room: store.room() }));
    `,
      at('store'),
    );
    expect(JSON.parse(output)).toMatchObject({ directory: expect.stringContaining(at('store')), room });
  },
);
