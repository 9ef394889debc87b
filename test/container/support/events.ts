/** What the engine tells of one container: starts, signals, health, the end of each probe. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { docker } from './container.ts';

/** https://docs.docker.com/reference/api/engine/, SystemEvents */
export interface EngineEvent {
  /** `kill`, `die`, `health_status: healthy`, `exec_die` (a probe has ended), … */
  readonly Action: string;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

export class Events implements Disposable {
  readonly all: EngineEvent[] = [];
  readonly #stream: Readable;
  readonly #waiting = new Set<() => void>();

  private constructor(stream: Readable) {
    this.#stream = stream;
    createInterface({ input: stream }).on('line', (line) => {
      this.all.push(JSON.parse(line) as EngineEvent);
      for (const look of [...this.#waiting]) look();
    });
  }

  /** From the container's start on, as far as the engine remembers: 256 events of all its containers. */
  static async of(id: string): Promise<Events> {
    const stream = await docker.getEvents({ since: 0, filters: { container: [id] } });
    return new Events(stream as Readable);
  }

  /** The exit code of every HEALTHCHECK so far. */
  get probes(): string[] {
    return this.all
      .filter(({ Action }) => Action === 'exec_die')
      .map(({ Actor }) => Actor.Attributes['exitCode'] ?? '');
  }

  /** The signals that the engine has sent so far, by number. */
  get signals(): string[] {
    return this.all
      .filter(({ Action }) => Action === 'kill')
      .map(({ Actor }) => Actor.Attributes['signal'] ?? '');
  }

  /** `healthy` and `unhealthy`, as they came. */
  get verdicts(): string[] {
    return this.all.flatMap(({ Action }) => /^health_status: (\w+)$/.exec(Action)?.[1] ?? []);
  }

  /** Resolves once `holds`. */
  until(holds: (events: this) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (!holds(this)) return;
      this.#waiting.delete(look);
      resolve();
    };
    this.#waiting.add(look);
    look();
    return promise;
  }

  [Symbol.dispose](): void {
    this.#stream.destroy();
  }
}
