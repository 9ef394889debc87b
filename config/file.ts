/** The YAML file: what it gives, each value with its position, and every mistake in it that is not about a value. */
import type { Document, LineCounter, Node, ParsedNode } from 'yaml';
import { metaOf, type OptionKey, optionKeys, optionName } from './schema.ts';
import { type Given, mismatch, type Problem, type Source, show } from './source.ts';
import { nearest } from './suggest.ts';

export interface FileContent {
  readonly given: readonly Given[];
  readonly problems: readonly Problem[];
}

const keysByName = new Map(optionKeys.map((key) => [optionName(key), key]));

/** Reads YAML 1.2. `file` is its name in messages. Never throws: all that is wrong is in `problems`. */
export async function readYaml(file: string, bytes: Uint8Array): Promise<FileContent> {
  let content: string;
  try {
    // Takes a byte order mark away, and would otherwise turn a Latin-1 path into another one in silence.
    content = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { given: [], problems: [{ source: { from: 'default' }, text: `${file}: is not UTF-8 text` }] };
  }
  // Imported here: an agent without a file never evaluates the parser.
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  // Duplicate keys are reported below, with the place of the first.
  const document = yaml.parseDocument(content, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
  });
  return new FileReader(yaml, file, document, lines).read();
}

class FileReader {
  readonly #yaml: typeof import('yaml');
  readonly #file: string;
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  readonly #given: Given[] = [];
  readonly #problems: Problem[] = [];

  constructor(yaml: typeof import('yaml'), file: string, document: Document.Parsed, lines: LineCounter) {
    this.#yaml = yaml;
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
  }

  read(): FileContent {
    for (const { code, message, pos } of [...this.#document.errors, ...this.#document.warnings]) {
      const several = code === 'MULTIPLE_DOCS' ? 'a second document begins here, a file has one' : undefined;
      this.#fail(pos[0], `not valid YAML: ${several ?? message.replace(/\s+/g, ' ')}`);
    }
    this.#readTop();
    return { given: this.#given, problems: this.#problems };
  }

  #readTop(): void {
    const top = this.#document.contents;
    if (top === null || (this.#yaml.isScalar(top) && top.value === null)) return;
    if (!this.#yaml.isMap(top)) {
      // A broken file often ends up as one scalar: its syntax errors say more.
      if (this.#problems.length === 0) this.#fail(offsetOf(top), 'expected options, one `key: value` a line');
      return;
    }
    const seen = new Map<OptionKey, number>();
    for (const { key: keyNode, value } of top.items) {
      const offset = offsetOf(keyNode);
      const key = this.#optionOf(keyNode);
      if (key === undefined) continue;
      const first = seen.get(key);
      if (first === undefined) seen.set(key, offset);
      else
        this.#fail(
          offset,
          `${optionName(key)}: given twice, first in line ${this.#lines.linePos(first).line}`,
        );
      const given = this.#valueOf(key, offset, value);
      if (given !== undefined) this.#given.push(given);
    }
  }

  #optionOf(node: ParsedNode): OptionKey | undefined {
    const offset = offsetOf(node);
    if (!this.#yaml.isScalar(node)) {
      this.#fail(offset, mismatch('the name of an option', this.#plain(node)));
      return undefined;
    }
    const name = String(node.value);
    const key = keysByName.get(name);
    if (key !== undefined) return key;
    const meant = nearest(name, [...keysByName.keys()]);
    const hint = meant === undefined ? 'all are in docs/configuration.md' : `did you mean "${meant}"?`;
    // A key can hold anything, line breaks too; an error is one line.
    const shown = /^[\w.-]{1,64}$/.test(name) ? name : show(name);
    this.#fail(offset, `${shown}: unknown option (${hint})`);
    return undefined;
  }

  #valueOf(key: OptionKey, keyOffset: number, written: ParsedNode | null): Given | undefined {
    const node = this.#resolve(written);
    if (node === undefined) return undefined;
    const { list, off, operand } = metaOf(key);
    const source = this.#source(written === null ? keyOffset : offsetOf(written));
    if (list && this.#yaml.isSeq(node)) {
      const items = node.items as ParsedNode[];
      return {
        key,
        input: items.map((item) => this.#plain(this.#resolve(item) ?? null)),
        source,
        items: items.map((item) => this.#source(offsetOf(item))),
      };
    }
    let input = this.#plain(node);
    // YAML 1.1 tools, Helm among them, write `off` as `false`.
    if (off && input === false) input = 'off';
    if (list && !operand && typeof input === 'string') input = [input];
    return { key, input, source };
  }

  /** Numbers as the text that stands in the file: 0755 and 1e3 mean what their option makes of them. */
  #plain(node: Node | null): unknown {
    if (this.#yaml.isSeq(node)) return [];
    if (this.#yaml.isMap(node)) return {};
    if (!this.#yaml.isScalar(node)) return null;
    const { value, source } = node;
    if (typeof value === 'number' || typeof value === 'bigint') return source ?? String(value);
    return value;
  }

  /** The node that an alias stands for; undefined when there is none. */
  #resolve(node: ParsedNode | null): Node | null | undefined {
    if (!this.#yaml.isAlias(node)) return node;
    const target = node.resolve(this.#document);
    if (target === undefined)
      this.#fail(offsetOf(node), `not valid YAML: nothing before is anchored as &${node.source}`);
    return target;
  }

  #source(offset: number): Source {
    const { line, col } = this.#lines.linePos(offset);
    return { from: 'file', file: this.#file, line, column: col };
  }

  #fail(offset: number, text: string): void {
    this.#problems.push({ source: this.#source(offset), text });
  }
}

function offsetOf(node: ParsedNode): number {
  return node.range[0];
}
