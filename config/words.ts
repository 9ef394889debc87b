/** A command written in one string, split into its arguments. Quoting is the shell's; nothing is expanded or run. */
import { accepted, type Parsed, refused } from './parsed.ts';

/**
 * Splits at white space. '…' is literal; in "…" a backslash keeps a following `"` or `\`; elsewhere it keeps any
 * character. `$`, `|`, `;` and their like are ordinary characters: there is no shell.
 */
export function splitWords(text: string): Parsed<string[]> {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    const next = text.charAt(i + 1);
    if (quote === "'") {
      if (character === quote) quote = '';
      else word += character;
    } else if (character === '\\' && (quote === '' || next === '"' || next === '\\')) {
      if (next === '') return refused('a character after the last backslash', 'write \\\\ for a backslash');
      word = (word ?? '') + next;
      i++;
    } else if (quote !== '') {
      if (character === quote) quote = '';
      else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= '';
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote !== '') return refused(`a closing ${quote}`);
  if (word !== undefined) words.push(word);
  return accepted(words);
}
