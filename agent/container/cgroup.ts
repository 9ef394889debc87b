/**
 * The container's cgroup, v1, v2, or both side by side: what it may use, and how many of its processes the kernel has
 * killed for memory. What cannot be read, or read as expected, is no limit and no count, never an error.
 */

/* cgroups(7); the kernel's Documentation/admin-guide/cgroup-v2.rst ("Controllers", "Namespace") and cgroup-v1/memory.rst;
 * Documentation/scheduler/sched-bwc.rst for the CPU quota of v1. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseMountinfo } from './mountinfo.ts';
import { parseBytes, parseCpuMax, parseCpuQuota, parseEntry } from './values.ts';

export interface Limits {
  /** Processors, in thousandths at the finest: the CPU time in each period, by its length. null: no limit. */
  readonly cpu: number | null;
  /** Bytes, of everything in the cgroup together. null: no limit. */
  readonly memory: number | null;
}

export interface Cgroup {
  /** The smallest of the own cgroup's and of those above it, as far as they can be seen, as they are now. */
  limits(): Limits;
  /** Bytes that can be taken before the kernel kills somebody: the page cache counts as free. null: no limit is seen. */
  memoryLeft(): number | null;
  /** Processes killed since the cgroup was made; null where the kernel does not tell (v1 before Linux 4.13). */
  oomKills(): number | null;
  /** Does the kernel kill everything here together when a limit of its memory is reached? v2 alone: `memory.oom.group`. */
  killsTogether(): boolean;
}

/** @param root of the file system, for tests on recorded trees */
export function openCgroup(root = '/'): Cgroup {
  const cgroup = read(root, 'proc/self/cgroup');
  const mountinfo = read(root, 'proc/self/mountinfo');
  const folders = (controller: string | null) =>
    cgroupFolders(cgroup, mountinfo, controller).map((folder) => join(root, folder));
  // With v1 and v2 side by side a controller's files are in one of them; in the other there are none.
  const unified = folders(null);
  const memory = folders('memory');
  const cpu = folders('cpu');

  return {
    limits: () => ({
      cpu: smallest([
        ...unified.map((folder) => parseCpuMax(read(folder, 'cpu.max'))),
        ...cpu.map((folder) =>
          parseCpuQuota(read(folder, 'cpu.cfs_quota_us'), read(folder, 'cpu.cfs_period_us')),
        ),
      ]),
      memory: smallest([
        ...unified.map((folder) => parseBytes(read(folder, 'memory.max'))),
        ...memory.map((folder) => parseBytes(read(folder, 'memory.limit_in_bytes'))),
        // Knows the limits above the mount as well: a pod's.
        ...memory.slice(0, 1).map((own) => parseEntry(read(own, 'memory.stat'), 'hierarchical_memory_limit')),
      ]),
    }),

    memoryLeft: () =>
      smallest([
        ...unified.map((folder) => memoryLeft(folder, 'memory.max', 'memory.current', '')),
        // Its total_… are of the whole hierarchy, as its usage is.
        ...memory.map((folder) =>
          memoryLeft(folder, 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_'),
        ),
      ]),

    oomKills() {
      const counters = [
        ...memory.map((folder) => join(folder, 'memory.oom_control')),
        // Without the controller here, this cgroup counts with the next one above that has it.
        ...unified.map((folder) => join(folder, 'memory.events')),
      ];
      for (const path of counters) {
        const count = parseEntry(read(path), 'oom_kill');
        if (count !== null) return count;
      }
      return null;
    },

    // A group counts for the limits of its own and of those above it.
    killsTogether: () =>
      unified.some(
        (folder, index) =>
          read(folder, 'memory.oom.group').trim() === '1' &&
          unified.slice(index).some((above) => parseBytes(read(above, 'memory.max')) !== null),
      ),
  };
}

/**
 * The folders of the own cgroup and of those above it, nearest first, through every mount that shows it. One hidden
 * under another mount leads to files that are not there, or to the same.
 *
 * @param cgroup the text of /proc/self/cgroup
 * @param controller of v1; null: the one hierarchy of v2
 */
export function cgroupFolders(cgroup: string, mountinfo: string, controller: string | null): string[] {
  const path = pathIn(cgroup, controller);
  if (path === null) return [];
  return parseMountinfo(mountinfo)
    .filter(({ type, options }) =>
      controller === null ? type === 'cgroup2' : type === 'cgroup' && options.includes(controller),
    )
    .flatMap(({ root, point }) => {
      const names = namesBelow(root, path);
      return names === null
        ? []
        : Array.from({ length: names.length + 1 }, (_, up) =>
            join(point, ...names.slice(0, names.length - up)),
          );
    });
}

/** Lines of "number:controllers:path"; that of v2 is "0::path". */
function pathIn(cgroup: string, controller: string | null): string | null {
  for (const line of cgroup.split('\n')) {
    const [, number, controllers = '', path = ''] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    const found =
      controller === null
        ? number === '0' && controllers === ''
        : controllers.split(',').includes(controller);
    if (found) return path;
  }
  return null;
}

/**
 * The way from a mount's root down to a path. null: the mount does not show it, being of another cgroup (a bind mount
 * of somebody else's), or the path lies outside of the cgroup namespace ("/..").
 */
function namesBelow(root: string, path: string): string[] | null {
  const top = root === '/' ? '' : root;
  if (path !== top && !path.startsWith(`${top}/`)) return null;
  const names = path.slice(top.length).split('/').filter(Boolean);
  return names.includes('..') ? null : names;
}

/** tmpfs is no part of `…_file`: what is in memory alone cannot be dropped. */
function memoryLeft(folder: string, limit: string, usage: string, prefix: string): number | null {
  const [most, used] = [parseBytes(read(folder, limit)), parseBytes(read(folder, usage))];
  if (most === null || used === null) return null;
  const stat = read(folder, 'memory.stat');
  const cache = ['inactive_file', 'active_file'].map((key) => parseEntry(stat, `${prefix}${key}`) ?? 0);
  return cache.reduce((left, bytes) => left + bytes, most - used);
}

function smallest(limits: readonly (number | null)[]): number | null {
  return limits.reduce(
    (least, limit) => (least === null || (limit !== null && limit < least) ? limit : least),
    null,
  );
}

/** Empty where there is no such file, or none that may be read. */
function read(...path: string[]): string {
  try {
    return readFileSync(join(...path), 'utf8');
  } catch {
    return '';
  }
}
