/**
 * The options: the one table from which flags, BATON_* variables, YAML keys, the JSON Schema and the reference in
 * docs/configuration.md are made. An option is written as text everywhere; its schema turns that text into the value.
 *
 * `zod/mini`, because the agent's memory is counted: it costs 4 MB where the full zod costs 16.
 */
import * as z from 'zod/mini';
import { ADDRESS_EXPECTED, LISTENER_PATTERN, type Listener, parseAddress, parseListener } from './address.ts';
import { DURATION_PATTERN, durationExpected, parseDuration } from './duration.ts';
import { accepted, type Parsed, refused } from './parsed.ts';
import { parseReadiness, READINESS_EXPECTED, READINESS_PATTERN, type Readiness } from './readiness.ts';
import { parseSignal, SIGNAL_EXPECTED } from './signal.ts';
import { parseUser, USER_PATTERN } from './user.ts';

export type { Listener } from './address.ts';
export type { Readiness } from './readiness.ts';
export type { User } from './user.ts';

export type Group = (typeof GROUPS)[number];

/** In the order of the help and of the reference. */
export const GROUPS = [
  'The program',
  'Sockets',
  'Reloads',
  'Readiness',
  'Stopping',
  'Crashes',
  'Running as',
  'Logging',
] as const;

export interface OptionMeta {
  readonly group: Group;
  /** A sentence or a few, without the default. */
  readonly description: string;
  /** What stands for the value in `--flag <VALUE>`. */
  readonly placeholder: string;
  /** What happens when nothing is given, where that is no value that one could write. */
  readonly otherwise?: string;
  /** Given after `--` rather than by a flag. */
  readonly operand?: true;
  /** A list: the flag may be repeated, the variable is split at white space. */
  readonly list?: true;
  /** `off` is a value: `--no-NAME` and the YAML value `false` mean the same. */
  readonly off?: true;
}

/** What is known of each option, for people. */
export const optionMeta = z.registry<OptionMeta>();

