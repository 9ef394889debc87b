import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { CC = 'cc' } = process.env;
const folder = mkdtempSync(join(tmpdir(), 'baton-witness-'));
const file = join(folder, 'witness');

chmodSync(folder, 0o755); // for the tests that are not root
execFileSync(CC, ['-O1', '-o', file, join(import.meta.dirname, 'witness.c')], { stdio: 'inherit' });

/** See witness.c. */
export const witness = file;

export function removeWitness(): void {
  rmSync(folder, { recursive: true });
}
