/** What the program is given. */

/** PID 1 renames Node's own settings on the way to the agent (agent/init/node.h): they are meant for the program. */
const RENAMED = 'BATON_PROGRAM_';

/** The container's environment, and which generation and instance it is. LISTEN_FDS and its like are PID 1's to add. */
export function programEnvironment(
  environment: NodeJS.ProcessEnv,
  { generation, instance }: { generation: number; instance: number },
): NodeJS.ProcessEnv {
  const entries = Object.entries(environment).map(([name, value]) => [
    name.startsWith(RENAMED) ? name.slice(RENAMED.length) : name,
    value,
  ]);
  return {
    ...Object.fromEntries(entries),
    BATON_GENERATION: String(generation),
    BATON_INSTANCE: String(instance),
  };
}
