import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Cgroup, cgroupFolders, openCgroup } from '../../../agent/container/cgroup.ts';
import * as trees from './trees.ts';

const MIB = 1024 * 1024;

async function inTree<T>(tree: trees.Tree, look: (cgroup: Cgroup, root: string) => T): Promise<Awaited<T>> {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'baton-cgroup-'));
  for (const [path, text] of Object.entries(tree)) {
    await mkdir(dirname(join(directory.path, path)), { recursive: true });
    await writeFile(join(directory.path, path), text);
  }
  return await look(openCgroup(directory.path), directory.path);
}

describe('a container sees its limits and the kills', () => {
  test.each<[string, trees.Tree, number | null, number | null, number | null]>([
    ['v1, Docker in the host cgroup namespace', trees.dockerV1HostNamespace, 0.5, 64 * MIB, 3],
    ['v1, Docker in a cgroup namespace of its own', trees.dockerV1OwnNamespace, 0.5, 64 * MIB, 3],
    ['v1, without limits', trees.dockerV1Unlimited, null, null, 3],
    ["v1, a pod's limit above what is mounted", trees.podLimitAboveTheMount, null, 256 * MIB, 3],
    ['v2, Docker', trees.dockerV2, 1.5, 64 * MIB, 2],
    ['v2, Docker in the host cgroup namespace', trees.dockerV2HostNamespace, 2, 64 * MIB, 2],
    ["v2, Kubernetes, a pod's limits", trees.kubernetesV2, 0.25, 128 * MIB, null],
    ['v2, rootless, limits in several ancestors', trees.rootless, 3, 512 * MIB, 2],
    ['both, each with one of the controllers', trees.mixed, 0.333, MIB, 2],
    ['no /proc', {}, null, null, null],
    ['no cgroup mounted', { 'proc/self/cgroup': '0::/\n', 'proc/self/mountinfo': '' }, null, null, null],
  ])('%s', async (_, tree, cpu, memory, kills) => {
    expect(await inTree(tree, (cgroup) => ({ ...cgroup.limits(), kills: cgroup.oomKills() }))).toEqual({
      cpu,
      memory,
      kills,
    });
  });

  test('as they are now', async () => {
    const limits = await inTree(trees.dockerV2, async (cgroup, root) => {
      const before = cgroup.limits();
      await writeFile(join(root, 'sys/fs/cgroup/memory.max'), '134217728\n');
      await writeFile(join(root, 'sys/fs/cgroup/cpu.max'), 'max 100000\n');
      await writeFile(join(root, 'sys/fs/cgroup/memory.events'), 'oom_kill 5\n');
      return [before, cgroup.limits(), cgroup.oomKills()];
    });
    expect(limits).toEqual([{ cpu: 1.5, memory: 64 * MIB }, { cpu: null, memory: 128 * MIB }, 5]);
  });

  test('none in garbage, in what is empty, and in a folder where a file should be', async () => {
    const tree = {
      'proc/self/cgroup': '0::/\n',
      'proc/self/mountinfo': trees.dockerV2['proc/self/mountinfo'] ?? '',
      'sys/fs/cgroup/cpu.max': 'many 0\n',
      'sys/fs/cgroup/memory.max': '',
      'sys/fs/cgroup/memory.events/file': '',
    };
    const seen = await inTree(tree, (cgroup) => [cgroup.limits(), cgroup.oomKills()]);
    expect(seen).toEqual([{ cpu: null, memory: null }, null]);
  });

  test('of this machine, whatever they are', () => {
    const { cpu, memory } = openCgroup().limits();
    for (const limit of [cpu, memory]) if (limit !== null) expect(limit).toBeGreaterThan(0);
  });
});

