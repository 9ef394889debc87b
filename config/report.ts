/** What `baton validate` prints. */

import { formatDuration } from './duration.ts';
import type { Loaded } from './load.ts';
import { formatReadiness } from './readiness.ts';
import { defaultText, metaOf, type OptionKey, optionKeys, optionName } from './schema.ts';
import { describeSource } from './source.ts';

type Valid = Extract<Loaded, { ok: true }>;

/** One line: the file is all right. */
export function summary(loaded: Valid): string {
  return `${loaded.file ?? 'no file, flags and environment'}: ok`;
}

/**
 * The effective configuration as YAML that gives the same configuration again, each value with its source behind it.
 * What is not set and has no value to write is a comment.
 */
export async function effectiveYaml(loaded: Valid): Promise<string> {
  const { stringify } = await import('yaml');
  const lines = optionKeys.map((key) => {
    const name = optionName(key);
    const value = writtenOf(loaded, key);
    if (value === undefined) return `# ${name}: ${metaOf(key).otherwise}`;
    const text = stringify(
      { [name]: value },
      { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 },
    );
    // A flow mapping of one pair, {key: value}, holds everything on its line; a block mapping takes the braces away.
    return `${text.trim().replace(/^\{(.*)\}$/s, '$1')}  # ${describeSource(key, loaded.sources[key])}`;
  });
  return `${lines.join('\n')}\n`;
}

function writtenOf({ config, written }: Valid, key: OptionKey): unknown {
  if (key === 'ready') return formatReadiness(config.ready);
  if (key === 'stopGrace') return formatDuration(config.stopGrace);
  if (key === 'listen') {
    const all = config.listen.map(({ name, address }) => `${name}=${address}`);
    return all.length === 0 ? undefined : all;
  }
  const value = written[key] ?? defaultText(key);
  return typeof value === 'string' && /^[1-9][0-9]{0,8}$/.test(value) ? Number(value) : value;
}
