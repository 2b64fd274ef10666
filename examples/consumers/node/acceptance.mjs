#!/usr/bin/env node
// The rule of acceptance for consumers of Runledger's events (docs/consuming-events.md).
//
//     kcat -b BROKERS -C -t runledger.runs -e -J | ./acceptance.mjs
//
// reads records as `kcat -J` prints them and prints the events that count, one CloudEvent in JSON a
// line; what it skipped is summed up on stderr. A program of your own imports it:
//
//     const accepting = new Acceptance();
//     const event = accepting.take({topic, partition, offset, key, headers, value});
//
// with `headers` as a list of [name, Buffer or null], key and value as Buffer or null. It throws
// Skipped for what does not count. Records of one partition have to come in its order, from its
// first one on. Node 18 or later, nothing else.
import {createHash} from 'node:crypto';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

const ATTRIBUTES = [
  'specversion', 'id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'sequence',
  'partitionkey', 'causationid', 'correlationid', 'principal', 'traceparent', 'datahash',
  'prevhash', 'eventhash'];
const OPTIONAL = new Set(['causationid', 'correlationid', 'principal', 'traceparent']);
const BESIDE = ['runledger_epoch', 'runledger_open', 'runledger_due_ms', 'runledger_origin'];
const OURS = new Set(['content-type', ...BESIDE, ...ATTRIBUTES.map(name => 'ce_' + name)]);
OURS.delete('ce_datacontenttype');
const LIMIT = 1n << 63n;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const TIME = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.[0-9]{3}Z$/;
const HASH = /^[0-9a-f]{64}$/;
const OPENED = 'dev.runledger.partition.opened.v1';
const CLAIMED = 'dev.runledger.partition.claimed.v1';
const SEALED = 'dev.runledger.partition.sealed.v1';
const UTF8 = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

export class Skipped extends Error {}

function need(truth, why) {
  if (!truth)
    throw new Skipped(why);
}

// The form of records: docs/events.md, "Kafka records".

function decoded(bytes, why) {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Skipped(why);
  }
}

function checkText(name, text) {
  need(text !== '' && !CONTROL.test(text), `${name} is empty or has a control character`);
}

function textOf(name, value) {
  const text = decoded(value, `${name} is not in UTF-8`);
  checkText(name, text);
  return text;
}

function numberOf(text, least, name) {
  need(text !== undefined && /^(0|[1-9][0-9]*)$/.test(text), `${name} is no number`);
  const number = BigInt(text);
  need(number >= least && number < LIMIT, `${name} is out of range`);
  return number;
}

function isTime(text) {
  const parts = TIME.exec(text);
  if (!parts)
    return false;
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number);
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] && hour < 24
    && minute < 60 && second < 60;
}

/** The headers that mean something here, by name. */
function headersOf(record) {
  const out = new Map(), seen = new Set();
  for (const [name, value] of record.headers) {
    if (!OURS.has(name) && !name.startsWith('ce_'))
      continue;
    need(!seen.has(name), `the header ${name} stands twice`);
    seen.add(name);
    if (!OURS.has(name))
      continue;
    need(value !== null, `the header ${name} has no value`);
    out.set(name, value);
  }
  return out;
}

/** Attributes and payload of an event in JSON. */
function structured(value) {
  const wrong = 'the value is no event in JSON as it is written';
  const verbatim = ',"data":', encoded = ',"data_base64":"';
  const ends = [value.indexOf(verbatim), value.indexOf(encoded)].filter(at => at >= 0);
  need(ends.length > 0, wrong);
  const end = Math.min(...ends), tail = value.subarray(end);
  const head = decoded(value.subarray(0, end), wrong);
  let data;
  if (end === value.indexOf(verbatim)) {
    need(tail.at(-1) === 0x7d, wrong);
    data = tail.subarray(verbatim.length, -1);
  } else {
    need(tail.subarray(-2).toString('latin1') === '"}', wrong);
    const text = tail.subarray(encoded.length, -2).toString('latin1');
    data = Buffer.from(text, 'base64');
    need(data.toString('base64') === text, wrong);
  }
  let found;
  try {
    found = JSON.parse(head + '}');
  } catch {
    throw new Skipped(wrong);
  }
  const present = ATTRIBUTES.filter(name => Object.hasOwn(found, name));
  need(present.every(name => typeof found[name] === 'string'), wrong);
  const attributes = Object.fromEntries(present.map(name => [name, found[name]]));
  need(JSON.stringify(attributes).slice(0, -1) === head, wrong);
  return {attributes, data};
}

