/** The flags of the command line, from the schema. */
import type { Command } from 'commander';
import { DEFAULT_FILE } from './load.ts';
import { defaultText, metaOf, optionKeys, optionName, plainDescription } from './schema.ts';

/**
 * Adds a flag for each option, and `--config`. Values stay text, and what was not given stays absent, so that
 * {@link loadConfig} alone knows the defaults and the precedence.
 */
export function addOptions(command: Command): Command {
  command.addOption(
    command
      .createOption(
        '--config <PATH>',
        `The YAML file (default: $BATON_CONFIG, else ${DEFAULT_FILE} if it is there).`,
      )
      .helpGroup('Options:'),
  );
  for (const key of optionKeys) {
    const { group, placeholder, otherwise, operand, list, off } = metaOf(key);
    if (operand) continue;
    const name = optionName(key);
    const text = `${plainDescription(key)} (default: ${defaultText(key) ?? otherwise}${list ? '; may be repeated' : ''})`;
    const option = command.createOption(`--${name} <${placeholder}>`, text).helpGroup(`${group}:`);
    if (list)
      option.argParser((value: string, before: string[] | false | undefined) => [...(before || []), value]);
    command.addOption(option);
    if (off)
      command.addOption(
        command.createOption(`--no-${name}`, `The same as --${name} off.`).helpGroup(`${group}:`),
      );
  }
  return command.addHelpText(
    'after',
    '\nEach option is also a YAML key of the same name and a variable: --ready-timeout, ready-timeout, BATON_READY_TIMEOUT.' +
      '\nA flag wins over the environment, the environment over the file.',
  );
}
