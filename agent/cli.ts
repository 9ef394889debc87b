/** The command line. */

import process from 'node:process';
import { Command } from 'commander';
import schema from '../config/baton.schema.json' with { type: 'json' };
import { loadConfig } from '../config/load.ts';
import { addOptions } from '../config/options.ts';
import { effectiveYaml, summary } from '../config/report.ts';
import packageJson from '../package.json' with { type: 'json' };
import { run } from './run.ts';

const EXIT_CONFIG = 78;

async function load(command: readonly string[], options: Record<string, unknown>, requireCommand = true) {
  const loaded = await loadConfig({
    argvOptions: options,
    command,
    environment: process.env,
    requireCommand,
  });
  if (!loaded.ok) throw new Error(loaded.errors.join('\n'));
  for (const warning of loaded.warnings) process.stderr.write(`${warning}\n`);
  return loaded;
}

const baton = new Command('baton')
  .description('PID 1 for containers that change without anyone noticing.')
  .version(packageJson.version)
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'baton: ')) })
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_CONFIG));

addOptions(baton.command('run'))
  .description('Run a program, and replace it without dropping a request when it changes.')
  .argument('[command...]', 'the program and its arguments, after --')
  .action((command: string[], options) =>
    run(async () => {
      const { config, sources } = await load(command, options);
      return { config, healthOptional: sources.health.from === 'default' };
    }),
  );

addOptions(baton.command('validate'))
  .description('Check the configuration; exit 78 with every mistake when it has any.')
  .option('--print', 'print the effective configuration as YAML, with the source of each value')
  .argument('[command...]')
  .action(async (command: string[], { print, ...options }) => {
    try {
      const loaded = await load(command, options, false);
      process.stdout.write(print ? await effectiveYaml(loaded) : `${summary(loaded)}\n`);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exitCode = EXIT_CONFIG;
    }
  });

baton
  .command('schema')
  .description('Print the JSON Schema of the configuration file, for editors.')
  .action(() => {
    process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
  });

// Answered by the native side of the binary, which never starts Node for them; here they are only listed.
for (const [verb, text] of [
  ['health', 'exit 0 when the container serves: for HEALTHCHECK'],
  ['ready', 'exit 0 when the container serves: for a readiness probe'],
  ['live', 'exit 0 when Baton runs: for a liveness probe'],
  ['status', 'what runs'],
  ['reload', 'start a new generation; exit 0 when it was promoted'],
  ['drain', 'readiness 503, wait for the lame-duck time: for preStop'],
  ['init', 'a plain init without Node, in the manner of tini'],
] as const)
  baton.command(verb).description(text);

await baton.parseAsync();