function checkAttributes(attributes) {
  for (const name of ATTRIBUTES)
    need(name in attributes || OPTIONAL.has(name), `${name} is missing`);
  for (const [name, text] of Object.entries(attributes))
    checkText(name, text);
  need(attributes.specversion === '1.0', 'specversion is not 1.0');
  need(attributes.datacontenttype === 'application/json', "datacontenttype is not JSON's");
  numberOf(attributes.sequence, 1n, 'sequence');
  need(attributes.id === `${attributes.subject}:${attributes.sequence}`, 'id is wrong');
  need(/^\/runledger\/./su.test(attributes.source), 'source is wrong');
  need(isTime(attributes.time), 'time is no time');
  for (const name of ['datahash', 'prevhash', 'eventhash'])
    need(HASH.test(attributes[name]), `${name} is no hash`);
}

/** The event in a record: {attributes, data, epoch}. */
export function readEvent(record) {
  need(record.value !== null, 'the record has no value');
  const headers = headersOf(record);
  const content = headers.get('content-type')?.toString('latin1');
  let attributes = {}, data = record.value;
  if (content === 'application/json') {
    headers.set('ce_datacontenttype', headers.get('content-type'));
    for (const name of ATTRIBUTES)
      if (headers.has('ce_' + name))
        attributes[name] = textOf(name, headers.get('ce_' + name));
  } else {
    need(content === 'application/cloudevents+json', 'the content type is not ours');
    ({attributes, data} = structured(record.value));
  }
  checkAttributes(attributes);
  const beside = {};
  for (const name of BESIDE)
    if (headers.has(name))
      beside[name] = textOf(name, headers.get(name));
  need(['true', 'false'].includes(beside.runledger_open), 'runledger_open is wrong');
  const due = beside.runledger_due_ms;
  if (due !== undefined) {
    numberOf(due.replace(/^-/, ''), 0n, 'runledger_due_ms');
    need(due !== '-0', 'runledger_due_ms is wrong');
  }
  need(record.key?.equals(Buffer.from(attributes.partitionkey)), 'the key is not partitionkey');
  return {attributes, data, epoch: numberOf(beside.runledger_epoch, 0n, 'runledger_epoch')};
}

// Acceptance: docs/events.md, "Acceptance".

const sha256 = (...pieces) => {
  const hash = createHash('sha256');
  pieces.forEach(piece => hash.update(piece));
  return hash;
};

function eventHash(attributes) {
  let header = 'runledger-event-1\n';
  for (const name of ATTRIBUTES.slice(0, -1)) {
    const value = attributes[name] ?? '';
    header += `${name}=${Buffer.byteLength(value)}:${value}\n`;
  }
  return sha256(header).digest('hex');
}

/** As in org.apache.kafka.common.utils.Utils; without a sign. */
function murmur2(key) {
  const m = 0x5bd1e995, whole = key.length & ~3;
  let h = 0x9747b28c ^ key.length;
  for (let at = 0; at < whole; at += 4) {
    let k = Math.imul(key.readInt32LE(at), m);
    k = Math.imul(k ^ (k >>> 24), m);
    h = Math.imul(h, m) ^ k;
  }
  if (whole < key.length)
    h = Math.imul(h ^ key.readUIntLE(whole, key.length - whole), m);
  h = Math.imul(h ^ (h >>> 13), m);
  return (h ^ (h >>> 15)) >>> 0;
}

/** The run of which a session and a command are the origin: docs/events.md, "Ids". */
function runId(session, command) {
  const parts = ['run', session, command].map(part => `${Buffer.byteLength(part)}:${part}`);
  const digest = sha256(...parts).digest();
  const number = digest.readBigUInt64BE(0) >> 2n << 64n | digest.readBigUInt64BE(8);
  const base32 = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  let ulid = '';
  for (let at = 25n; at >= 0n; --at)
    ulid += base32[Number(number >> 5n * at & 31n)];
  if (new RegExp(`^sess_[0-7][${base32}]{25}$`).test(session))
    ulid = session.slice(5, 15) + ulid.slice(10);
  return 'run_' + ulid;
}

/** docs/events.md, "Streams". */
function topicOf(stream) {
  if (/^(run|sess)_./su.test(stream))
    return 'runs';
  if (/^(wrk_.|queue\/)/su.test(stream))
    return 'workers';
  return /^ws\/.*(?<=\/)(executor|budget)$/su.test(stream) ? 'workspaces' : 'catalog';
}

/** The number behind the payload's first `"name":`; 0n: there is none of 64 bits. */
function digitsBehind(data, name) {
  const quoted = `"${name}":`, at = data.indexOf(quoted);
  if (at < 0)
    return 0n;
  const digits = /^[0-9]*/.exec(data.toString('latin1', at + quoted.length))[0];
  const number = BigInt(digits || '0');
  return number < 1n << 64n ? number : 0n;
}

/** One for all partitions of one ledger. */
export class Acceptance {
  // `topic/partition` -> {count: partitions of the topic, 0n: not yet told; epoch: the last
  // accepted claim's; heads: stream -> its last accepted event}
  partitions = new Map();

