#!/usr/bin/python3
"""The rule of acceptance for consumers of Runledger's events (docs/consuming-events.md).

    kcat -b BROKERS -C -t runledger.runs -e -J | ./acceptance.py

reads records as `kcat -J` prints them and prints the events that count, one CloudEvent in JSON a
line; what it skipped is summed up on stderr. A program of your own imports it:

    accepting = Acceptance()
    event = accepting.take(Record(topic, partition, offset, key, headers, value))

Records of one partition have to come in its order, from its first one on. Standard library only.
"""
import base64, collections, dataclasses, hashlib, json, re, sys

ATTRIBUTES = (
    "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "sequence",
    "partitionkey", "causationid", "correlationid", "principal", "traceparent", "datahash",
    "prevhash", "eventhash")
OPTIONAL = {"causationid", "correlationid", "principal", "traceparent"}
BESIDE = ("runledger_epoch", "runledger_open", "runledger_due_ms", "runledger_origin")
OURS = {"content-type", *BESIDE} | {"ce_" + name for name in ATTRIBUTES} - {"ce_datacontenttype"}
LIMIT = 1 << 63
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
NUMBER = re.compile("0|[1-9][0-9]*")
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.[0-9]{3}Z")
HASH = re.compile("[0-9a-f]{64}")
OPENED = "dev.runledger.partition.opened.v1"
CLAIMED = "dev.runledger.partition.claimed.v1"
SEALED = "dev.runledger.partition.sealed.v1"


@dataclasses.dataclass
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: list  # of (name, bytes or None)
    value: bytes | None


@dataclasses.dataclass
class Event:
    attributes: dict  # Of CloudEvents, texts. Absent ones are not there.
    data: bytes  # The payload, exactly as datahash covers it.
    epoch: int  # The writer's.

    def to_json(self):
        """One line. A payload in JSON stays as it was written, its numbers too."""
        head = json.dumps(self.attributes, ensure_ascii=False, separators=(",", ":"))[:-1]
        try:
            json.loads(self.data.decode())
        except ValueError:
            return head + ',"data_base64":"' + base64.b64encode(self.data).decode() + '"}'
        return head + ',"data":' + re.sub(r"[\r\n]", " ", self.data.decode()) + "}"


class Skipped(Exception):
    """The record does not count; the text says why."""


def need(truth, why):
    if not truth:
        raise Skipped(why)


# The form of records: docs/events.md, "Kafka records".


def text_of(name, value):
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise Skipped(f"{name} is not in UTF-8") from None
    need(text and not CONTROL.search(text), f"{name} is empty or has a control character")
    return text


def number_of(text, least, name):
    need(text is not None and NUMBER.fullmatch(text), f"{name} is no number")
    need(least <= int(text) < LIMIT, f"{name} is out of range")
    return int(text)


