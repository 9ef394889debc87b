/** What a request on the control socket asks for. Pure. */

export type Command =
  | { readonly type: 'reload'; readonly wait: boolean }
  | { readonly type: 'drain' }
  | { readonly type: 'unknown'; readonly text: string };

export function parseRequest(verb: string, args: readonly string[]): Command {
  const strange = args.find((arg) => arg !== 'json' && !(verb === 'reload' && arg === 'no-wait'));
  if (strange !== undefined) return { type: 'unknown', text: `${verb}: unknown argument "${strange}"` };
  switch (verb) {
    case 'reload':
      return { type: 'reload', wait: !args.includes('no-wait') };
    case 'drain':
      return { type: 'drain' };
    default:
      return { type: 'unknown', text: `this Baton has no "${verb}"` };
  }
}
