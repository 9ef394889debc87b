import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MalformedResponse, type Response, ResponseParser } from '../../load/parser.ts';

/** Feeds the text in pieces of the given size. */
function parse(text: string, size = text.length): Response | null {
  const parser = new ResponseParser();
  const bytes = Buffer.from(text, 'latin1');
  let response: Response | null = null;
  for (let at = 0; at < bytes.length; at += size) response = parser.push(bytes.subarray(at, at + size));
  return response;
}

const fixed = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Version: 7\r\n\r\nhello';
const chunked =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n';

describe('a whole response', () => {
  test.each([
    ['with a length', fixed],
    ['in chunks, with an extension and a trailer', chunked],
    [
      'after interim ones',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${fixed}`,
    ],
  ])('%s is the same however it is cut', (_, text) => {
    for (let size = 1; size <= text.length; size++) {
      const response = parse(text, size);
      expect(response?.status).toBe(200);
      expect(response?.body.toString()).toBe('hello');
    }
  });

  test('of any body and any cut gives that body', () => {
    const cuts = fc.array(fc.nat(200), { maxLength: 10 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), cuts, fc.boolean(), (content, places, inChunks) => {
        const body = Buffer.from(content);
        const framed = inChunks
          ? [
              ...[...body].map((byte) =>
                Buffer.concat([Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]),
              ),
              Buffer.from('0\r\n\r\n'),
            ]
          : [body];
        const field = inChunks ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
        const bytes = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`), ...framed]);
        const parser = new ResponseParser();
        let response: Response | null = null;
        let from = 0;
        for (const to of [...places.sort((a, b) => a - b).filter((at) => at < bytes.length), bytes.length]) {
          if (to > from) response = parser.push(bytes.subarray(from, to));
          from = Math.max(from, to);
        }
        expect(response?.body.equals(body)).toBe(true);
      }),
    );
  });

  test('has no body with 204 and 304', () => {
    expect(parse('HTTP/1.1 204 No Content\r\n\r\n')?.body.length).toBe(0);
    expect(parse('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')?.body.length).toBe(0);
  });

  test('joins repeated fields and knows them without case', () => {
    const response = parse('HTTP/1.1 200 OK\r\nvia: a\r\nVIA:  b \r\nContent-Length: 0\r\n\r\n');
    expect(response?.fields.get('via')).toBe('a, b');
  });
});

test.each([
  ['HTTP/1.1', '', false],
  ['HTTP/1.1', 'Connection: close\r\n', true],
  ['HTTP/1.1', 'Connection: Upgrade, CLOSE\r\n', true],
  ['HTTP/1.1', 'Connection: keep-alive\r\n', false],
  ['HTTP/1.1', 'Connection: disclose\r\n', false],
  ['HTTP/1.0', '', true],
])('%s with "%s" is the last on its connection: %s', (version, field, last) => {
  expect(parse(`${version} 200 OK\r\n${field}Content-Length: 0\r\n\r\n`)?.last).toBe(last);
});

test('the head is known before the body, and how much has come', () => {
  const parser = new ResponseParser();
  expect(parser.push(Buffer.from(fixed.slice(0, -5)))).toBe(null);
  expect(parser.head?.fields.get('x-version')).toBe('7');
  expect(parser.received).toBe(fixed.length - 5);
});

test.each([fixed, chunked])('a part of a response is none: %j', (text) => {
  for (let length = 0; length < text.length; length++) expect(parse(text.slice(0, length))).toBe(null);
});

const head = (fields: string) => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n`;
test.each([
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'],
  ['an unasked upgrade', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['no length', head('Server: x')],
  ['both lengths', head('Content-Length: 5\r\nTransfer-Encoding: chunked')],
  ['two lengths', head('Content-Length: 5\r\nContent-Length: 6')],
  ['a negative length', head('Content-Length: -1')],
  ['an unknown coding', head('Transfer-Encoding: gzip, chunked')],
  ['a space before the colon', head('Content-Length : 0')],
  ['a folded field', head('A: b\r\n c\r\nContent-Length: 0')],
  ['bytes after it', `${fixed}x`],
  ['bytes after the last chunk', `${chunked}x`],
  ['a chunk size that is none', `${head('Transfer-Encoding: chunked')}x\r\n`],
  ['a chunk longer than its size', `${head('Transfer-Encoding: chunked')}1\r\nab\r\n`],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(4000)}`],
  ['a body beyond any use', head('Content-Length: 999999999')],
])('%s is malformed', (_, text) => {
  expect(() => parse(text)).toThrow(MalformedResponse);
});
