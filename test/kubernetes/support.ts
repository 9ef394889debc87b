/** A namespace of the cluster with what deploy/kubernetes describes in it: deployed, loaded, watched and removed by the tests. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { LookupFunction } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { inject, test } from 'vitest';
import type { Status } from '../../agent/health/status.ts';
import { type Load, startLoad } from '../load/load.ts';
import type { Failure } from '../load/report.ts';
import { type LogLine, parseLog, untilStatus as untilServiceStatus } from '../support/deployed.ts';
import { type Running, start } from '../support/namespace.ts';
import { type Endpoints, type Event, type Pod, Watch } from './api.ts';

const root = join(import.meta.dirname, '../..');
const cluster = join(import.meta.dirname, 'cluster');
const run = promisify(execFile);

/** Visibly skipped where there is no cluster; in CI there is one, or the run has failed before the first test. */
export const clusterTest = inject('cluster') ? test : test.skip;

/** This machine, in the pods' network. */
export const HOST = '198.18.0.2';
export const PORT = 8080;
export const HEALTH_PORT = 9901;

export interface StageOptions {
  /** Below deploy/kubernetes: `base`, `overlays/sidecar`… */
  readonly variant: string;
  /** Of the sample's image. Default `v1`. */
  readonly version?: string;
  /** For the pod template's spec, strategically merged: what the manifests leave to their reader, or what the test is about. */
  readonly patch?: object;
  /** A pod security policy of policies.yaml that is allowed besides `restricted`. */
  readonly policy?: 'development';
}

export class Stage implements AsyncDisposable {
  readonly namespace: string;
  readonly pods: Watch<Pod>;
  readonly endpoints: Watch<Endpoints>;
  readonly events: Watch<Event>;
  readonly #directory: string;
  readonly #variant: string;

  private constructor(
    parts: Pick<Stage, 'namespace' | 'pods' | 'endpoints' | 'events'>,
    directory: string,
    variant: string,
  ) {
    this.namespace = parts.namespace;
    this.pods = parts.pods;
    this.endpoints = parts.endpoints;
    this.events = parts.events;
    this.#directory = directory;
    this.#variant = variant;
  }

  /** Resolves once every pod is ready. */
  static async deploy(name: string, options: StageOptions): Promise<Stage> {
    // The last run's may still be on its way out.
    const namespace = `${name}-${randomBytes(3).toString('hex')}`;
    await kubectl('create', 'namespace', namespace);
    if (options.policy) {
      await kubectl(
        ...['create', 'rolebinding', 'policy', '--namespace', namespace],
        ...['--clusterrole', options.policy, '--group', 'system:serviceaccounts'],
      );
    }
    const config = await kubeconfig();
    const [pods, endpoints, events] = await Promise.all([
      Watch.open<Pod>(config, namespace, 'pods'),
      Watch.open<Endpoints>(config, namespace, 'endpoints'),
      Watch.open<Event>(config, namespace, 'events'),
    ]);
    const directory = join(root, 'build/kubernetes', namespace);
    const stage = new Stage({ namespace, pods, endpoints, events }, directory, options.variant);
    await stage.apply(options);
    await stage.rolledOut();
    return stage;
  }

