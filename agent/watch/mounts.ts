/** Single-file bind mounts: they show the inode that was mounted, for ever. */
import { readFile } from 'node:fs/promises';

/** The mount points in the text of /proc/PID/mountinfo, proc_pid_mountinfo(5). */
export function mountPoints(mountinfo: string): ReadonlySet<string> {
  const points = new Set<string>();
  for (const line of mountinfo.split('\n')) {
    const point = line.split(' ', 5)[4];
    // Blank, tab, newline and backslash are written in octal.
    if (point)
      points.add(
        point.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
      );
  }
  return points;
}

/** The mount points of this process; none where /proc is not mounted. */
export async function readMountPoints(): Promise<ReadonlySet<string>> {
  return mountPoints(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
}
