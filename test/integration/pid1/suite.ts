/** What the tests of PID 1 with an agent share: each is run with both binaries. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { type Binary, binaries, Installation, type Options, Pid1 } from '../../support/pid1.ts';

const { CC = 'cc' } = process.env;

/** Compiles a C file of this folder, or one beside it. */
function fixture(source: string, name: string): string {
  const folder = join(import.meta.dirname, '../../../build/fixtures');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, name);
  execFileSync(CC, ['-O1', '-o', file, join(import.meta.dirname, source)], { stdio: 'inherit' });
  return file;
}

/** See actor.c, stage.c and ../init/witness.c. */
export const actor = fixture('actor.c', 'actor');
export const stage = fixture('stage.c', 'stage');
export const witness = fixture('../init/witness.c', 'witness');

export interface Suite {
  readonly binary: Binary;
  readonly installation: Installation;
  readonly sanitized: boolean;
  start(options?: Options): Promise<Pid1>;
}

/** Tests of one file run at the same time: most of them wait for other processes most of the time. */
export function describePid1(define: (suite: Suite) => void): void {
  describe.each(binaries)('$name', { concurrent: true }, (binary) => {
    let installation: Installation | undefined;
    const installed = () => {
      if (!installation) throw new Error('not installed yet');
      return installation;
    };

    beforeAll(() => {
      installation = new Installation(binary);
      chmodSync(installation.folder, 0o755); // for those who are not root
    });
    afterAll(() => installation?.[Symbol.dispose]());

    define({
      binary,
      sanitized: binary.sanitized,
      get installation() {
        return installed();
      },
      start: (options) => Pid1.start(installed(), options),
    });
  });
}
