/**
 * From a command line to what is executed: look, settle, digest, copy; again from the start when it changed
 * meanwhile.
 */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Artifact } from './artifact.ts';
import { digestScan } from './digest.ts';
import { ChangedMeanwhile, ProgramError, sentence } from './errors.ts';
import { inspectProgram } from './inspect.ts';
import { type Command, locateProgram, programCandidates, programTrouble } from './resolve.ts';
import { type Entry, errnoOf, type Scan, scanPaths } from './scan.ts';
import { type Clock, type Look, settle, stillChanging, systemClock } from './settle.ts';
import { snapshot } from './snapshot.ts';
import type { Store } from './store.ts';

/** After this long of unbroken change, ms, the trigger is refused. */
const PATIENCE = 60_000;

export interface PrepareOptions extends Command {
  /**
   * What belongs to the artifact beside the program; relative to `directory`. Empty: the program is what is watched.
   */
  readonly watch: readonly string[];
  /** How long everything must stand still before it is taken, ms, >= 0. */
  readonly settle: number;
  readonly store: Store;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/**
 * The paths to watch, absolute. Where nothing is configured, the program itself; where that is not there yet, every
 * place where it would be found.
 */
export async function watchedPaths(
  options: Command & { readonly watch: readonly string[] },
): Promise<readonly string[]> {
  if (options.watch.length > 0) return options.watch.map((path) => resolve(options.directory, path));
  try {
    return [await locateProgram(options)];
  } catch {
    return programCandidates(options);
  }
}

const NOTHING: Scan = { entries: [], names: new Map(), trees: [] };

interface Sighting extends Look {
  /** Where argv[0] was found, symlinks not resolved; empty when it was not. */
  readonly program: string;
  /** The paths that are watched, as asked for. */
  readonly paths: readonly string[];
}

/**
 * Settles on what is to run.
 * @throws Error whose message is one sentence for the operator; the reason of `signal` when aborted.
 */
export async function prepareArtifact(options: PrepareOptions): Promise<Artifact> {
  const clock = options.clock ?? systemClock;
  const giveUpAt = clock.now() + PATIENCE;
  for (let attempt = 0; ; attempt++) {
    const sighting = await settle(() => look(options), {
      settle: options.settle,
      giveUpAt,
      atOnce: attempt === 0,
      signal: options.signal,
      clock,
    });
    if (sighting.trouble !== null) throw sighting.trouble;
    try {
      return await take(sighting, options);
    } catch (error) {
      if (!(error instanceof ChangedMeanwhile)) throw error;
      if (clock.now() >= giveUpAt) throw new Error(stillChanging(error.path));
      await clock.sleep(Math.max(options.settle / 4, 1), options.signal);
    }
  }
}

async function look(options: PrepareOptions): Promise<Sighting> {
  const paths = await watchedPaths(options);
  let program = '';
  let trouble: Error | null = null;
  try {
    program = await locateProgram(options);
  } catch (error) {
    trouble = error instanceof Error ? error : new Error(String(error));
  }
  // Not scanned: there may be a whole file system below it.
  if (await isDirectory(program)) {
    const trouble = new ProgramError('EACCES', `${program}: is a directory; name the program in it`);
    return { scan: NOTHING, program, paths, trouble };
  }
  const scan = await scanPaths(program === '' ? paths : [program, ...paths], options.signal);
  return { scan, program, paths, trouble: trouble ?? programTrouble(wayTo(program, scan)) };
}

async function isDirectory(path: string): Promise<boolean> {
  if (path === '') return false;
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ?? false;
}

/** What lies on the way to the program: the links, then what they lead to. */
function wayTo(program: string, scan: Scan): readonly Entry[] {
  return scan.entries.filter(({ path }) => path === program);
}

/** By its own name, by another one, or as a part of a watched directory. */
function isWatched({ scan, program, paths }: Sighting, real: string): boolean {
  return paths.includes(program) || scan.entries.filter((entry) => entry.real === real).length > 1;
}

async function take(sighting: Sighting, options: PrepareOptions): Promise<Artifact> {
  const { scan, program } = sighting;
  const { store, signal } = options;
  const digest = await digestScan(program, scan, store.digests, signal);
  const found = wayTo(program, scan).at(-1);
  const content = found && digest.contents.get(found.real);
  if (!found || content === undefined) throw new ChangedMeanwhile(program);
  const artifact = { digest: digest.whole, source: found.real };
  const inspection = await inspect(found.real);
  if (inspection.truncated)
    throw new Error(`${program}: truncated, its ELF segments end beyond the file; copy it again`);
  const setId = (Number(found.stat?.mode ?? 0n) & 0o6000) !== 0;
  // What finds its neighbours from its own path, or draws its rights from its own inode, cannot be run from elsewhere; what
  // is not watched is not expected to change.
  const inPlace = !isWatched(sighting, found.real) || setId || inspection.bound !== null;
  if (store.directory === null || inPlace) {
    await assertExecutable(found.real);
    return { ...artifact, path: found.real };
  }
  return {
    ...artifact,
    path: await snapshot(
      { real: found.real, content, digest: digest.whole },
      store.directory,
      store.room(),
      signal,
    ),
  };
}

async function inspect(real: string) {
  try {
    return await inspectProgram(real);
  } catch (error) {
    const errno = errnoOf(error);
    throw errno === 'ENOENT' ? new ChangedMeanwhile(real) : new Error(sentence(real, errno));
  }
}

async function assertExecutable(real: string): Promise<void> {
  try {
    await access(real, constants.X_OK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new ChangedMeanwhile(real);
    throw new Error(
      `${real}: may not be executed here; mount its volume without noexec, or check its owner and mode`,
    );
  }
}
