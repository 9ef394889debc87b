import { expect, test } from 'vitest';
import { judge, type VitestReport } from '../verdict.ts';

function report(...statuses: readonly string[]): VitestReport {
  const assertionResults = statuses.map((status, index) => ({ fullName: `test ${index + 1}`, status }));
  const status = statuses.includes('failed') ? 'failed' : 'passed';
  return { testResults: [{ name: 'a.test.ts', status, message: '', assertionResults }] };
}

test('all passed', () => {
  expect(judge(report('passed', 'passed'))).toEqual({ ok: true, lines: ['2 passed, 0 failed'] });
});

test('a failed test is named', () => {
  expect(judge(report('passed', 'failed'))).toEqual({
    ok: false,
    lines: ['failed: test 2', '1 passed, 1 failed'],
  });
});

test.each(['skipped', 'pending', 'todo', 'disabled'])('%s is no pass', (status) => {
  expect(judge(report('passed', status))).toEqual({
    ok: false,
    lines: ['skipped: test 2', '1 passed, 0 failed'],
  });
});

test('a file that could not be loaded counts as one failure', () => {
  const broken = {
    name: 'b.test.ts',
    status: 'failed',
    message: 'no such module\n  at',
    assertionResults: [],
  };
  expect(judge({ testResults: [...report('passed').testResults, broken] })).toEqual({
    ok: false,
    lines: ['failed: b.test.ts: no such module', '1 passed, 1 failed'],
  });
});

test('a run without tests is no success', () => {
  expect(judge({ testResults: [] })).toEqual({ ok: false, lines: ['0 passed, 0 failed'] });
});
