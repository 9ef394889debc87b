import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nameListeners, parseAddress, parseListener, sameEndpoint } from '../../../config/address.ts';

describe('addresses', () => {
  test.each([
    [':8080', 'tcp://*:8080'],
    ['*:8080', 'tcp://*:8080'],
    ['tcp://:8080', 'tcp://*:8080'],
    ['127.0.0.1:8080', 'tcp://127.0.0.1:8080'],
    ['127.0.0.1:080', 'tcp://127.0.0.1:80'],
    ['localhost:80', 'tcp://127.0.0.1:80'],
    ['[::1]:8080', 'tcp://[::1]:8080'],
    ['[0:0::0001]:8080', 'tcp://[::1]:8080'],
    ['[FE80::1%eth0]:1', 'tcp://[fe80::1%eth0]:1'],
    ['tcp://[::]:0', 'tcp://[::]:0'],
    ['udp://:53', 'udp://*:53'],
    ['unix:///run/web.sock', 'unix:///run/web.sock'],
    ['unix:///run/web.sock?mode=660', 'unix:///run/web.sock?mode=0660'],
    ['unix:///run/a%20b%3F', 'unix:///run/a%20b%3F'],
    ['unix:///run/ä', 'unix:///run/%C3%A4'],
    ['unix:@web', 'unix:@web'],
  ])('%s is %s', (text, address) => {
    expect(parseAddress(text)).toEqual({ ok: true, value: address });
  });

  test.each([
    ['8080', 'with a colon: :8080'],
    ['::1:8080', 'the port is missing: [::1:8080]:8080'],
    ['fe80::1:2:3:4:5:6:8080', 'brackets: [fe80::1:2:3:4:5:6]:8080'],
    ['127.0.0.1', 'the port is missing: 127.0.0.1:8080'],
    ['example.org:80', 'names are not looked up'],
    ['999.0.0.1:80', 'names are not looked up'],
    ['/run/web.sock', 'unix:///run/web.sock'],
    ['http://:80', 'only tcp, udp and unix'],
    ['unix://run/web.sock', 'three slashes'],
    ['unix:///run/web.sock?mode=999', 'octal'],
    ['unix:///run/web.sock?mode=1777', 'octal'],
    ['unix:///run/web.sock?backlog=1', 'octal'],
    ['unix:@web?mode=0600', 'no mode'],
    ['unix:///run/50%', '%25'],
    ['unix:///run/%00', '%25'],
  ])('%s is refused, and the hint says %s', (text, hint) => {
    expect(parseAddress(text)).toMatchObject({ ok: false, hint: expect.stringContaining(hint) });
  });

  test.each([
    '',
    ':',
    ':65536',
    ':-1',
    ':http',
    ':8080 ',
    ' :8080',
    '[::1%]:80',
    '[]:80',
    'unix:///',
    'unix:',
    'tcp://',
  ])('%j is refused', (text) => {
    expect(parseAddress(text).ok).toBe(false);
  });

  test('a path has at most 107 bytes, counted after decoding', () => {
    expect(parseAddress(`unix:///${'x'.repeat(106)}`).ok).toBe(true);
    expect(parseAddress(`unix:///${'%41'.repeat(106)}`).ok).toBe(true);
    expect(parseAddress(`unix:///${'x'.repeat(107)}`).ok).toBe(false);
    expect(parseAddress(`unix:///${'ä'.repeat(54)}`).ok).toBe(false);
  });

  test('whatever is written, the parser does not throw, and a normal form stays what it is', () => {
    const parts = fc.array(
      fc.constantFrom(
        'tcp://',
        'udp://',
        'unix:',
        '///',
        '@',
        ':',
        '[',
        ']',
        '*',
        '%',
        '%20',
        '?mode=',
        '0660',
        '=',
        '::1',
        '1',
        'a',
        'ä',
        '\ud800',
        '\0',
        '\n',
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          parts.map((all) => all.join('')),
        ),
        (text) => {
          const address = parseAddress(text);
          if (address.ok) expect(parseAddress(address.value)).toEqual(address);
          parseListener(text);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('listeners', () => {
  test('the name stands before the first =', () => {
    expect(parseListener('web=:8080')).toEqual({ ok: true, value: { name: 'web', address: 'tcp://*:8080' } });
    expect(parseListener(':8080')).toEqual({ ok: true, value: { name: null, address: 'tcp://*:8080' } });
  });

  test('a = of the address itself begins no name', () => {
    expect(parseListener('unix:///run/a=b?mode=0600')).toEqual({
      ok: true,
      value: { name: null, address: 'unix:///run/a=b?mode=0600' },
    });
  });

  test.each(['Web=:80', '=:80', 'a b=:80', `${'x'.repeat(65)}=:80`, 'wéb=:80'])(
    '%s has no good name',
    (text) => {
      expect(parseListener(text)).toMatchObject({
        ok: false,
        expected: expect.stringContaining('a name of'),
      });
    },
  );

  test('those without a name are counted among themselves', () => {
    const unnamed = ['', 'web=', '', ''].map((name, index) => parseListener(`${name}:${index + 1}`));
    const parsed = unnamed.flatMap((listener) => (listener.ok ? [listener.value] : []));
    expect(nameListeners(parsed).map(({ name }) => name)).toEqual(['listen', 'web', 'listen-2', 'listen-3']);
  });

  test('an endpoint is the same whatever its mode; port 0 is a new one each time', () => {
    expect(sameEndpoint('unix:///a?mode=0600', 'unix:///a')).toBe(true);
    expect(sameEndpoint('tcp://*:80', 'tcp://*:80')).toBe(true);
    expect(sameEndpoint('tcp://*:80', 'udp://*:80')).toBe(false);
    expect(sameEndpoint('tcp://*:0', 'tcp://*:0')).toBe(false);
  });
});
