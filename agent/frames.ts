/**
 * The frames of the wire (docs/wire.md): a 32-bit little-endian length and that many bytes, which are fields, each
 * ended by NUL. Pure.
 */

/** Bytes after the length, at most. */
export const FRAME_MAX = 1024 * 1024;
const HEADER = 4;

/** @throws RangeError when a field contains NUL or the frame would be longer than FRAME_MAX */
export function encodeFrame(fields: readonly string[]): Buffer {
  if (fields.some((field) => field.includes('\0'))) throw new RangeError('a field cannot contain NUL');
  const body = Buffer.from(`${fields.join('\0')}\0`);
  if (body.length > FRAME_MAX) throw new RangeError(`a frame of ${body.length} bytes is longer than 1 MiB`);
  const frame = Buffer.allocUnsafe(HEADER + body.length);
  frame.writeUInt32LE(body.length);
  body.copy(frame, HEADER);
  return frame;
}

/** Collects bytes and returns the frames that are whole, each as its fields. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws RangeError for a frame longer than FRAME_MAX: PID 1 sends none, so the stream is not the wire */
  push(bytes: Buffer): string[][] {
    let buffer = this.#rest.length ? Buffer.concat([this.#rest, bytes]) : bytes;
    const frames: string[][] = [];
    while (buffer.length >= HEADER) {
      const length = buffer.readUInt32LE();
      if (length > FRAME_MAX) throw new RangeError(`a frame of ${length} bytes is longer than 1 MiB`);
      if (buffer.length < HEADER + length) break;
      // The NUL that ends the last field would make an empty one more.
      frames.push(buffer.toString('utf8', HEADER, HEADER + length - 1).split('\0'));
      buffer = buffer.subarray(HEADER + length);
    }
    this.#rest = buffer;
    return frames;
  }
}
