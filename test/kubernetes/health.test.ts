/** The health port, as the kubelet sees it and as a stranger does. */
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { expect } from 'vitest';
import { clusterTest, HEALTH_PORT, hostPids, isReady, restarts, Stage, untilStatus } from './support.ts';

clusterTest(
  'the agent killed and stopped while probed: the pod stays ready, no request is lost',
  async () => {
    await using stage = await Stage.deploy('agent', { variant: 'base' });
    await using traffic = stage.traffic();
    const seen = stage.pods.changes.length;
    await traffic.completed(50);
    await using log = await stage.log(stage.pod);
    for (const signal of ['SIGKILL', 'SIGSTOP', 'SIGKILL'] as const) {
      const [agent] = await hostPids(stage.pod, (command) => command.includes('agent.mjs'));
      const before = log.lines.length;
      process.kill(agent as number, signal);
      // One that is stopped answers no ping: PID 1 ends it.
      await log.until(({ msg }) => msg === 'a new agent carries on', before);
      await traffic.completed(50);
    }
    expect(await traffic.stop()).toEqual({ failures: [], versions: ['v1'] });
    expect(stage.pods.changes.slice(seen).filter(({ object }) => !isReady(object))).toEqual([]);
    expect(stage.serving.map(restarts)).toEqual([0, 0]);
  },
);

const pages = ['/livez', '/readyz', '/startupz', '/metrics', '/status', '/status.txt'];
const verbs = ['reload', 'drain', 'rollback', 'stop', 'exit', 'kill', 'spawn', 'page'];
const strangers = [
  '/',
  ...verbs.flatMap((verb) => [`/${verb}`, `/control/${verb}`, `/${verb}?now`, `/livez/../${verb}`]),
];
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PURGE'];

function ask(host: string, method: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host, port: HEALTH_PORT, method, path, agent: false });
    const answered = ({ statusCode = 0 }: { statusCode?: number }) => {
      asked.destroy();
      resolve(statusCode);
    };
    asked.on('response', answered).on('connect', answered).on('error', reject).end();
  });
}

clusterTest('the health port only tells: no path and no method changes anything', async () => {
  await using stage = await Stage.deploy('read-only', { variant: 'base' });
  const { pod } = stage;
  const host = pod.status.podIP as string;
  const steady = ({ phase }: { phase: string }) => phase === 'steady';
  const before = await untilStatus(pod, steady);
  const answers = new Map<string, number>();
  for (const path of [...pages, ...strangers]) {
    for (const method of methods) answers.set(`${method} ${path}`, await ask(host, method, path));
  }
  const reads = pages.flatMap((path) => [`GET ${path}`, `HEAD ${path}`]);
  const allowed = [...answers].filter(([, status]) => status < 400).map(([asked]) => asked);
  expect(allowed.toSorted()).toEqual(reads.toSorted());
  expect(await untilStatus(pod, steady)).toEqual(before);
  expect(isReady(pod)).toBe(true);
});

clusterTest('nothing but the service and the health port listens', async () => {
  await using stage = await Stage.deploy('ports', { variant: 'base' });
  const [pid] = await hostPids(stage.pod, (command) => command.startsWith('/opt/baton/baton run'));
  const LISTEN = '0A'; // proc_pid_net(5): the state in hexadecimal
  const sockets = async (table: string) =>
    (await readFile(`/proc/${pid}/net/${table}`, 'utf8'))
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
  const tcp = [...(await sockets('tcp')), ...(await sockets('tcp6'))];
  const ports = tcp
    .filter(([, , , state]) => state === LISTEN)
    .map(([, local = '']) => Number.parseInt(local.split(':')[1] ?? '', 16));
  expect(new Set(ports)).toEqual(new Set([8080, 9901]));
  const udp = [...(await sockets('udp')), ...(await sockets('udp6'))].filter(([slot]) => slot);
  expect(udp).toEqual([]);
});
