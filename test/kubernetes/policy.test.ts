/** The manifests are Restricted (Pod Security Standards), with a read-only root besides: the cluster refuses all else. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { kubectl } from './support.ts';

/** The pod of the base's Deployment, as far as it is changed here. */
interface Manifest {
  readonly spec: {
    hostNetwork?: boolean;
    volumes?: unknown[];
    securityContext: Record<string, unknown>;
    readonly containers: readonly [{ securityContext: Record<string, unknown> }];
  };
}

const base = join(import.meta.dirname, '../../deploy/kubernetes/base');
const cluster = join(import.meta.dirname, 'cluster');

async function manifest(): Promise<Manifest> {
  const documents = parseAllDocuments(await kubectl('kustomize', base));
  const deployment = documents.map((document) => document.toJS()).find(({ kind }) => kind === 'Deployment');
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app' }, ...deployment.spec.template };
}

/** What the API server says of a pod that it is asked to admit, and not to keep. */
async function admit(pod: Manifest): Promise<string> {
  const running = promisify(execFile)(cluster, ['kubectl', 'create', '--dry-run=server', '--filename=-']);
  running.child.stdin?.end(JSON.stringify({ ...pod, metadata: { name: 'app' } }));
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

test('the base is admitted', async () => {
  expect(await admit(await manifest())).toContain('pod/app created');
});

describe('refused is', () => {
  const container = ({ spec }: Manifest) => spec.containers[0].securityContext;
  const violations: readonly [string, (pod: Manifest) => void, string][] = [
    [
      'a writable root',
      (pod) => (container(pod)['readOnlyRootFilesystem'] = false),
      'ReadOnlyRootFilesystem',
    ],
    ['a kept capability', (pod) => (container(pod)['capabilities'] = {}), 'drop'],
    ['more privilege by setuid', (pod) => (container(pod)['allowPrivilegeEscalation'] = true), 'escalation'],
    ['a privileged container', (pod) => (container(pod)['privileged'] = true), 'Privileged'],
    ['root', (pod) => Object.assign(pod.spec.securityContext, { runAsUser: 0, runAsNonRoot: false }), 'root'],
    [
      'no seccomp profile',
      (pod) => (pod.spec.securityContext['seccompProfile'] = { type: 'Unconfined' }),
      'seccomp',
    ],
    ['the network of the node', (pod) => (pod.spec.hostNetwork = true), 'Host network'],
  ];

  test.each(violations)('%s', async (_, violate, word) => {
    const pod = await manifest();
    violate(pod);
    const answer = await admit(pod);
    expect(answer).toContain('PodSecurityPolicy: unable to admit pod');
    expect(answer.toLowerCase()).toContain(word.toLowerCase());
  });
});
