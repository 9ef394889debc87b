import type { BigIntStats } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Entry, Scan } from '../../../agent/artifact/scan.ts';
import { type Clock, type Look, settle } from '../../../agent/artifact/settle.ts';

const { signal } = new AbortController();

/** A clock that moves when somebody sleeps. */
function fakeClock(): Clock & { time: number } {
  return {
    time: 1_000_000,
    now() {
      return this.time;
    },
    wall() {
      return this.time;
    },
    async sleep(ms, abort) {
      abort.throwIfAborted();
      this.time += ms;
    },
  };
}

function file(path: string, size: number, mtime: number): Entry {
  const at = BigInt(Math.round(mtime)) * 1_000_000n;
  const stat = {
    mode: 0o100755n,
    dev: 1n,
    ino: 1n,
    size: BigInt(size),
    mtimeMs: BigInt(Math.round(mtime)),
    mtimeNs: at,
    ctimeNs: at,
  };
  return { path, real: path, kind: 'file', stat: stat as BigIntStats, text: '' };
}

function seen(entry: Entry, trouble: Error | null = null): Look & { scan: Scan } {
  return { scan: { entries: [entry], names: new Map(), trees: [] }, trouble };
}

/** Settles on what `world` shows at each time, and tells how long that took and how many looks. */
async function run(
  world: (time: number) => Look,
  options: { settle?: number; atOnce?: boolean; patience?: number } = {},
) {
  const clock = fakeClock();
  const start = clock.time;
  let looks = 0;
  const result = await settle(
    async () => {
      looks++;
      return world(clock.time - start);
    },
    {
      settle: options.settle ?? 100,
      atOnce: options.atOnce ?? true,
      giveUpAt: start + (options.patience ?? 60_000),
      signal,
      clock,
    },
  );
  return { result, looks, took: clock.time - start };
}

describe('settle', () => {
  test('takes at once what was written long ago', async () => {
    const { looks } = await run(() => seen(file('/server', 10, 0)));
    expect(looks).toBe(1);
  });

  test('waits for what was just written', async () => {
    const { looks, took } = await run(() => seen(file('/server', 10, 1_000_000)));
    expect(took).toBeGreaterThanOrEqual(100);
    expect(looks).toBeGreaterThan(2);
  });

  test('does not take at once what is from the future, or when told not to', async () => {
    expect((await run(() => seen(file('/server', 10, 9_000_000)))).took).toBeGreaterThanOrEqual(100);
    expect((await run(() => seen(file('/server', 10, 0)), { atOnce: false })).took).toBeGreaterThanOrEqual(
      100,
    );
  });

  test('waits until a file stops growing, and the whole time after that', async () => {
    const { result, took } = await run((time) => {
      const written = Math.min(time, 730);
      return seen(file('/server', written, 1_000_000 + written));
    });
    expect(result.scan.entries[0]?.stat?.size).toBe(730n);
    expect(took).toBeGreaterThanOrEqual(830);
  });

  test('waits for what is missing to come back', async () => {
    const absent: Entry = { path: '/server', real: '/server', kind: 'absent', stat: null, text: 'ENOENT' };
    const { result } = await run((time) =>
      time < 60 ? seen(absent, new Error('not there')) : seen(file('/server', 10, 0)),
    );
    expect(result.trouble).toBeNull();
  });

  test('reports trouble that stays', async () => {
    const { result, took } = await run(() => seen(file('/server', 0, 0), new Error('empty')));
    expect(result.trouble?.message).toBe('empty');
    expect(took).toBeGreaterThanOrEqual(100);
  });

  test('gives up on what never stands still, naming it', async () => {
    await expect(run((time) => seen(file('/app/log', time, 1_000_000 + time)))).rejects.toThrow(
      '/app/log: still changing; write elsewhere and rename into place, or watch only what a deploy writes',
    );
  });

  test('takes the first look when it need not stand still', async () => {
    const { looks } = await run(() => seen(file('/server', 10, 1_000_000)), { settle: 0 });
    expect(looks).toBe(1);
  });

  test('stops when it is told to', async () => {
    const look = async () => seen(file('/server', 10, 1_000_000));
    const stop = AbortSignal.abort(new Error('enough'));
    const options = { settle: 100, atOnce: true, giveUpAt: 2_000_000, clock: fakeClock(), signal: stop };
    await expect(settle(look, options)).rejects.toThrow('enough');
  });
});
