import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../config/load.ts';
import { optionKeys } from '../../../config/schema.ts';
import { configOf, errorsOf, FILE, type Given, load } from './support.ts';

describe('defaults', () => {
  test('are these', async () => {
    expect(await configOf({})).toEqual({
      command: ['server'],
      directory: null,
      instances: 1,
      pidfile: null,
      listen: [],
      health: 'tcp://*:9901',
      control: null,
      watch: null,
      settle: 200,
      reloadSignal: 1,
      maxDraining: 4,
      store: null,
      ready: { method: 'delay', ms: 1000 },
      readyTimeout: 30_000,
      stopSignal: 15,
      stopTimeout: null,
      stopGrace: 10_000,
      stopScope: 'process',
      drainDelay: 0,
      restartLimit: 5,
      restartWindow: 60_000,
      restartDelay: 100,
      restartDelayMax: 10_000,
      user: null,
      logLevel: 'info',
      logFormat: 'json',
    });
  });

  test.each([
    [':80', 'accepting'],
    ['unix:///run/web.sock', 'accepting'],
    ['udp://:53', 'delay'],
  ])('with the listener %s it is ready by %s', async (address, method) => {
    expect((await configOf({ argv: ['--listen', address, '--', 'x'] })).ready.method).toBe(method);
  });

  test.each([
    ['in Kubernetes', { KUBERNETES_SERVICE_HOST: '10.96.0.1' }, 30_000],
    [
      'in Kubernetes, told otherwise',
      { KUBERNETES_SERVICE_HOST: '10.96.0.1', BATON_STOP_GRACE: '60s' },
      60_000,
    ],
    ['elsewhere', { KUBERNETES_SERVICE_HOST: '' }, 10_000],
  ])('stop-grace %s is what the orchestrator waits', async (_, environment, stopGrace) => {
    expect((await configOf({ environment })).stopGrace).toBe(stopGrace);
  });

  test('logs are pretty on a terminal, unless json is asked for', async () => {
    const input = { command: ['x'], environment: {}, terminal: true, readFile: async () => new Uint8Array() };
    const formats = await Promise.all(
      [{}, { logFormat: 'json' }].map(async (argvOptions) => {
        const loaded = await loadConfig({ ...input, argvOptions });
        return loaded.ok && loaded.config.logFormat;
      }),
    );
    expect(formats).toEqual(['pretty', 'json']);
  });
});

describe('precedence', () => {
  const file = 'settle: 1s\ninstances: 2\nuser: file\nlisten: [":1", ":2"]\ncommand: [file]\n';
  const environment = {
    BATON_INSTANCES: '3',
    BATON_USER: 'env',
    BATON_LISTEN: 'a=:3 b=:4',
    BATON_COMMAND: 'env 1',
  };

  test('a flag wins over the environment, that over the file, that over the default', async () => {
    const loaded = await load({
      file,
      environment,
      argv: ['--user', 'flag', '--listen', ':5', '--', 'flag', '--user', 'x'],
    });
    expect(loaded).toMatchObject({
      ok: true,
      file: FILE,
      config: {
        stopSignal: 15,
        settle: 1000,
        instances: 3,
        user: { user: 'flag' },
        listen: [{ name: 'listen', address: 'tcp://*:5' }],
        command: ['flag', '--user', 'x'],
      },
      sources: {
        stopSignal: { from: 'default' },
        settle: { from: 'file', file: FILE, line: 1, column: 9 },
        instances: { from: 'environment' },
        user: { from: 'flag' },
        listen: { from: 'flag' },
        command: { from: 'flag' },
      },
    });
  });

  test('a list is replaced as a whole, and split at white space in a variable', async () => {
    const config = await configOf({ file, environment, argv: [] });
    expect(config.listen).toEqual([
      { name: 'a', address: 'tcp://*:3' },
      { name: 'b', address: 'tcp://*:4' },
    ]);
    expect(config.command).toEqual(['env', '1']);
  });

  test('an empty variable is not set', async () => {
    expect((await configOf({ file, environment: { BATON_USER: ' ' } })).user).toMatchObject({ user: 'file' });
  });

  test('a mistake is told even where a stronger source is right', async () => {
    expect(await errorsOf({ file: 'instances: x\n', argv: ['--instances', '2', '--', 'x'] })).toEqual([
      `${FILE}:1:12: instances: expected a whole number from 1 to 32, got "x"`,
    ]);
  });

  test('a variable that is no option is ignored, with a warning when it looks like one', async () => {
    const loaded = await load({
      environment: { BATON_REDY: 'x', BATON_PORT: 'tcp://10.0.0.1:80', BATON_NODE: '/n', BATON_CONFIG: '' },
    });
    expect(loaded).toMatchObject({
      ok: true,
      warnings: ['BATON_REDY: no option has this variable (did you mean BATON_READY?)'],
    });
  });
});

