/** The driver's ports on the real world: PID 1, the artifact, readiness. */

import { statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import type { Config } from '../../config/schema.ts';
import { stopBudget } from '../../config/stop-budget.ts';
import { prepareArtifact } from '../artifact/prepare.ts';
import type { Store } from '../artifact/store.ts';
import type { Limits } from '../container/cgroup.ts';
import { limitVariables } from '../container/limits.ts';
import type { HeldListener, Init } from '../init.ts';
import type { Log } from '../log.ts';
import type { Notifications } from '../notifications.ts';
import { programEnvironment, programVariables } from '../program.ts';
import { probe } from '../readiness/index.ts';
import type { Ports } from './driver.ts';

const { SIGKILL } = constants.signals;

/** Where programs are looked for when PATH is not set, as in agent/init/base.h. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface World {
  readonly init: Init;
  readonly log: Log;
  readonly config: Config;
  readonly store: Store;
  readonly listeners: readonly HeldListener[];
  readonly notifications: Notifications;
  /** Read anew, because an engine changes them while the container runs. */
  readonly limits: () => Limits;
}

/** CLOCK_MONOTONIC, ms: unlike performance.now() it does not start anew with each process. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** The agent's bundle lies beside the binary that started it (agent/init/node.c). */
function batonBinary(): string {
  return join(dirname(process.argv[1] ?? ''), 'baton');
}

/** What it takes to find the program, and what else belongs to it. */
export function artifactOptions(config: Config) {
  return {
    command: config.command,
    directory: config.directory ?? process.cwd(),
    searchPath: process.env['PATH'] ?? DEFAULT_PATH,
    watch: config.watch ?? [],
  };
}

export function processPorts(world: World): Pick<Ports, 'now' | 'prepare' | 'spawn' | 'probe' | 'kill'> {
  const { init, log, config, store, listeners, notifications, limits } = world;
  const binary = batonBinary();
  const options = artifactOptions(config);
  const { directory } = options;
  const stopGrace = stopBudget(config.stopGrace);
  const variables = (generation: number, instance: number) => ({
    ...programVariables(generation, instance),
    ...limitVariables(limits(), process.env),
  });

  return {
    now: monotonicNow,

    prepare: (_, signal) => prepareArtifact({ ...options, settle: config.settle, store, signal }),

    async spawn({ key, generation, instance, artifact }) {
      const pid = await init.spawn({
        key,
        argv: config.command,
        path: artifact.path,
        environment: variables(generation, instance),
        listeners: listeners.map(({ name }) => name),
        user: config.user?.user,
        group: config.user?.group ?? undefined,
        directory,
        stopSignal: config.stopSignal,
        stopTimeout: config.stopTimeout ?? stopGrace,
        stopGrace,
        stopScope: config.stopScope,
      });
      log.info(
        { generation, process: key, pid, source: artifact.source },
        `generation ${generation} starting`,
      );
      return pid;
    },

    probe: ({ key, pid, generation, instance }, signal) =>
      probe(
        config.ready,
        {
          key,
          pid,
          listeners,
          credentials: credentialsOf(pid),
          directory,
          environment: programEnvironment(process.env, variables(generation, instance)),
          notified: notifications.of(pid),
          binary,
        },
        signal,
      ),

    // It may have ended by itself meanwhile; its exit is told as an event of its own.
    kill({ key, pid, signal, scope }) {
      log.debug(
        { process: key, pid, signal, scope },
        signal === SIGKILL ? 'drain time is up: killing' : 'asking to stop',
      );
      return init.kill(pid, signal, scope).catch(() => {});
    },
  };
}

/** /proc/PID belongs to the process's effective user and group (proc(5)). */
function credentialsOf(pid: number): { uid?: number; gid?: number } {
  const stat = statSync(`/proc/${pid}`, { throwIfNoEntry: false });
  return stat ? { uid: stat.uid, gid: stat.gid } : {};
}
