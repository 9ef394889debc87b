/** Writes what is derived from the schema and committed; a test keeps it in step. */
import { readFileSync, writeFileSync } from 'node:fs';
import { allOptionsFile, schemaFile, withOptionTable } from './reference.ts';

const at = (path: string) => new URL(path, import.meta.url);

writeFileSync(at('baton.schema.json'), schemaFile());
writeFileSync(at('examples/all-options.yaml'), allOptionsFile());
const page = at('../docs/configuration.md');
writeFileSync(page, withOptionTable(readFileSync(page, 'utf8')));
