/** /proc/PID/mountinfo: proc_pid_mountinfo(5). Pure. */

export interface Mount {
  /** What of the file system is mounted: `/`, or a directory in it (a bind mount, a container's own cgroup). */
  readonly root: string;
  readonly point: string;
  readonly type: string;
  /** The file system's own: of a cgroup v1 mount, its controllers are among them. */
  readonly options: readonly string[];
}

/** Of mounts one on top of the other, the upper one comes later. A line that is none is left out. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    // Between the two halves stand none to many optional fields, and then a hyphen.
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, point] = before.split(' ');
    const [type, , options] = after.split(' ');
    if (!root || !point || !type || options === undefined) return [];
    return [{ root: unescaped(root), point: unescaped(point), type, options: options.split(',') }];
  });
}

/** Blank, tab, newline and backslash are written in octal. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
}
