"""The ledger in Kafka: one real broker on the same cores, and what it can do alone, in the same round."""
import re
import signal
import subprocess

import host
import server

PREFIXES = iter(range(1, 1_000_000))


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


def kafka_limits(b):
    """What the broker can do alone."""
    text = host.output_of([host.PROGRAMS / "broker_bench", "trips", broker(b),
                           f"trips{next(PREFIXES)}", max(b.size.seconds / 2, 1)])
    one = numbers(r"one at a time: p50 ([\d.]+) ms p99 ([\d.]+) ms", text)
    b.add("trip.p50", one[0])
    b.add("trip.p99", one[1])
    b.add("trip.rate", numbers(r"64 at a time: (\d+) records/s", text)[0])


def kafka_ack(b):
    """POST of runs that wait, as in the group `ack`."""
    with KafkaServer(b, "kafka-ack", "--runs.max-queued", "100000000") as s:
        (s.gate / "closed").touch()
        s.create_agent("held", ["/bin/sh", "-c", server.HELD])
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


MEASURES = [kafka_limits, kafka_ack, kafka_runs]
