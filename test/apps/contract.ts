/** What every sample service answers, so that a truncated or mixed-up answer is told from a whole one. */

/** The pattern of every payload: no byte order, no compression and no language makes it differ. */
const PATTERN = '0123456789abcdef';

/** Bytes of `payload` in the answer of `GET /`. */
const PAYLOAD_LENGTH = 256;

/** Bytes in the body of `GET /slow`. */
export const SLOW_LENGTH = 65_536;

export const payload = PATTERN.repeat(PAYLOAD_LENGTH / PATTERN.length);
export const slowBody: Buffer = Buffer.from(PATTERN.repeat(SLOW_LENGTH / PATTERN.length));

/** Both come from the header (`X-Version`, `X-Pid`); the body of `GET /` has to agree. */
export interface Identity {
  readonly version: string;
  readonly pid: number;
}

/** What is wrong with a body that came with status 200 from `path` of a sample service, or null. */
export function bodyProblem(path: string, body: Buffer, identity: Identity): string | null {
  const route = path.split('?', 1)[0];
  if (route === '/slow') return slowBody.equals(body) ? null : `${body.length} bytes, not those of /slow`;
  if (route === '/healthz') return body.equals(ok) ? null : 'not "ok"';
  // Compared as bytes: parsing JSON a few thousand times a second costs the load client more than everything else.
  const text = body.toString('latin1');
  const expected = `"version":"${identity.version}","pid":${identity.pid},"payload":"${payload}"}\n`;
  return text.startsWith('{"app":"') && text.endsWith(expected)
    ? null
    : `not the answer of ${identity.version}: ${text.slice(0, 60)}`;
}

const ok = Buffer.from('ok\n');