describe('off', () => {
  test.each([
    ['flags', { argv: ['--no-watch', '--no-health', '--', 'x'] }],
    ['flags with a value', { argv: ['--watch', 'off', '--health', 'off', '--', 'x'] }],
    ['variables', { environment: { BATON_WATCH: 'off', BATON_HEALTH: 'off' } }],
    ['the file', { file: 'watch: off\nhealth: off\n' }],
    ['YAML 1.1', { file: 'watch: false\nhealth: false\n' }],
  ])('by %s', async (_, given) => {
    expect(await configOf(given)).toMatchObject({ watch: [], health: null });
  });

  test('the later of --watch and --no-watch counts', async () => {
    expect((await configOf({ argv: ['--no-watch', '--watch', 'a', '--', 'x'] })).watch).toEqual(['a']);
  });

  test('stands alone', async () => {
    expect(await errorsOf({ argv: ['--watch', 'a', '--watch', 'off', '--', 'x'] })).toEqual([
      '--watch: expected a path, got "off" (off stands alone)',
    ]);
  });
});

describe('rules between options', () => {
  test.each<[string, string[], string]>([
    ['nothing to run', [], 'command: there is nothing to run'],
    [
      'bytes that Node.js cannot hand on',
      ['--', 'x', new TextDecoder().decode(Uint8Array.of(0x61, 0xe9))],
      'command: expected a string, in UTF-8, got',
    ],
    ['an empty program', ['--', ''], 'command: the name of the program is empty'],
    [
      'accepting without a listener',
      ['--ready', 'accepting', '--', 'x'],
      '--ready: accepting needs a listener',
    ],
    [
      'a name twice',
      ['--listen', 'a=:1', '--listen', 'a=:2', '--', 'x'],
      '--listen: the name a is taken by tcp://*:1',
    ],
    [
      'a default name twice',
      ['--listen', ':1', '--listen', 'listen=:2', '--', 'x'],
      '--listen: the name listen is taken',
    ],
    [
      'an address twice',
      ['--listen', 'a=:1', '--listen', 'b=*:01', '--', 'x'],
      '--listen: tcp://*:1 is listed twice',
    ],
    [
      'a listener on the health address',
      ['--listen', 'a=:9901', '--', 'x'],
      'health: tcp://*:9901 is the listener a',
    ],
    [
      'a pause above its maximum',
      ['--restart-delay', '11s', '--', 'x'],
      '--restart-delay: 11s is more than restart-delay-max, 10s',
    ],
    [
      'a lame duck that takes all the time there is',
      ['--drain-delay', '9s', '--', 'x'],
      '--drain-delay: 9s leaves no time for the drain: stop-grace is 10s, and the last 1s of it are for the end itself',
    ],
    [
      'a lame duck that takes all of a short time',
      ['--drain-delay', '2s', '--stop-grace', '2s', '--', 'x'],
      '--drain-delay: 2s leaves no time for the drain: stop-grace is 2s, and the last 200ms',
    ],
    ['reload by KILL', ['--reload-signal', 'KILL', '--', 'x'], '--reload-signal: SIGKILL cannot be caught'],
    ['reload by STOP', ['--reload-signal', '19', '--', 'x'], '--reload-signal: SIGSTOP cannot be caught'],
    [
      'reload by TERM',
      ['--reload-signal', 'TERM', '--', 'x'],
      '--reload-signal: SIGTERM stops the container',
    ],
    ['reload by CHLD', ['--reload-signal', 'CHLD', '--', 'x'], '--reload-signal: SIGCHLD tells Baton'],
    ['stop by STOP', ['--stop-signal', 'STOP', '--', 'x'], '--stop-signal: SIGSTOP would freeze'],
    ['more than is kept', ['--', 'x', 'y'.repeat(32_768)], 'command: too long: all options take 33'],
    [
      'more than is kept, elsewhere',
      ['--watch', `/${'y'.repeat(20_000)}`, '--', 'x', 'y'.repeat(15_000)],
      '--watch: too long',
    ],
  ])('%s', async (_, argv, line) => {
    expect(await errorsOf({ argv })).toEqual([expect.stringContaining(line)]);
  });

  test.each<[string, string[]]>([
    ['kernel-chosen ports', ['--listen', 'a=:0', '--listen', 'b=:0', '--', 'x']],
    ['accepting with a listener', ['--listen', ':1', '--ready', 'accepting', '--', 'x']],
    ['the health port, with health elsewhere', ['--listen', ':9901', '--health', ':9902', '--', 'x']],
    ['a lame duck that leaves a moment', ['--drain-delay', '8900ms', '--', 'x']],
    ['both pauses alike', ['--restart-delay', '10s', '--', 'x']],
    ['a long command', ['--', 'x', 'y'.repeat(31_000)]],
  ])('%s are fine', async (_, argv) => {
    expect(await errorsOf({ argv })).toEqual([]);
  });

  test('a rule waits for the options that it reads', async () => {
    expect(
      await errorsOf({ argv: ['--restart-delay', '11s', '--restart-delay-max', 'x', '--', 'x'] }),
    ).toEqual([expect.stringContaining('--restart-delay-max: expected a duration')]);
  });

  test('the command may come from elsewhere where it is not required', async () => {
    expect(await errorsOf({ argv: [], requireCommand: false })).toEqual([]);
  });
});

