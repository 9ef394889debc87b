import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

/**
 * Who may know whom: a part imports only what stands in its row, and what is below never what is above. `agent` is the
 * composition at the top of that folder: cli, run, agent.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  config: [],
  deploy: ['config'],
  agent: ['handover', 'artifact', 'readiness', 'watch', 'health', 'control', 'container', 'wire', 'config'],
  handover: ['artifact', 'readiness', 'watch', 'container', 'wire', 'config'],
  health: ['handover', 'container', 'wire', 'config'],
  watch: ['artifact', 'container'],
  artifact: [],
  readiness: ['config'],
  control: [],
  container: [],
  wire: [],
};

/** Files at the top of agent/ that are no composition: the wire to PID 1 and what stands beside it. */
const WIRE = [
  'init.ts',
  'frames.ts',
  'notifications.ts',
  'mailbox.ts',
  'program.ts',
  'pidfile.ts',
  'log.ts',
  'waker.ts',
];

const root = join(import.meta.dirname, '../../..');

function partOf(path: string): string {
  const [top = '', second = '', ...deeper] = path.split('/');
  if (top !== 'agent') return top;
  return deeper.length > 0 ? second : WIRE.includes(second) ? 'wire' : 'agent';
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import) ?\(?'(\.[^']+\.ts)'/g)].map(([, path = '']) =>
    relative(root, join(root, dirname(file), path)),
  );
}

const files = ['agent', 'config', 'deploy'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name)),
);

describe('imports run one way', () => {
  test.each(files)('%s', (file) => {
    const part = partOf(file);
    const strange = importsOf(file).filter(
      (path) => partOf(path) !== part && !MAY_IMPORT[part]?.includes(partOf(path)),
    );
    expect(strange).toEqual([]);
  });

  test('every part has its row, and the rows have no circle', () => {
    const parts = [...new Set(files.map(partOf))];
    expect(Object.keys(MAY_IMPORT)).toEqual(expect.arrayContaining(parts));
    const reach = (part: string): string[] =>
      (MAY_IMPORT[part] ?? []).flatMap((next) => [next, ...reach(next)]);
    for (const part of parts) expect(reach(part)).not.toContain(part);
  });
});
