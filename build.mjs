/** Bundles the agent into one file that needs no node_modules. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

const { engines } = JSON.parse(readFileSync('package.json', 'utf8'));
/** The oldest Node that has everything the agent uses: Promise.withResolvers and URL.parse. Tested on the pinned one. */
const OLDEST_NODE = Number(/\d+/.exec(engines.node));

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
  target: `node${OLDEST_NODE}`,
  format: 'esm',
  // Names and lines stay: a stack trace in a container's log must be readable.
  minifySyntax: true,
  legalComments: 'none',
  metafile: true,
  plugins: [leaveOutUnused],
  // Before anything that an old Node would stumble over. CommonJS dependencies call require for Node's own modules.
  banner: {
    js: `import { createRequire } from 'node:module';
if (Number.parseInt(process.versions.node, 10) < ${OLDEST_NODE}) {
  console.error(\`baton: Node.js ${OLDEST_NODE} or newer is needed, \${process.execPath} is \${process.version}; set BATON_NODE\`);
  process.exit(78);
}
const require = createRequire(import.meta.url);`,
  },
});

/** Bytes in the bundle, by package ("agent" and "config" are our own). */
const bytes = new Map();
for (const [file, { bytesInOutput }] of Object.entries(Object.values(metafile.outputs)[0].inputs)) {
  const owner = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? file.split('/')[0];
  bytes.set(owner, (bytes.get(owner) ?? 0) + bytesInOutput);
}

// What the licences of the bundled packages ask for: their text goes along.
const licences = [...bytes.keys()].sort().flatMap((name) => {
  const folder = `node_modules/${name}`;
  const file = readdirSync('node_modules').includes(name.split('/')[0])
    ? readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    : undefined;
  return file ? [`${name}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`] : [];
});
writeFileSync('dist/THIRD-PARTY-LICENSES', licences.join(`\n${'-'.repeat(80)}\n\n`));

if (process.argv.includes('--sizes'))
  for (const [owner, size] of [...bytes].sort(([, a], [, b]) => b - a))
    console.log(String(size).padStart(8), owner);
