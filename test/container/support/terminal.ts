/** The other end of a container's terminal, as `docker attach` has it. */
import type { Duplex } from 'node:stream';
import { docker } from './container.ts';

export const CTRL_C = '\x03';
export const CTRL_Z = '\x1a';

export class Terminal {
  readonly #id: string;
  readonly #stream: Duplex;
  #output = '';
  /** Where what nobody has waited for yet begins. */
  #unread = 0;
  #heard = Promise.withResolvers<void>();

  private constructor(id: string, stream: Duplex) {
    this.#id = id;
    this.#stream = stream;
    this.#heard.promise.catch(() => {});
    stream.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
      this.#heard.resolve();
      this.#heard = Promise.withResolvers();
      this.#heard.promise.catch(() => {});
    });
    stream.on('end', () => this.#heard.reject(new Error(`the container ended:\n${this.#output}`)));
  }

  static async attach(id: string): Promise<Terminal> {
    const options = { stream: true, stdin: true, stdout: true, logs: true, hijack: true };
    return new Terminal(id, (await docker.getContainer(id).attach(options)) as Duplex);
  }

  type(text: string): void {
    this.#stream.write(text);
  }

  /** The first match behind the last one that was waited for; rejects when the container ends before. */
  async waitFor(pattern: RegExp): Promise<void> {
    for (;;) {
      const match = pattern.exec(this.#output.slice(this.#unread));
      if (match) {
        this.#unread += match.index + match[0].length;
        return;
      }
      await this.#heard.promise;
    }
  }

  /** Types a line, and awaits what it leads to. */
  async enter(line: string, leadsTo: RegExp): Promise<void> {
    this.type(`${line}\r`);
    await this.waitFor(leadsTo);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await docker.getContainer(this.#id).resize({ h: rows, w: columns });
  }
}
