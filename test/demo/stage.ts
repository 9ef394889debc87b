/** A service under Baton and under load: changes are made to it, and each handover is seen from outside and printed. */
import { join } from 'node:path';
import { type BuildOptions, buildApp } from '../apps/build.ts';
import { freePort } from '../support/service.ts';
import { Container } from './container.ts';
import { Loads } from './loads.ts';
import { printNote, printRow } from './screen.ts';

/** Answers to each quick client between one handover and the next change. */
const ANSWERS = 300;
/** A second for what never gets ready, and at the end two of lame duck: enough to be seen. */
const FLAGS = ['--ready-timeout', '1s', '--drain-delay', '2s'];

export class Stage implements AsyncDisposable {
  readonly container: Container;
  readonly loads: Loads;
  readonly port: number;
  readonly healthPort: number;
  readonly outcomes: string[] = [];
  /** What went otherwise than it should, in words. */
  readonly surprises: string[] = [];
  readonly #volume: string;
  readonly #started: number;
  #generation: unknown;

  private constructor(
    parts: Pick<Stage, 'container' | 'port' | 'healthPort'> & { volume: string; started: number },
  ) {
    this.container = parts.container;
    this.port = parts.port;
    this.healthPort = parts.healthPort;
    this.loads = new Loads(parts.port);
    this.#volume = parts.volume;
    this.#started = parts.started;
  }

  /**
   * Resolves when the first generation serves and the load has begun.
   *
   * @param directory an empty one: for the volume, and for Baton's private copies of what is on it
   */
  static async open(directory: string): Promise<Stage> {
    const volume = join(directory, 'volume');
    const { command } = await buildApp('c', 'v1', volume);
    const [port, healthPort] = [await freePort(), await freePort()];
    const addresses = ['--listen', `127.0.0.1:${port}`, '--health', `127.0.0.1:${healthPort}`];
    const started = performance.now();
    const container = await Container.start([
      ...addresses,
      ...FLAGS,
      '--store',
      join(directory, 'store'),
      '--',
      ...command,
    ]);
    await container.outcome(0);
    return new Stage({ container, port, healthPort, volume, started });
  }

  /** Rewrites the program on the volume. */
  async put(version: string, options: BuildOptions = {}): Promise<void> {
    await buildApp('c', version, this.#volume, options);
  }

  /**
   * Does something, waits for the outcome of the handover that follows, and prints it; then lets the load go on for a
   * while.
   */
  async handover(
    change: string,
    act: () => unknown,
    expected: 'promoted' | 'failed' = 'promoted',
  ): Promise<void> {
    await act();
    const { outcome, generation, by, durationMs, reason } = await this.container.outcome(
      this.outcomes.length,
    );
    this.outcomes.push(outcome);
    const pid = this.container.pidOf(generation);
    const promoted = outcome === 'promoted';
    if (promoted) {
      this.#generation = generation;
      this.loads.newest = pid;
    }
    printRow({
      seconds: this.seconds,
      change,
      trigger: by,
      outcome,
      generation,
      pid,
      milliseconds: durationMs,
      ...this.loads.totals,
    });
    if (!promoted) printNote(`${reason}; generation ${this.#generation} serves on`);
    if (outcome !== expected) this.surprises.push(`${change}: ${outcome}, where ${expected} was expected`);
    await this.loads.served(ANSWERS);
  }

  get seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.loads.stop();
    await this.container[Symbol.asyncDispose]();
  }
}
