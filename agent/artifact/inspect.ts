/**
 * What the program's first bytes say: is it whole, and may it be executed from another place? elf(5).
 */
import { type FileHandle, open } from 'node:fs/promises';

export interface Inspection {
  /** Fewer bytes than its program headers map: a copy that stopped half-way. */
  readonly truncated: boolean;
  /** Why it finds its neighbours only from its own path, or null. */
  readonly bound: 'script' | 'origin' | null;
}

const WHOLE: Inspection = { truncated: false, bound: null };
const [PT_LOAD, PT_DYNAMIC] = [1, 2];
const [DT_STRTAB, DT_RPATH, DT_RUNPATH] = [5, 15, 29];
/** Far above any linker's output; keeps a crafted file from making us allocate. */
const MAX_TABLE = 1024 * 1024;

/** Reads the headers only. What is neither a script nor a well-formed ELF file is left for execve(2) to judge. */
export async function inspectProgram(path: string): Promise<Inspection> {
  await using file = await open(path, 'r');
  const head = await readAt(file, 0, 64);
  if (head.toString('latin1', 0, 2) === '#!') return { truncated: false, bound: 'script' };
  if (head.length < 4 || head.toString('latin1', 0, 4) !== '\x7fELF') return WHOLE;
  if (head.length < (head[4] === 2 ? 64 : 52)) return { truncated: true, bound: null };
  const elf = elfReader(head);
  const tableSize = elf.programHeaders.size * elf.programHeaders.count;
  if (tableSize === 0 || tableSize > MAX_TABLE) return WHOLE;
  const table = await readAt(file, elf.programHeaders.offset, tableSize);
  if (table.length < tableSize) return { truncated: true, bound: null };
  const segments = elf.segments(table);
  const { size } = await file.stat();
  const truncated = segments.some(
    ({ type, offset, fileSize }) => type === PT_LOAD && offset + fileSize > size,
  );
  const bound = !truncated && (await searchesOrigin(file, elf, segments)) ? 'origin' : null;
  return { truncated, bound };
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

/** The few fields that matter, in both classes and both byte orders. */
function elfReader(head: Buffer) {
  const wide = head[4] === 2;
  const little = head[5] === 1;
  const half = (from: Buffer, at: number) => (little ? from.readUInt16LE(at) : from.readUInt16BE(at));
  const word = (from: Buffer, at: number) => (little ? from.readUInt32LE(at) : from.readUInt32BE(at));
  const address = (from: Buffer, at: number) => {
    if (!wide) return word(from, at);
    return Number(little ? from.readBigUInt64LE(at) : from.readBigUInt64BE(at));
  };
  const programHeaders = {
    offset: address(head, wide ? 32 : 28),
    size: half(head, wide ? 54 : 42),
    count: half(head, wide ? 56 : 44),
  };
  const segments = (table: Buffer): Segment[] => {
    const found: Segment[] = [];
    const least = wide ? 56 : 32;
    for (let at = 0; programHeaders.size >= least && at + least <= table.length; at += programHeaders.size) {
      found.push({
        type: word(table, at),
        offset: address(table, at + (wide ? 8 : 4)),
        address: address(table, at + (wide ? 16 : 8)),
        fileSize: address(table, at + (wide ? 32 : 16)),
      });
    }
    return found;
  };
  const pairs = (dynamic: Buffer): [tag: number, value: number][] => {
    const step = wide ? 8 : 4;
    const found: [number, number][] = [];
    for (let at = 0; at + 2 * step <= dynamic.length; at += 2 * step) {
      found.push([address(dynamic, at), address(dynamic, at + step)]);
    }
    return found;
  };
  return { programHeaders, segments, pairs };
}

/** Does the loader look for its libraries relative to the executable ($ORIGIN in DT_RPATH or DT_RUNPATH, ld.so(8))? */
async function searchesOrigin(
  file: FileHandle,
  elf: ReturnType<typeof elfReader>,
  segments: readonly Segment[],
): Promise<boolean> {
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (!dynamic || dynamic.fileSize > MAX_TABLE) return false;
  const pairs = elf.pairs(await readAt(file, dynamic.offset, dynamic.fileSize));
  const strings = pairs.find(([tag]) => tag === DT_STRTAB)?.[1];
  const home = segments.find(
    ({ type, address, fileSize }) =>
      type === PT_LOAD && strings !== undefined && strings >= address && strings < address + fileSize,
  );
  if (strings === undefined || !home) return false;
  for (const [tag, value] of pairs) {
    if (tag !== DT_RPATH && tag !== DT_RUNPATH) continue;
    const text = (await readAt(file, strings - home.address + home.offset + value, 4096)).toString('latin1');
    const path = text.split('\0', 1)[0] ?? '';
    if (/\$\{?ORIGIN/.test(path)) return true;
  }
  return false;
}

/** As many of `length` bytes as there are. */
async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  if (!Number.isSafeInteger(position + length)) return Buffer.alloc(0);
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
