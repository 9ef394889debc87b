/** What is made from the schema: help, JSON Schema, reference, examples, the effective configuration. */
import { readdirSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { fromJSONSchema } from 'zod';
import { jsonSchema } from '../../../config/json-schema.ts';
import { addOptions } from '../../../config/options.ts';
import { allOptionsFile, schemaFile, withOptionTable } from '../../../config/reference.ts';
import { effectiveYaml, summary } from '../../../config/report.ts';
import { defaultText, metaOf, optionKeys, optionName, variableName } from '../../../config/schema.ts';
import { configOf, errorsOf, FILE, type Given, load } from './support.ts';

const root = new URL('../../../', import.meta.url);
const contentOf = (path: string) => readFileSync(new URL(path, root), 'utf8');
const STALE = 'run `node config/generate.ts`';

describe('the committed files are those that the schema makes', () => {
  test('config/baton.schema.json', () =>
    expect(contentOf('config/baton.schema.json'), STALE).toBe(schemaFile()));
  test('config/examples/all-options.yaml', () =>
    expect(contentOf('config/examples/all-options.yaml'), STALE).toBe(allOptionsFile()));
  test('docs/configuration.md', () => {
    const page = contentOf('docs/configuration.md');
    expect(page, STALE).toBe(withOptionTable(page));
    for (const key of optionKeys) expect(page).toContain(`| \`${optionName(key)}\` |`);
  });
  test('a page without its marks is not written to', () =>
    expect(() => withOptionTable('# Page')).toThrow('marks'));
});

const examples = readdirSync(new URL('config/examples/', root));

describe('examples', () => {
  // A validator of its own, from the committed JSON Schema: what an editor would say.
  const editor = fromJSONSchema(jsonSchema() as Parameters<typeof fromJSONSchema>[0]);

  test.each(examples)('%s loads, and pleases an editor', async (name) => {
    const file = contentOf(`config/examples/${name}`);
    expect(await load({ file })).toMatchObject({ ok: true, warnings: [] });
    expect(file).toContain('# yaml-language-server: $schema=../baton.schema.json');
    expect(editor.safeParse(parse(file) ?? {}).success).toBe(true);
  });

  test('all-options.yaml loads with every option turned on, and has them all', async () => {
    const file = allOptionsFile().replace(/^# (?!yaml-)([a-z-]+: )/gm, '$1');
    expect(await errorsOf({ file, argv: [] })).toEqual([]);
    expect(Object.keys(parse(file)).toSorted()).toEqual(optionKeys.map(optionName).toSorted());
    expect(editor.safeParse(parse(file)).error).toBeUndefined();
  });

  test.each([
    'redy: notify',
    'ready-timeout: 1.5',
    'instances: 33',
    'listen: [1]',
    'stop-scope: all',
    'command: x',
  ])('an editor marks %s', (file) => {
    expect(editor.safeParse(parse(file)).success).toBe(false);
  });
});

describe('the effective configuration', () => {
  const given: Given = {
    file: 'command: [server, "#1", "", "true", 007]\nuser: 1000:1000\nready: "exec:check \'a b\'"\nhealth: off\n',
    environment: { BATON_WATCH: '/a /b' },
    argv: ['--listen', ':80', '--listen', 'adm=[::1]:81'],
  };

  test('is YAML that means the same, and says where each value is from', async () => {
    const loaded = await load(given);
    if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
    const text = await effectiveYaml(loaded);
    expect(await configOf({ file: text, argv: [] })).toEqual(loaded.config);
    expect(text).toContain('listen: [listen=tcp://*:80, "adm=tcp://[::1]:81"]  # flag --listen\n');
    expect(text).toContain('watch: [/a, /b]  # environment BATON_WATCH\n');
    expect(text).toContain(`user: 1000:1000  # ${FILE}:2\n`);
    expect(text).toContain('settle: 200ms  # default\n');
    expect(text).toContain('# pidfile: none is written\n');
    expect(text.trimEnd().split('\n')).toHaveLength(optionKeys.length);
  });

  test('of nothing but defaults means the same too', async () => {
    const loaded = await load({});
    if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
    expect(await configOf({ file: await effectiveYaml(loaded), argv: [] })).toEqual(loaded.config);
    expect(summary(loaded)).toBe('no file, flags and environment: ok');
  });
});

describe('flags', () => {
  const command = addOptions(new Command('run'));
  const help = command.helpInformation().replace(/\s+/g, ' ');

  test.each(optionKeys.filter((key) => key !== 'command'))('--%s is explained, with its default', (key) => {
    expect(help).toContain(`--${optionName(key)} <${metaOf(key).placeholder}>`);
    expect(help).toContain(`(default: ${defaultText(key) ?? metaOf(key).otherwise}`);
  });

  test('what is not given is absent: defaults are not the flags’ business', () => {
    expect(addOptions(new Command()).parse([], { from: 'user' }).opts()).toEqual({});
  });

  test('names are what people expect', () => {
    expect(optionName('restartDelayMax')).toBe('restart-delay-max');
    expect(variableName('restartDelayMax')).toBe('BATON_RESTART_DELAY_MAX');
  });
});
