import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openPages, type Page } from '../../../agent/health/pages.ts';

const SLOT_SIZE = 256 * 1024;

/** A file in place of the memfd: nothing here asks which it is. */
let folder: string;
let fd: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-pages-'));
  fd = openSync(join(folder, 'pages'), 'w+');
  ftruncateSync(fd, 4096 + 2 * SLOT_SIZE);
  writeSync(fd, 'BPG1', 0);
});

afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const content = () => readFileSync(join(folder, 'pages'));

const turns = () => [content().readUInt32LE(8), content().readUInt32LE(12)];

/** Written from the comment in pages.h alone. */
function read(): Page[] {
  const file = content();
  const start = 4096 + (file.readUInt32LE(8) % 2) * SLOT_SIZE;
  let at = start + 4;
  const text = (length: number) => {
    at += length;
    return file.toString('utf8', at - length, at);
  };
  return Array.from({ length: file.readUInt32LE(start) }, () => {
    const [status, path, type, body] = [0, 4, 8, 12].map((offset) => file.readUInt32LE(at + offset)) as [
      number,
      number,
      number,
      number,
    ];
    at += 16;
    return { status, path: text(path), type: text(type), body: text(body) };
  });
}

const page = (overrides: Partial<Page> = {}): Page => ({
  path: '/readyz',
  status: 200,
  type: 'text/plain; charset=utf-8',
  body: 'ok\n',
  ...overrides,
});

/** The largest body that fits beside nothing else. */
const LARGEST = SLOT_SIZE - 4 - 16 - page().path.length - page().type.length;

describe('publish', () => {
  test('what is published is read back', () => {
    const pages = openPages(fd);
    const ascii = (low: string, high: string, maxLength: number) =>
      fc
        .array(fc.integer({ min: low.charCodeAt(0), max: high.charCodeAt(0) }), { maxLength })
        .map((codes) => String.fromCharCode(...codes));
    const anyPage = fc.record({
      path: ascii('!', '~', 254).map((rest) => `/${rest}`),
      status: fc.integer({ min: 200, max: 599 }).filter((status) => ![204, 205, 304].includes(status)),
      type: ascii(' ', '~', 63).filter((type) => type !== ''),
      body: fc.string({ unit: 'binary' }),
    });
    fc.assert(
      fc.property(fc.array(anyPage, { maxLength: 12 }), (published) => {
        pages.publish(published);
        expect(read()).toEqual(published);
      }),
    );
  });

  test('alternates between the slots, and leaves the other one as it was', () => {
    const pages = openPages(fd);
    pages.publish([page({ body: 'first' })]);
    expect(turns()).toEqual([1, 1]);
    const first = content().subarray(4096 + SLOT_SIZE);
    pages.publish([page({ body: 'second' })]);
    expect(turns()).toEqual([2, 2]);
    expect(content().subarray(4096 + SLOT_SIZE)).toEqual(first);
    expect(read()).toEqual([page({ body: 'second' })]);
  });

  test('a second agent continues from the turn that it finds', () => {
    openPages(fd).publish([page({ body: 'by the first' })]);
    const second = openPages(fd);
    expect(read()).toEqual([page({ body: 'by the first' })]);
    second.publish([page({ body: 'by the second' })]);
    expect(turns()).toEqual([2, 2]);
    expect(read()).toEqual([page({ body: 'by the second' })]);
  });

  test('does not touch the draining flag, which is PID 1’s', () => {
    writeSync(fd, Buffer.from([1, 0, 0, 0]), 0, 4, 4);
    openPages(fd).publish([page()]);
    expect(content().readUInt32LE(4)).toBe(1);
  });

  test('fills a slot to its last byte, and stays out of the other one', () => {
    const pages = openPages(fd);
    pages.publish([page({ body: 'one' })]);
    const other = content().subarray(4096 + SLOT_SIZE);
    pages.publish([page({ body: 'x'.repeat(LARGEST) })]);
    expect(read()).toEqual([page({ body: 'x'.repeat(LARGEST) })]);
    expect(content().subarray(4096 + SLOT_SIZE)).toEqual(other);
  });

  test.each([
    [
      'pages that do not fit',
      [page(), page({ path: '/metrics', body: 'é'.repeat(SLOT_SIZE / 2) })],
      'the health pages need 262248 bytes and 262144 fit; the largest is /metrics with 262144: publish less',
    ],
    ['one byte too many', [page({ body: 'x'.repeat(LARGEST + 1) })], 'need 262145 bytes and 262144 fit'],
    ['no path', [page({ path: '' })], 'the path of a health page must be a slash and up to 254 visible'],
    ['a path with a line feed', [page({ path: '/a\nb' })], 'up to 254 visible ASCII characters: "/a\\nb"'],
    ['a path with a line feed at its end', [page({ path: '/a\n' })], 'up to 254 visible ASCII'],
    ['a long path', [page({ path: `/${'x'.repeat(255)}` })], 'up to 254 visible ASCII characters'],
    ['no type', [page({ type: '' })], 'the type of the health page /readyz must be 1 to 63 printable ASCII'],
    ['a type that smuggles a field', [page({ type: 'a/b\r\nX: y' })], 'must be 1 to 63 printable ASCII'],
    ['a long type', [page({ type: 'x'.repeat(64) })], 'must be 1 to 63 printable ASCII characters'],
    [
      'a status without a body',
      [page({ status: 204 })],
      'the health page /readyz cannot have the status 204',
    ],
    ['an interim status', [page({ status: 100 })], 'cannot have the status 100: 200..599'],
    ['no status', [page({ status: Number.NaN })], 'cannot have the status NaN'],
  ])('refuses %s and changes nothing that is read', (_, pages, message) => {
    const writer = openPages(fd);
    writer.publish([page({ body: 'before' })]);
    expect(() => writer.publish(pages)).toThrow(message);
    expect(turns()).toEqual([1, 1]);
    expect(read()).toEqual([page({ body: 'before' })]);
    writer.publish([page({ body: 'after' })]);
    expect(read()).toEqual([page({ body: 'after' })]);
  });
});

describe('openPages', () => {
  test('refuses what is none of ours', () => {
    writeSync(fd, 'ELF!', 0);
    expect(() => openPages(fd)).toThrow(
      `descriptor ${fd} does not hold Baton's health pages: the agent must be started by \`baton run\``,
    );
  });

  test('refuses an empty file', () => {
    ftruncateSync(fd, 0);
    expect(() => openPages(fd)).toThrow('does not hold');
  });

  test('refuses a descriptor that is not open', () => {
    expect(() => openPages(1_000_000)).toThrow("does not hold Baton's health pages (EBADF");
  });
});
