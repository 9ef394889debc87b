/** docs/kubernetes.md shows the very files that the tests apply. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../../', import.meta.url);
const contentOf = (path: string) => readFileSync(new URL(path, root), 'utf8');
const page = contentOf('docs/kubernetes.md');

const manifests = readdirSync(new URL('deploy/kubernetes/', root), { recursive: true, encoding: 'utf8' });

test.each(manifests.filter((path) => /\.(yaml|sh)$/.test(path)))('deploy/kubernetes/%s', (path) => {
  const link = `[\`${basename(path)}\`](../deploy/kubernetes/${path})`;
  const language = path.endsWith('.sh') ? 'sh' : 'yaml';
  expect(page).toContain(`${link}\n\n\`\`\`${language}\n${contentOf(`deploy/kubernetes/${path}`)}\`\`\`\n`);
});
