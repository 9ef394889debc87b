/**
 * Reads Vitest's JSON report and says, in its last line, how many tests passed and failed. Exits 1 when one failed
 * or, since nobody reads a green run, was skipped.
 */
import { readFileSync } from 'node:fs';

/** The part of Vitest's JSON report (reporters/json) that matters here. */
export interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

export interface Verdict {
  readonly ok: boolean;
  /** To be printed; the last is "N passed, N failed". */
  readonly lines: readonly string[];
}

export function judge({ testResults }: VitestReport): Verdict {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const named = (status: string) =>
    tests.filter((test) => test.status === status).map((test) => test.fullName);
  const passed = named('passed');
  const failed = [
    ...named('failed'),
    // A file that cannot be loaded, or whose hooks fail, has no failed test in it.
    ...testResults
      .filter(
        ({ status, assertionResults }) =>
          status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
      )
      .map(({ name, message }) => `${name}: ${message.split('\n', 1)[0]}`),
  ];
  const skipped = tests
    .filter(({ status }) => status !== 'passed' && status !== 'failed')
    .map((test) => test.fullName);
  return {
    ok: passed.length > 0 && failed.length === 0 && skipped.length === 0,
    lines: [
      ...failed.map((name) => `failed: ${name}`),
      ...skipped.map((name) => `skipped: ${name}`),
      `${passed.length} passed, ${failed.length} failed`,
    ],
  };
}

if (import.meta.main) {
  const [path = ''] = process.argv.slice(2);
  const { ok, lines } = judge(JSON.parse(readFileSync(path, 'utf8')) as VitestReport);
  console.log(lines.join('\n'));
  process.exitCode = ok ? 0 : 1;
}
