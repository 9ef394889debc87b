/** A readiness check that the test itself passes: a generation is ready while the gate is open, as at first. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Gate implements AsyncDisposable {
  /** For `--ready`. */
  readonly readiness: string;
  readonly #directory: string;
  readonly #file: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#file = join(directory, 'open');
    this.readiness = `exec:test -e ${this.#file}`;
  }

  static async opened(): Promise<Gate> {
    const gate = new Gate(await mkdtemp(join(tmpdir(), 'baton-gate-')));
    await gate.open();
    return gate;
  }

  open(): Promise<void> {
    return writeFile(this.#file, '');
  }

  close(): Promise<void> {
    return rm(this.#file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}
