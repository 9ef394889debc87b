/** A strict parser of one HTTP/1.1 response (RFC 9112), fed as bytes come. Pure: no socket, no clock. */

export interface Head {
  readonly status: number;
  /** Names in lower case; a repeated field is joined with ", " (RFC 9110 section 5.3). */
  readonly fields: ReadonlyMap<string, string>;
  /** The server closes the connection after this response: `Connection: close`, or HTTP/1.0. */
  readonly last: boolean;
}

export interface Response extends Head {
  readonly body: Buffer;
}

/** The response breaks RFC 9112, or lacks a length, without which a cut body could not be told from a whole one. */
export class MalformedResponse extends Error {
  override readonly name = 'MalformedResponse';
}

const HEAD_MAX = 16_384;
const BODY_MAX = 64 * 1024 * 1024;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d) [^\r\n]*$/;
const FIELD = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n]*?)[ \t]*$/;
const CHUNK_SIZE = /^([\da-f]{1,8})(?:;[^\r\n]*)?$/i;

type Stage = 'head' | 'fixed' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailer' | 'done';

export class ResponseParser {
  /** Set once the head is whole; interim (1xx) responses are skipped. */
  head: Head | null = null;
  /** Bytes of the response that have come. */
  received = 0;
  private stage: Stage = 'head';
  private pending: Buffer | null = null;
  private body: Buffer[] = [];
  private bodyLength = 0;
  /** Bytes of the fixed body, or of the chunk, that are still to come. */
  private left = 0;

  /** Takes what came; the response once it is whole, else null. Throws `MalformedResponse`. */
  push(bytes: Buffer): Response | null {
    this.received += bytes.length;
    let rest = this.pending ? Buffer.concat([this.pending, bytes]) : bytes;
    this.pending = null;
    while (this.stage !== 'done') {
      const taken = this.take(rest);
      if (taken < 0) {
        if (rest.length > 0) this.pending = rest;
        return null;
      }
      rest = rest.subarray(taken);
    }
    if (rest.length > 0) throw new MalformedResponse(`${rest.length} bytes after the response`);
    const [only] = this.body;
    const body = this.body.length === 1 && only ? only : Buffer.concat(this.body);
    return this.head && { ...this.head, body };
  }

  /** Performs one step; the number of bytes it used, or -1 when it needs more than `bytes`. */
  private take(bytes: Buffer): number {
    switch (this.stage) {
      case 'head':
        return this.takeHead(bytes);
      case 'fixed':
        return this.takeData(bytes, 'done');
      case 'chunk-data':
        return this.takeData(bytes, 'chunk-end');
      default:
        return this.takeLine(bytes);
    }
  }

  private takeHead(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n\r\n');
    if (end < 0 || end > HEAD_MAX) {
      if (bytes.length > HEAD_MAX) throw new MalformedResponse(`head of more than ${HEAD_MAX} bytes`);
      return -1;
    }
    const head = parseHead(bytes.toString('latin1', 0, end));
    if (head.status >= 200) {
      this.head = head;
      this.stage = this.bodyStage(head);
    } else if (head.status === 101) {
      throw new MalformedResponse('101 to a request that asked for no upgrade');
    }
    return end + 4;
  }

  private bodyStage({ status, fields }: Head): Stage {
    const length = fields.get('content-length');
    const coding = fields.get('transfer-encoding');
    if (coding !== undefined) {
      if (length !== undefined) throw new MalformedResponse('both Transfer-Encoding and Content-Length');
      if (coding.toLowerCase() !== 'chunked') throw new MalformedResponse(`Transfer-Encoding: ${coding}`);
      return 'chunk-size';
    }
    if (status === 204 || status === 304) return 'done';
    if (length === undefined) throw new MalformedResponse('neither Content-Length nor chunked');
    if (!/^\d{1,15}$/.test(length)) throw new MalformedResponse(`Content-Length: ${length}`);
    return this.expect(Number(length), 'fixed', 'done');
  }

  private expect(length: number, some: Stage, none: Stage): Stage {
    if (this.bodyLength + length > BODY_MAX)
      throw new MalformedResponse(`body of more than ${BODY_MAX} bytes`);
    this.left = length;
    return length > 0 ? some : none;
  }

  private takeData(bytes: Buffer, next: Stage): number {
    if (bytes.length === 0) return -1;
    const part = bytes.subarray(0, this.left);
    this.body.push(part);
    this.bodyLength += part.length;
    this.left -= part.length;
    if (this.left === 0) this.stage = next;
    return part.length;
  }

  private takeLine(bytes: Buffer): number {
    const end = bytes.indexOf('\r\n');
    if (end < 0 || end > HEAD_MAX) {
      if (bytes.length > HEAD_MAX) throw new MalformedResponse(`line of more than ${HEAD_MAX} bytes`);
      return -1;
    }
    const line = bytes.toString('latin1', 0, end);
    if (this.stage === 'chunk-end') {
      if (line !== '') throw new MalformedResponse('chunk longer than its size');
      this.stage = 'chunk-size';
    } else if (this.stage === 'trailer') {
      if (line === '') this.stage = 'done';
    } else {
      const size = CHUNK_SIZE.exec(line)?.[1];
      if (size === undefined) throw new MalformedResponse(`chunk size "${line.slice(0, 20)}"`);
      this.stage = this.expect(Number.parseInt(size, 16), 'chunk-data', 'trailer');
    }
    return end + 2;
  }
}

function parseHead(text: string): Head {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const match = STATUS_LINE.exec(statusLine);
  if (!match) throw new MalformedResponse(`status line "${statusLine.slice(0, 40)}"`);
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined)
      throw new MalformedResponse(`field "${line.slice(0, 40)}"`);
    const key = name.toLowerCase();
    const former = fields.get(key);
    fields.set(key, former === undefined ? value : `${former}, ${value}`);
  }
  const options = fields.get('connection')?.toLowerCase() ?? '';
  const last = /(?:^|[ \t,])close(?:$|[ \t,])/.test(options);
  return { status: Number(match[2]), fields, last: last || match[1] === '0' };
}
