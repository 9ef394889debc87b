/** Whatever comes over the wire is answered, never trusted, never fatal. */
import { expect, test } from 'vitest';
import { encodeFrame, FRAME_MAX } from '../../../agent/frames.ts';
import { spawnFields } from '../../support/pid1.ts';
import { describePid1 } from './suite.ts';

const KEPT_MAX = 128 * 1024;

function raw(length: number, bytes: Buffer | string): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(length);
  return Buffer.concat([head, Buffer.from(bytes)]);
}

/** A request whose answer has no id to go by. */
const NO_ID = '-';

const malformed: readonly (readonly [string, ...string[]])[] = [
  ['nonsense'],
  ['PING'],
  [''],
  ['attach'],
  ['attach', '2'],
  ['attach', 'x'],
  ['attach', '1', 'more'],
  ['list', 'more'],
  ['listen'],
  ['listen', 'web'],
  ['listen', 'web', 'tcp://127.0.0.1:0', 'backlog=0'],
  ['listen', 'web', 'tcp://127.0.0.1:0', 'backlog=x'],
  ['listen', 'web', 'tcp://127.0.0.1:0', 'nonsense=1'],
  ['close'],
  ['close', 'web', 'more'],
  ['spawn'],
  ['spawn', ''],
  ['spawn', 'x'.repeat(65), '', '1', 'true'],
  ['spawn', 'x', '1', 'true'],
  ['spawn', 'x', ''],
  ['spawn', 'x', '', '0'],
  ['spawn', 'x', '', '2', 'true'],
  ['spawn', 'x', '', '4097', 'true'],
  ['spawn', 'x', 'nonsense', '', '1', 'true'],
  ['spawn', 'x', 'nonsense=1', '', '1', 'true'],
  ['spawn', 'x', 'listeners=nobody', '', '1', 'true'],
  ['spawn', 'x', 'scope=session', '', '1', 'true'],
  ['spawn', 'x', 'stop-signal=0', '', '1', 'true'],
  ['spawn', 'x', 'stop-signal=65', '', '1', 'true'],
  ['spawn', 'x', 'stop-timeout=-1', '', '1', 'true'],
  ['spawn', 'x', 'stop-grace=-1', '', '1', 'true'],
  ['spawn', 'x', 'stop-grace=2147483648', '', '1', 'true'],
  ['kill'],
  ['kill', '1'],
  ['kill', '1', '9'],
  ['kill', '0', '9', 'process'],
  ['kill', '-1', '9', 'group'],
  ['kill', '1', '65', 'process'],
  ['kill', '1', '9', 'session'],
  ['kill', '1', '9', 'group', 'more'],
  ['oom'],
  ['oom', '1'],
  ['oom', '0', '0'],
  ['oom', '-1', '0'],
  ['oom', '1', '1001'],
  ['oom', '1', '-1001'],
  ['oom', '1', 'x'],
  ['oom', '1', '0', 'more'],
  ['route'],
  ['keep'],
  ['keep', 'a', 'b'],
  ['done'],
  ['done', '0'],
  ['done', '1', 'more'],
  ['reply'],
  ['reply', '1'],
  ['reply', '1', 'more'],
  ['reply', '1', 'last', '256', 'text'],
  ['reply', '1', 'last', '0'],
  ['reply', '1', 'less', 'text'],
  ['reply', '1', 'more', 'text', 'more'],
  ['health'],
  ['health', 'off', 'more'],
  ['control'],
  ['control', '', 'more'],
  ['ping', 'more'],
  ['exit'],
  ['exit', '256'],
  ['exit', '-1'],
  ['exit', '0', 'more'],
];

