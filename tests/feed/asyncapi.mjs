// Goal: docs/asyncapi.yaml is valid in the eyes of AsyncAPI's own parser, has a message for each
// schema in docs/schemas and no other, and each message stands in the channel of its topic.
//
//     node asyncapi.mjs DOCS    with the packages beside it; exit 1 and what is wrong
import assert from 'node:assert/strict';
import {readdirSync} from 'node:fs';
import {join} from 'node:path';
import {Parser, fromFile} from '@asyncapi/parser';

const docs = process.argv[2];
const {document, diagnostics} = await fromFile(new Parser(), join(docs, 'asyncapi.yaml')).parse();
// 0: error, 1: warning. That there is a newer AsyncAPI is an information.
const bad = diagnostics.filter(found => found.severity <= 1);
assert.deepEqual(bad.map(found => `${found.path.join('/')}: ${found.message}`), []);
assert.equal(document.version(), '3.0.0');

const schemas = readdirSync(join(docs, 'schemas')).filter(name => name !== 'common.json');
const types = schemas.map(name => 'dev.runledger.' + name.replace(/\.json$/, '')).sort();
const messages = document.components().messages().all();
assert.deepEqual(messages.map(message => message.name()).sort(), types);
for (const message of messages) {
  assert.equal(message.payload().json().title, message.name(), 'the payload is another schema');
  assert.ok(message.headers().json().properties.ce_eventhash, message.name());
}

const topics = {
  run: 'runs', session: 'runs', ledger: 'runs', worker: 'workers', queue: 'workers', partition: null,
};
for (const channel of document.channels().all()) {
  const [, topic] = /^\{prefix\}\.([a-z]+)$/.exec(channel.address());
  const expected = types.filter(type => {
    const home = topics[type.split('.')[2]];
    return home === null || (home ?? 'catalog') === topic;
  });
  assert.deepEqual(channel.messages().all().map(message => message.name()).sort(), expected, topic);
}
assert.equal(document.channels().all().length, 4);
console.log(`${messages.length} messages`);