describe('the memory that is left', () => {
  const v1 = {
    'sys/fs/cgroup/memory/memory.usage_in_bytes': `${60 * MIB}\n`,
    'sys/fs/cgroup/memory/memory.stat': [
      `inactive_file ${MIB}`,
      `total_cache ${50 * MIB}`,
      `total_inactive_file ${10 * MIB}`,
      `total_active_file ${5 * MIB}`,
    ].join('\n'),
  };
  const v2 = {
    'sys/fs/cgroup/memory.current': `${60 * MIB}\n`,
    'sys/fs/cgroup/memory.stat': `file ${50 * MIB}\ninactive_file ${10 * MIB}\nactive_file ${5 * MIB}\n`,
  };
  test.each<[string, trees.Tree, number | null]>([
    ['v1', { ...trees.dockerV1OwnNamespace, ...v1 }, 19 * MIB],
    ['v1, without a limit', { ...trees.dockerV1Unlimited, ...v1 }, null],
    ['v2', { ...trees.dockerV2, ...v2 }, 19 * MIB],
    [
      'v2, without what the page cache takes',
      { ...trees.dockerV2, ...v2, 'sys/fs/cgroup/memory.stat': '' },
      4 * MIB,
    ],
    ['where nobody tells what is used', trees.dockerV2, null],
    [
      'where less is left above',
      {
        ...trees.dockerV2,
        ...v2,
        'proc/self/cgroup': '0::/own\n',
        'sys/fs/cgroup/own/memory.max': `${64 * MIB}\n`,
        'sys/fs/cgroup/own/memory.current': `${MIB}\n`,
      },
      19 * MIB,
    ],
  ])('%s', async (_, tree, left) => {
    expect(await inTree(tree, (cgroup) => cgroup.memoryLeft())).toBe(left);
  });
});

describe('the kernel kills everything together', () => {
  const own = 'sys/fs/cgroup';
  const above = { 'proc/self/cgroup': '0::/pod/own\n', 'sys/fs/cgroup/pod/own/memory.max': 'max\n' };
  test.each<[string, trees.Tree, boolean]>([
    ['where a container of Kubernetes is told so', trees.killedTogether, true],
    ['at the limit of the pod above it, too', trees.killedTogetherInPod, true],
    ['where it is told of one above that has the limit', { ...trees.killedTogether, ...above }, true],
    [
      'not where it is told otherwise',
      { ...trees.killedTogether, [`${own}/memory.oom.group`]: '0\n' },
      false,
    ],
    ['not where nothing is told', trees.dockerV2, false],
    ['not without a limit', { ...trees.killedTogether, [`${own}/memory.max`]: 'max\n' }, false],
    [
      'not at a limit below the group',
      {
        ...trees.killedTogether,
        ...above,
        [`${own}/memory.max`]: 'max\n',
        [`${own}/pod/own/memory.max`]: '67108864\n',
      },
      false,
    ],
    ['not on v1, which has no such thing', trees.dockerV1OwnNamespace, false],
    ['not where there is no cgroup', {}, false],
  ])('%s', async (_, tree, together) => {
    expect(await inTree(tree, (cgroup) => cgroup.killsTogether())).toBe(together);
  });
});

describe('the folders of a cgroup', () => {
  const mount = (root: string, point: string) => `36 35 0:30 ${root} ${point} rw - cgroup2 cgroup2 rw`;

  test.each<[string, string, string, string[]]>([
    ['of the whole tree', '0::/a/b', mount('/', '/cg'), ['/cg/a/b', '/cg/a', '/cg']],
    ['the own cgroup is the mount', '0::/a/b', mount('/a/b', '/cg'), ['/cg']],
    ['below the mount', '0::/a/b', mount('/a', '/cg'), ['/cg/b', '/cg']],
    ["another cgroup's mount", '0::/a/b', mount('/a/c', '/cg'), []],
    ['a name that only begins alike', '0::/a/bc', mount('/a/b', '/cg'), []],
    ['outside of the cgroup namespace', '0::/../other', mount('/', '/cg'), []],
    ['outside, as is the mount', '0::/../other', mount('/..', '/cg'), ['/cg/other', '/cg']],
    ['colons in a name', '0::/a:b:c', mount('/', '/cg'), ['/cg/a:b:c', '/cg']],
    ['blanks in the mount point', '0::/', mount('/', '/my\\040cg'), ['/my cg']],
    ['two mounts', '0::/a', `${mount('/', '/cg')}\n${mount('/a', '/own')}`, ['/cg/a', '/cg', '/own']],
    ['v1 alone', '3:memory:/a', mount('/', '/cg'), []],
    ['no line', '', mount('/', '/cg'), []],
  ])('%s', (_, cgroup, mountinfo, folders) => {
    expect(cgroupFolders(cgroup, mountinfo, null)).toEqual(folders);
  });
});
