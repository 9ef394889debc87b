/** How a generation proves that it serves, as an option is written: the method and what it needs. */
import { formatDuration, parseDuration } from './duration.ts';
import { accepted, type Parsed, refused } from './parsed.ts';
import { splitWords } from './words.ts';

export type Readiness =
  /** It waits for connections on one of the listeners that it inherited. */
  | { readonly method: 'accepting' }
  /** It says READY=1 on $NOTIFY_SOCKET: sd_notify(3). */
  | { readonly method: 'notify' }
  /** A GET of this URL (http or https), with `{pid}` replaced by the process's, is answered with 200..399. */
  | { readonly method: 'http'; readonly url: string }
  /** This command exits with 0. */
  | { readonly method: 'exec'; readonly command: readonly string[] }
  /** It is still alive after this long, ms. */
  | { readonly method: 'delay'; readonly ms: number };

export const READINESS_EXPECTED = 'accepting, notify, http://HOST:PORT/PATH, exec:COMMAND or delay:2s';
export const READINESS_PATTERN = '^(accepting|notify|https?://.+|exec:.*\\S.*|delay:(0|[0-9]+(ms|s|m|h)))$';
const DELAY_MAX = 3_600_000;

/**
 * Parses `accepting`, `notify`, `http://…`, `https://…`, `exec:CMD` (split by {@link splitWords}) or `delay:2s` (up
 * to 1h).
 */
export function parseReadiness(text: string): Parsed<Readiness> {
  if (text === 'accepting' || text === 'notify') return accepted({ method: text });
  if (/^https?:\/\//.test(text)) return parseHttp(text);
  if (text.startsWith('exec:')) return parseExec(text.slice('exec:'.length));
  if (text.startsWith('delay:')) return parseDelay(text.slice('delay:'.length));
  return refused(READINESS_EXPECTED, hintFor(text));
}

/** The text that {@link parseReadiness} reads back, for logs. */
export function formatReadiness(readiness: Readiness): string {
  switch (readiness.method) {
    case 'http':
      return readiness.url;
    case 'exec':
      return `exec:${readiness.command.map(quote).join(' ')}`;
    case 'delay':
      return `delay:${formatDuration(readiness.ms)}`;
    default:
      return readiness.method;
  }
}

function parseHttp(text: string): Parsed<Readiness> {
  if (/\s/.test(text) || !URL.canParse(text.replaceAll('{pid}', '1')))
    return refused('a URL such as http://127.0.0.1:8081/ready');
  return accepted({ method: 'http', url: text });
}

function parseExec(text: string): Parsed<Readiness> {
  const command = splitWords(text);
  if (!command.ok) return command;
  if (!command.value[0]) return refused('a command after "exec:", such as exec:/bin/check --fast');
  return accepted({ method: 'exec', command: command.value });
}

function parseDelay(text: string): Parsed<Readiness> {
  const ms = parseDuration(text, 0, DELAY_MAX);
  return ms.ok
    ? accepted({ method: 'delay', ms: ms.value })
    : { ...ms, expected: `"delay:" and ${ms.expected}` };
}

function hintFor(text: string): string | undefined {
  if (text === 'exec' || text === 'delay' || text === 'http') return `${text} needs a value of its own`;
  if (text.startsWith('/') || text.startsWith(':')) return `with the host: http://127.0.0.1${text}`;
  return undefined;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
