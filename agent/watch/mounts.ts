/** Single-file bind mounts: they show the inode that was mounted, for ever. */
import { readFile } from 'node:fs/promises';
import { parseMountinfo } from '../container/mountinfo.ts';

/** The mount points of this process; none where /proc is not mounted. */
export async function readMountPoints(): Promise<ReadonlySet<string>> {
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
  return new Set(mounts.map(({ point }) => point));
}
