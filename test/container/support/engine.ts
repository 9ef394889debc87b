/** The Docker engine that the container tests run on: the one that answers already, else one of their own. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, open, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const STATE = '/run/baton-test/docker';
/** Stays, so that the base images are imported once. */
const DATA = '/var/lib/baton-test/docker';
/** Not docker0: an engine that is told to have no bridge removes that one, whoever made it. */
const BRIDGE = 'batontest0';
const BRIDGE_ADDRESS = '172.31.251.1/24';
/** Else it is the lowest of the containers' own, and whenever that one goes, the others lose their gateway until they ask anew. */
const BRIDGE_MAC = '02:42:ac:1f:fb:01';

export interface Engine {
  /** As for DOCKER_HOST. */
  readonly host: string;
  /** Ends what was started for it; nothing where it was there before. */
  stop(): Promise<void>;
}

/** @throws Error with a sentence where none answers and none can be started */
export async function findEngine(): Promise<Engine> {
  const { DOCKER_HOST } = process.env;
  const own = `unix://${STATE}/docker.sock`;
  for (const host of DOCKER_HOST ? [DOCKER_HOST] : ['unix:///var/run/docker.sock', own])
    if (await answers(host)) return { host, stop: async () => {} };
  if (process.getuid?.() !== 0)
    throw new Error('no Docker engine answers, and only root can start one: set DOCKER_HOST');
  await makeBridge();
  return startEngine({
    state: STATE,
    data: DATA,
    // Ports are published for this machine alone.
    options: ['--bridge', BRIDGE, '--ip', '127.0.0.1'],
  });
}

export interface EngineOptions {
  /** For the socket, the pid file and the log. */
  readonly state: string;
  readonly data: string;
  readonly options: readonly string[];
  /** A command that is put before each that has to do with dockerd, such as `nsenter …`. */
  readonly through?: readonly string[];
}

/** Starts an engine, and waits until it answers. */
export async function startEngine({ state, data, options, through = [] }: EngineOptions): Promise<Engine> {
  const host = `unix://${state}/docker.sock`;
  const pidfile = join(state, 'docker.pid');
  await mkdir(state, { recursive: true });
  const log = await open(join(state, 'dockerd.log'), 'w');
  const [command = '', ...args] = [
    ...through,
    ...['dockerd', '--host', host, '--data-root', data, '--exec-root', join(state, 'exec')],
    ...['--pidfile', pidfile, ...options],
  ];
  const dockerd = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], detached: true });
  const ended = once(dockerd, 'exit').then(async () => {
    const text = await readFile(join(state, 'dockerd.log'), 'utf8');
    throw new Error(`dockerd ended: ${text.trim().split('\n').at(-1)}`);
  });
  ended.catch(() => {});
  await log.close();
  await Promise.race([untilAnswers(host), ended]);
  return {
    host,
    async stop() {
      if (dockerd.exitCode === null && dockerd.signalCode === null) {
        const exit = once(dockerd, 'exit');
        const [killer = '', ...rest] = [...through, 'kill', (await readFile(pidfile, 'utf8')).trim()];
        await run(killer, rest);
        await exit;
      }
    },
  };
}

async function untilAnswers(host: string): Promise<void> {
  while (!(await answers(host))) await pause(100);
}

/** https://docs.docker.com/reference/api/engine/, SystemPing */
function answers(host: string): Promise<boolean> {
  const { protocol, hostname, port, pathname } = new URL(host);
  const target = protocol === 'unix:' ? { socketPath: pathname } : { host: hostname, port };
  return new Promise((resolve) => {
    request({ ...target, path: '/_ping', timeout: 5000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    })
      .on('error', () => resolve(false))
      .end();
  });
}

async function makeBridge(): Promise<void> {
  if (
    await access(`/sys/class/net/${BRIDGE}`).then(
      () => true,
      () => false,
    )
  )
    return;
  await run('ip', ['link', 'add', BRIDGE, 'address', BRIDGE_MAC, 'type', 'bridge']);
  await run('ip', ['address', 'add', BRIDGE_ADDRESS, 'dev', BRIDGE]);
  await run('ip', ['link', 'set', BRIDGE, 'up']);
}

/** Base images, as `baton-on-BASE` with Baton in them. */
const bases = {
  debian: 'debian:bookworm-slim',
  alpine: 'alpine:3',
  distroless: 'distroless/base:nonroot',
  scratch: 'scratch',
};

export type Base = keyof typeof bases;

export const baseNames = Object.keys(bases) as Base[];

/** Makes what the tests run: the bases, Baton's own images with the repository's own rules, and each base with Baton. */
export async function makeImages(host: string): Promise<void> {
  const { dirname: here } = import.meta;
  const options = { env: { ...process.env, DOCKER_HOST: host }, cwd: join(here, '../../..') };
  await run(join(here, 'bases'), options);
  await run('make', ['images'], options);
  for (const base of baseNames) {
    const file = join(here, '../Dockerfile');
    const tag = `baton-on-${base}`;
    await run(
      'docker',
      ['build', '--tag', tag, '--build-arg', `BASE=${bases[base]}`, '--file', file, join(here, '..')],
      options,
    );
  }
}
