import { expect, test } from 'vitest';
import { Notifications } from '../../../agent/notifications.ts';

const notify = (seq: number, payload: string) =>
  ({ type: 'notify', seq, pid: 12, sender: 12, payload }) as const;

test('are kept until somebody reads them, and done only once the process is ready', async () => {
  const done: number[] = [];
  const notifications = new Notifications({ done: async (seq) => void done.push(seq) });
  notifications.take(notify(1, 'STATUS=warming up'), false);
  notifications.take(notify(2, 'READY=1'), false);
  const reader = notifications.of(12)[Symbol.asyncIterator]();
  expect((await reader.next()).value).toBe('STATUS=warming up');
  expect((await reader.next()).value).toBe('READY=1');
  expect(done).toEqual([]);

  notifications.finish(12);
  expect(done).toEqual([1, 2]);
  expect((await reader.next()).done).toBe(true);

  notifications.take(notify(3, 'STATUS=serving'), true);
  expect(done).toEqual([1, 2, 3]);
});
