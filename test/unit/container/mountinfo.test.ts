import { expect, test } from 'vitest';
import { parseMountinfo } from '../../../agent/container/mountinfo.ts';

test('what is mounted where, with any number of optional fields, and the octal escapes undone', () => {
  const text = [
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue',
    '63 43 254:0 /a\\040b /srv/ser\\134ver rw - ext4 /dev/vda rw',
    'no mount',
    '',
  ].join('\n');
  expect(parseMountinfo(text)).toEqual([
    { root: '/mnt1', point: '/mnt2', type: 'ext3', options: ['rw', 'errors=continue'] },
    { root: '/a b', point: '/srv/ser\\ver', type: 'ext4', options: ['rw'] },
  ]);
});
