#!/usr/bin/env python3
"""Verifies a bundle of `runledger audit export` with none of Runledger's software.

Needs the standard library and `openssl`. Exit 0: it is what the ledger said. Exit 1: it is not, and
every bad line is named. Exit 2: it cannot be checked. The format: docs/events.md.
"""
import argparse, base64, hashlib, json, pathlib, re, subprocess, sys, tempfile

HASHED = ("specversion id source type subject time datacontenttype sequence partitionkey"
          " causationid correlationid principal traceparent datahash prevhash").split()
SIGNED = "ledger partition sequence prevhash time tree_size root last_offset node key".split()
NUMBERS = {"sequence", "tree_size", "last_offset"}
ED25519 = bytes.fromhex("302a300506032b6570032100")  # how such a key begins in DER

def need(right, otherwise):
    if not right:
        raise AssertionError(otherwise)

def sha256(data):
    return hashlib.sha256(data).digest()

def from_base64(text):
    data = base64.b64decode(text)
    need(base64.b64encode(data).decode() == text, "this is not how base64 is written")
    return data

def from_hex(path):
    need(type(path) is list and all(re.fullmatch("[0-9a-f]{64}", text) for text in path), "this is no proof")
    return list(map(bytes.fromhex, path))

def canonical(first_line, names, values):
    texts = [(name.encode(), str(values.get(name, "")).encode()) for name in names]
    return first_line + b"\n" + b"".join(b"%s=%d:%s\n" % (n, len(t), t) for n, t in texts)

def need_form(value, texts, numbers, *others):
    need(set(value) == {*texts, *numbers, *others} and all(type(value[name]) is str for name in texts)
         and all(type(value[name]) is int and value[name] >= 0 for name in numbers), "no such thing has this form")

def members(pairs):
    need(len(dict(pairs)) == len(pairs), "a member stands twice")
    return dict(pairs)
PARSE = json.JSONDecoder(object_pairs_hook=members).decode

def climb(old, new, index, last, path):
    """The roots of two trees at the end of one path (RFC 9162, 2.1.3.2 and 2.1.4.2)."""
    for sibling in path:
        need(last > 0, "the path is too long")
        if index & 1 or index == last:
            old, new = sha256(b"\1" + sibling + old), sha256(b"\1" + sibling + new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = sha256(b"\1" + new + sibling)
        index, last = index >> 1, last >> 1
    need(last == 0, "the path is too short")
    return old.hex(), new.hex()

def is_prefix(old, new, path):
    path, index, last = from_hex(path), old["tree_size"] - 1, new["tree_size"] - 1
    if index >= last:
        return index == last and not path and old["root"] == new["root"]
    while index & 1:
        index, last = index >> 1, last >> 1
    first = path.pop(0) if index else bytes.fromhex(old["root"])
    return climb(first, first, index, last, path) == (old["root"], new["root"])

def is_signed(head, keys):
    der = next((key for key in keys if sha256(key).hex() == head["key"]), None)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("key", der or b""), ("head", canonical(b"runledger-tree-head-1", SIGNED, head)),
                              ("signature", from_base64(head["signature"]))):
            pathlib.Path(folder, name).write_bytes(content)
        command = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in head -sigfile signature"
        return der and subprocess.run(command.split(), cwd=folder, capture_output=True).returncode == 0

