// Goal: records parse with the SDK of CloudEvents, attributes, extensions and payload.
//
//     node cloudevents.mjs < LINES    records as `kcat -J` prints them; prints `id eventhash` of each
import assert from 'node:assert/strict';
import {createInterface} from 'node:readline';
import {Kafka} from 'cloudevents';

for await (const line of createInterface({input: process.stdin})) {
  const {key, payload, headers: list} = JSON.parse(line);
  const headers = {};
  for (let i = 0; i < list.length; i += 2)
    headers[list[i]] = list[i + 1];
  const message = {key, value: payload, headers};
  assert.ok(Kafka.isEvent(message), line);
  const event = Kafka.toEvent(message);
  assert.ok(event.validate());
  const structured = headers['content-type'] === 'application/cloudevents+json';
  const expected = structured ? JSON.parse(payload) : {data: JSON.parse(payload)};
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith('ce_'))
      expected[name.slice(3)] = value;
  for (const [name, value] of Object.entries(expected))
    if (name === 'time')
      assert.equal(new Date(event.time).getTime(), new Date(value).getTime());
    else
      assert.deepEqual(event[name], value, name);
  assert.equal(event.datacontenttype, 'application/json');
  assert.equal(event.partitionkey, key);
  console.log(`${event.id} ${event.eventhash}`);
}
