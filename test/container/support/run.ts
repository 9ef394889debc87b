/** `docker run --rm`, to its end. */
import { execFile } from 'node:child_process';

export interface Ended {
  /** The container's exit code, or the client's own: https://docs.docker.com/reference/cli/docker/container/run/#exit-status */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function dockerRun(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile('docker', ['run', '--rm', ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}
