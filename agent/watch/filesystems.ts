/** File systems whose changes may be made on another machine, where inotify(7) does not see them. */
import { statfs } from 'node:fs/promises';

/** statfs(2), linux/magic.h. gVisor shows every mount from its host as 9p, and virtiofs is FUSE. */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0xfe534d42, 'smb'],
  [0x517b, 'smb'],
  [0x01021997, '9p'],
  [0x65735546, 'fuse'],
  [0x00c36400, 'ceph'],
  [0x5346414f, 'afs'],
  [0x0bd00bd0, 'lustre'],
  [0x47504653, 'gpfs'],
]);

/** The name of the remote file system that holds the directory, or null. */
export async function remoteFileSystem(directory: string): Promise<string | null> {
  try {
    return REMOTE.get((await statfs(directory)).type) ?? null;
  } catch {
    return null;
  }
}
