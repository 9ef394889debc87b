import { expect, test } from 'vitest';
import { mountPoints, readMountPoints } from '../../../agent/watch/mounts.ts';

test('the mount points of a mountinfo, with the octal escapes undone', () => {
  const text = [
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue',
    '63 43 254:0 /a /srv/my\\040app/ser\\134ver rw,relatime - ext4 /dev/vda rw',
    '',
  ].join('\n');
  expect([...mountPoints(text)]).toEqual(['/mnt2', '/srv/my app/ser\\ver']);
});

test('a mountinfo of this machine', async () => {
  expect((await readMountPoints()).has('/')).toBe(true);
});
