/** The pages show the very files that the tests use. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const contentOf = (path: string) => readFileSync(new URL(path, root), 'utf8');

const manifests = readdirSync(new URL('deploy/kubernetes/', root), { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.(yaml|sh)$/.test(path))
  .map((path) => `deploy/kubernetes/${path}`);

const pages = {
  'docs/docker.md': ['test/container/Dockerfile', 'docker-compose.yml', 'deploy/swarm/stack.yaml'],
  'docs/kubernetes.md': manifests,
};

describe.each(Object.entries(pages))('%s', (page, files) => {
  test.each(files)('%s', (path) => {
    const link = `[\`${basename(path)}\`](../${path})`;
    expect(contentOf(page)).toContain(`${link}\n\n\`\`\`${languageOf(path)}\n${contentOf(path)}\`\`\`\n`);
  });
});

function languageOf(path: string): string {
  if (path.endsWith('.sh')) return 'sh';
  return path.endsWith('Dockerfile') ? 'dockerfile' : 'yaml';
}
