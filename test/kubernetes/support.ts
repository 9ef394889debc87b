/** A namespace of the cluster with what deploy/kubernetes describes in it: deployed, loaded, watched and removed by the tests. */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Status } from '../../agent/health/status.ts';
import type { Target } from '../load/connection.ts';
import { type Load, type LoadOptions, startLoad } from '../load/load.ts';
import { type LogLine, parseLog } from '../support/deployed.ts';
import { type Running, start } from '../support/namespace.ts';
import { type Endpoints, type Pod, Watch } from './api.ts';

const root = join(import.meta.dirname, '../..');
const cluster = join(import.meta.dirname, 'cluster');
const run = promisify(execFile);

export const PORT = 8080;
export const HEALTH_PORT = 9901;

export interface StageOptions {
  /** Below deploy/kubernetes: `base`, `overlays/sidecar`… */
  readonly variant: string;
  /** Of the sample's image. Default `v1`. */
  readonly version?: string;
  /** For the Deployment, strategically merged: what the manifests leave to their reader, or what the test is about. */
  readonly patch?: object;
  /** Default `false`: until every pod is ready. */
  readonly nobodyReady?: boolean;
}

export class Stage implements AsyncDisposable {
  readonly namespace: string;
  readonly pods: Watch<Pod>;
  readonly endpoints: Watch<Endpoints>;
  readonly #directory: string;
  readonly #variant: string;

  private constructor(
    parts: Pick<Stage, 'namespace' | 'pods' | 'endpoints'>,
    directory: string,
    variant: string,
  ) {
    this.namespace = parts.namespace;
    this.pods = parts.pods;
    this.endpoints = parts.endpoints;
    this.#directory = directory;
    this.#variant = variant;
  }

  static async deploy(namespace: string, options: StageOptions): Promise<Stage> {
    await kubectl('create', 'namespace', namespace);
    const kubeconfig = (await run(cluster, ['status'])).stdout.trim();
    const [pods, endpoints] = await Promise.all([
      Watch.open<Pod>(kubeconfig, namespace, 'pods'),
      Watch.open<Endpoints>(kubeconfig, namespace, 'endpoints'),
    ]);
    const directory = join(root, 'build/kubernetes', namespace);
    const stage = new Stage({ namespace, pods, endpoints }, directory, options.variant);
    await stage.apply(options);
    if (!options.nobodyReady) await stage.rolledOut();
    return stage;
  }

  /** Deploys the variant again, with another version or patch. */
  async apply({ version = 'v1', patch }: Pick<StageOptions, 'version' | 'patch'> = {}): Promise<void> {
    const kustomization = {
      namespace: this.namespace,
      bases: [relative(this.#directory, join(root, 'deploy/kubernetes', this.#variant))],
      images: [{ name: 'registry.example/app', newName: 'baton.test/app', newTag: version }],
      ...(patch && { patchesStrategicMerge: ['patch.yaml'] }),
    };
    await mkdir(this.#directory, { recursive: true });
    await this.#write('kustomization.yaml', kustomization);
    if (patch) {
      const named = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'app' }, ...patch };
      await this.#write('patch.yaml', named);
    }
    await kubectl('apply', '--kustomize', this.#directory);
  }

  /** Until the Deployment is as applied: every pod of it new and ready. Old ones may still be on their way out. */
  async rolledOut(): Promise<void> {
    await this.kubectl('rollout', 'status', 'deployment/app', '--timeout=120s');
  }

  /** What serves: ready, and not on its way out. */
  get serving(): readonly Pod[] {
    return this.pods.current.filter((pod) => isReady(pod) && !pod.metadata.deletionTimestamp);
  }

  /** The only pod that serves. */
  get pod(): Pod {
    const [pod, ...more] = this.serving;
    if (!pod || more.length > 0) throw new Error(`${more.length + (pod ? 1 : 0)} pods serve, not one`);
    return pod;
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return kubectl('--namespace', this.namespace, ...args);
  }

  /** Runs the native client in a pod. */
  baton(pod: Pod, ...args: readonly string[]): Promise<string> {
    return this.kubectl('exec', pod.metadata.name, '--container', 'app', '--', '/opt/baton/baton', ...args);
  }

  /**
   * Load on the pods that the Endpoints name, one after the other, as a kube-proxy would spread it. `delayMs`: each change of the
   * Endpoints reaches this client so much later.
   */
  load(options: Pick<LoadOptions, 'mode'> & Partial<LoadOptions> & { readonly delayMs?: number }): Load {
    const { delayMs = 0, ...rest } = options;
    let addresses = this.#addresses();
    let next = 0;
    this.endpoints.onChange = async () => {
      const changed = this.#addresses();
      await pause(delayMs);
      addresses = changed;
    };
    const pick = (): Target => ({ host: addresses[next++ % addresses.length] ?? '', port: PORT });
    return startLoad({ timeoutMs: 30_000, rate: 100, pick, ...rest });
  }

  #addresses(): string[] {
    const app = this.endpoints.current.find(({ metadata }) => metadata.name === 'app');
    return (app?.subsets ?? []).flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip));
  }

  /** What Baton in this pod logs, from its beginning; to its end, also when the pod is gone by then. */
  async log(pod: Pod): Promise<PodLog> {
    const logs = ['logs', pod.metadata.name, '--container', 'app', '--follow'];
    return new PodLog(await start([cluster, 'kubectl', '--namespace', this.namespace, ...logs]));
  }

  async #write(file: string, content: object): Promise<void> {
    // Every JSON document is a YAML one.
    await writeFile(join(this.#directory, file), JSON.stringify(content, null, 2));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pods[Symbol.dispose]();
    this.endpoints[Symbol.dispose]();
    // Nobody waits for the drain of what no test looks at any more.
    await this.kubectl('delete', 'pods', '--all', '--force', '--grace-period=0', '--wait=false');
    await kubectl('delete', 'namespace', this.namespace, '--wait=false');
    await rm(this.#directory, { recursive: true });
  }
}

export class PodLog implements AsyncDisposable {
  readonly #running: Running;

  constructor(running: Running) {
    this.#running = running;
  }

  get lines(): LogLine[] {
    return parseLog(this.#running.stdout);
  }

  /** The first line that matches, awaited if it is not there yet. */
  async until(matches: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const found = this.lines.find(matches);
      if (found) return found;
      await this.#running.heard();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running[Symbol.asyncDispose]();
  }
}

export async function kubectl(...args: readonly string[]): Promise<string> {
  return (await run(cluster, ['kubectl', ...args])).stdout;
}

export function isReady({ status }: Pod): boolean {
  return status.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

export async function health(pod: Pod, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${pod.status.podIP}:${HEALTH_PORT}${path}`);
  return { status: response.status, body: await response.text() };
}

/** Asks a pod until its status is as wanted. */
export async function untilStatus(pod: Pod, wanted: (status: Status) => boolean): Promise<Status> {
  for (;;) {
    const { status, body } = await health(pod, '/status');
    const now: Status | null = status === 200 ? JSON.parse(body) : null;
    if (now && wanted(now)) return now;
    await pause(20);
  }
}
