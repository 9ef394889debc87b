/** The manifests are Restricted (Pod Security Standards), with a read-only root besides: the cluster admits nothing else. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { clusterTest, kubectl } from './support.ts';

type Context = Record<string, unknown>;

interface Container {
  securityContext: Context;
}

/** A pod, as far as it matters here. */
interface Manifest {
  readonly spec: {
    hostNetwork?: boolean;
    securityContext: Context;
    readonly containers: readonly [Container, ...Container[]];
    readonly initContainers?: readonly Container[];
  };
}

const manifests = join(import.meta.dirname, '../../deploy/kubernetes');
const cluster = join(import.meta.dirname, 'cluster');

/** The pod of a variant's Deployment. */
async function podOf(variant: string): Promise<Manifest> {
  const documents = parseAllDocuments(await kubectl('kustomize', join(manifests, variant)));
  const deployment = documents.map((document) => document.toJS()).find(({ kind }) => kind === 'Deployment');
  return deployment.spec.template;
}

/** The pod as the API server would admit it; rejects with what it says against that. */
async function admit(pod: Manifest): Promise<Manifest> {
  const command = ['create', '--dry-run=server', '--output=json', '--filename=-'];
  const running = promisify(execFile)(cluster, ['kubectl', ...command]);
  const named = { apiVersion: 'v1', kind: 'Pod', ...pod, metadata: { name: 'app' } };
  running.child.stdin?.end(JSON.stringify(named));
  return JSON.parse((await running).stdout);
}

const contexts = ({ spec }: Manifest) =>
  [spec, ...spec.containers, ...(spec.initContainers ?? [])].map(({ securityContext }) => securityContext);

// A policy may add what is missing: that nothing is added shows that nothing is.
clusterTest.each(['base', 'overlays/sidecar', 'overlays/configmap', 'overlays/hostpath'])(
  '%s is admitted as it is',
  async (variant) => {
    const pod = await podOf(variant);
    expect(contexts(await admit(pod))).toEqual(contexts(pod));
  },
);

describe('refused is', () => {
  const violations: readonly (readonly [string, Context, Context])[] = [
    ['a writable root', {}, { readOnlyRootFilesystem: false }],
    ['a capability', {}, { capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } }],
    ['more privilege by setuid', {}, { allowPrivilegeEscalation: true }],
    ['a privileged container', {}, { privileged: true }],
    ['root', { runAsUser: 0, runAsNonRoot: false }, {}],
    ['no seccomp', { seccompProfile: { type: 'Unconfined' } }, {}],
  ];

  clusterTest.each(violations)('%s', async (_, ofPod, ofContainer) => {
    const pod = await podOf('base');
    Object.assign(pod.spec.securityContext, ofPod);
    Object.assign(pod.spec.containers[0].securityContext, ofContainer);
    await expect(admit(pod)).rejects.toThrow('PodSecurityPolicy: unable to admit pod');
  });

  clusterTest('the network of the node', async () => {
    const pod = await podOf('base');
    pod.spec.hostNetwork = true;
    await expect(admit(pod)).rejects.toThrow('Host network is not allowed');
  });
});