describePid1((suite) => {
  test.each([
    ['an empty frame', raw(0, '')],
    ['a frame without its last NUL', raw(4, 'ping')],
    ['a frame with a NUL but not at its end', raw(6, 'ping\0x')],
    ['a frame longer than 1 MiB', raw(FRAME_MAX + 1, Buffer.alloc(FRAME_MAX + 1))],
    ['a frame of 4 MB', raw(4_000_000, Buffer.alloc(4_000_000, 'x'))],
    ['a verb without an id', encodeFrame(['ping'])],
    ['a verb with an empty id', encodeFrame(['ping', ''])],
    ['an id of 24 characters', encodeFrame(['ping', 'x'.repeat(24)])],
    ['an empty verb without an id', raw(1, '\0')],
  ])('%s is an error, and the stream goes on', async (_, bytes) => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    agent.write(bytes);
    await expect(agent.answer(NO_ID)).rejects.toMatchObject({ code: 'EPROTO' });
    await agent.request('ping');
    expect(agent.answersLeft).toBe(0);
  });

  test('a request that is not as it should be is an error under its id, and nothing comes of it', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.agent();
    for (const [verb, ...fields] of malformed) {
      const refused = agent.request(verb, ...fields);
      await expect(refused, `${verb} ${fields}`).rejects.toMatchObject({ code: 'EPROTO' });
    }
    await agent.request('list');
    expect(agent.frames.left).toEqual([['kept', '']]);
  });

  test('frames may come byte by byte, and many at once', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const ids = ['a', 'b', 'c'];
    const bytes = Buffer.concat(ids.map((id) => encodeFrame(['ping', id])));
    for (const byte of bytes) agent.write(Buffer.from([byte]));
    for (const id of ids) await agent.answer(id);
    agent.write(bytes);
    for (const id of ids) await agent.answer(id);
  });

  test('a frame of exactly 1 MiB is read', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const frame = encodeFrame(['keep', 'big', 'x'.repeat(FRAME_MAX - 'keep\0big\0\0'.length)]);
    expect(frame.length).toBe(4 + FRAME_MAX);
    agent.write(frame);
    await expect(agent.answer('big')).rejects.toMatchObject({ code: 'EMSGSIZE' });
    await agent.request('ping');
  });

  test('128 KiB are kept, one byte more is refused, and the record before stays', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const most = 'm'.repeat(KEPT_MAX);
    await agent.request('keep', most);
    await expect(agent.request('keep', `${most}x`)).rejects.toMatchObject({ code: 'EMSGSIZE' });
    await agent.kill();
    const next = await pid1.attached();
    expect(await next.next('kept')).toEqual([most]);
    await next.request('keep', '');
    await next.request('list');
    expect(await next.next('kept')).toEqual(['']);
  });

  test('a program gets an argument list and an environment of nearly 1 MiB', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const value = 'v'.repeat(100_000);
    const env = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`V${index}`, value]));
    const script = 'eval "echo $(($(echo $V0$V1$V2$V3$V4$V5$V6$V7$V8 | wc -c) - 1)) $# end"';
    await agent.spawn('big', ['sh', '-c', script, 'sh', ...Array.from({ length: 4000 }, String)], { env });
    await pid1.running.waitFor(/^900000 4000 end$/m);
    const many = Object.fromEntries(Array.from({ length: 4097 }, (_, index) => [`V${index}`, '']));
    await expect(agent.spawn('more', ['true'], { env: many })).rejects.toMatchObject({ code: 'E2BIG' });
  });

  test('after a length that can be no frame nothing is understood, and the silent agent is replaced', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    agent.write(raw(0xffff_ffff, ''));
    await expect(agent.answer(NO_ID)).rejects.toMatchObject({ code: 'EPROTO' });
    agent.send('exit', 3);
    await agent.gone;
    await (await pid1.attached()).request('ping');
    expect(pid1.running.stderr).toMatch(/silent/);
  });

  test('requests that come while an exec is pending are answered under their own ids', async () => {
    await using pid1 = await suite.start();
    const agent = await pid1.attached();
    const spawn = agent.send('spawn', ...spawnFields('one', ['true']));
    const ping = agent.send('ping');
    const unknown = agent.send('nonsense');
    await expect(agent.answer(unknown)).rejects.toMatchObject({ code: 'EPROTO' });
    await agent.answer(ping);
    expect(await agent.answer(spawn)).toEqual([expect.stringMatching(/^\d+$/)]);
  });
});
