/** The configuration, from all its sources: flag > environment > file > default. Pure but for reading the one file. */

import { readFile as readFileFromDisk } from 'node:fs/promises';
import process from 'node:process';
import { nameListeners } from './address.ts';
import { cutStopTimeout, RULES } from './check.ts';
import { type FileContent, readYaml } from './file.ts';
import {
  type Config,
  metaOf,
  type OptionKey,
  optionKeys,
  optionName,
  schema,
  type Values,
  variableName,
} from './schema.ts';
import { type Given, mismatch, type Problem, problem, problemLines, type Source } from './source.ts';
import { defaultStopGrace } from './stop-budget.ts';
import { nearest } from './suggest.ts';

/** Read when nothing else is named, and when it is there. */
export const DEFAULT_FILE = '/etc/baton.yaml';

export interface LoadInput {
  /** commander's `opts()` of a command that `addOptions` was called for, `config` included. */
  readonly argvOptions: { readonly config?: unknown; readonly [name: string]: unknown };
  /** What stands after `--`; empty: not given. */
  readonly command: readonly string[];
  readonly environment: {
    readonly BATON_CONFIG?: string | undefined;
    readonly KUBERNETES_SERVICE_HOST?: string | undefined;
    readonly [name: string]: string | undefined;
  };
  /** Rejects as fs.promises.readFile does. */
  readonly readFile?: (path: string) => Promise<Uint8Array>;
  /** Whether stderr is a terminal, for `log-format: auto`. Default: of this process. */
  readonly terminal?: boolean;
  /** Is it a mistake that there is nothing to run? Default: true. */
  readonly requireCommand?: boolean;
}

export type Sources = Readonly<Record<OptionKey, Source>>;

export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly sources: Sources;
      /** The file that was read, or null. */
      readonly file: string | null;
      /** The text of each value that was given. */
      readonly written: Readonly<Partial<Record<OptionKey, unknown>>>;
      /** One line each; nothing that keeps Baton from running. */
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Never throws for what people wrote: every mistake is a line of `errors`, all of them at once. */
export async function loadConfig(input: LoadInput): Promise<Loaded> {
  const { argvOptions, command, environment, terminal = process.stderr.isTTY, requireCommand = true } = input;
  const fromFile = await readGiven(input);
  // From the weakest to the strongest: the last one of a key counts, and all of them are checked.
  const all = [...fromFile.given, ...fromEnvironment(environment), ...fromFlags(argvOptions, command)];
  const problems = [...fromFile.problems];
  const givenByKey = new Map<OptionKey, Given>();
  const invalid = new Set<OptionKey>();
  const values: Partial<Record<OptionKey, unknown>> = {};
  for (const given of all) {
    givenByKey.set(given.key, given);
    const result = schema.shape[given.key].safeParse(given.input);
    if (result.success) {
      values[given.key] = result.data;
      continue;
    }
    invalid.add(given.key);
    for (const issue of result.error.issues) problems.push(explain(given, issue));
  }
  for (const key of optionKeys) if (!givenByKey.has(key)) values[key] = schema.shape[key].parse(undefined);

  const config = settle(values as Values, { terminal, stopGrace: defaultStopGrace(environment) });
  // What is missing may be in a part of the file that was not understood.
  const complete = fromFile.problems.length === 0;
  for (const { reads, whenComplete, check } of RULES) {
    if ((whenComplete && !complete) || reads.some((key) => invalid.has(key))) continue;
    for (const { key, index, text } of check(config)) {
      const given = givenByKey.get(key) ?? { key, input: undefined, source: { from: 'default' } };
      problems.push(problem(given, index, text));
    }
  }
  if (requireCommand && complete && !invalid.has('command') && config.command.length === 0)
    problems.push(NO_COMMAND);
  if (problems.length > 0) return { ok: false, errors: problemLines(problems) };

  const asked = givenByKey.get('stopTimeout');
  const cut = cutStopTimeout(config);
  const cuts = asked && cut ? problemLines([problem(asked, undefined, cut)]) : [];

  const sources = {} as Record<OptionKey, Source>;
  const written: Partial<Record<OptionKey, unknown>> = {};
  for (const key of optionKeys) {
    const given = givenByKey.get(key);
    sources[key] = given?.source ?? { from: 'default' };
    if (given !== undefined) written[key] = given.input;
  }
  const warnings = [...cuts, ...strangers(environment)];
  return { ok: true, config, sources, file: fromFile.file, written, warnings };
}

const NO_COMMAND: Problem = {
  source: { from: 'default' },
  text: 'command: there is nothing to run (put the program after --, or set "command" in the file)',
};

