/** What the tests do with a sample service under Baton, wherever it runs: update it, ask it, load it, read its log. */
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Status } from '../../agent/health/status.ts';
import { type AppName, type BuildOptions, buildApp } from '../apps/build.ts';
import { Connection, type Result, type Target } from '../load/connection.ts';
import { type Load, type LoadOptions, sampleBody, startLoad } from '../load/load.ts';
import type { Head } from '../load/parser.ts';

/** A line of Baton's log. */
export interface LogLine {
  readonly msg: string;
  readonly level: number;
  readonly generation?: number;
  readonly outcome?: string;
  readonly pid?: number;
  readonly [field: string]: unknown;
}

/** The whole lines of Baton's log in what was written to stderr; its plain lines and the program's own are left out. */
export function parseLog(stderr: string): LogLine[] {
  const lines = stderr.split('\n').slice(0, -1);
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface DeployedParts {
  readonly app: AppName;
  /** `volume` in it is the program's directory. */
  readonly directory: string;
  /** On 127.0.0.1, as is the health endpoint's. */
  readonly port: number;
  readonly healthPort: number;
}

export abstract class Deployed {
  readonly app: AppName;
  readonly directory: string;
  readonly port: number;
  readonly healthPort: number;

  protected constructor({ app, directory, port, healthPort }: DeployedParts) {
    this.app = app;
    this.directory = directory;
    this.port = port;
    this.healthPort = healthPort;
  }

  /** Everything that was written to stderr so far. */
  abstract get output(): string;

  /** Resolves at the next output; rejects when there will be none. */
  abstract heard(): Promise<void>;

  /** Where the program is reached. */
  protected get target(): Target {
    return { port: this.port };
  }

  /** Puts another version on the volume; Baton sees it by itself. */
  async update(version: string, options: BuildOptions = {}): Promise<void> {
    await buildApp(this.app, version, join(this.directory, 'volume'), {
      listen: `127.0.0.1:${this.port}`,
      ...options,
    });
  }

  load(options: Partial<LoadOptions> & Pick<LoadOptions, 'mode'>): Load {
    return startLoad({ ...this.target, timeoutMs: 30_000, ...options });
  }

  /** Both kinds of client at once, at 50 requests a second each. */
  loads(options: Partial<LoadOptions> = {}): Load[] {
    const modes = ['per-request', 'keep-alive'] as const;
    return modes.map((mode) => this.load({ mode, connections: 2, rate: 50, ...options }));
  }

  /** Probes `path` of the health endpoint again and again, each time on a new connection; whatever is not 200 has failed. */
  probe(path: '/livez' | '/readyz'): Load {
    return startLoad({
      port: this.healthPort,
      path,
      mode: 'per-request',
      connections: 1,
      rate: 500,
      timeoutMs: 30_000,
      check: () => null,
    });
  }

  /** One request that takes `ms`; `begun` once the head of its answer is there. */
  slow(ms: number): { begun: Promise<Head>; result: Promise<Result> } {
    const { promise: begun, resolve: onHead } = Promise.withResolvers<Head>();
    const connection = new Connection(this.target, sampleBody);
    return { begun, result: connection.request(`/slow?ms=${ms}`, { close: true, onHead }) };
  }

  health(path: string): Promise<Answer> {
    return httpGet(this.healthPort, path);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.health('/status')).body);
  }

  until(wanted: (status: Status) => boolean): Promise<Status> {
    return untilStatus((path) => this.health(path), wanted);
  }

  /** Everything that Baton has logged so far, its plain lines left out. */
  get log(): LogLine[] {
    return parseLog(this.output);
  }

  /** The first line from `from` on (default: from the beginning) that matches, awaited if it is not there yet. */
  async waitForLog(matches: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    for (;;) {
      const { log } = this;
      const found = log.slice(from).find(matches);
      if (found) return found;
      await this.heard();
    }
  }

  /** Awaits what `act` leads to: the next recorded outcome. */
  async outcomeOf(act: () => unknown): Promise<LogLine> {
    const from = this.log.length;
    await act();
    return this.waitForLog(({ outcome }) => outcome !== undefined, from);
  }
}

/** Asks until the status is as wanted: pages are published at each change, but announced to nobody. */
export async function untilStatus(
  ask: (path: '/status') => Promise<Answer>,
  wanted: (status: Status) => boolean,
): Promise<Status> {
  for (;;) {
    const { status, body } = await ask('/status');
    const now: Status | null = status === 200 ? JSON.parse(body) : null;
    if (now && wanted(now)) return now;
    await pause(5);
  }
}

export function httpGet(port: number, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    }).on('error', reject);
  });
}
