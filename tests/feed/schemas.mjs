// Goal: the schemas in docs/schemas are JSON Schema 2020-12 in the eyes of a validator that knows
// all of it, and golden events fit them; with a member missing that is required they do not.
//
//     node schemas.mjs DOCS GOLDEN    with the packages beside it; exit 1 and what is wrong
import assert from 'node:assert/strict';
import {readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import addFormats from 'ajv-formats';
import Ajv from 'ajv/dist/2020.js';

const [docs, golden] = process.argv.slice(2);
const read = path => JSON.parse(readFileSync(path, 'utf8'));
const ajv = new Ajv({strict: true, allErrors: true});
addFormats(ajv);
for (const name of readdirSync(join(docs, 'schemas')))
  ajv.addSchema(read(join(docs, 'schemas', name)), name);

// Two samples hold what no event has, since they are made by rule.
const unlike = {'partition.tree_head.v1.json': '/frontier/0', 'audit.call_refused.v1.json': '/status'};
let checked = 0;
for (const name of readdirSync(golden)) {
  const {type, data} = read(join(golden, name));
  const validate = ajv.getSchema(type.replace('dev.runledger.', '') + '.json');
  assert.ok(validate, `there is no schema for ${name}`);
  const event = JSON.parse(data);
  const errors = (validate(event) ? [] : validate.errors).map(error => error.instancePath);
  const expected = unlike[name];
  assert.ok(expected ? errors.includes(expected) : errors.length === 0, `${name}: ${errors}`);
  for (const member of validate.schema.required ?? []) {
    const {[member]: _, ...rest} = event;
    assert.ok(!validate(rest), `${name} is valid without ${member}`);
  }
  ++checked;
}
console.log(`${checked} events`);
