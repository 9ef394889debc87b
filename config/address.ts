/** Addresses as people write them, brought to the one form that PID 1 is given (agent/init/sockets.h). */
import { isIPv4, isIPv6 } from 'node:net';
import { accepted, type Parsed, refused } from './parsed.ts';

export interface Listener {
  /** For LISTEN_FDNAMES (sd_listen_fds(3)): [a-z0-9_.-], unique. */
  readonly name: string;
  /** `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH[?mode=0660]` or `unix:@NAME`, normalised. */
  readonly address: string;
}

/** A listener as written: without a name it gets one from its place among the others, see {@link nameListeners}. */
export interface UnnamedListener {
  readonly name: string | null;
  readonly address: string;
}

export const ADDRESS_EXPECTED =
  'an address such as :8080, 127.0.0.1:8080, [::1]:8080, tcp://…, udp://… or unix:///run/web.sock';
const NAME_EXPECTED = 'a name of a-z, 0-9, "_", "." and "-", at most 64 of them, before "="';
const PORT_EXPECTED = 'a port from 0 to 65535';

/** sun_path holds 108 bytes with its NUL: unix(7). */
const UNIX_PATH_MAX = 107;
const PORT_MAX = 65_535;

const LISTENER_NAME = /^[a-z0-9_.-]{1,64}$/;

export const LISTENER_PATTERN = '^([a-z0-9_.-]{1,64}=)?\\S.*$';

/** Parses `[NAME=]ADDRESS`. Everything before the first "=" is a name, unless it is already part of an address. */
export function parseListener(text: string): Parsed<UnnamedListener> {
  const [, name] = /^([^:/@[]*)=/.exec(text) ?? [];
  if (name !== undefined && !LISTENER_NAME.test(name)) return refused(NAME_EXPECTED);
  const address = parseAddress(name === undefined ? text : text.slice(name.length + 1));
  return address.ok ? accepted({ name: name ?? null, address: address.value }) : address;
}

/**
 * Names those that have none: the first `listen`, the next `listen-2`, … A program that takes its sockets by
 * number (almost all do) never looks at the names; one that takes them by name is given names.
 */
export function nameListeners(listeners: readonly UnnamedListener[]): Listener[] {
  let unnamed = 0;
  return listeners.map(({ name, address }) => {
    if (name !== null) return { name, address };
    unnamed++;
    return { name: unnamed === 1 ? 'listen' : `listen-${unnamed}`, address };
  });
}

/** Parses `:8080`, `tcp://127.0.0.1:8080`, `udp://[::1]:53`, `unix:///run/web.sock?mode=0660`, `unix:@name`. */
export function parseAddress(text: string): Parsed<string> {
  const [, scheme, rest = ''] = /^(tcp|udp):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme !== undefined) return parseInternet(scheme, rest);
  if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length));
  if (text.startsWith('/')) return refused(ADDRESS_EXPECTED, `a socket file is written unix://${text}`);
  if (/^[0-9]+$/.test(text)) return refused(ADDRESS_EXPECTED, `with a colon: :${text}`);
  if (/^[a-z]+:\/\//.test(text)) return refused(ADDRESS_EXPECTED, 'only tcp, udp and unix are known');
  return parseInternet('tcp', text);
}

/** Two listeners on one endpoint cannot both be opened; port 0 is a new port each time. */
export function sameEndpoint(one: string, other: string): boolean {
  return !/^(tcp|udp):.*:0$/.test(one) && one.replace(/\?.*$/, '') === other.replace(/\?.*$/, '');
}

function parseInternet(scheme: string, text: string): Parsed<string> {
  const [, host = '', port] = /^(.*):([^:\]]*)$/s.exec(text) ?? [];
  if (port === undefined)
    return refused(ADDRESS_EXPECTED, isHost(text) ? `the port is missing: ${text}:8080` : undefined);
  const normal = normalHost(host);
  if (normal === undefined) {
    if (isIPv6(text)) return refused(ADDRESS_EXPECTED, `the port is missing: [${text}]:8080`);
    if (isIPv6(host)) return refused(ADDRESS_EXPECTED, `an IPv6 address goes in brackets: [${host}]:${port}`);
    return refused(ADDRESS_EXPECTED, 'the host is an IP address or empty: names are not looked up');
  }
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) > PORT_MAX) return refused(PORT_EXPECTED);
  return accepted(`${scheme}://${normal}:${Number(port)}`);
}

function isHost(text: string): boolean {
  return text !== '' && normalHost(text) !== undefined;
}

/** Undefined when it is no host. Empty and `*` are every address of the machine, IPv4 and IPv6. */
function normalHost(host: string): string | undefined {
  if (host === '' || host === '*') return '*';
  if (host === 'localhost') return '127.0.0.1';
  if (isIPv4(host)) return host;
  const [, address = '', zone = ''] = /^\[([^%\]]*)(%[\w.-]{1,15})?\]$/.exec(host) ?? [];
  if (!isIPv6(address)) return undefined;
  // URL writes the one shortest form (RFC 5952), in brackets; it has no zones.
  const shortest = URL.parse(`http://[${address}]`)?.hostname;
  return shortest?.replace(']', `${zone}]`);
}

function parseUnix(text: string): Parsed<string> {
  const [, abstract, path = '', query] = /^(?:(@)|\/\/(?=\/))([^?]*)(\?.*)?$/s.exec(text) ?? [];
  const expected = 'a socket such as unix:///run/web.sock?mode=0660 or unix:@name';
  const decoded = decodePath(path);
  if (path === '' || path === '/') return refused(expected, 'the path is absolute, hence three slashes');
  if (decoded === undefined) return refused(expected, '% is written %25, ? is written %3F');
  if (Buffer.byteLength(decoded) > UNIX_PATH_MAX) return refused(`a path of at most ${UNIX_PATH_MAX} bytes`);
  if (query === undefined) return accepted(`unix:${abstract ?? '//'}${encodePath(decoded)}`);
  if (abstract !== undefined) return refused(expected, 'an abstract name has no file, hence no mode');
  const [, mode] = /^\?mode=(0?[0-7]{1,3})$/.exec(query) ?? [];
  if (mode === undefined) return refused(expected, 'the one option is ?mode=, in octal up to 0777');
  return accepted(`unix://${encodePath(decoded)}?mode=${mode.padStart(4, '0')}`);
}

/** Undefined when it is malformed, has a NUL, or cannot be UTF-8. */
function decodePath(path: string): string | undefined {
  try {
    const decoded = decodeURIComponent(path);
    return decoded.includes('\0') || !decoded.isWellFormed() ? undefined : decoded;
  } catch {
    return undefined;
  }
}

/** As PID 1 writes it: "%", "?", white space, control characters and what is not ASCII are encoded. */
function encodePath(path: string): string {
  return path.replace(/[^!-~]|[%?]/gu, encodeURIComponent);
}
