#!/usr/bin/env node
// Prints the events of a Runledger ledger in Kafka that count, one CloudEvent in JSON a line.
//
//     npm install
//     ./consume.mjs --brokers 127.0.0.1:9092 [--prefix runledger] [--topics runs,...] [--until-end]
//
// Reads every partition of the topics from its first record on, so that the rule of acceptance
// (acceptance.mjs) knows all that came before; in a group of its own, whose places are not kept.
import {randomUUID} from 'node:crypto';
import {parseArgs} from 'node:util';
import kafkajs from 'kafkajs';
import lz4 from 'lz4js';
import {Acceptance, Skipped, toJson} from './acceptance.mjs';

const {CompressionCodecs, CompressionTypes, Kafka, logLevel} = kafkajs;
// The server compresses with lz4, which this client does not know by itself.
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
});

const {values: asked} = parseArgs({options: {
  'brokers': {type: 'string', default: '127.0.0.1:9092'},
  'prefix': {type: 'string', default: 'runledger'},
  'topics': {type: 'string', default: 'runs,workers,workspaces,catalog'},
  'until-end': {type: 'boolean', default: false},
}});
const topics = asked.topics.split(',').map(topic => `${asked.prefix}.${topic}`);

/** kafkajs gives headers by name; those that stand several times as a list. */
function headersOf(message) {
  return Object.entries(message.headers ?? {}).flatMap(
    ([name, value]) => (Array.isArray(value) ? value : [value]).map(one => [name, one ?? null]));
}

/** The partitions that are not empty, each with the offset of its last record so far. */
async function ends(kafka) {
  const admin = kafka.admin(), out = new Map();
  await admin.connect();
  for (const topic of topics)
    for (const {partition, low, high} of await admin.fetchTopicOffsets(topic))
      if (BigInt(high) > BigInt(low))
        out.set(`${topic}/${partition}`, BigInt(high) - 1n);
  await admin.disconnect();
  return out;
}

const kafka = new Kafka({clientId: 'runledger-example', brokers: asked.brokers.split(','),
  logLevel: logLevel.ERROR});
const unfinished = await ends(kafka);
const accepting = new Acceptance(), skipped = new Map();
const consumer = kafka.consumer({groupId: `runledger-example-${randomUUID()}`});
await consumer.connect();
await consumer.subscribe({topics, fromBeginning: true});
await new Promise((resolve, reject) => {
  if (asked['until-end'] && unfinished.size === 0)
    resolve();
  consumer.on(consumer.events.CRASH, ({payload}) => reject(payload.error));
  consumer.run({autoCommit: false, eachMessage: async ({topic, partition, message}) => {
    const {offset, key, value} = message, place = `${topic}/${partition}`;
    try {
      const record = {topic, partition, offset, key, value, headers: headersOf(message)};
      console.log(toJson(accepting.take(record)));
    } catch (why) {
      if (!(why instanceof Skipped))
        throw why;
      skipped.set(why.message, (skipped.get(why.message) ?? 0) + 1);
    }
    if (unfinished.has(place) && BigInt(offset) >= unfinished.get(place))
      unfinished.delete(place);
    if (asked['until-end'] && unfinished.size === 0)
      resolve();
  }});
});
await consumer.disconnect();
for (const [why, count] of skipped)
  console.error(`skipped ${count}: ${why}`);