class Bundle:
    def __init__(self, manifest, trusted, kept):
        need((manifest["kind"], manifest["format"]) == ("bundle", "runledger-bundle"), "this begins no bundle")
        need(manifest["version"] == 1, f"it is of format {manifest['version']}, this script reads 1")
        self.counts = dict.fromkeys(["keys", "tree_heads", "events", "unsigned_events"], 0)
        need_form(manifest, "kind format ledger made_at made_by".split(), ["version", *self.counts], "asked")
        self.manifest, self.ledger, self.asked = manifest, manifest["ledger"], manifest["asked"]
        need_form(self.asked, self.asked, [])
        need(all(self.asked.values()) and (set(self.asked) in ({"run", "session"}, {"session"})
             or self.asked and set(self.asked) <= {"workspace", "since", "until"}), "this cannot be asked for")
        self.trusted, self.kept, self.phase = trusted, kept, 0
        self.keys, self.heads, self.newest, self.streams, self.places = [], [], {}, {}, {}

    def take(self, line):
        phase = ["key", "tree_head", "event"].index(line["kind"])
        need(phase >= self.phase, "the line does not stand where it belongs")
        self.phase = phase
        (self.take_key, self.take_head, self.take_event)[phase](**line)

    def take_key(self, kind, node, fingerprint, public_key):
        self.counts["keys"] += 1
        der = from_base64(public_key)
        need((type(node), len(der), der[:12], sha256(der).hex()) == (str, 44, ED25519, fingerprint), "no such key")
        self.keys.append((node, der))

    def take_head(self, kind, head, consistency=None):
        self.counts["tree_heads"] += 1
        need_form(head, {*SIGNED, "signature"} - NUMBERS, NUMBERS)
        need(head["ledger"] == self.ledger, "the tree head is of another ledger")
        keys = self.trusted or [der for node, der in self.keys if node == head["node"]]
        need(is_signed(head, keys), "the tree head is not signed by a key that counts")
        newest = self.newest.setdefault(head["partition"], head)
        need(consistency is None if newest is head else is_prefix(head, newest, consistency),
             "the newest head does not continue it")
        self.heads.append(head)

    def take_event(self, kind, partition, offset, leaf, event, path=None):
        self.counts["events"] += 1
        at = f"stream {event.get('subject')}, seq {event.get('sequence')}, offset {offset}: "
        need_form({**event, "-": partition, "offset": offset, "leaf": leaf}, {*event, "-"}, ["offset", "leaf"])
        need(set(event) <= {*HASHED, "eventhash", "data_base64"}, at + "this is no event")
        stream, seq, asked = event["subject"], int(event["sequence"]), self.asked
        need(event["id"] == f"{stream}:{seq}" == f"{stream}:{event['sequence']}", at + "its id is another")
        known, before = stream in self.streams, self.streams.get(stream, (0, "0" * 64))
        last_leaf, last_offset = self.places.get(partition, (-1, -1))
        self.streams[stream], self.places[partition] = (seq, event["eventhash"]), (leaf, offset)
        own = sha256(canonical(b"runledger-event-1", HASHED, event))
        need(own.hex() == event["eventhash"], at + "it was changed")
        need(sha256(from_base64(event["data_base64"])).hex() == event["datahash"], at + "its data was changed")
        need(asked.get("session") in (None, event["partitionkey"])
             and asked.get("workspace") in (None, event["source"][len("/runledger/"):])
             and stream in (asked.get("run", stream), asked.get("session")), at + "it was not asked for")
        need((seq - 1, event["prevhash"]) == before or not known and seq > 1 and {"since", "until"} & set(asked),
             at + "it does not follow the event before it")
        need(leaf > last_leaf and offset > last_offset, at + "it does not stand behind the event before it")
        need(last_leaf in (-1, leaf - 1) or not set(asked) <= {"since", "until"}, at + "events before it are gone")
        head = self.newest.get(partition)
        covered = head is not None and leaf < head["tree_size"]
        need(covered == (path is not None), at + "it has no proof, or one that belongs to no tree head")
        self.counts["unsigned_events"] += not covered
        if covered:
            _, root = climb(b"", sha256(b"\0" + own), leaf, head["tree_size"] - 1, from_hex(path))
            need(root == head["root"], at + "the signed tree holds another event there")

    def finish(self, allow_unsigned):
        for name, count in self.counts.items():
            need(self.manifest[name] == count, f"it counts {self.manifest[name]} {name}, there are {count}")
        need(self.counts["events"] > 0, "it holds no event")
        for name in {"run", "session"} & set(self.asked):
            need(self.asked[name] in self.streams, f"the {name} that was asked for is not there")
        count = self.counts["unsigned_events"]
        need(allow_unsigned or not count, f"{count} events stand under no signed head: whoever wrote the file could"
             " have written them (--allow-unsigned takes them)")
        for head in self.kept:
            need(head in self.heads, f"it is not tied to your tree head {head['sequence']}: export it with --against")

def verify(path, trusted=(), kept=(), allow_unsigned=False):
    found, so_far = [], hashlib.sha256()
    def attempt(number, check):
        try:
            return check()
        except Exception as error:
            found.append(f"line {number}: {error if type(error) is AssertionError else repr(error)}")
    with open(path, "rb") as file:
        line = file.readline()
        bundle = attempt(1, lambda: Bundle(PARSE(line.decode()), trusted, kept))
        need(bundle, " ".join(found))
        for number, following in enumerate(file, 2):
            if number > 2:
                attempt(number - 1, lambda: bundle.take(PARSE(line.decode())))
            so_far.update(line)
            line = following
    need(re.fullmatch(rb'\{"kind":"end".*\n', line), "it was cut off: the line that ends a bundle is missing")
    if line != b'{"kind":"end","sha256":"%s"}\n' % so_far.hexdigest().encode():
        found.append(f"line {number}: the digest of the lines before is another")
    attempt(1, lambda: bundle.finish(allow_unsigned))
    return bundle, found

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (("bundle", None), ("--public-key", "PEM file with the only keys that count"),
                       ("--against", "tree heads that you kept, lines of DATA/tree-heads")):
        parser.add_argument(name, help=what)
    parser.add_argument("--allow-unsigned", action="store_true", help="take events that no signed head covers")
    asked = parser.parse_args()
    try:
        pem = open(asked.public_key).read() if asked.public_key else ""
        keys = [base64.b64decode(key) for key in re.findall("BEGIN PUBLIC KEY-----(.*?)-----END", pem, re.S)]
        need(keys or not asked.public_key, f"{asked.public_key} holds no public key")
        kept = [PARSE(line) for line in open(asked.against) if line.strip()] if asked.against else []
        need(kept or not asked.against, f"{asked.against} holds no tree head")
        bundle, found = verify(asked.bundle, keys, kept, asked.allow_unsigned)
    except (OSError, ValueError, AssertionError) as error:
        print(f"{asked.bundle} cannot be checked: {error}", file=sys.stderr)
        return 2
    print(f"ledger {bundle.ledger}, asked for {json.dumps(bundle.asked)}: {bundle.counts['events']} events;"
          f" {bundle.counts['unsigned_events']} of them stand under no signed head (anybody could have written those);"
          f" it is tied to {sum(head in bundle.heads for head in kept)} of {len(kept)} kept heads")
    right = "OK as far as it is signed" if bundle.counts["unsigned_events"] else "OK"
    print(*(["NOT as it was written:", *found] if found else [right]), sep="\n")
    return 1 if found else 0

if __name__ == "__main__":
    sys.exit(main())