  take(record) {
    const event = readEvent(record), a = event.attributes;
    const name = `${record.topic}/${record.partition}`;
    if (!this.partitions.has(name))
      this.partitions.set(name, {count: 0n, epoch: 0n, heads: new Map()});
    const partition = this.partitions.get(name);
    const head = partition.heads.get(a.subject) ?? {sequence: 0n, hash: '0'.repeat(64)};
    need(BigInt(a.sequence) === head.sequence + 1n, 'sequence is not the next one');
    need(a.prevhash === head.hash, 'prevhash is not the last eventhash');
    this.#checkEpoch(partition, event);
    this.#checkPartition(partition, record, a, head.key);
    need(sha256(event.data).digest('hex') === a.datahash, 'datahash is wrong');
    need(eventHash(a) === a.eventhash, 'eventhash is wrong');
    partition.heads.set(a.subject,
      {sequence: head.sequence + 1n, hash: a.eventhash, key: a.partitionkey});
    if (a.type === OPENED)
      partition.count = digitsBehind(event.data, 'partitions') & 0xffffffffn;
    else if (a.type === CLAIMED)
      partition.epoch = event.epoch;
    else if (a.type === SEALED)
      partition.sealed = true;
    return event;
  }

  #checkEpoch(partition, {attributes, data, epoch}) {
    need(!partition.sealed, 'the partition is sealed: its ledger goes on elsewhere');
    if (attributes.type === OPENED) {
      const first = partition.count === 0n && partition.epoch === 0n;
      need(first && attributes.sequence === '1' && epoch === 0n,
        'the partition is founded already');
    } else if (attributes.type === CLAIMED) {
      const claimed = digitsBehind(data, 'epoch');
      need(partition.count !== 0n && claimed === partition.epoch + 1n && claimed === epoch,
        'the claim is not the next one');
    } else {
      need(epoch === partition.epoch, 'its writer does not have the partition');
    }
  }

  #checkPartition(partition, record, attributes, key) {
    const stream = attributes.subject, asked = attributes.partitionkey;
    const topic = record.topic.slice(record.topic.lastIndexOf('.') + 1); // Without the prefix.
    if (/^part_./su.test(stream)) {
      need(stream === `part_${topic}_${record.partition}`, "it is another partition's own stream");
    } else {
      const governs = [OPENED, CLAIMED, SEALED].includes(attributes.type);
      need(!governs, "only a partition's own stream can found, claim or seal it");
      need(topic === 'ledger' || topic === topicOf(stream), 'the stream belongs to another topic');
      const count = partition.count === 0n ? 1n : partition.count;
      const place = BigInt(murmur2(Buffer.from(asked)) & 0x7fffffff) % count;
      need(place === BigInt(record.partition), 'partitionkey belongs to another partition');
    }
    if (key !== undefined)
      need(asked === key, "partitionkey is not the stream's first");
    else if (/^run_./su.test(stream))
      need(runId(asked, attributes.causationid ?? '') === stream,
        'partitionkey is not its session');
    else
      need(asked === stream, 'partitionkey is not the stream');
  }
}

/** One line. A payload in JSON stays as it was written, its numbers too. */
export function toJson({attributes, data}) {
  const head = JSON.stringify(attributes).slice(0, -1);
  try {
    const text = UTF8.decode(data);
    JSON.parse(text);
    return `${head},"data":${text.replace(/[\r\n]/g, ' ')}}`;
  } catch {
    return `${head},"data_base64":"${data.toString('base64')}"}`;
  }
}

/** A record out of a line of `kcat -J`, given one character a byte. */
function recordOf(line) {
  const bytes = text => text === null ? null : Buffer.from(text, 'utf-8');
  try {
    const found = JSON.parse(decoded(Buffer.from(line, 'latin1'), ''));
    const headers = [];
    for (let i = 0; i + 1 < (found.headers ?? []).length; i += 2)
      headers.push([found.headers[i], bytes(found.headers[i + 1])]);
    const {topic, partition, offset, key, payload} = found;
    return {topic, partition, offset, headers, key: bytes(key), value: bytes(payload)};
  } catch {
    throw new Skipped('the line is no record in JSON');
  }
}

async function main() {
  const accepting = new Acceptance(), skipped = new Map();
  process.stdin.setEncoding('latin1');
  for await (const line of createInterface({input: process.stdin, crlfDelay: Infinity})) {
    try {
      console.log(toJson(accepting.take(recordOf(line))));
    } catch (why) {
      if (!(why instanceof Skipped))
        throw why;
      skipped.set(why.message, (skipped.get(why.message) ?? 0) + 1);
    }
  }
  for (const [why, count] of skipped)
    console.error(`skipped ${count}: ${why}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main();