def is_time(text):
    parts = TIME.fullmatch(text)
    if not parts:
        return False
    year, month, day, hour, minute, second = map(int, parts.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return (1 <= month <= 12 and 1 <= day <= days[month - 1] and hour < 24 and minute < 60
            and second < 60)


def headers_of(record):
    """The headers that mean something here, by name."""
    out, seen = {}, set()
    for name, value in record.headers:
        if name not in OURS and not name.startswith("ce_"):
            continue
        need(name not in seen, f"the header {name} stands twice")
        seen.add(name)
        if name in OURS:
            need(value is not None, f"the header {name} has no value")
            out[name] = value
    return out


def structured(value):
    """Attributes and payload of an event in JSON."""
    wrong = "the value is no event in JSON as it is written"
    plain, encoded = value.find(b',"data":'), value.find(b',"data_base64":"')
    ends = [at for at in (plain, encoded) if at >= 0]
    need(ends, wrong)
    head, tail = value[:min(ends)], value[min(ends):]
    if tail.startswith(b',"data":'):
        need(tail.endswith(b"}"), wrong)
        data = tail[len(b',"data":'):-1]
    else:
        need(tail.endswith(b'"}'), wrong)
        text = tail[len(b',"data_base64":"'):-2]
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise Skipped(wrong) from None
        need(base64.b64encode(data) == text, wrong)
    try:
        found = json.loads(head.decode("utf-8") + "}")
    except ValueError:
        raise Skipped(wrong) from None
    need(isinstance(found, dict) and all(isinstance(text, str) for text in found.values()), wrong)
    attributes = {name: found[name] for name in ATTRIBUTES if name in found}
    again = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
    need(again[:-1] == head.decode("utf-8"), wrong)
    return attributes, data


def check_attributes(attributes):
    for name in ATTRIBUTES:
        need(name in attributes or name in OPTIONAL, f"{name} is missing")
    for name, text in attributes.items():
        need(text and not CONTROL.search(text), f"{name} is empty or has a control character")
    need(attributes["specversion"] == "1.0", "specversion is not 1.0")
    need(attributes["datacontenttype"] == "application/json", "datacontenttype is not JSON's")
    number_of(attributes["sequence"], 1, "sequence")
    need(attributes["id"] == attributes["subject"] + ":" + attributes["sequence"], "id is wrong")
    need(re.match("/runledger/.", attributes["source"]), "source is wrong")
    need(is_time(attributes["time"]), "time is no time")
    for name in ("datahash", "prevhash", "eventhash"):
        need(HASH.fullmatch(attributes[name]), f"{name} is no hash")


def read_event(record):
    """The event in a record; Skipped if it is none of ours."""
    need(record.value is not None, "the record has no value")
    headers = headers_of(record)
    content = headers.get("content-type")
    if content == b"application/json":
        found = {name: headers["ce_" + name] for name in ATTRIBUTES if "ce_" + name in headers}
        found["datacontenttype"] = content
        attributes = {name: text_of(name, found[name]) for name in ATTRIBUTES if name in found}
        data = record.value
    else:
        need(content == b"application/cloudevents+json", "the content type is not ours")
        attributes, data = structured(record.value)
    check_attributes(attributes)
    beside = {name: text_of(name, headers[name]) for name in BESIDE if name in headers}
    need(beside.get("runledger_open") in ("true", "false"), "runledger_open is wrong")
    if "runledger_due_ms" in beside:
        due = beside["runledger_due_ms"]
        number_of(due.removeprefix("-"), 0, "runledger_due_ms")
        need(due != "-0", "runledger_due_ms is wrong")
    need(record.key == attributes["partitionkey"].encode(), "the key is not partitionkey")
    return Event(attributes, data, number_of(beside.get("runledger_epoch"), 0, "runledger_epoch"))


# Acceptance: docs/events.md, "Acceptance".


def event_hash(attributes):
    header = b"runledger-event-1\n"
    for name in ATTRIBUTES[:-1]:
        value = attributes.get(name, "").encode()
        header += b"%s=%d:%s\n" % (name.encode(), len(value), value)
    return hashlib.sha256(header).hexdigest()


def murmur2(key):
    """As in org.apache.kafka.common.utils.Utils."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at:at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def run_id(session, command):
    """The run of which a session and a command are the origin: docs/events.md, "Ids"."""
    parts = (b"run", session.encode(), command.encode())
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).digest()
    number = (int.from_bytes(digest[:8], "big") >> 2) << 64 | int.from_bytes(digest[8:16], "big")
    base32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    ulid = "".join(base32[number >> 5 * at & 31] for at in reversed(range(26)))
    if re.fullmatch(f"sess_[0-7][{base32}]{{25}}", session):
        ulid = session[5:15] + ulid[10:]
    return "run_" + ulid


def topic_of(stream):
    """docs/events.md, "Streams"."""
    if re.match("(run|sess)_.", stream):
        return "runs"
    if re.match("wrk_.|queue/", stream):
        return "workers"
    if stream.startswith("ws/") and stream.endswith(("/executor", "/budget")):
        return "workspaces"
    return "catalog"


def digits_behind(data, name):
    """The number behind the payload's first `"name":`; 0: there is none of 64 bits."""
    found = re.search(rb'"%s":([0-9]*)' % name, data)
    digits = found[1] if found else b""
    return int(digits) if digits and int(digits) < 1 << 64 else 0


class Partition:
    """What the rule remembers of a partition."""

    def __init__(self):
        self.count = 0  # Partitions of the topic, as partition.opened says; 0: not yet.
        self.epoch = 0  # The last accepted claim's.
        self.sealed = False  # partition.sealed was accepted: nothing is, any more.
        self.heads = {}  # Stream -> (sequence, eventhash, partitionkey) of its last accepted event.


class Acceptance:
    """One for all partitions of one ledger. Raises Skipped for what does not count."""

    def __init__(self):
        self.partitions = collections.defaultdict(Partition)

    def take(self, record):
        event = read_event(record)
        partition = self.partitions[record.topic, record.partition]
        attributes, stream = event.attributes, event.attributes["subject"]
        last, last_hash, key = partition.heads.get(stream, (0, "0" * 64, None))
        need(int(attributes["sequence"]) == last + 1, "sequence is not the next one")
        need(attributes["prevhash"] == last_hash, "prevhash is not the last eventhash")
        self.check_epoch(partition, event)
        self.check_partition(partition, record, attributes, key)
        need(hashlib.sha256(event.data).hexdigest() == attributes["datahash"], "datahash is wrong")
        need(event_hash(attributes) == attributes["eventhash"], "eventhash is wrong")
        partition.heads[stream] = (last + 1, attributes["eventhash"], attributes["partitionkey"])
        if attributes["type"] == OPENED:
            partition.count = digits_behind(event.data, b"partitions") & 0xFFFFFFFF
        elif attributes["type"] == CLAIMED:
            partition.epoch = event.epoch
        elif attributes["type"] == SEALED:
            partition.sealed = True
        return event

    @staticmethod
    def check_epoch(partition, event):
        need(not partition.sealed, "the partition is sealed: its ledger goes on elsewhere")
        kind = event.attributes["type"]
        if kind == OPENED:
            first = partition.count == 0 and partition.epoch == 0
            need(first and event.attributes["sequence"] == "1" and event.epoch == 0,
                 "the partition is founded already")
        elif kind == CLAIMED:
            claimed = digits_behind(event.data, b"epoch")
            need(partition.count != 0 and claimed == partition.epoch + 1 == event.epoch,
                 "the claim is not the next one")
        else:
            need(event.epoch == partition.epoch, "its writer does not have the partition")

    @staticmethod
    def check_partition(partition, record, attributes, key):
        stream, asked = attributes["subject"], attributes["partitionkey"]
        topic = record.topic.rpartition(".")[2]  # Without the prefix.
        if stream.startswith("part_") and len(stream) > 5:
            own = f"part_{topic}_{record.partition}"
            need(stream == own, "it is another partition's own stream")
        else:
            governs = attributes["type"] in (OPENED, CLAIMED, SEALED)
            need(not governs, "only a partition's own stream can found, claim or seal it")
            need(topic in ("ledger", topic_of(stream)), "the stream belongs to another topic")
            place = (murmur2(asked.encode()) & 0x7FFFFFFF) % max(partition.count, 1)
            need(place == record.partition, "partitionkey belongs to another partition")
        if key is not None:
            need(asked == key, "partitionkey is not the stream's first")
        elif stream.startswith("run_") and len(stream) > 4:
            expected = run_id(asked, attributes.get("causationid", ""))
            need(stream == expected, "partitionkey is not its session")
        else:
            need(asked == stream, "partitionkey is not the stream")


def bytes_of(text):
    return None if text is None else text.encode("utf-8", "surrogateescape")


def record_of(line):
    """A record out of a line of `kcat -J`. Bytes that are no UTF-8 stand there as they are."""
    try:
        found = json.loads(line.decode("utf-8", "surrogateescape"))
        headers = found.get("headers", [])
        pairs = [(name, bytes_of(value)) for name, value in zip(headers[::2], headers[1::2])]
        return Record(found["topic"], found["partition"], found["offset"],
                      bytes_of(found["key"]), pairs, bytes_of(found["payload"]))
    except (ValueError, KeyError):
        raise Skipped("the line is no record in JSON") from None


def main():
    accepting, skipped = Acceptance(), collections.Counter()
    for line in sys.stdin.buffer:
        try:
            print(accepting.take(record_of(line)).to_json())
        except Skipped as why:
            skipped[str(why)] += 1
    for why, count in skipped.most_common():
        print(f"skipped {count}: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
