/** `baton run`: joins the parts and stays until the container ends. PID 1 has the truth; this process may die at any moment. */

import process from 'node:process';
import type { Config } from '../config/schema.ts';
import { Agent, type Legacy, type Settings } from './agent.ts';
import { openStore } from './artifact/store.ts';
import { type Cgroup, openCgroup } from './container/cgroup.ts';
import { killedTogether } from './container/limits.ts';
import { writeTerminationLog } from './container/termination-log.ts';
import { artifactOptions } from './handover/ports.ts';
import { STATE_VERSION } from './handover/state.ts';
import { type HeldListener, Init, type InitEvent } from './init.ts';
import { flushLog, type Log, openLog } from './log.ts';
import { readMountPoints } from './watch/mounts.ts';
import { unwatchedCode } from './watch/unwatched.ts';

const EXIT_CONFIG = 78;
const EXIT_SOFTWARE = 70;

/**
 * @param load reads the configuration; asked only where no agent before left one. Rejects with the lines to print.
 */
export async function run(load: () => Promise<Settings>): Promise<void> {
  const early: InitEvent[] = [];
  let onEvent = (event: InitEvent): void => {
    early.push(event);
  };
  const init = Init.connect({ onEvent: (event) => onEvent(event), onEnd: () => process.exit(1) });
  const inventory = await init.attach();

  const legacy = readLegacy(inventory.kept);
  const settings =
    legacy?.settings ?? (await load().catch((error: Error) => giveUp(init, EXIT_CONFIG, error.message)));
  const { config } = settings;
  const log = await openLog({ level: config.logLevel, format: config.logFormat });
  process.on('uncaughtException', (error) => {
    // PID 1 starts the next agent, which carries on from what was kept.
    log.fatal(error, 'the agent failed');
    void flushLog(log).then(() => process.exit(EXIT_SOFTWARE));
  });

  const health = await openHealth(init, settings, log);
  const listeners = await openListeners(init, config, log);
  const cgroup = openCgroup();
  const store = await openStore({
    configured: config.store ?? undefined,
    environment: process.env,
    pid: process.ppid,
    memoryLeft: cgroup.memoryLeft,
  });
  if (store.note) log.warn(store.note);
  if (config.control)
    await init.control(config.control).catch((error: Error) => log.error(`control socket: ${error.message}`));

  const agent = new Agent({
    init,
    settings,
    log,
    health,
    listeners,
    store,
    cgroup,
    oomKills: legacy?.oomKills ?? null,
  });
  const processes = [...inventory.processes, ...early.filter(isAboutProcess)];
  if (legacy) agent.resume(legacy.state, processes);
  else agent.start(processes);
  onEvent = (event) => agent.take(event);
  for (const event of early) agent.take(event);
  await agent.watch();
  if (legacy) return;
  for (const hint of await hints(config, cgroup)) log.warn(hint);
}

/** What is no mistake and yet may surprise; said once in the container's life. */
async function hints(config: Config, cgroup: Cgroup): Promise<string[]> {
  const unwatched =
    config.watch === null ? await unwatchedCode(artifactOptions(config), await readMountPoints()) : null;
  const together = cgroup.killsTogether() ? killedTogether(cgroup.limits()) : null;
  return [unwatched, together].filter((hint) => hint !== null);
}

/** Null where there is none, or one of another version: what its processes are for is then unknown, and they are replaced. */
function readLegacy(kept: string): Legacy | null {
  try {
    const legacy = JSON.parse(kept || 'null') as Legacy | null;
    return legacy?.state.version === STATE_VERSION ? legacy : null;
  } catch {
    return null;
  }
}

/** PID 1 no longer lists a process whose end it is about to tell again. */
function isAboutProcess(event: InitEvent): event is Extract<InitEvent, { type: 'exit' | 'gone' }> {
  return event.type === 'exit' || event.type === 'gone';
}

/** Ends the container before anything runs. */
async function giveUp(init: Init, code: number, text: string): Promise<never> {
  process.stderr.write(`${text}\n`);
  writeTerminationLog(text);
  init.exit(code);
  return new Promise<never>(() => {});
}

async function openHealth(
  init: Init,
  { config, healthOptional }: Settings,
  log: Log,
): Promise<string | null> {
  const address = config.health ?? 'off';
  try {
    const bound = await init.health(address);
    return bound === 'off' ? null : bound;
  } catch (error) {
    const text = `health endpoint: ${address}: ${(error as Error).message}`;
    if (!healthOptional)
      return giveUp(init, 1, `baton: ${text}; choose another with --health ADDRESS, or --health off`);
    log.warn(`${text}; running without it (--health off says the same)`);
    return null;
  }
}

async function openListeners(init: Init, { listen }: Config, log: Log): Promise<HeldListener[]> {
  const opened: HeldListener[] = [];
  for (const { name, address } of listen) {
    try {
      opened.push(await init.listen(name, address));
    } catch (error) {
      return giveUp(init, 1, `baton: cannot listen on ${name}=${address}: ${(error as Error).message}`);
    }
  }
  for (const { name, address } of opened) log.debug({ listener: name, address }, 'listening');
  return opened;
}
