import { expect, test } from 'vitest';
import { parseRequest } from '../../../agent/control/requests.ts';

test.each([
  ['reload', [], { type: 'reload', wait: true }],
  ['reload', ['no-wait', 'json'], { type: 'reload', wait: false }],
  ['drain', ['json'], { type: 'drain' }],
  ['drain', ['no-wait'], { type: 'unknown', text: 'drain: unknown argument "no-wait"' }],
  ['explode', [], { type: 'unknown', text: 'this Baton has no "explode"' }],
])('%s %j', (verb, args, command) => {
  expect(parseRequest(verb, args)).toEqual(command);
});
