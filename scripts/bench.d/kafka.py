"""The ledger in Kafka: one real broker on the same cores, and what it can do alone, in the same round."""
import contextlib
import re
import secrets
import signal
import socket
import subprocess
import time

import host
import server

PREFIXES = iter(range(1, 1_000_000))
FOLLOWED = 4 * 12  # Partitions that every node reads: four topics of 12.


def broker(b):
    """The address of the broker of all rounds."""
    if not hasattr(b, "broker"):
        call = [host.ROOT / "scripts" / "kafka", "start", "--data", b.folder / "kafka",
                "--until-pid", "parent"]
        done = subprocess.run(list(map(str, call)), capture_output=True, text=True)
        if done.returncode:
            raise host.Failure(f"no broker: {done.stderr.strip()}")
        b.broker = done.stdout.strip()
        host.at_end(lambda: subprocess.run([str(call[0]), "stop", "--data", str(call[3])]))
        trips(b, FOLLOWED, 5)  # Java compiles what it runs often.
    return b.broker


class KafkaServer(server.Server):
    """The server with its ledger in topics of its own."""

    ledger_file = "replica.db"

    def __init__(self, b, name, *flags):
        self.prefix = f"bench{next(PREFIXES)}"
        super().__init__(b.new_folder(name), "--ledger", "kafka", "--kafka.brokers", broker(b),
                         "--kafka.topic-prefix", self.prefix, *flags)


