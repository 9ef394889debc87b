import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { configOf, errorsOf, FILE } from './support.ts';

const at = (line: number, column: number, text: string) =>
  expect.stringContaining(`${FILE}:${line}:${column}: ${text}`);

test('every mistake is told at once, in the order of the file', async () => {
  const file = `# comment
listen:
  - web=:8080
  - 8080
  - [a]
  - web=127.0.0.1:1
redy: notify
ready-timeout: 20
settle: 1s
settle: 2s
command: ./server
reload-signal: TERM
watch: [a, off]
instances: true
pidfile:
directory: {a: 1}
`;
  const environment = { BATON_STOP_TIMEOUT: 'soon' };
  expect(await errorsOf({ file, environment, argv: ['--ready', 'exec:', '--', 'x'] })).toEqual([
    at(4, 5, 'listen[1]: expected an address such as :8080'),
    at(5, 5, 'listen[2]: expected an address such as'),
    at(7, 1, 'redy: unknown option (did you mean "ready"?)'),
    at(
      8,
      16,
      'ready-timeout: expected a duration from 1ms to 24h, such as 500ms, 20s, 2m or 1h, got "20" (the unit',
    ),
    at(10, 1, 'settle: given twice, first in line 9'),
    at(11, 10, 'command: expected a list of strings, got "./server" (a list: [program, first argument, …])'),
    at(12, 16, 'reload-signal: SIGTERM stops the container'),
    at(13, 12, 'watch[1]: expected a path, got "off" (off stands alone)'),
    at(14, 12, 'instances: expected a whole number from 1 to 32, got true'),
    at(15, 9, 'pidfile: expected an absolute path such as /run/app.pid, got nothing (remove the key'),
    at(16, 12, 'directory: expected an absolute path such as /srv/app, got a mapping'),
    expect.stringMatching(/^BATON_STOP_TIMEOUT: expected a duration from 0s to 24h.*got "soon"$/),
    expect.stringMatching(/^--ready: expected a command after "exec:"/),
  ]);
});

test('a rule between options points at the item that breaks it', async () => {
  expect(await errorsOf({ file: 'listen:\n  - a=:1\n  - b=:2\n  - a=:3\n' })).toEqual([
    at(4, 5, 'listen[2]: the name a is taken by tcp://*:1 (names are unique)'),
  ]);
});

test('what is missing is not missed where the file has other mistakes', async () => {
  expect(await errorsOf({ file: 'ready: accepting\nlisten_: [":80"]\ncomand: [x]\n', argv: [] })).toEqual([
    at(2, 1, 'listen_: unknown option (did you mean "listen"?)'),
    at(3, 1, 'comand: unknown option (did you mean "command"?)'),
  ]);
});

describe('syntax', () => {
  test.each<[string, string, number, number, string]>([
    ['an open quote', 'user: "a\n', 2, 1, 'not valid YAML: Missing closing "quote'],
    ['a tab', 'listen:\n\t- a\n', 2, 1, 'not valid YAML: Tabs'],
    ['a second document', 'user: a\n---\nuser: b\n', 2, 1, 'not valid YAML: a second document begins here'],
    ['a loose alias', 'user: *a\n', 1, 7, 'not valid YAML: nothing before is anchored as &a'],
    ['an unknown tag', 'user: !secret a\n', 1, 7, 'not valid YAML: Unresolved tag: !secret'],
    ['a list at the top', '- a\n', 1, 1, 'expected options, one `key: value` a line'],
    ['a word at the top', 'a\n', 1, 1, 'expected options, one `key: value` a line'],
    ['a list as a key', '? [a]\n: 1\n', 1, 3, 'expected the name of an option, got a list'],
  ])('%s', async (_, file, line, column, text) => {
    expect(await errorsOf({ file })).toEqual(expect.arrayContaining([at(line, column, text)]));
  });

  test.each([
    ['nothing', ''],
    ['comments', '# nothing\n\n'],
    ['an empty document', '---\n...\n'],
  ])('a file of %s is fine', async (_, file) => {
    expect(await errorsOf({ file })).toEqual([]);
  });

  test('a byte order mark and CRLF change neither values nor positions', async () => {
    const lines = ['user: app', 'settle: 20', 'listen:', '  - 80', ''];
    const plain = await errorsOf({ file: lines.join('\n') });
    expect(plain).toHaveLength(2);
    expect(await errorsOf({ file: `\uFEFF${lines.join('\r\n')}` })).toEqual(plain);
    expect((await configOf({ file: '\uFEFFuser: app\r\nsettle: 2s\r\n' })).user?.user).toBe('app');
  });

  test('what is not UTF-8 is not guessed at', async () => {
    expect(await errorsOf({ file: new Uint8Array([0x75, 0xff, 0xfe]) })).toEqual([
      `${FILE}: is not UTF-8 text`,
    ]);
  });
});

test('numbers are taken as they stand in the file', async () => {
  const file = 'user: 01000:0\ncommand: [x, 1e3, 0x10, 007, 1.50, "true"]\nstop-signal: 10\nsettle: 0\n';
  expect(await configOf({ file, argv: [] })).toMatchObject({
    user: { user: '01000', group: '0' },
    command: ['x', '1e3', '0x10', '007', '1.50', 'true'],
    stopSignal: 10,
    settle: 0,
  });
});

test('a word that YAML takes for something else is not guessed at', async () => {
  expect(await errorsOf({ file: 'command: [echo, true, null]\n', argv: [] })).toEqual([
    at(1, 17, 'command[1]: expected a string, got true (in quotes it is text: "true")'),
    at(1, 23, 'command[2]: expected a string, got nothing'),
  ]);
});

test('an anchor may be used again, and one value may stand for a list of one', async () => {
  expect(await configOf({ file: 'directory: &app /srv/app\nwatch: *app\nlisten: ":80"\n' })).toMatchObject({
    directory: '/srv/app',
    watch: ['/srv/app'],
    listen: [{ name: 'listen', address: 'tcp://*:80' }],
  });
});

test('wherever the mistake is, its line and column are right', async () => {
  const before = fc.array(fc.constantFrom('# a comment', '', 'user: app', 'instances: 2'), { maxLength: 6 });
  const inline = fc.integer({ min: 0, max: 5 });
  await fc.assert(
    fc.asyncProperty(
      before,
      inline,
      inline,
      fc.constantFrom('\n', '\r\n'),
      async (lines, indent, items, newline) => {
        const distinct = lines.filter((line, index) => !line.includes(':') || lines.indexOf(line) === index);
        const prefix = `listen: ${' '.repeat(indent)}[${Array.from({ length: items }, (_, i) => `":${i + 1}", `).join('')}`;
        const file = [...distinct, `${prefix}oops]`, ''].join(newline);
        expect(await errorsOf({ file })).toEqual([
          at(distinct.length + 1, prefix.length + 1, `listen[${items}]: expected`),
        ]);
      },
    ),
  );
});

test('whatever the file holds, there is an answer and no exception', async () => {
  const token = fc.constantFrom(
    'listen',
    'user',
    'command',
    ': ',
    ':',
    '- ',
    '[',
    ']',
    '{',
    '}',
    ', ',
    '\n',
    '  ',
    '"',
    "'",
    '&a ',
    '*a',
    '!x ',
    '? ',
    '|',
    '>',
    '#',
    '<<',
    '---',
    '\t',
    '%',
    '0',
    'a',
    '\0',
    '\ud800',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(token, { maxLength: 30 }), async (tokens) => {
      for (const line of await errorsOf({ file: tokens.join('') })) expect(line).not.toContain('\n');
    }),
    { numRuns: 500 },
  );
});
