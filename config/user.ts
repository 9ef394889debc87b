/** As whom the program runs. Whether there is such a user is found out by PID 1, in the container. */
import { accepted, type Parsed, refused } from './parsed.ts';

export interface User {
  /** A name or a number. */
  readonly user: string;
  /** A name or a number; without one, the user's own groups. */
  readonly group: string | undefined;
}

/** The last id; (uid_t)-1 means "leave it alone" to the kernel: setresuid(2). */
const ID_MAX = 4_294_967_294;
const EXPECTED = 'USER or USER:GROUP, each a name or a number, such as app, app:www or 1000:1000';

export const USER_PATTERN = '^[^:\\s]+(:[^:\\s]+)?$';

export function parseUser(text: string): Parsed<User> {
  const [user = '', group, ...rest] = text.split(':');
  if (rest.length > 0 || !isName(user) || (group !== undefined && !isName(group))) return refused(EXPECTED);
  return accepted({ user, group });
}

function isName(text: string): boolean {
  if (/^[0-9]+$/.test(text)) return Number(text) <= ID_MAX;
  return /^[^\s,/]+$/.test(text) && !text.startsWith('-');
}
