/** What no option can know by itself: rules between them. Each is checked once the options it reads are valid. */
import { type Listener, sameEndpoint } from './address.ts';
import { formatDuration } from './duration.ts';
import type { Config, OptionKey } from './schema.ts';
import { signalName } from './signal.ts';
import { stopBudget } from './stop-budget.ts';

export interface Conflict {
  /** The option to change, and the item of it where it is a list. */
  readonly key: OptionKey;
  readonly index?: number;
  /** A clause that follows the option's name. */
  readonly text: string;
}

interface Rule {
  readonly reads: readonly OptionKey[];
  /** It complains of what is missing, so it waits until the whole file is understood. */
  readonly whenComplete?: true;
  readonly check: (config: Config) => readonly Conflict[];
}

/** Cannot be caught, and what PID 1 stops for or needs itself (signal(7)). */
const UNCATCHABLE = ['SIGKILL', 'SIGSTOP'];
const STOPS_BATON = ['SIGTERM', 'SIGINT', 'SIGQUIT'];
const NEEDED = ['SIGCHLD'];

/** Options whose text has no bound of its own. */
const LONG = ['command', 'watch', 'listen', 'ready'] as const;
/** Bytes. PID 1 keeps 128 KiB for the next agent (docs/wire.md, `keep`): the handover's state has the rest. */
const CONFIG_MAX = 32 * 1024;

/** PID 1's table (agent/init/processes.h). */
const PROCESSES_MAX = 256;

const TOGETHER =
  "together with the orchestrator's own: docker's --stop-timeout, terminationGracePeriodSeconds";

/** A stop-timeout that was asked for and will not be had when the container stops, as a clause; null when it fits. */
export function cutStopTimeout({ stopTimeout, drainDelay, stopGrace }: Config): string | null {
  const left = stopBudget(stopGrace) - drainDelay;
  if (stopTimeout === null || stopTimeout <= left) return null;
  const [timeout, cut, grace] = [stopTimeout, left, stopGrace].map(formatDuration);
  return `${timeout} after a reload, but ${cut} when the container stops, which is what stop-grace, ${grace}, leaves (raise stop-grace, ${TOGETHER})`;
}

export const RULES: readonly Rule[] = [
  {
    reads: ['instances', 'maxDraining'],
    check: ({ instances, maxDraining }) => {
      // Those that drain, the active generation and the candidate.
      const most = instances * (maxDraining + 2);
      if (most <= PROCESSES_MAX) return [];
      const text = `${maxDraining} draining generations of ${instances} instances, beside two more, are ${most} processes, at most ${PROCESSES_MAX} are possible (lower it, or instances)`;
      return [{ key: 'maxDraining', text }];
    },
  },
  {
    reads: ['listen'],
    check: ({ listen }) => listen.flatMap((_, index) => listenerConflicts(listen, index)),
  },
  {
    reads: ['listen', 'health'],
    check: ({ listen, health }) => {
      const taken = listen.find(({ address }) => health !== null && sameEndpoint(address, health));
      if (taken === undefined) return [];
      return [
        { key: 'health', text: `${health} is the listener ${taken.name} already (choose another, or off)` },
      ];
    },
  },
  {
    reads: ['ready', 'listen'],
    whenComplete: true,
    check: ({ ready, listen }) =>
      ready.method === 'accepting' && listen.length === 0
        ? [
            {
              key: 'ready',
              text: 'accepting needs a listener (add listen, or choose notify, http, exec or delay)',
            },
          ]
        : [],
  },
  {
    reads: ['restartDelay', 'restartDelayMax'],
    check: ({ restartDelay, restartDelayMax }) => {
      if (restartDelay <= restartDelayMax) return [];
      const most = formatDuration(restartDelayMax);
      return [
        {
          key: 'restartDelay',
          text: `${formatDuration(restartDelay)} is more than restart-delay-max, ${most}`,
        },
      ];
    },
  },
  {
    reads: ['drainDelay', 'stopGrace'],
    check: ({ drainDelay, stopGrace }) => {
      const budget = stopBudget(stopGrace);
      if (drainDelay < budget) return [];
      const [delay, grace, last] = [drainDelay, stopGrace, stopGrace - budget].map(formatDuration);
      const text = `${delay} leaves no time for the drain: stop-grace is ${grace}, and the last ${last} of it are for the end itself (lower it, or raise stop-grace, ${TOGETHER})`;
      return [{ key: 'drainDelay', text }];
    },
  },
  {
    reads: ['reloadSignal'],
    check: ({ reloadSignal }) => {
      const name = signalName(reloadSignal);
      if (UNCATCHABLE.includes(name)) return [{ key: 'reloadSignal', text: `${name} cannot be caught` }];
      if (NEEDED.includes(name))
        return [{ key: 'reloadSignal', text: `${name} tells Baton that a process ended` }];
      if (!STOPS_BATON.includes(name)) return [];
      return [
        {
          key: 'reloadSignal',
          text: `${name} stops the container (choose another, such as SIGHUP or SIGUSR2)`,
        },
      ];
    },
  },
  {
    reads: ['stopSignal'],
    check: ({ stopSignal }) =>
      signalName(stopSignal) === 'SIGSTOP'
        ? [{ key: 'stopSignal', text: 'SIGSTOP would freeze the program, not end it' }]
        : [],
  },
  {
    reads: LONG,
    check: (config) => {
      const size = sizeOf(config);
      if (size <= CONFIG_MAX) return [];
      const [key] = LONG.toSorted((one, other) => sizeOf(config[other]) - sizeOf(config[one]));
      if (key === undefined) return [];
      const advice = 'put what is long into a file of its own';
      return [
        {
          key,
          text: `too long: all options take ${size} bytes together, and ${CONFIG_MAX} are kept (${advice})`,
        },
      ];
    },
  },
  {
    reads: ['command'],
    check: ({ command }) =>
      command[0] === '' ? [{ key: 'command', index: 0, text: 'the name of the program is empty' }] : [],
  },
];

/** As the agent keeps it: agent/agent.ts. */
function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** Each is compared with those before it, so that a clash is told once, at the later one. */
function listenerConflicts(listen: readonly Listener[], index: number): Conflict[] {
  const { name, address } = listen[index] as Listener;
  const earlier = listen.slice(0, index);
  const namesake = earlier.find((other) => other.name === name);
  if (namesake !== undefined)
    return [
      { key: 'listen', index, text: `the name ${name} is taken by ${namesake.address} (names are unique)` },
    ];
  const twin = earlier.find((other) => sameEndpoint(other.address, address));
  return twin === undefined ? [] : [{ key: 'listen', index, text: `${address} is listed twice` }];
}
