/** Code that an interpreter is started with, where the interpreter alone is watched. */
import { realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Command, locateProgram } from '../artifact/resolve.ts';

/** By its name: data on a volume, such as a log or a database, is an argument as often, and nothing to watch. */
const CODE = /\.(?:[cm]?[jt]sx?|pyz?|rb|ru|php|pl|lua|sh|jar|war|dll|wasm)$/;

/**
 * One line for the operator, or null: about the first argument that is code and lies on a volume. What the image has
 * cannot change while the container runs.
 * @param points mount points, as readMountPoints has them
 */
export async function unwatchedCode(command: Command, points: ReadonlySet<string>): Promise<string | null> {
  for (const argument of command.command.slice(1).filter((text) => CODE.test(text))) {
    const path = resolve(command.directory, argument);
    const real = await realpath(path).catch(() => null);
    if (real === null || !isOnVolume(real, points)) continue;
    const program = await locateProgram(command).catch(() => null);
    if (program === null) return null;
    const advice = points.has(path) ? path : dirname(path);
    return `watching ${program} alone; a change of ${path} starts no reload: add --watch ${advice} (BATON_WATCH)`;
  }
  return null;
}

function isOnVolume(path: string, points: ReadonlySet<string>): boolean {
  return path !== '/' && (points.has(path) || isOnVolume(dirname(path), points));
}
