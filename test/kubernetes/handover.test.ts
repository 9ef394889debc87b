/** A hot restart in place, by each variant of the manifests: no request is lost, and Kubernetes does not notice. */
import { once } from 'node:events';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type BuildOptions, buildApp } from '../apps/build.ts';
import { clusterTest, HOST, hostPids, isReady, restarts, Stage, untilStatus } from './support.ts';

/** `act`, under load, leads every pod to a further generation. */
async function handOver(stage: Stage, act: () => Promise<unknown>): Promise<readonly string[]> {
  const pods = stage.serving;
  await using traffic = stage.traffic();
  const before = await Promise.all(pods.map((pod) => untilStatus(pod, ({ phase }) => phase === 'steady')));
  const seen = stage.pods.changes.length;
  await traffic.completed(50);
  await act();
  await Promise.all(
    pods.map((pod, index) =>
      untilStatus(
        pod,
        ({ phase, active }) =>
          phase === 'steady' && (active?.generation ?? 0) > (before[index]?.active?.generation ?? 0),
      ),
    ),
  );
  await traffic.completed(50);
  const { failures, versions } = await traffic.stop();
  expect(failures).toEqual([]);
  // Not one change of a pod was seen in which it was anything but ready.
  expect(stage.pods.changes.slice(seen).filter(({ object }) => !isReady(object))).toEqual([]);
  expect(stage.serving.map(({ metadata }) => metadata.name)).toEqual(
    pods.map(({ metadata }) => metadata.name),
  );
  expect(stage.serving.map(restarts)).toEqual(pods.map(() => 0));
  return versions;
}

/** Where the sidecars fetch the program from. */
class Artifacts implements AsyncDisposable {
  #server: Server;
  #program = Buffer.alloc(0);

  constructor() {
    this.#server = createServer((_, response) => response.end(this.#program)).listen(0, HOST);
  }

  async url(): Promise<string> {
    if (!this.#server.listening) await once(this.#server, 'listening');
    return `http://${HOST}:${(this.#server.address() as AddressInfo).port}/app`;
  }

  async publish(version: string, options: BuildOptions = {}): Promise<void> {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'baton-artifact-'));
    const { command } = await buildApp('c', version, directory.path, options);
    this.#program = await readFile(command[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}

clusterTest('the program in the image: baton reload', async () => {
  await using stage = await Stage.deploy('reload', { variant: 'base' });
  const versions = await handOver(stage, async () => {
    for (const pod of stage.serving) await stage.baton(pod, 'reload');
  });
  expect(versions).toEqual(['v1']);
  const [program] = await hostPids(stage.pod, (command) => command.startsWith('/srv/app/app'));
  const environment = (await readFile(`/proc/${program}/environ`, 'utf8')).split('\0');
  expect(environment).toContain(`BATON_MEMORY_LIMIT=${256 * 1024 * 1024}`);
});

clusterTest('the program on an emptyDir that a sidecar keeps up to date', async () => {
  await using artifacts = new Artifacts();
  await artifacts.publish('v1');
  const env = [{ name: 'PROGRAM_URL', value: await artifacts.url() }];
  const patch = { initContainers: [{ name: 'fetch', env }], containers: [{ name: 'sidecar', env }] };
  await using stage = await Stage.deploy('sidecar', { variant: 'overlays/sidecar', patch });
  expect(await handOver(stage, () => artifacts.publish('v2'))).toEqual(['v1', 'v2']);

  // A candidate that takes more memory than the container has.
  await using log = await stage.log(stage.pod);
  await using traffic = stage.traffic();
  await traffic.completed(50);
  await artifacts.publish('v3', { variant: 'fills-memory' });
  const { msg } = await log.until(({ outcome }) => outcome === 'failed');
  expect(msg).toContain('out of memory (limit 256 MiB)');
  await traffic.completed(50);
  expect(await traffic.stop()).toEqual({ failures: [], versions: ['v2'] });
  expect(stage.serving.map(restarts)).toEqual([0, 0]);
});

clusterTest('a changed ConfigMap', async () => {
  await using stage = await Stage.deploy('configmap', { variant: 'overlays/configmap' });
  const config = (line: string) => JSON.stringify({ data: { 'app.conf': `${line}\n` } });
  const versions = await handOver(stage, () =>
    stage.kubectl('patch', 'configmap', 'app', '--patch', config('another-configuration')),
  );
  expect(versions).toEqual(['another-configuration', 'first-configuration']);
});

clusterTest('a program on the node, for development', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'baton-development-'));
  const volume = join(directory.path, 'volume');
  await buildApp('c', 'v1', volume);
  const patch = { volumes: [{ name: 'program', hostPath: { path: volume } }] };
  await using stage = await Stage.deploy('development', {
    variant: 'overlays/hostpath',
    policy: 'development',
    patch,
  });
  expect(await handOver(stage, () => buildApp('c', 'v2', volume))).toEqual(['v1', 'v2']);
  expect(await handOver(stage, () => buildApp('c', 'v3', volume, { replace: 'in-place' }))).toEqual([
    'v2',
    'v3',
  ]);
});