/** The JSON Schema of a value that is parsed from text: editors check its form, the parser checks all. */
interface TextShape {
  readonly type: 'string' | 'integer' | readonly ['string', 'integer'];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

export const textShapes = z.registry<TextShape>();

/** What YAML takes for a number when it is written without quotes, such as 0 or a user id. */
const NUMERIC = ['string', 'integer'] as const;

/**
 * A value that is written as text.
 * @param expected completes "expected …" when it is no text at all
 */
function text<T>(expected: string, parse: (text: string) => Parsed<T>, shape: Partial<TextShape> = {}) {
  const convert = z.transform((input: string, context): T => {
    const parsed = unfit(input, expected) ?? parse(input);
    if (parsed.ok) return parsed.value;
    const { expected: message, hint } = parsed;
    context.issues.push({ code: 'custom', input, message, params: { hint } });
    return z.NEVER;
  });
  return z.pipe(z.string(expected), convert).register(textShapes, { type: 'string', ...shape });
}

/** Node.js reads arguments and variables as UTF-8, and what is none as U+FFFD: the program would be given other bytes. */
function unfit(input: string, expected: string): Parsed<never> | null {
  if (input.includes('\0')) return refused(`${expected}, without NUL`);
  if (input.includes('\uFFFD'))
    return refused(`${expected}, in UTF-8`, 'put other bytes in a script of its own');
  return null;
}

function duration(low: number, high: number) {
  return text(durationExpected(low, high), (value) => parseDuration(value, low, high), {
    type: NUMERIC,
    pattern: DURATION_PATTERN,
  });
}

function integer(low: number, high: number) {
  const expected = `a whole number from ${low} to ${high}`;
  const parse = (value: string) => {
    const number = Number(value);
    return /^[0-9]{1,9}$/.test(value) && number >= low && number <= high
      ? accepted(number)
      : refused(expected);
  };
  return text(expected, parse, { type: 'integer', minimum: low, maximum: high });
}

function absolutePath(example: string) {
  const expected = `an absolute path such as ${example}`;
  const parse = (value: string) =>
    value.startsWith('/') ? accepted(value) : refused(expected, 'it begins with /');
  return text(expected, parse, { pattern: '^/' });
}

function signal() {
  return text(SIGNAL_EXPECTED, parseSignal, { type: NUMERIC });
}

function oneOf<const T extends readonly [string, ...string[]]>(...words: T) {
  return z.enum(words, `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const argument = text('a string', (value) => accepted(value));

const watchedPath = text('a path', (value) => (value.trim() === '' ? refused('a path') : accepted(value)), {
  pattern: '\\S',
});

const watched = z.pipe(
  z.array(watchedPath, 'a list of paths, or off'),
  z.transform((paths: string[], context): readonly string[] => {
    const off = paths.indexOf('off');
    if (off < 0) return paths;
    if (paths.length === 1) return [];
    context.issues.push({
      code: 'custom',
      input: 'off',
      path: [off],
      message: 'a path',
      params: { hint: 'off stands alone' },
    });
    return z.NEVER;
  }),
);

const healthAddress = text<string | null>('an address such as :9901, or off', (value) => {
  if (value === 'off') return accepted(null);
  const address = parseAddress(value);
  return address.ok && address.value.startsWith('udp:') ? refused('a TCP or Unix address, or off') : address;
});

const listeners = z.array(
  text(ADDRESS_EXPECTED, parseListener, { pattern: LISTENER_PATTERN }),
  'a list of addresses',
);

const fields = {
  command: z.prefault(z.array(argument, 'a list of strings'), []).register(optionMeta, {
    group: 'The program',
    placeholder: 'COMMAND…',
    operand: true,
    list: true,
    otherwise: 'none: it has to be given',
    description:
      'The program and its arguments, given after `--` or as a list in the file. It is started as it stands, without a shell.',
  }),
  directory: z.optional(absolutePath('/srv/app')).register(optionMeta, {
    group: 'The program',
    placeholder: 'PATH',
    otherwise: 'the directory that Baton was started in',
    description: 'The directory that the program is started in.',
  }),
  instances: z.prefault(integer(1, 32), '1').register(optionMeta, {
    group: 'The program',
    placeholder: 'N',
    description:
      'How many identical processes make up a generation; all of them accept on the same sockets. For programs that use one core each.',
  }),
  pidfile: z.optional(absolutePath('/run/app.pid')).register(optionMeta, {
    group: 'The program',
    placeholder: 'PATH',
    otherwise: 'none is written',
    description:
      "A file that always holds the active generation's pid, replaced atomically at each handover.",
  }),

  listen: z.prefault(listeners, []).register(optionMeta, {
    group: 'Sockets',
    placeholder: '[NAME=]ADDRESS',
    list: true,
    otherwise: 'none',
    description:
      'A socket that Baton opens before the program starts and keeps open until the container stops. The program finds the first at descriptor 3, the next at 4, …, with LISTEN_FDS and LISTEN_FDNAMES set as by systemd.',
  }),
  health: z.prefault(healthAddress, ':9901').register(optionMeta, {
    group: 'Sockets',
    placeholder: 'ADDRESS|off',
    off: true,
    description:
      'Where /livez, /readyz, /startupz, /metrics and /status are served, for probes and Prometheus.',
  }),
  control: z.optional(absolutePath('/run/baton.sock')).register(optionMeta, {
    group: 'Sockets',
    placeholder: 'PATH',
    otherwise: 'none: clients inside the container find the abstract address',
    description:
      'A socket file for `baton reload`, `baton status` and `baton drain`, beside the abstract address, for those who want to mount it. Clients use it with `--socket PATH`, or with the same BATON_CONTROL.',
  }),

  watch: z.optional(watched).register(optionMeta, {
    group: 'Reloads',
    placeholder: 'PATH',
    list: true,
    off: true,
    otherwise: "the program's own executable",
    description:
      'A file or directory whose change starts a reload. Naming one replaces the default, so name the executable too if it should still count. `off`: reload only by signal or command.',
  }),
  settle: z.prefault(duration(0, 10 * 60_000), '200ms').register(optionMeta, {
    group: 'Reloads',
    placeholder: 'DURATION',
    description:
      'How long everything watched must stand still before a change is taken, so that a file still being copied is not started. Raise it for slow copies over a network.',
  }),
  reloadSignal: z.prefault(signal(), 'SIGHUP').register(optionMeta, {
    group: 'Reloads',
    placeholder: 'SIGNAL',
    description:
      'The signal to PID 1 that starts a reload, as in `docker kill -s HUP`. Signals that Baton does not use itself are passed on to the program.',
  }),
  maxDraining: z.prefault(integer(1, 32), '4').register(optionMeta, {
    group: 'Reloads',
    placeholder: 'N',
    description:
      'How many old generations may still be finishing their connections. One more reload waits until one of them is gone, so that long connections cannot pile up processes.',
  }),
  store: z.optional(absolutePath('/var/lib/baton')).register(optionMeta, {
    group: 'Reloads',
    placeholder: 'PATH',
    otherwise: 'the first that can be used of /run/baton, $XDG_RUNTIME_DIR/baton and the temporary directory',
    description:
      'Where the program is copied to before it is started, so that a later write to the original cannot harm what runs. It needs room for a few copies and must not be mounted noexec.',
  }),

  ready: z
    .optional(text<Readiness>(READINESS_EXPECTED, parseReadiness, { pattern: READINESS_PATTERN }))
    .register(optionMeta, {
      group: 'Readiness',
      placeholder: 'METHOD',
      otherwise: 'accepting with a tcp or unix listener, else delay:1s',
      description:
        'How the new generation proves that it serves; only then is the old one asked to stop. See [Readiness](#readiness).',
    }),
  readyTimeout: z.prefault(duration(1, DAY), '30s').register(optionMeta, {
    group: 'Readiness',
    placeholder: 'DURATION',
    description:
      'How long a new generation may take to become ready. After that it is stopped and the old one carries on untouched.',
  }),

  stopSignal: z.prefault(signal(), 'SIGTERM').register(optionMeta, {
    group: 'Stopping',
    placeholder: 'SIGNAL',
    description:
      'The signal that asks the program to finish its work and exit: SIGQUIT for nginx, SIGTERM for most others.',
  }),
  stopTimeout: z.optional(duration(0, DAY)).register(optionMeta, {
    group: 'Stopping',
    placeholder: 'DURATION',
    otherwise: '20s after a reload; when the container stops, all that stop-grace leaves',
    description:
      'How long the program may take from the stop signal to its exit; then SIGKILL ends it. When the container stops, never longer than stop-grace leaves.',
  }),
  stopGrace: z.optional(duration(1000, DAY)).register(optionMeta, {
    group: 'Stopping',
    placeholder: 'DURATION',
    otherwise: '30s in Kubernetes, else 10s',
    description:
      "How long the orchestrator waits from its stop signal to its own SIGKILL: docker's --stop-timeout, stop_grace_period, terminationGracePeriodSeconds. drain-delay, the drain and the exit share it, so that its SIGKILL never comes first. See [Stopping](#stopping-the-container).",
  }),
  stopScope: z.prefault(oneOf('process', 'group'), 'process').register(optionMeta, {
    group: 'Stopping',
    placeholder: 'process|group',
    description:
      'Who gets the stop signal: the main process alone, or its whole process group. `group` is for wrappers that do not pass signals on; workers of a server with a master are killed in mid-request by it.',
  }),
  drainDelay: z.prefault(duration(0, HOUR), '0s').register(optionMeta, {
    group: 'Stopping',
    placeholder: 'DURATION',
    description:
      'When the container stops: how long to go on serving with /readyz at 503 before the stop signal, so that load balancers can look away first. Part of stop-grace. Does not apply to reloads.',
  }),

  restartLimit: z.prefault(integer(1, 1000), '5').register(optionMeta, {
    group: 'Crashes',
    placeholder: 'N',
    description:
      "How many crashes within restart-window are too many: at that one Baton exits with the program's code, so that the orchestrator sees it. 1: the first crash ends the container.",
  }),
  restartWindow: z.prefault(duration(1000, DAY), '60s').register(optionMeta, {
    group: 'Crashes',
    placeholder: 'DURATION',
    description: 'How long a crash counts towards restart-limit.',
  }),
  restartDelay: z.prefault(duration(0, HOUR), '100ms').register(optionMeta, {
    group: 'Crashes',
    placeholder: 'DURATION',
    description:
      'The pause before the first restart after a crash; it doubles with each further one. Meanwhile connections wait in the queue of the socket.',
  }),
  restartDelayMax: z.prefault(duration(0, HOUR), '10s').register(optionMeta, {
    group: 'Crashes',
    placeholder: 'DURATION',
    description: 'The longest such pause.',
  }),

  user: z
    .optional(text('USER or USER:GROUP', parseUser, { type: NUMERIC, pattern: USER_PATTERN }))
    .register(optionMeta, {
      group: 'Running as',
      placeholder: 'USER[:GROUP]',
      otherwise: "Baton's own",
      description:
        'As whom the program runs, by name or number, with the rules of `docker run --user`. Baton itself keeps its own user, so privileged ports and socket files are still its to open.',
    }),

  logLevel: z
    .prefault(oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'), 'info')
    .register(optionMeta, {
      group: 'Logging',
      placeholder: 'LEVEL',
      description:
        "The least important of Baton's own lines that are written: trace, debug, info, warn, error or fatal. The program's output is never touched.",
    }),
  logFormat: z.prefault(oneOf('auto', 'json', 'pretty'), 'auto').register(optionMeta, {
    group: 'Logging',
    placeholder: 'auto|json|pretty',
    description:
      'How they are written to stderr. `auto`: pretty on a terminal, else JSON, one line an event.',
  }),
};

/** The whole configuration as one object, its keys in camelCase. */
export const schema = z.strictObject(fields);

export type OptionKey = keyof typeof fields;

export const optionKeys = Object.keys(fields) as OptionKey[];

/** Values after parsing: what was not given and has no default is undefined. */
export type Values = z.output<typeof schema>;

type Settled<T> = undefined extends T ? Exclude<T, undefined> | null : T;

/**
 * The effective configuration. Durations are milliseconds, signals numbers (1..64), addresses URLs (address.ts).
 * null: `watch` the program's own executable ([]: nothing); `health` off; `control` the abstract address; `store` the
 * first that can be used; `user`, `directory` Baton's own; `pidfile` none; `stopTimeout` RELOAD_STOP_TIMEOUT after a
 * reload, and when the container stops all that `stopGrace` leaves (stop-budget.ts).
 */
export type Config = {
  readonly [K in Exclude<OptionKey, 'listen' | 'ready' | 'stopGrace' | 'logFormat'>]: Settled<Values[K]>;
} & {
  readonly listen: readonly Listener[];
  readonly ready: Readiness;
  readonly stopGrace: number;
  readonly logFormat: 'json' | 'pretty';
};

export function metaOf(key: OptionKey): OptionMeta {
  const meta = optionMeta.get(fields[key]);
  if (meta === undefined) throw new Error(`option ${key} is not described`);
  return meta;
}

/** readyTimeout → "ready-timeout": the YAML key, and the flag without its dashes. */
export function optionName(key: OptionKey): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** readyTimeout → "BATON_READY_TIMEOUT". */
export function variableName(key: OptionKey): string {
  return `BATON_${optionName(key).toUpperCase().replaceAll('-', '_')}`;
}

/** The default as one would write it, or undefined where there is none to write. */
export function defaultText(key: OptionKey): string | undefined {
  const definition = fields[key].def;
  return 'defaultValue' in definition && typeof definition.defaultValue === 'string'
    ? definition.defaultValue
    : undefined;
}

/** The description without its Markdown: for the help and for comments. */
export function plainDescription(key: OptionKey): string {
  return metaOf(key)
    .description.replace(/ See \[[^\]]*\]\([^)]*\)\./g, '')
    .replaceAll('`', '');
}
