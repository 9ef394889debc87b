import { renameSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Replaces the file in one step: whoever reads it finds the old pid or the new one, never half of it.
 * @throws NodeJS.ErrnoException as write(2) and rename(2)
 */
export function writePidfile(path: string, pid: number): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${pid}\n`, { mode: 0o644 });
  renameSync(temporary, path);
}

export function removePidfile(path: string): void {
  rmSync(path, { force: true });
}
