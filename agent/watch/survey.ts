/** What there is to watch, from one look at the paths. */
import { type Scan, scanPaths } from '../artifact/scan.ts';
import { directoryIdentity } from './names.ts';
import { isPartOf } from './trees.ts';

export interface Survey {
  readonly scan: Scan;
  /** Regular files, fully resolved, that are watched by themselves and not as a part of a directory. */
  readonly files: ReadonlySet<string>;
  /** Identity → real path of each directory that is watched as a whole. */
  readonly trees: ReadonlyMap<string, string>;
}

export async function survey(paths: readonly string[]): Promise<Survey> {
  const scan = await scanPaths(paths);
  const files = new Set<string>();
  const trees = new Map<string, string>();
  for (const { kind, real } of scan.entries) {
    if (kind === 'file' && !scan.trees.some((tree) => isPartOf(tree, real))) files.add(real);
  }
  for (const tree of scan.trees) trees.set(`${tree}:${directoryIdentity(tree)}`, tree);
  return { scan, files, trees };
}

/** The directories that names are watched in, each with its identity: differs as soon as one was replaced. */
export function footing(scan: Scan): string {
  const lines: string[] = [];
  for (const [directory, names] of scan.names) {
    lines.push([directory, directoryIdentity(directory), ...names].join('\0'));
  }
  return lines.join('\n');
}
