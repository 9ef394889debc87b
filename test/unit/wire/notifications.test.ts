import { expect, test } from 'vitest';
import { Notifications } from '../../../agent/notifications.ts';

const notify = (seq: number, payload: string) =>
  ({ type: 'notify', seq, pid: 12, sender: 12, payload }) as const;

test('are kept until somebody reads them, and READY=1 is done only once the process is ready', async () => {
  const done: number[] = [];
  const notifications = new Notifications({ done: async (seq) => void done.push(seq) });
  notifications.take(notify(1, 'STATUS=warming up'), true);
  notifications.take(notify(2, 'STATUS=warm\nREADY=1'), true);
  const reader = notifications.of(12)[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe('STATUS=warming up');
  expect((await reader.next()).value).toBe('STATUS=warm\nREADY=1');
  expect(done).toEqual([1]);

  notifications.finish(12);
  expect(done).toEqual([1, 2]);
  expect((await reader.next()).done).toBe(true);

  notifications.take(notify(3, 'STATUS=serving'), false);
  expect(done).toEqual([1, 2, 3]);
});

test('a flood that nobody reads fills neither the queue of PID 1 nor the memory, and hides no READY=1', async () => {
  const done: number[] = [];
  const notifications = new Notifications({ done: async (seq) => void done.push(seq) });
  for (let seq = 1; seq <= 1000; seq++) notifications.take(notify(seq, `STATUS=step ${seq}`), true);
  notifications.take(notify(1001, 'READY=1'), true);
  for (let seq = 1002; seq <= 2000; seq++) notifications.take(notify(seq, 'READY=1'), true);
  expect(done).toHaveLength(1999);
  expect(done).not.toContain(1001);
  expect(notifications.of(12).size).toBeLessThan(100);

  const heard: string[] = [];
  for await (const payload of notifications.of(12)) {
    heard.push(payload);
    if (payload === 'READY=1') break;
  }
  expect(heard).toContain('READY=1');
});