def numbers(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise host.Failure(f"nothing matches {pattern} in:\n{text}")
    return [float(x) for x in found.groups()]


def trips(b, partitions, seconds=None):
    """What the broker says of produce and consume, with a consumer of so many partitions."""
    return host.output_of([host.PROGRAMS / "broker_bench", "trips", broker(b), f"trips{next(PREFIXES)}",
                           seconds or max(b.size.seconds / 2, 1), partitions])


def kafka_limits(b):
    """What the broker can do alone: with one partition, and with as many as a node follows."""
    text = trips(b, 1)
    one_at_a_time = r"one at a time: p50 ([\d.]+) ms p99 ([\d.]+) ms"
    one = numbers(one_at_a_time, text)
    b.add("trip.p50", one[0])
    b.add("trip.p99", one[1])
    b.add("trip.rate", numbers(r"64 at a time: (\d+) records/s", text)[0])
    followed = numbers(one_at_a_time, trips(b, FOLLOWED))
    b.add("followed.p50", followed[0])
    b.add("followed.p99", followed[1])


def kafka_ack(b):
    """POST of runs that wait, as in the group `ack`."""
    with KafkaServer(b, "kafka-ack", "--runs.max-queued", "100000000") as s:
        (s.gate / "closed").touch()
        s.create_agent("held", ["/bin/sh", "-c", server.HELD], runs_at_a_time=1)
        s.post_runs("held", 1, seconds=1)
        one = s.post_runs("held", 1, seconds=b.size.seconds)
        b.add("kafka.ack1.p50", one["p50_us"] / 1000)
        b.add("kafka.ack1.p99", one["p99_us"] / 1000)
        s.post_runs("held", 64, seconds=1)
        many = s.post_runs("held", 64, seconds=b.size.seconds)
        b.add("kafka.ack.rate", many["rate"])
        b.add("kafka.ack.p50", many["p50_us"] / 1000)
        b.add("kafka.ack.p99", many["p99_us"] / 1000)
        host.wait_until("every acknowledged run is in the replica", lambda: s.count(
            "session.turn_accepted") >= one["requests"] + many["requests"], 10)
        b.add("kafka.ack1.starts.p50", s.acknowledged_while_runs_start())


def kafka_runs(b):
    """Whole runs, as in the group `runs`, with a consumer of their topic beside them."""
    with KafkaServer(b, "kafka-runs") as s:
        s.create_agent("bench", server.POOLED)
        s.check_run("bench", 3)
        s.post_runs("bench", 64, prefer="wait=60", seconds=1)
        s.wait_for_work()
        watch = host.start([host.PROGRAMS / "broker_bench", "watch", broker(b), s.prefix + ".runs",
                            600], stdout=subprocess.PIPE, text=True)
        if watch.stdout.readline() != "watching\n":
            raise host.Failure("broker_bench does not watch")
        cpu = host.cpu_seconds(s.pid)
        many = s.post_runs("bench", 64, 3, prefer="wait=60", seconds=b.size.seconds)
        b.add("kafka.runs3.cpu", (host.cpu_seconds(s.pid) - cpu) * 1000 / many["requests"])
        watch.send_signal(signal.SIGINT)
        seen = numbers(r"events: p50 ([\d.]+) ms p99 ([\d.]+) ms", watch.stdout.read())
        host.end(watch)
        b.add("kafka.seen.p50", seen[0])
        b.add("kafka.seen.p99", seen[1])
        b.add("kafka.runs3.rate", many["rate"])
        b.add("kafka.runs3.p50", many["p50_us"] / 1000)
        b.add("kafka.runs3.p99", many["p99_us"] / 1000)
        s.wait_for_work()
        one = s.post_runs("bench", 1, 3, prefer="wait=60", seconds=b.size.seconds)
        b.add("kafka.runs1.p50", one["p50_us"] / 1000)
        s.wait_for_work()
        s.check_all_succeeded()


def two_nodes(b):
    """Servers that share a ledger, not started."""
    folder = b.new_folder("cluster")
    folder.mkdir(parents=True)
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(secrets.token_hex(32))
    out = [KafkaServer(b, "node") for _ in range(2)]
    for s in out:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            s.listen = f"127.0.0.1:{probe.getsockname()[1]}"
        s.prefix, s.key = out[0].prefix, out[0].key
        s.flags = (*out[0].flags[:5], s.prefix, "--kafka.cluster-secret-file", secret,
                   "--kafka.advertise", "http://" + s.listen)
    return out


def kafka_failover(b):
    """kill -9 of one of two nodes that execute runs: until the last of its runs has moved on."""
    with contextlib.ExitStack() as ending:
        nodes = two_nodes(b)
        for s in nodes:
            ending.enter_context(s)
        host.wait_until("both nodes have a share", lambda: all(
            s.metrics().get("runledger_partitions_held", 0) > 0 for s in nodes))
        recipe = {"harness": {
            "kind": "process", "command": ["python3", "/agent/harness.py", "/dev/null", "1000"],
            "files": {"harness.py": (host.ROOT / "tests" / "soak" / "harness.py").read_text()},
            "pool": {"max_processes": 1, "max_runs_per_process": 1000}}}
        host.wait_until("the agent is made", lambda: nodes[0].ask(
            "POST", "/api/v1/agents", {"name": "slow", "slug": "slow", "recipe": recipe})[0] == 201)
        runs = [nodes[n % 2].ask("POST", "/api/v1/agents/slow/runs",
                                 {"initial_state": {"steps": 60, "pause_ms": 500}})[1]["id"]
                for n in range(100)]
        left = nodes[1]
        host.wait_until("all runs execute", lambda: left.count("run.step_completed") > 3 * len(runs))
        host.wait_until("both nodes execute some", lambda: all(
            s.metrics().get("runledger_running_runs", 0) > 0 for s in nodes))
        died = time.time()
        nodes[0].kill()

        def moved():
            """Of each run the first event that it had since, but for those of the first moment."""
            rows = left.rows("SELECT stream, min(time) FROM events WHERE time > ? AND stream LIKE 'run_%' "
                             "GROUP BY stream", (died + 0.05) * 1000)
            return rows if len(rows) == len(runs) else None
        rows = host.wait_until("all runs have moved on", moved, 60)
        b.add("kafka.failover", max(row[1] for row in rows) / 1000 - died)


MEASURES = [kafka_limits, kafka_ack, kafka_runs, kafka_failover]
