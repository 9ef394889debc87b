/** The JSON Schema of the YAML file, for editors: what `baton schema` prints. */
import * as z from 'zod/mini';
import { defaultText, metaOf, optionKeys, optionName, schema, textShapes } from './schema.ts';

export function jsonSchema(): Record<string, unknown> {
  const properties = Object.fromEntries(optionKeys.map((key) => [optionName(key), propertyOf(key)]));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Baton',
    description: 'The configuration of Baton, /etc/baton.yaml. Reference: docs/configuration.md',
    type: 'object',
    properties,
    additionalProperties: false,
  };
}

function propertyOf(key: (typeof optionKeys)[number]): Record<string, unknown> {
  const { description, otherwise, list, operand, off } = metaOf(key);
  const {
    $schema,
    default: _,
    ...shape
  } = z.toJSONSchema(schema.shape[key], { io: 'input', metadata: textShapes });
  const { items } = shape;
  const alternatives: unknown[] = [shape];
  if (list && !operand) alternatives.push(items);
  if (off) alternatives.push({ const: false });
  const written = defaultText(key);
  return {
    description: otherwise === undefined ? description : `${description} Default: ${otherwise}.`,
    ...(written === undefined ? {} : { default: /^[0-9]+$/.test(written) ? Number(written) : written }),
    ...(alternatives.length === 1 ? shape : { anyOf: alternatives }),
  };
}
