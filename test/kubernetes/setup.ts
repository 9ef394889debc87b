/** Before the first test: a cluster, and the images that its pods are made of. After the last: nothing of it is left. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildApp, type Variant } from '../apps/build.ts';

const here = import.meta.dirname;
const cluster = join(here, 'cluster');
const work = join(here, '../../build/kubernetes');
const run = promisify(execFile);

/** As `process.arch`, in the words of images. */
const arch = process.arch === 'x64' ? 'amd64' : process.arch;
const baton = join(here, '../../dist', arch, 'latest/opt/baton');

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether there is one. */
    cluster: boolean;
  }
}

interface Project {
  provide(key: 'cluster', value: boolean): void;
}

export async function setup({ provide }: Project): Promise<(() => Promise<void>) | undefined> {
  try {
    await run(cluster, ['start']);
    await Promise.all([
      importApp('v1'),
      importApp('v2'),
      importApp('never-ready', 'never-ready'),
      importBusybox(),
    ]);
    provide('cluster', true);
  } catch (error) {
    // Where everything has to be tested nothing may be skipped.
    if (process.env['CI']) throw error;
    const { stderr = '', message } = error as { stderr?: string; message: string };
    console.warn(`Kubernetes tests are skipped: ${stderr || message}`);
    provide('cluster', false);
  }
  // For whoever works on the tests: the next run is spared the start.
  if (process.env['BATON_TEST_KEEP']) return undefined;
  return async () => {
    await run(cluster, ['stop']);
  };
}

/** The sample service with Baton, as deploy/docker/Dockerfile has it, but FROM scratch. */
async function importApp(version: string, variant: Variant = 'good'): Promise<void> {
  const { command } = await buildApp('c', version, join(work, version), { variant });
  const config = { Entrypoint: ['/opt/baton/baton', 'run', '--'], Cmd: ['/srv/app/app'] };
  await importImage(`baton.test/app:${version}`, config, [
    `${baton}:/opt/baton`,
    `${command[0]}:/srv/app/app`,
  ]);
}

/** In place of the official one: Debian's, with links to it by the names of its commands. */
async function importBusybox(): Promise<void> {
  const busybox = '/usr/bin/busybox';
  const links = join(work, 'busybox');
  await mkdir(links, { recursive: true });
  await run(busybox, ['--install', '-s', links]);
  await importImage('baton.test/busybox:stable', {}, [`${busybox}:${busybox}`, `${links}:/bin`]);
}

async function importImage(name: string, config: object, content: readonly string[]): Promise<void> {
  await run(cluster, ['import', name, JSON.stringify(config), ...content]);
}
