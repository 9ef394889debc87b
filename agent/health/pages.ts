/** The writer of the health pages. Layout and protocol: `agent/init/pages.h`, which the responder and PID 1 read by. */
import { readSync, writeSync } from 'node:fs';

export interface Page {
  /** As a client asks for it, without a query: a slash, then visible ASCII; at most 255 bytes. */
  readonly path: string;
  /** An HTTP status that has a body: 200..599 but 204, 205 and 304. */
  readonly status: number;
  /** Content-Type: printable ASCII, at most 63 bytes. */
  readonly type: string;
  /** Sent as UTF-8. */
  readonly body: string;
}

export interface Pages {
  /**
   * Replaces all pages at once: a reader sees those of before or these, never a mixture, whenever this process is
   * killed.
   *
   * @throws {Error} when a page is not as described above, when together they exceed a slot (256 KiB with 16 bytes
   * for each page), or when writing fails (ENOSPC, ENOMEM). What was published before stays.
   */
  publish(pages: readonly Page[]): void;
}

const HEADER_SIZE = 16;
const TURN_OFFSET = 8;
const SLOTS_OFFSET = 4096;
const SLOT_SIZE = 256 * 1024;

const PATH = /^\/[!-~]{0,254}$/;
const TYPE = /^[ -~]{1,63}$/;
const WITHOUT_BODY = new Set([204, 205, 304]);

/**
 * Takes over the pages in `fd`, the memfd that PID 1 made: what an earlier agent published stays until the first
 * `publish`.
 *
 * @throws {Error} when `fd` does not hold health pages
 */
export function openPages(fd: number): Pages {
  let turn = readTurn(fd);
  const slot = Buffer.alloc(SLOT_SIZE);
  const turns = Buffer.alloc(8);

  return {
    publish(pages) {
      const length = encode(pages, slot);
      const next = turn + 1;
      write(fd, slot.subarray(0, length), SLOTS_OFFSET + (next % 2) * SLOT_SIZE);
      // From here on it is published. Twice, because the kernel may copy in pieces: see pages.h.
      turns.writeUInt32LE(next, 0);
      turns.writeUInt32LE(next, 4);
      write(fd, turns, TURN_OFFSET);
      turn = next;
    },
  };
}

function readTurn(fd: number): number {
  const header = Buffer.alloc(HEADER_SIZE);
  let why = '';
  try {
    readSync(fd, header, 0, HEADER_SIZE, 0);
  } catch (error) {
    why = ` (${(error as Error).message})`;
  }
  if (header.toString('latin1', 0, 4) !== 'BPG1')
    throw new Error(
      `descriptor ${fd} does not hold Baton's health pages${why}: the agent must be started by \`baton run\``,
    );
  return header.readUInt32LE(TURN_OFFSET);
}

/** Returns how many bytes of `slot` it used. */
function encode(pages: readonly Page[], slot: Buffer): number {
  const needed = pages.reduce(
    (sum, { path, type, body }) => sum + 16 + path.length + type.length + Buffer.byteLength(body),
    4,
  );
  if (needed > SLOT_SIZE) {
    const [first] = pages.toSorted((a, b) => Buffer.byteLength(b.body) - Buffer.byteLength(a.body));
    throw new Error(
      `the health pages need ${needed} bytes and ${SLOT_SIZE} fit; the largest is ${first?.path} with ` +
        `${Buffer.byteLength(first?.body ?? '')}: publish less`,
    );
  }
  let at = slot.writeUInt32LE(pages.length, 0);
  for (const page of pages) {
    assertPage(page);
    at = slot.writeUInt32LE(page.status, at);
    at = slot.writeUInt32LE(page.path.length, at);
    at = slot.writeUInt32LE(page.type.length, at);
    at = slot.writeUInt32LE(Buffer.byteLength(page.body), at);
    at += slot.write(page.path, at);
    at += slot.write(page.type, at);
    at += slot.write(page.body, at);
  }
  return at;
}

/** The readers take a slot whole or not at all: one bad page would take the others with it. */
function assertPage({ path, status, type }: Page): void {
  if (!PATH.test(path))
    throw new Error(
      `the path of a health page must be a slash and up to 254 visible ASCII characters: ${JSON.stringify(path)}`,
    );
  if (!TYPE.test(type))
    throw new Error(
      `the type of the health page ${path} must be 1 to 63 printable ASCII characters: ${JSON.stringify(type)}`,
    );
  if (!Number.isInteger(status) || status < 200 || status > 599 || WITHOUT_BODY.has(status))
    throw new Error(
      `the health page ${path} cannot have the status ${status}: 200..599 but 204, 205 and 304`,
    );
}

/** The kernel writes less than it was given when memory is short. */
function write(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}
