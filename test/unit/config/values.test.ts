import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatReadiness, parseReadiness } from '../../../config/readiness.ts';
import { parseSignal, signalName } from '../../../config/signal.ts';
import { nearest } from '../../../config/suggest.ts';
import { parseUser } from '../../../config/user.ts';
import { splitWords } from '../../../config/words.ts';

describe('signals', () => {
  test.each([
    ['SIGTERM', 15],
    ['term', 15],
    ['15', 15],
    ['SIGHUP', 1],
    ['USR2', 12],
    ['RTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMAX-1', 63],
    ['64', 64],
  ])('%s is %d', (text, number) => {
    expect(parseSignal(text)).toEqual({ ok: true, value: number });
  });

  test.each([
    '',
    '0',
    '65',
    '-1',
    'SIG',
    'SIGSIGTERM',
    'SIGFOO',
    'RTMIN+31',
    'RTMAX-31',
    'RTMIN-1',
    'RTMAX+1',
    '1.5',
    'toString',
  ])('%j is refused', (text) => {
    expect(parseSignal(text).ok).toBe(false);
  });

  test('every signal is found again by its name', () => {
    for (let number = 1; number <= 64; number++) {
      if (number === 32 || number === 33) continue; // of libc: they have no name
      expect(parseSignal(signalName(number))).toEqual({ ok: true, value: number });
    }
  });
});

describe('words', () => {
  test.each([
    ['a b', ['a', 'b']],
    ['  a\t b\n', ['a', 'b']],
    [`'a b' "c d" e\\ f`, ['a b', 'c d', 'e f']],
    [`a'b'"c"d`, ['abcd']],
    [`'' ""`, ['', '']],
    [`'\\' "\\\\ \\" \\n"`, ['\\', '\\ " \\n']],
    [`"it's"`, ["it's"]],
    ['$HOME | x; *', ['$HOME', '|', 'x;', '*']],
    ['', []],
  ])('%s', (text, words) => {
    expect(splitWords(text)).toEqual({ ok: true, value: words });
  });

  test.each([`'a`, `"a`, `"a\\"`, 'a\\'])('%s has no end', (text) => {
    expect(splitWords(text).ok).toBe(false);
  });
});

describe('readiness', () => {
  test.each([
    ['accepting', { method: 'accepting' }],
    ['notify', { method: 'notify' }],
    ['http://127.0.0.1:8081/ready?x=1', { method: 'http', url: 'http://127.0.0.1:8081/ready?x=1' }],
    ['https://127.0.0.1/', { method: 'http', url: 'https://127.0.0.1/' }],
    ['http://127.0.0.1:8081/{pid}', { method: 'http', url: 'http://127.0.0.1:8081/{pid}' }],
    ["exec:/bin/check 'a b'", { method: 'exec', command: ['/bin/check', 'a b'] }],
    ['delay:2s', { method: 'delay', ms: 2000 }],
  ])('%s', (text, readiness) => {
    expect(parseReadiness(text)).toEqual({ ok: true, value: readiness });
  });

  test.each([
    '',
    'Accepting',
    'accept',
    'http://',
    'http:// x',
    'http://h:99999/',
    'exec:',
    'exec: ',
    "exec:'",
    "exec:''",
    'delay:',
    'delay:2',
    'delay:2h',
    'delay',
  ])('%j is refused', (text) => {
    expect(parseReadiness(text).ok).toBe(false);
  });

  test('what is written for logs is read as the same method', () => {
    const command = fc.array(fc.string({ minLength: 1 }), { minLength: 1 });
    const readiness = fc.oneof(
      fc.constantFrom({ method: 'accepting' as const }, { method: 'notify' as const }),
      fc.record({ method: fc.constant('delay' as const), ms: fc.nat({ max: 3_600_000 }) }),
      fc.record({ method: fc.constant('exec' as const), command }),
    );
    fc.assert(
      fc.property(readiness, (value) => {
        expect(parseReadiness(formatReadiness(value))).toEqual({ ok: true, value });
      }),
    );
  });
});

describe('users', () => {
  test.each([
    ['app', 'app', undefined],
    ['app:www', 'app', 'www'],
    ['0:4294967294', '0', '4294967294'],
  ])('%s', (text, user, group) => {
    expect(parseUser(text)).toEqual({ ok: true, value: { user, group } });
  });

  test.each(['', ':', 'a:', ':g', 'a:b:c', 'a b', '-1', '4294967295', 'a,b'])('%j is refused', (text) => {
    expect(parseUser(text).ok).toBe(false);
  });
});

describe('the name that was meant', () => {
  const names = ['ready', 'ready-timeout', 'listen', 'user'];
  test.each([
    ['redy', 'ready'],
    ['lisetn', 'listen'],
    ['readyTimeout', 'ready-timeout'],
    ['ready_timeout', 'ready-timeout'],
    ['READY-TIMEOUTS', 'ready-timeout'],
    ['entirely-different', undefined],
    ['x', undefined],
  ])('%s: %s', (written, meant) => {
    expect(nearest(written, names)).toBe(meant);
  });

  test('swapped neighbours count as one slip', () => {
    expect(nearest('fro', ['frx', 'for'])).toBe('frx');
    expect(nearest('fro', ['fxx', 'for'])).toBe('for');
  });
});
