/** A load that is made elsewhere, by client.ts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Report } from '../../load/report.ts';

type Counts = Pick<Report, 'ok' | 'failed' | 'stale' | 'failures' | 'samples'>;

interface Result {
  readonly kind: string;
  readonly version?: string;
}

interface Watcher {
  readonly wanted: (result: Result) => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class RemoteLoad {
  readonly #client: ChildProcess;
  readonly #watchers = new Set<Watcher>();
  readonly #counts: Promise<Counts>;

  /** @param command that runs client.ts with stdin and stdout passed through */
  constructor([command = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#client = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    const { promise, resolve, reject } = Promise.withResolvers<Counts>();
    this.#counts = promise;
    promise.catch(() => {}); // told to whoever waits
    let report: Counts | undefined;
    if (this.#client.stdout)
      createInterface({ input: this.#client.stdout }).on('line', (line) => {
        const told = JSON.parse(line) as Result | { readonly report: Counts };
        if ('report' in told) report = told.report;
        else this.#hear(told);
      });
    this.#client.once('close', () => {
      const error = new Error('the load client has ended');
      if (report) resolve(report);
      else reject(error);
      for (const watcher of this.#watchers) watcher.reject(error);
    });
  }

  /** The next whole answer from `version`. */
  seen(version: string): Promise<void> {
    return this.#until((result) => result.version === version);
  }

  /** Once `count` more requests have succeeded. */
  completed(count: number): Promise<void> {
    let left = count;
    return this.#until(({ kind }) => kind === 'ok' && --left <= 0);
  }

  stop(): Promise<Counts> {
    this.#client.stdin?.end();
    return this.#counts;
  }

  #until(wanted: Watcher['wanted']): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#watchers.add({ wanted, resolve, reject });
    return promise;
  }

  #hear(result: Result): void {
    for (const watcher of this.#watchers) {
      if (!watcher.wanted(result)) continue;
      this.#watchers.delete(watcher);
      watcher.resolve();
    }
  }
}