async function readGiven(input: LoadInput): Promise<FileContent & { readonly file: string | null }> {
  const { argvOptions, environment, readFile = readFileFromDisk } = input;
  const { file, namedBy } = whichFile(argvOptions.config, environment.BATON_CONFIG);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    if (namedBy === null && (code === 'ENOENT' || code === 'ENOTDIR'))
      return { file: null, given: [], problems: [] };
    const named = namedBy === null ? '' : ` (named by ${namedBy})`;
    const text = `${file || '""'}: ${READ_ERRORS[code] ?? `cannot be read: ${code}`}${named}`;
    return { file, given: [], problems: [{ source: { from: 'default' }, text }] };
  }
  return { file, ...(await readYaml(file, bytes)) };
}

function whichFile(flag: unknown, variable: string | undefined): { file: string; namedBy: string | null } {
  if (typeof flag === 'string') return { file: flag, namedBy: '--config' };
  if (variable) return { file: variable, namedBy: 'BATON_CONFIG' };
  return { file: DEFAULT_FILE, namedBy: null };
}

const READ_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is not a directory',
  EISDIR: 'is a directory, expected a YAML file',
  EACCES: 'may not be read by this user',
};

/** An empty variable counts as not set: Compose and shells make empty ones out of what is absent. */
function fromEnvironment(environment: LoadInput['environment']): Given[] {
  return optionKeys.flatMap((key) => {
    const text = environment[variableName(key)]?.trim();
    if (!text) return [];
    return [{ key, input: metaOf(key).list ? text.split(/\s+/) : text, source: { from: 'environment' } }];
  });
}

function fromFlags(options: LoadInput['argvOptions'], command: readonly string[]): Given[] {
  const given: Given[] = [];
  for (const key of optionKeys) {
    const value = options[key];
    if (value === undefined) continue;
    // commander's value of --no-NAME.
    const input = value === false ? (metaOf(key).list ? ['off'] : 'off') : value;
    given.push({ key, input, source: { from: 'flag' } });
  }
  if (command.length > 0) given.push({ key: 'command', input: command, source: { from: 'flag' } });
  return given;
}

interface Issue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly params?: { readonly hint?: string } | undefined;
}

function explain(given: Given, issue: Issue): Problem {
  const index = typeof issue.path[0] === 'number' ? issue.path[0] : undefined;
  const got = index === undefined ? given.input : (given.input as unknown[])[index];
  const hint = issue.params?.hint ?? hintForType(given, got);
  return problem(given, index, mismatch(issue.message, got, hint));
}

function hintForType(given: Given, got: unknown): string | undefined {
  if (given.source.from !== 'file') return undefined;
  if (got === null) return 'remove the key to have the default';
  if (typeof got === 'boolean' && metaOf(given.key).list) return `in quotes it is text: "${got}"`;
  if (given.key === 'command' && typeof got === 'string') return 'a list: [program, first argument, …]';
  return undefined;
}

/** Values whose default depends on others, and null for what is not set. Invalid ones are absent, and never read. */
function settle(values: Values, around: { terminal: boolean; stopGrace: number }): Config {
  const listen = nameListeners(values.listen ?? []);
  const accepts = listen.some(({ address }) => !address.startsWith('udp:'));
  return {
    ...values,
    command: values.command ?? [],
    directory: values.directory ?? null,
    control: values.control ?? null,
    watch: values.watch ?? null,
    store: values.store ?? null,
    user: values.user ?? null,
    pidfile: values.pidfile ?? null,
    stopTimeout: values.stopTimeout ?? null,
    stopGrace: values.stopGrace ?? around.stopGrace,
    listen,
    ready: values.ready ?? (accepts ? { method: 'accepting' } : { method: 'delay', ms: 1000 }),
    logFormat: values.logFormat === 'auto' ? (around.terminal ? 'pretty' : 'json') : values.logFormat,
  };
}

/**
 * BATON_* variables that are probably an option, misspelt. A warning only: Kubernetes sets BATON_PORT and the like by itself
 * where there is a Service named baton.
 */
function strangers(environment: LoadInput['environment']): string[] {
  const known = new Map(optionKeys.map((key) => [optionName(key), variableName(key)]));
  const strange = Object.keys(environment).filter(
    (name) => name.startsWith('BATON_') && ![...known.values(), ...OTHER_VARIABLES].includes(name),
  );
  return strange.flatMap((name) => {
    const meant = known.get(nearest(name.slice('BATON_'.length), [...known.keys()]) ?? '');
    return meant === undefined ? [] : [`${name}: no option has this variable (did you mean ${meant}?)`];
  });
}

/** Read elsewhere: where the file is, and where Node is. */
const OTHER_VARIABLES = ['BATON_CONFIG', 'BATON_NODE'];
