/** Bundles the agent into one file that needs no node_modules. */
import { build } from 'esbuild';

/**
 * Parts of libraries that the agent never calls, but that would load much of Node at its start (the HTTP stack, cluster, worker threads):
 * 20 MB of resident memory in every container.
 */
const UNUSED = [
  { of: 'prom-client', path: /^\.\/lib\/(pushgateway|cluster|defaultMetrics|summary)$/ },
  { of: 'pino', path: /^\.\/transport$/ },
];

const leaveOutUnused = {
  name: 'leave-out-unused',
  setup({ onResolve, onLoad }) {
    for (const { of, path } of UNUSED)
      onResolve({ filter: path }, (args) =>
        args.importer.includes(`/node_modules/${of}/`) ? { path: args.path, namespace: 'unused' } : undefined,
      );
    onLoad({ filter: /./, namespace: 'unused' }, () => ({ contents: 'module.exports = undefined;' }));
  },
};

const { metafile } = await build({
  entryPoints: ['agent/cli.ts'],
  outfile: 'dist/agent.mjs',
  bundle: true,
  platform: 'node',
  target: 'node26',
  format: 'esm',
  // Names stay: a stack trace in a container's log must be readable.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  plugins: [leaveOutUnused],
  // CommonJS dependencies call require for Node's own modules.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
if (process.argv.includes('--sizes')) {
  const bytes = new Map();
  for (const [file, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
    const owner = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? file.split('/')[0];
    bytes.set(owner, (bytes.get(owner) ?? 0) + bytesInOutput);
  }
  for (const [owner, size] of [...bytes].sort(([, a], [, b]) => b - a))
    console.log(String(size).padStart(8), owner);
}
