/** A cgroup of the test's own, v1, with limits that a container's would have. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'vitest';
import { cgroupFolders } from '../../agent/container/cgroup.ts';

const { CI } = process.env;
const CONTROLLERS = ['memory', 'cpu'] as const;

/** The folder of this process's own cgroup. */
function ownFolder(controller: string): string {
  const files = ['cgroup', 'mountinfo'].map((name) => readFileSync(`/proc/self/${name}`, 'utf8'));
  const [folder] = cgroupFolders(...(files as [string, string]), controller);
  if (folder === undefined) throw new Error(`no cgroup v1 of the ${controller} controller is mounted here`);
  return folder;
}

function possible(): boolean {
  try {
    for (const controller of CONTROLLERS) accessSync(ownFolder(controller), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A test that makes cgroups of v1: skipped, and reported as such, where that is not allowed; under CI it fails there. */
export const cgroupTest = test.skipIf(!possible() && !CI);

let made = 0;

export class TestCgroup implements AsyncDisposable {
  readonly #folders: readonly string[];

  private constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  static async make(): Promise<TestCgroup> {
    const name = `baton-test-${process.pid}-${++made}`;
    const folders = CONTROLLERS.map((controller) => join(ownFolder(controller), name));
    for (const folder of folders) await mkdir(folder);
    return new TestCgroup(folders);
  }

  /** A command that enters the cgroup and becomes the command that is added to it. */
  get entering(): readonly string[] {
    const enter = this.#folders.map((folder) => `echo 0 >${folder}/cgroup.procs`);
    return ['sh', '-c', [...enter, 'exec "$@"'].join(' && '), 'sh'];
  }

  /** @param file such as `memory.limit_in_bytes`, whose first word is its controller */
  async set(file: string, value: number): Promise<void> {
    await writeFile(this.#path(file), `${value}\n`);
  }

  read(file: string): Promise<string> {
    return readFile(this.#path(file), 'utf8');
  }

  #path(file: string): string {
    const folder = this.#folders[CONTROLLERS.findIndex((controller) => file.startsWith(`${controller}.`))];
    if (folder === undefined) throw new Error(`${file}: only ${CONTROLLERS.join(' and ')} have folders here`);
    return join(folder, file);
  }

  /** Once nothing is left in it: its processes end before, but a moment later than their signal was sent. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of this.#folders) {
      while ((await readFile(join(folder, 'cgroup.procs'), 'utf8')) !== '') await pause(5);
      await rmdir(folder);
    }
  }
}