describe('a stop-timeout that the container’s stop will cut', () => {
  const warningsOf = async (given: Given) => {
    const loaded = await load(given);
    return loaded.ok ? loaded.warnings : loaded.errors;
  };

  test('is told, with its place, and what to do', async () => {
    expect(await warningsOf({ file: 'stop-timeout: 45s\nstop-grace: 60s\ndrain-delay: 20s\n' })).toEqual([
      `${FILE}:1:15: stop-timeout: 45s after a reload, but 39s when the container stops, which is what stop-grace, 1m, ` +
        "leaves (raise stop-grace, together with the orchestrator's own: docker's --stop-timeout, terminationGracePeriodSeconds)",
    ]);
  });

  test.each<[string, string[]]>([
    ['one that fits', ['--stop-timeout', '9s', '--', 'x']],
    ['the default, which nobody asked for', ['--drain-delay', '5s', '--', 'x']],
    [
      'one beside its grace',
      ['--stop-timeout', '45s', '--drain-delay', '14s', '--stop-grace', '60s', '--', 'x'],
    ],
  ])('%s is not', async (_, argv) => {
    expect(await warningsOf({ argv })).toEqual([]);
  });
});

describe('the file itself', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'baton-config-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  const read = async (argvOptions: Record<string, unknown>, environment: Record<string, string> = {}) => {
    const loaded = await loadConfig({ argvOptions, environment, command: ['x'] });
    return loaded.ok ? loaded.file : loaded.errors;
  };

  test('is --config, else $BATON_CONFIG', async () => {
    const [one, other] = [join(directory, 'one.yaml'), join(directory, 'other.yaml')];
    await writeFile(one, 'user: one\n');
    await writeFile(other, '');
    expect(await read({ config: one }, { BATON_CONFIG: other })).toBe(one);
    expect(await read({}, { BATON_CONFIG: other })).toBe(other);
  });

  test('is missing, a directory, or below a file', async () => {
    const missing = join(directory, 'missing.yaml');
    expect(await read({ config: missing })).toEqual([
      `${missing}: there is no such file (named by --config)`,
    ]);
    expect(await read({}, { BATON_CONFIG: missing })).toEqual([
      `${missing}: there is no such file (named by BATON_CONFIG)`,
    ]);
    expect(await read({ config: directory })).toEqual([
      `${directory}: is a directory, expected a YAML file (named by --config)`,
    ]);
    const file = join(directory, 'file');
    await writeFile(file, '');
    expect(await read({ config: join(file, 'x') })).toEqual([
      `${file}/x: a part of its path is not a directory (named by --config)`,
    ]);
  });

  test('that nobody named and that cannot be read is told all the same', async () => {
    const loaded = await loadConfig({
      argvOptions: {},
      environment: {},
      command: ['x'],
      readFile: () => Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' })),
    });
    expect(loaded).toEqual({ ok: false, errors: [`${FILE}: may not be read by this user`] });
  });

  test('that nobody named may be absent', async () => {
    expect(await load({})).toMatchObject({ ok: true, file: null });
  });
});

test('each option can be given by flag, by variable and by file, with the same outcome', async () => {
  const samples: Record<(typeof optionKeys)[number], string> = {
    command: 'x',
    directory: '/d',
    instances: '2',
    pidfile: '/p',
    listen: 'a=:1',
    health: ':2',
    control: '/c',
    watch: '/w',
    settle: '1s',
    reloadSignal: 'USR1',
    maxDraining: '2',
    store: '/s',
    ready: 'notify',
    readyTimeout: '1s',
    stopSignal: 'INT',
    stopTimeout: '1s',
    stopGrace: '45s',
    stopScope: 'group',
    drainDelay: '1s',
    restartLimit: '2',
    restartWindow: '2s',
    restartDelay: '2ms',
    restartDelayMax: '3s',
    user: '1000:1000',
    logLevel: 'debug',
    logFormat: 'pretty',
  };
  const kebab = (key: string) => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const flags = optionKeys.flatMap((key) => (key === 'command' ? [] : [`--${kebab(key)}`, samples[key]]));
  const variables = optionKeys.map((key) => [
    `BATON_${kebab(key).replaceAll('-', '_').toUpperCase()}`,
    samples[key],
  ]);
  const lines = optionKeys.map((key) => `${kebab(key)}: ${key === 'command' ? '[x]' : samples[key]}\n`);

  const byFlag = await configOf({ argv: [...flags, '--', 'x'] });
  expect(await configOf({ environment: Object.fromEntries(variables), argv: [] })).toEqual(byFlag);
  expect(await configOf({ file: lines.join(''), argv: [] })).toEqual(byFlag);
  const defaults = await configOf({ argv: ['--', 'y'] });
  for (const key of optionKeys) expect(byFlag[key], key).not.toEqual(defaults[key]);
});
