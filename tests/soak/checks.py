"""What has to be true when everything has come to rest, read from the nodes' replicas and answers."""
import collections
import contextlib
import hashlib
import json
import sqlite3
import subprocess

TERMINAL = ("succeeded", "failed", "cancelled")


def replica(node):
    return contextlib.closing(
        sqlite3.connect(f"file:{node.data}/replica.db?mode=ro", uri=True, timeout=10))


def unfinished(node):
    """Streams with work left. A queue is never done while workers serve it."""
    try:
        with replica(node) as db:
            return [row[0] for row in db.execute(
                "SELECT stream FROM unfinished WHERE stream NOT LIKE 'queue/%' LIMIT 20")]
    except sqlite3.Error as why:
        return [f"not to be read: {why}"]


def fold(node):
    """Of each partition: how many events a node has accepted, and a hash over them in their order."""
    sums, counts = {}, collections.Counter()
    with replica(node) as db:
        for partition, offset, epoch, eventhash in db.execute(
                'SELECT "partition", "offset", epoch, eventhash FROM events ORDER BY "offset"'):
            counts[partition] += 1
            sums.setdefault(partition, hashlib.sha256()).update(
                b"%d %d " % (offset, epoch) + eventhash)
    return {p: f"{counts[p]} events {sums[p].hexdigest()[:16]}" for p in sorted(sums)}


def differing_folds(nodes):
    """Empty: all nodes have accepted the same."""
    folds = {node.name: fold(node) for node in nodes}
    first = folds[nodes[0].name]
    return [f"{name} has {their.get(p)} in partition {p}, {nodes[0].name} has {first.get(p)}"
            for name, their in folds.items() for p in sorted({*first, *their})
            if first.get(p) != their.get(p)]


class Story:
    """What a fold tells of the runs."""

    def __init__(self, node):
        self.runs_of_key = collections.defaultdict(list)
        self.ends = collections.defaultdict(list)
        self.agent, self.failed = {}, {}
        self.started = collections.defaultdict(dict)  # run/key -> {attempt: offset}
        self.completed = {}                           # run/key -> attempt
        self.complaints, self.events = [], 0
        with replica(node) as db:
            for stream, kind, data in db.execute(
                    'SELECT stream, type, data FROM events ORDER BY "offset"'):
                self.events += 1
                name = kind.removeprefix("dev.runledger.").rsplit(".v", 1)[0]
                if name == "session.turn_accepted" or name.startswith("run."):
                    self.take(stream, name, json.loads(data))

    def take(self, stream, name, data):
        if name == "session.turn_accepted":
            self.agent[data["run_id"]] = data["agent_id"]
            if "idempotency_key" in data:
                self.runs_of_key[data["idempotency_key"]].append(data["run_id"])
            return
        if stream not in self.agent:
            self.complaints.append(f"{stream} was never accepted")
        if self.ends[stream]:
            self.complaints.append(f"{stream}: {name} after its end")
        what, place = name.removeprefix("run."), f"{stream}/{data.get('key')}"
        if what == "step_started":
            if place in self.completed:
                self.complaints.append(f"{place} is executed again after it was done")
            if data["attempt"] in self.started[place]:
                self.complaints.append(f"{place}: two executions have the number {data['attempt']}")
            self.started[place][data["attempt"]] = True
        elif what == "step_completed":
            if place in self.completed:
                self.complaints.append(f"{place} is done twice")
            self.completed[place] = data["attempt"]
        elif what in TERMINAL:
            self.ends[stream].append(what)
            if what == "failed":
                self.failed[stream] = data

    def impossible(self):
        """What no run may tell."""
        out = list(self.complaints)
        out += [f"{run} has the ends {self.ends.get(run, [])}" for run in self.agent
                if len(self.ends.get(run, [])) != 1]
        out += [f"the key {key} made {runs}" for key, runs in self.runs_of_key.items()
                if len(runs) != 1]
        out += [f"{run} has failed: {json.dumps(data)[:300]}" for run, data in self.failed.items()]
        return out

    def lost(self, history):
        """Acknowledged runs that nobody has, and keys whose run is another."""
        out = []
        for line in history:
            if line["outcome"] == "ok" and line["op"] in ("create", "message"):
                run = line["answer"]["run"]
                if self.runs_of_key.get(line["key"]) != [run]:
                    out.append(f"acknowledged: {line['key']} made {run}; in the ledger: "
                               f"{self.runs_of_key.get(line['key'])}")
        return sorted(set(out))

    def wrong_effects(self, file, agent):
        """Executions that the outer world saw, `RUN/KEY ATTEMPT` a line, against what the ledger tells:
        each was recorded before as begun, none came after the step was done, no number came twice, and
        what is recorded as done was executed."""
        seen, out = collections.defaultdict(set), []
        for line in file.read_text().splitlines() if file.exists() else []:
            place, _, attempt = line.rpartition(" ")
            attempt = int(attempt)
            if attempt in seen[place]:
                out.append(f"executed twice under one number: {line}")
            seen[place].add(attempt)
            if attempt not in self.started.get(place, {}):
                out.append(f"executed without a recorded beginning: {line}")
            if place in self.completed and attempt > self.completed[place]:
                out.append(f"executed again after it was done: {line}")
        for place, attempt in self.completed.items():
            if self.agent.get(place.partition("/")[0]) == agent and attempt not in seen[place]:
                out.append(f"recorded as done and never executed: {place}")
        return out, sum(map(len, seen.values())), len(seen)


def linearizable(checker, file, picture):
    """What the checker says against it; empty: nothing."""
    done = subprocess.run([checker, "--html", picture, file], capture_output=True, text=True)
    if done.returncode == 0:
        return [], done.stdout.strip()
    return [done.stdout.strip()[:4000] or done.stderr.strip()], ""


def audited(plan):
    """`audit verify` of the topics themselves."""
    done = subprocess.run([plan.binary, "audit", "verify", "--ledger",
                           f"kafka:{plan.brokers}/{plan.prefix}"], capture_output=True, text=True)
    return [] if done.returncode == 0 else [f"audit verify: {done.stdout[-1500:]}{done.stderr[-500:]}"]
