/** Which file argv[0] means: found as execvp does it, and fit to be executed. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ProgramError, sentence } from './errors.ts';
import { type Entry, errnoOf } from './scan.ts';

export interface Command {
  readonly command: readonly string[];
  /** The program's working directory, absolute: relative paths mean this one, not Baton's own. */
  readonly directory: string;
  /** PATH of the program. An empty element means `directory`, as for execvp. */
  readonly searchPath: string;
}

/** Where argv[0] may be, in order: exec(3), "Special semantics for execlp() and execvp()". */
export function programCandidates({ command, directory, searchPath }: Command): readonly string[] {
  const name = command[0] ?? '';
  if (name.includes('/')) return [resolve(directory, name)];
  return searchPath.split(':').map((element) => join(resolve(directory, element), name));
}

/**
 * The path of the program, symlinks not resolved. On PATH the first executable regular file wins; where there is
 * none, the first file of that name, so that the error can say what is wrong with it.
 * @throws ProgramError when there is no such file on PATH, or no name.
 */
export async function locateProgram(command: Command): Promise<string> {
  const name = command.command[0] ?? '';
  if (name === '') throw new ProgramError('ENOENT', 'no command to run; give one after "--"');
  const candidates = programCandidates(command);
  const [only] = candidates;
  if (name.includes('/') && only !== undefined) return only;
  let unfit: string | null = null;
  for (const candidate of candidates) {
    try {
      const found = await stat(candidate);
      if (found.isFile() && (found.mode & 0o111) !== 0) return candidate;
      unfit ??= candidate;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') unfit ??= candidate;
    }
  }
  if (unfit !== null) return unfit;
  throw new ProgramError(
    'ENOENT',
    `${name}: not found on PATH (${command.searchPath}); install it, or give its path`,
  );
}

/** What keeps the program from being executed, or null. `entries`: what a scan saw at its path, links first. */
export function programTrouble(entries: readonly Entry[]): ProgramError | null {
  const found = entries.at(-1);
  if (!found) return null;
  const { path, real, stat: info } = found;
  const missing = (text: string) => new ProgramError('ENOENT', text);
  const unfit = (what: string) => new ProgramError('EACCES', `${path}: ${what}`);
  const link = entries.findLast((entry) => entry.kind === 'link');
  if (found.kind === 'absent' && found.text === 'ENOENT' && link) {
    return missing(
      `${path}: dangling symlink (${link.real} -> ${link.text}): there is no ${real}; point it at a file that exists`,
    );
  }
  if (found.kind === 'absent') return missing(sentence(path, found.text));
  if (found.kind === 'directory') return unfit('is a directory; name the program in it');
  if (found.kind !== 'file' || !info) return unfit('not a regular file; name a program');
  const mode = Number(info.mode) & 0o7777;
  if ((mode & 0o111) === 0)
    return unfit(`not executable (mode ${mode.toString(8).padStart(4, '0')}); chmod +x it`);
  if (info.size === 0n) return unfit('empty file; copy the program again');
  return null;
}