  /** Deploys the variant again, with another version or patch. */
  async apply({ version = 'v1', patch }: Pick<StageOptions, 'version' | 'patch'> = {}): Promise<void> {
    const kustomization = {
      namespace: this.namespace,
      bases: [relative(this.#directory, join(root, 'deploy/kubernetes', this.#variant))],
      images: [
        { name: 'registry.example/app', newName: 'baton.test/app', newTag: version },
        { name: 'busybox', newName: 'baton.test/busybox' },
      ],
      ...(patch && { patchesStrategicMerge: ['patch.yaml'] }),
    };
    await mkdir(this.#directory, { recursive: true });
    await this.#write('kustomization.yaml', kustomization);
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'app' } };
    if (patch) await this.#write('patch.yaml', { ...deployment, spec: { template: { spec: patch } } });
    await kubectl('apply', '--kustomize', this.#directory);
  }

  /** Until the Deployment is as applied: every pod of it new and ready. Old ones may still be on their way out. */
  async rolledOut(): Promise<void> {
    await this.kubectl('rollout', 'status', 'deployment/app', '--timeout=120s');
  }

  /** Whether the Endpoints name this pod. */
  isListed({ status }: Pod): boolean {
    return addressesIn(this.endpoints.current).includes(status.podIP ?? '');
  }

  /** What serves: ready, and not on its way out. */
  get serving(): readonly Pod[] {
    return this.pods.current.filter((pod) => isReady(pod) && !pod.metadata.deletionTimestamp);
  }

  /** One of them. */
  get pod(): Pod {
    const [pod] = this.serving;
    if (!pod) throw new Error('no pod serves');
    return pod;
  }

  /** Until none of these pods is left. */
  async gone(names: readonly string[]): Promise<void> {
    await this.pods.until((pods) => !pods.some(({ metadata }) => names.includes(metadata.name)));
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return kubectl('--namespace', this.namespace, ...args);
  }

  /** Runs the native client in a pod. */
  baton(pod: Pod, ...args: readonly string[]): Promise<string> {
    return this.kubectl('exec', pod.metadata.name, '--container', 'app', '--', '/opt/baton/baton', ...args);
  }

  /** `delayMs`: each change of the Endpoints reaches the clients so much later; default 0. */
  traffic(delayMs = 0): Traffic {
    return new Traffic(this.endpoints, delayMs);
  }

  /** What Baton in this pod logs, from its beginning to its last word: `kubectl logs` may miss that when the pod is removed. */
  async log({ metadata: { name, uid } }: Pod): Promise<PodLog> {
    const directory = join(dirname(await kubeconfig()), 'log/pods', `${this.namespace}_${name}_${uid}`);
    return new PodLog(await start(['tail', '--lines=+1', '--follow', join(directory, 'app/0.log')]));
  }

  async #write(file: string, content: object): Promise<void> {
    // Every JSON document is a YAML one.
    await writeFile(join(this.#directory, file), JSON.stringify(content, null, 2));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pods[Symbol.dispose]();
    this.endpoints[Symbol.dispose]();
    this.events[Symbol.dispose]();
    // Nobody waits for the drain of what no test looks at any more.
    await this.kubectl('delete', 'pods', '--all', '--force', '--grace-period=0', '--wait=false');
    await kubectl('delete', 'namespace', this.namespace, '--wait=false');
    await rm(this.#directory, { recursive: true });
  }
}

/**
 * Clients that connect anew for each request, and clients that keep their connections. Each new connection goes to the next of
 * the pods that the Endpoints name, as a kube-proxy would have it.
 */
export class Traffic implements AsyncDisposable {
  readonly #loads: readonly [Load, Load];
  #next = 0;

  constructor(endpoints: Watch<Endpoints>, delayMs: number) {
    let addresses = addressesIn(endpoints.current);
    endpoints.onChange = async () => {
      const changed = addressesIn(endpoints.current);
      await pause(delayMs);
      addresses = changed;
    };
    const lookup: LookupFunction = (_name, _options, callback) =>
      callback(null, addresses[this.#next++ % addresses.length] ?? '', 4);
    const options = { host: 'endpoints', port: PORT, lookup, timeoutMs: 30_000, rate: 100 };
    this.#loads = [
      startLoad({ ...options, mode: 'per-request' }),
      startLoad({ ...options, mode: 'keep-alive' }),
    ];
  }

  /** Once `count` more requests of each kind have succeeded. */
  async completed(count: number): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.completed(count)));
  }

  /** What did not succeed (nothing, if all is well), and the versions that answered. */
  async stop(): Promise<{ readonly failures: readonly Failure[]; readonly versions: readonly string[] }> {
    const reports = await Promise.all(this.#loads.map((load) => load.stop()));
    return {
      failures: reports.flatMap(({ samples }) => samples),
      versions: [...new Set(reports.flatMap(({ versions }) => [...versions.keys()]))].toSorted(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function addressesIn(endpoints: readonly Endpoints[]): string[] {
  const app = endpoints.find(({ metadata }) => metadata.name === 'app');
  return (app?.subsets ?? []).flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip));
}

export class PodLog implements AsyncDisposable {
  readonly #running: Running;

  constructor(running: Running) {
    this.#running = running;
  }

  get lines(): LogLine[] {
    // Time, stream, and F for a whole line come before each: the log format of the CRI.
    return parseLog(this.#running.stdout.replaceAll(/^\S+ stderr F /gm, ''));
  }

  /** The first line from number `from` on that matches, awaited if it is not there yet. */
  async until(matches: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    for (;;) {
      const found = this.lines.slice(from).find(matches);
      if (found) return found;
      await this.#running.heard();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running[Symbol.asyncDispose]();
  }
}

async function kubeconfig(): Promise<string> {
  return (await run(cluster, ['status'])).stdout.trim();
}

export async function kubectl(...args: readonly string[]): Promise<string> {
  return (await run(cluster, ['kubectl', ...args])).stdout;
}

export function isReady({ status }: Pod): boolean {
  return status.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

export function restarts({ status }: Pod): number {
  return (status.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** The processes of the pod's app whose command line is as wanted, by their pids on this machine. */
export async function hostPids(pod: Pod, wanted: (command: string) => boolean): Promise<number[]> {
  const app = pod.status.containerStatuses?.find(({ name }) => name === 'app');
  const id = app?.containerID?.split('//')[1] ?? 'unknown';
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
    const [cgroup, command] = await Promise.all([read('cgroup'), read('cmdline')]);
    if (cgroup.includes(id) && wanted(command.replaceAll('\0', ' '))) found.push(Number(pid));
  }
  return found;
}

export async function health(pod: Pod, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${pod.status.podIP}:${HEALTH_PORT}${path}`);
  return { status: response.status, body: await response.text() };
}

export function untilStatus(pod: Pod, wanted: (status: Status) => boolean): Promise<Status> {
  return untilServiceStatus((path) => health(pod, path), wanted);
}
