/** Loads as the CLI does: real commander, a file of one string, an environment of its own. */
import { Command } from 'commander';
import { type Loaded, loadConfig } from '../../../config/load.ts';
import { addOptions } from '../../../config/options.ts';
import type { Config } from '../../../config/schema.ts';

export const FILE = '/etc/baton.yaml';

export interface Given {
  readonly file?: string | Uint8Array;
  readonly environment?: Record<string, string>;
  readonly argv?: readonly string[];
  readonly requireCommand?: boolean;
}

export async function load({
  file,
  environment = {},
  argv = ['--', 'server'],
  requireCommand = true,
}: Given): Promise<Loaded> {
  const command = addOptions(
    new Command()
      .exitOverride()
      .argument('[command...]')
      .action(() => {}),
  );
  await command.parseAsync(argv, { from: 'user' });
  return loadConfig({
    argvOptions: command.opts(),
    command: command.args,
    environment,
    terminal: false,
    requireCommand,
    readFile: async () => {
      if (file === undefined) throw Object.assign(new Error('absent'), { code: 'ENOENT' });
      return typeof file === 'string' ? new TextEncoder().encode(file) : file;
    },
  });
}

/** Fails with the errors when there are any. */
export async function configOf(given: Given): Promise<Config> {
  const loaded = await load(given);
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  return loaded.config;
}

/** The error lines; none when it loads. */
export async function errorsOf(given: Given): Promise<readonly string[]> {
  const loaded = await load(given);
  return loaded.ok ? [] : loaded.errors;
}
