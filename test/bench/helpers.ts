/**
 * The C programs that take the times: a clock read in Node would measure its event loop. Compiled when first needed.
 */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export type HelperName =
  | 'bare_responder'
  | 'boot'
  | 'exec_child'
  | 'exec_launcher'
  | 'floor_init'
  | 'idle_child'
  | 'probe'
  | 'signal_child'
  | 'signal_sender'
  | 'wall_timer';

const run = promisify(execFile);
const directory = join(import.meta.dirname, '../../build/bench');
const FLAGS = ['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-static'];
/** Of what a helper prints. */
const OUTPUT_MAX = 16 * 1024 * 1024;

/** The absolute path of a command, or null where it is not on PATH. */
export async function which(command: string): Promise<string | null> {
  return run('sh', ['-c', 'command -v "$1"', 'sh', command]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}

/**
 * Static, against musl where it is there: as the binary itself, and so that no helper's own start weighs more than it
 * must.
 */
export async function helper(name: HelperName): Promise<string> {
  await mkdir(directory, { recursive: true });
  const output = join(directory, name);
  const compiler = (await which('musl-gcc')) ?? 'cc';
  await run(compiler, [...FLAGS, '-o', output, join(import.meta.dirname, `${name}.c`)]);
  return output;
}

/** Runs a program that prints a line of numbers for each round. Rejects with what it said on stderr. */
export async function rounds(file: string, args: readonly string[]): Promise<number[][]> {
  const { stdout } = await run(file, args, { maxBuffer: OUTPUT_MAX });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
}

/** One contender's sample out of all rounds. */
export function column(table: readonly (readonly number[])[], index: number): number[] {
  return table.map((row) => row[index] as number);
}
