/** What a program is given beside the container's own environment: LISTEN_FDS and its like are PID 1's to add. */

/** PID 1 renames settings that are meant for the program on the way to the agent (agent/init/node.h). */
const RENAMED = 'BATON_PROGRAM_';

export function programVariables(generation: number, instance: number) {
  return { BATON_GENERATION: String(generation), BATON_INSTANCE: String(instance) };
}

/** The same as a whole, for what is run on the program's behalf. */
export function programEnvironment(
  environment: NodeJS.ProcessEnv,
  variables: Readonly<Record<string, string>>,
): NodeJS.ProcessEnv {
  const entries = Object.entries(environment).map(([name, value]) => [
    name.startsWith(RENAMED) ? name.slice(RENAMED.length) : name,
    value,
  ]);
  return { ...Object.fromEntries(entries), ...variables };
}
