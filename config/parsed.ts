/** What every parser of a value returns: the value, or what was expected in its place and how to get there. */

export interface Refused {
  readonly ok: false;
  /** A noun phrase that completes "expected …". */
  readonly expected: string;
  /** What to do, where the mistake is recognised. */
  readonly hint?: string;
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | Refused;

export const accepted = <T>(value: T): Parsed<T> => ({ ok: true, value });

export const refused = (expected: string, hint?: string): Refused =>
  hint === undefined ? { ok: false, expected } : { ok: false, expected, hint };
