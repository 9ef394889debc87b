/**
 * Why this container ends, for those who ask Kubernetes: what the file holds then is shown as the message of the
 * container's last state (`kubectl describe pod`).
 * https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';

const PATH = '/dev/termination-log';
/** The kubelet reads no more, bytes. */
const FILE_MAX = 4096;
const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;

/**
 * Adds a line, cut to what the file has room for. What the program wrote there stays. Nothing happens where the file
 * does not exist (the kubelet makes it, nobody else may) or cannot be written: an end needs no file.
 */
export function writeTerminationLog(text: string, path = PATH): void {
  try {
    // O_NONBLOCK: whatever somebody has put there in place of a file must not hold up the end.
    const fd = openSync(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
    try {
      const stat = fstatSync(fd);
      const room = Buffer.alloc(Math.max(FILE_MAX - stat.size, 0));
      // Whole characters only.
      const { written } = new TextEncoder().encodeInto(`${text}\n`, room);
      if (stat.isFile()) writeSync(fd, room, 0, written);
    } finally {
      closeSync(fd);
    }
  } catch {
    // As said above.
  }
}
