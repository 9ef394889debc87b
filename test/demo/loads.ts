/**
 * Three kinds of client at once: those that connect anew, those that stay connected, and those that take their time.
 */
import type { Result } from '../load/connection.ts';
import { type Load, startLoad } from '../load/load.ts';
import type { Report } from '../load/report.ts';

/** Requests a second of each quick client: a gap of a few milliseconds would be hit, and two cores stay mostly idle. */
const RATE = 400;
/** Longer than from one handover to the next: a download ends on a generation that has been replaced meanwhile. */
const DOWNLOAD_MS = 2000;

export class Loads {
  /** Downloads that came whole from another process than the newest. */
  outlived = 0;
  /** The newest generation's process, as it calls itself. */
  newest: number | null = null;
  readonly #quick: readonly Load[];
  readonly #named: readonly (readonly [string, Load])[];

  constructor(port: number) {
    const single = startLoad({ port, mode: 'per-request', connections: 4, rate: RATE });
    const kept = startLoad({ port, mode: 'keep-alive', connections: 8, rate: RATE });
    const downloads = startLoad({
      port,
      mode: 'per-request',
      connections: 4,
      path: `/slow?ms=${DOWNLOAD_MS}`,
      timeoutMs: 4 * DOWNLOAD_MS,
      onResult: (result) => {
        if (result.kind === 'ok' && !isFrom(this.newest, result)) this.outlived++;
      },
    });
    this.#quick = [single, kept];
    this.#named = [
      ['connect anew', single],
      ['keep-alive', kept],
      [`downloads of ${DOWNLOAD_MS / 1000} s`, downloads],
    ];
  }

  /** So far, over all clients. */
  get totals(): { requests: number; failures: number } {
    const reports = this.#named.map(([, load]) => load.report());
    return {
      requests: reports.reduce((sum, { requests }) => sum + requests, 0),
      failures: reports.reduce((sum, report) => sum + failuresOf(report), 0),
    };
  }

  /** Once each quick client was answered by the newest generation, and then `count` times more. */
  async served(count: number): Promise<void> {
    await Promise.all(this.#quick.map((load) => load.until((result) => isFrom(this.newest, result))));
    await Promise.all(this.#quick.map((load) => load.completed(count)));
  }

  /** Lets what is under way finish. */
  stop(): Promise<(readonly [string, Report])[]> {
    return Promise.all(this.#named.map(async ([name, load]) => [name, await load.stop()] as const));
  }
}

/** Requests that a kept connection lost to the server's closing it count too: the sample service says so beforehand. */
export function failuresOf({ failed, stale }: Report): number {
  return failed + stale;
}

function isFrom(pid: number | null, result: Result): boolean {
  return result.kind === 'ok' && Number(result.response.fields.get('x-pid')) === pid;
}
