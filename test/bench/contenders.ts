/** The inits that are compared, each as its own manual says that it is run. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { baton } from '../support/namespace.ts';
import { helper, which } from './helpers.ts';

export interface Contender {
  readonly name: string;
  /** Runs `child` under it. */
  readonly command: (child: readonly string[]) => string[];
}

export interface Contenders {
  readonly found: readonly Contender[];
  /** Those that this machine has not. */
  readonly missing: readonly string[];
}

/** What the others are compared with. */
export const REFERENCE = 'tini';
export const BATON_INIT = 'baton init';
/** Debian's package of tini has both: the first loads libc at its start, the second carries it. */
const OTHERS = [REFERENCE, 'tini-static', 'dumb-init', 'catatonit'];
const run = promisify(execFile);

export async function findContenders(): Promise<Contenders> {
  const found: Contender[] = [];
  const missing: string[] = [];
  for (const name of OTHERS) {
    const path = await which(name);
    if (path === null) missing.push(name);
    else
      found.push({
        name: `${name} ${await version(path)}`,
        command: (child) => [path, '--', ...child],
      });
  }
  found.push({ name: BATON_INIT, command: (child) => [baton, 'init', '--', ...child] });
  return { found, missing };
}

/** A bare static musl program, or null where there is no musl. */
export async function findFloor(): Promise<Contender | null> {
  if ((await which('musl-gcc')) === null) return null;
  const floor = await helper('floor_init');
  return { name: 'floor: fork and exec, musl', command: (child) => [floor, ...child] };
}

/** Which of them is the reference; −1 where this machine has none. */
export function referenceIndex(contenders: readonly Contender[]): number {
  return contenders.findIndex(({ name }) => name.startsWith(`${REFERENCE} `));
}

async function version(path: string): Promise<string> {
  const { stdout, stderr } = await run(path, ['--version']);
  return /\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? '';
}
