/** What is shipped, made by the repository's own rules, and asked whether it serves. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const repository = join(import.meta.dirname, '../../..');

/** As engines call this machine's architecture. */
export const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** Up to a compilation and an installation by npm. */
export const MAKE_TIMEOUT = 300_000;

/** @throws Error with what make said */
export async function make(...targets: readonly string[]): Promise<void> {
  // Those of a make that runs the tests name descriptors that are not open here.
  const { MAKEFLAGS: _, MFLAGS: __, ...env } = process.env;
  await promisify(execFile)('make', targets, { cwd: repository, env });
}

/** What a server on this machine answers to a connection of its own: a kept-alive one would go on with the old generation. */
export async function ask(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { Connection: 'close' } });
  return response.text();
}
