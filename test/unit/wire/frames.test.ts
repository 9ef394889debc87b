import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrame, FRAME_MAX, FrameDecoder } from '../../../agent/frames.ts';

const field = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'));
const frame = fc.array(field, { minLength: 1, maxLength: 8 });

describe('frames', () => {
  test('survive the wire however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 5 }),
        fc.array(fc.nat(64), { minLength: 1 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map(encodeFrame));
          const decoder = new FrameDecoder();
          const decoded: string[][] = [];
          for (let at = 0, cut = 0; at < bytes.length; cut++) {
            const length = (cuts[cut % cuts.length] ?? 0) + 1;
            decoded.push(...decoder.push(bytes.subarray(at, at + length)));
            at += length;
          }
          expect(decoded).toEqual(frames);
        },
      ),
    );
  });

  test('end each field with NUL after a little-endian length', () => {
    expect([...encodeFrame(['ok', ''])]).toEqual([4, 0, 0, 0, 0x6f, 0x6b, 0, 0]);
  });

  test('cannot carry NUL, nor more than PID 1 takes', () => {
    expect(() => encodeFrame(['a\0b'])).toThrow('NUL');
    expect(encodeFrame(['x'.repeat(FRAME_MAX - 1)])).toHaveLength(FRAME_MAX + 4);
    expect(() => encodeFrame(['x'.repeat(FRAME_MAX)])).toThrow('longer than 1 MiB');
  });

  test('a length that no frame has is not the wire', () => {
    expect(() => new FrameDecoder().push(Buffer.from([0, 0, 0, 0x7f]))).toThrow('longer than 1 MiB');
  });
});
