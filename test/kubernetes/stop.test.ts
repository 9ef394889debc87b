/** The end of a pod, in the order that Kubernetes documents, and in others that happen. */
import { expect } from 'vitest';
import { startRequest } from '../load/request.ts';
import type { LogLine } from '../support/deployed.ts';
import type { Pod } from './api.ts';
import { clusterTest, health, PORT, Stage, untilStatus } from './support.ts';

const drained = ({ msg }: LogLine) => msg === 'drain asked for on the control socket';
const ended = ({ msg }: LogLine) => msg === 'everything has ended';
const stopped = ({ msg }: LogLine) => msg === 'stop asked for by a signal';

const timeOf = (line: LogLine) => Date.parse(String(line['time']));

/** Once Baton has told its health responder of the drain, which it logs a moment before. */
async function probes(pod: Pod): Promise<Record<string, number>> {
  await untilStatus(pod, ({ ready }) => !ready);
  const paths = ['/livez', '/readyz'];
  const answers = await Promise.all(paths.map(async (path) => (await health(pod, path)).status));
  return Object.fromEntries(paths.map((path, index) => [path, answers[index] as number]));
}

const ask = (pod: Pod, path = '/') => startRequest({ host: pod.status.podIP as string, port: PORT }, path);

/** Deletes the pod; resolves once the Endpoints no longer name it. */
async function remove(stage: Stage, pod: Pod): Promise<void> {
  await stage.kubectl('delete', 'pod', pod.metadata.name, '--wait=false');
  await stage.endpoints.until(() => !stage.isListed(pod));
}

// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
clusterTest(
  'preStop and the removal from the Endpoints, then SIGTERM when preStop is over, then the end',
  async () => {
    await using stage = await Stage.deploy('order', { variant: 'base' });
    const { pod } = stage;
    await using log = await stage.log(pod);
    await using traffic = stage.traffic();
    await traffic.completed(50);
    await remove(stage, pod);
    const drain = await log.until(drained);
    // The lame duck: who still comes is served, and nothing that Kubernetes could take for an illness is to be seen.
    expect(await probes(pod)).toEqual({ '/livez': 200, '/readyz': 503 });
    expect(await ask(pod).result).toMatchObject({ kind: 'ok' });
    expect(log.lines.find(stopped)).toBeUndefined();

    const stop = await log.until(stopped);
    expect(timeOf(stop) - timeOf(drain)).toBeGreaterThanOrEqual(12_000);
    expect(await log.until(ended)).toMatchObject({ code: 0 });
    await stage.gone([pod.metadata.name]);
    expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1'] });
  },
);

clusterTest('without preStop the lame duck follows SIGTERM', async () => {
  const patch = { containers: [{ name: 'app', lifecycle: null }] };
  await using stage = await Stage.deploy('no-pre-stop', { variant: 'base', patch });
  const { pod } = stage;
  await using log = await stage.log(pod);
  await using traffic = stage.traffic(10_000);
  await traffic.completed(50);
  await remove(stage, pod);
  const stop = await log.until(stopped);
  expect(await probes(pod)).toEqual({ '/livez': 200, '/readyz': 503 });
  expect(await ask(pod).result).toMatchObject({ kind: 'ok' });

  const end = await log.until(ended);
  expect(end).toMatchObject({ code: 0 });
  expect(timeOf(end) - timeOf(stop)).toBeGreaterThanOrEqual(12_000);
  expect(log.lines.find(drained)).toBeUndefined();
  expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1'] });
});

clusterTest(
  'a grace period too short for what is in flight: that alone is lost, and the log says so',
  async () => {
    const env = [
      { name: 'BATON_DRAIN_DELAY', value: '2s' },
      { name: 'BATON_STOP_GRACE', value: '6s' },
    ];
    const patch = { terminationGracePeriodSeconds: 6, containers: [{ name: 'app', env }] };
    await using stage = await Stage.deploy('short-grace', { variant: 'base', patch });
    const { pod } = stage;
    await using log = await stage.log(pod);
    await using traffic = stage.traffic();
    await traffic.completed(50);
    const long = ask(pod, '/slow?ms=60000');
    await long.head;
    await remove(stage, pod);
    const told = /generation 1 \(pid \d+\) did not end .* what it had begun is lost: stop-grace, 6s/;
    await log.until(({ msg }) => told.test(msg));
    // Baton had time for a last word: the kubelet's SIGKILL did not come first.
    expect((await log.until(ended))['reason']).toMatch(told);
    expect(await long.result).toMatchObject({ kind: expect.stringMatching(/^(reset|eof)$/) });
    await stage.gone([pod.metadata.name]);
    await traffic.completed(50);
    expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1'] });
  },
);
