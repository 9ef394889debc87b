import { expect, test } from 'vitest';
import { readMountPoints } from '../../../agent/watch/mounts.ts';

test('a mountinfo of this machine', async () => {
  expect((await readMountPoints()).has('/')).toBe(true);
});
