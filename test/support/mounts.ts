/** Real mounts, in a mount namespace that ends with the test. */
import { execFile, spawnSync } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';
import { test } from 'vitest';

const UNSHARE = ['--mount', '--propagation', 'private'];

const { CI } = process.env;

const possible =
  spawnSync('unshare', [...UNSHARE, 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' }).status ===
  0;

/** A test that mounts: skipped, and reported as such, where that is not allowed; under CI it fails there. */
export const mountTest = test.skipIf(!possible && !CI);

const OWN_DEVICES = `set -e
for device in null zero full random urandom tty; do
  touch $0/$device
  mount --bind /dev/$device $0/$device
done
mount --rbind $0 /dev
exec "$@"`;

/**
 * What a command is started through, in a mount namespace, to have `folder` for its /dev: with the devices that every
 * container has, and what the test puts there, such as a termination-log.
 */
export function throughDevices(folder: string): string[] {
  return ['sh', '-c', OWN_DEVICES, folder];
}

/**
 * Runs `setup` (shell) and then `script` (an ES module, which gets `args` as process.argv.slice(1)) in a mount
 * namespace of their own. Returns what the script wrote to its standard output.
 */
export async function inMountNamespace(setup: string, script: string, ...args: string[]): Promise<string> {
  const command = `set -e\n${setup}\nnode=$1 script=$2\nshift 2\nexec "$node" --input-type=module -e "$script" -- "$@"`;
  const argv = [...UNSHARE, 'sh', '-c', command, 'sh', process.execPath, script, ...args];
  const { stdout } = await promisify(execFile)('unshare', argv);
  return stdout;
}
