/**
 * One look at a set of paths: what is there now, and by which names it is reached. The digest, the settling and the
 * watch all start from this look, so that they cannot disagree about what belongs to an artifact.
 */
import type { BigIntStats } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export type Kind = 'file' | 'directory' | 'link' | 'other' | 'absent';

export interface Entry {
  /** As it was asked for (absolute, symlinks not resolved), or below it. */
  readonly path: string;
  /** Where it really is; for `absent`, where it would be. */
  readonly real: string;
  readonly kind: Kind;
  readonly stat: BigIntStats | null;
  /** The text of a link; the errno of what is absent (ENOENT, ENOTDIR, ELOOP, EACCES, ESTALE…); else empty. */
  readonly text: string;
}

export interface Scan {
  /** In a stable order: by path asked for, then depth first by name. */
  readonly entries: readonly Entry[];
  /** Every name that the way to the paths depends on, by the real directory that holds it. */
  readonly names: ReadonlyMap<string, ReadonlySet<string>>;
  /** Real directories that belong to the artifact with all that is below them. */
  readonly trees: readonly string[];
}

/** As the kernel: path_resolution(7), ELOOP. */
const MAX_LINKS = 40;

/**
 * What a watched directory does not include. Names that start with ".." are Kubernetes' own (its AtomicWriter refuses
 * them to users): the timestamped directory behind `..data`, whose files are reached through the links beside it.
 */
export function isIgnored(name: string): boolean {
  return name === 'node_modules' || name === '.git' || name.startsWith('..');
}

interface Draft {
  readonly entries: Entry[];
  readonly names: Map<string, Set<string>>;
  readonly trees: string[];
  readonly visited: Set<string>;
}

/**
 * Looks at every path (absolute), following symlinks. Never throws for what is not there or cannot be read: that is an
 * `absent` entry with its errno, because a look in the middle of a deploy has to live with anything.
 */
export async function scanPaths(paths: readonly string[], signal?: AbortSignal): Promise<Scan> {
  const draft: Draft = { entries: [], names: new Map(), trees: [], visited: new Set() };
  for (const path of [...new Set(paths)].sort()) {
    signal?.throwIfAborted();
    await follow(path, path, draft, signal);
  }
  return draft;
}

/** Walks `start` component by component as the kernel does, noting each name and link on the way. */
async function follow(path: string, start: string, draft: Draft, signal?: AbortSignal): Promise<void> {
  let directory = '/';
  let pending = components(start);
  let links = 0;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '..') {
      directory = dirname(directory);
      continue;
    }
    const real = join(directory, name);
    note(draft.names, directory, name);
    const found = await look(real);
    if (typeof found === 'string') {
      draft.entries.push(absent(path, real, found));
      return;
    }
    if (found.kind === 'link') {
      if (++links > MAX_LINKS) {
        draft.entries.push(absent(path, real, 'ELOOP'));
        return;
      }
      draft.entries.push({ ...found, path, real });
      if (found.text.startsWith('/')) directory = '/';
      pending = [...components(found.text), ...pending];
    } else if (pending.length > 0 && found.kind !== 'directory') {
      draft.entries.push(absent(path, real, 'ENOTDIR'));
      return;
    } else if (pending.length > 0) {
      directory = real;
    } else {
      await arrive({ ...found, path, real }, draft, signal);
      return;
    }
  }
  // Only "/" itself, or a link to it, has no last name.
  const found = await look(directory);
  if (typeof found !== 'string') await arrive({ ...found, path, real: directory }, draft, signal);
}

async function arrive(entry: Entry, draft: Draft, signal?: AbortSignal): Promise<void> {
  draft.entries.push(entry);
  if (entry.kind !== 'directory' || draft.visited.has(entry.real)) return;
  draft.trees.push(entry.real);
  await descend(entry, draft, signal);
}

async function descend(parent: Entry, draft: Draft, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  draft.visited.add(parent.real);
  let names: string[];
  try {
    names = await readdir(parent.real);
  } catch (error) {
    draft.entries.push(absent(parent.path, parent.real, errnoOf(error)));
    return;
  }
  for (const name of names.sort()) {
    if (isIgnored(name)) continue;
    const path = join(parent.path, name);
    const real = join(parent.real, name);
    const found = await look(real);
    if (typeof found === 'string') {
      draft.entries.push(absent(path, real, found));
    } else if (found.kind === 'link') {
      await follow(path, real, draft, signal);
    } else {
      const entry = { ...found, path, real };
      draft.entries.push(entry);
      if (entry.kind === 'directory' && !draft.visited.has(real)) await descend(entry, draft, signal);
    }
  }
}

/** What is at `real` itself, or the errno of having no answer. */
async function look(real: string): Promise<Pick<Entry, 'kind' | 'stat' | 'text'> | string> {
  try {
    const stat = await lstat(real, { bigint: true });
    if (stat.isSymbolicLink()) return { kind: 'link', stat, text: await readlink(real) };
    const kind = stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other';
    return { kind, stat, text: '' };
  } catch (error) {
    return errnoOf(error);
  }
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

function note(names: Map<string, Set<string>>, directory: string, name: string): void {
  const known = names.get(directory);
  if (known) known.add(name);
  else names.set(directory, new Set([name]));
}

function absent(path: string, real: string, errno: string): Entry {
  return { path, real, kind: 'absent', stat: null, text: errno };
}

/** The symbol of a system error; anything else is a mistake of ours and thrown on. */
export function errnoOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  throw error;
}

/**
 * The identity of what one look saw of an entry. mtime alone would prove nothing (cp -p puts it back); ctime cannot
 * be set.
 */
function fingerprint(entry: Entry): string {
  const { stat } = entry;
  if (!stat) return `absent ${entry.text}`;
  return [stat.mode, stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs, entry.text].join(' ');
}

/** The first path that differs between two looks, or null: for telling people which one. */
export function difference(before: Scan, after: Scan): string | null {
  const length = Math.max(before.entries.length, after.entries.length);
  for (let i = 0; i < length; i++) {
    const [a, b] = [before.entries[i], after.entries[i]];
    if (!a || !b) return (a ?? b)?.path ?? null;
    // Entries are ordered by path: of two that do not match, the lesser one came or went.
    if (a.path !== b.path || a.real !== b.real) return [a.path, b.path].sort()[0] ?? null;
    if (fingerprint(a) !== fingerprint(b)) return a.path;
  }
  return null;
}
