/** Bundles the agent into one file that needs no node_modules. */
import { build } from 'esbuild';

await build({
  entryPoints: ['agent/cli.ts'],
  outfile: 'dist/agent.mjs',
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'esm',
  minifySyntax: true,
  legalComments: 'none',
  // CommonJS dependencies call require for Node's own modules.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
