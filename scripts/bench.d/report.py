"""The figures, their floors, and the page that shows them."""
import dataclasses
import datetime
import statistics

import host


@dataclasses.dataclass
class Row:
    """One line of the table. A floor is a number (least or most), or a factor of the limit."""
    key: str
    group: str
    title: str
    unit: str
    least: float = None
    most: float = None
    limit: str = None  # Key of the figure beside it...
    limit_per: int = 1  # ...of which each takes so many.
    least_of_limit: float = None
    most_of_limit: float = None


LIMITS = {
    "fdatasync.p50": ("4 KiB append + fdatasync, p50", "ms"),
    "fdatasync.p99": ("4 KiB append + fdatasync, p99", "ms"),
    "group.rate": ("SQLite ledger alone, groups of 64", "events/s"),
    "scan.rate": ("reading the ledger's file, hashes verified", "events/s"),
    "bare.rate": ("bare Beast, 64 connections", "/s"),
    "trip.p50": ("broker alone, produce and consume, 1 at a time, p50", "ms"),
    "trip.p99": ("broker alone, produce and consume, 1 at a time, p99", "ms"),
    "followed.p50": ("broker alone, produce and consume with a consumer of 48 partitions, 1 at a time, p50", "ms"),
    "followed.p99": ("broker alone, produce and consume with a consumer of 48 partitions, 1 at a time, p99", "ms"),
    "trip.rate": ("broker alone, produce and consume, 64 at a time", "events/s"),
}
# Shown in the column `limit` without being one of the machine's.
BESIDE = {"burst.usual": "the usual rate, 64 connections", "idle.mb": "idle"}


def rows(size):
    n = lambda count: f"{count:,}"
    return [
        Row("ack.rate", "ack", "run acknowledged, 64 connections, the runs wait", "/s", least=15000,
            limit="group.rate"),
        Row("ack.p50", "ack", "the same, p50", "ms", limit="fdatasync.p50"),
        Row("ack.p99", "ack", "the same, p99", "ms", most=10, limit="fdatasync.p99"),
        Row("ack1.p50", "ack", "run acknowledged, 1 connection: p50", "ms", most_of_limit=2.5,
            limit="fdatasync.p50"),
        Row("ack1.p99", "ack", "the same: p99", "ms", limit="fdatasync.p99"),
        Row("ack1.starts.p50", "ack", "run acknowledged, 1 connection, while each is given to its harness: p50",
            "ms", limit="fdatasync.p50"),
        Row("busy.rate", "ack", "run acknowledged, 64 connections, the runs execute 3 steps beside it",
            "/s", limit="group.rate"),
        Row("busy.p50", "ack", "the same, p50", "ms", limit="fdatasync.p50"),
        Row("busy.p99", "ack", "the same, p99", "ms", limit="fdatasync.p99"),
        Row("busy.completed", "ack", "runs completed meanwhile", "/s"),
        Row("runs3.rate", "runs", "whole runs, 3 steps, 64 connections", "/s", least=5000,
            limit="group.rate", limit_per=10),
        Row("runs3.p50", "runs", "the same, p50", "ms"),
        Row("runs3.p99", "runs", "the same, p99", "ms"),
        Row("runs3.cpu", "runs", "the same, server's CPU a run", "ms", most=0.3),
        Row("runs3.flushes", "runs", "the same, flushes a run", ""),
        Row("runs3.lag", "runs", "the same, views behind when the load ends", "events"),
        Row("runs10.rate", "runs", "whole runs, 10 steps, 64 connections", "/s", least=2000,
            limit="group.rate", limit_per=24),
        Row("runs10.p50", "runs", "the same, p50", "ms"),
        Row("runs10.p99", "runs", "the same, p99", "ms"),
        Row("runs10.cpu", "runs", "the same, server's CPU a run", "ms"),
        Row("runs10.flushes", "runs", "the same, flushes a run", ""),
        Row("runs1.rate", "runs", "whole runs, 3 steps, 1 connection", "/s"),
        Row("runs1.p50", "runs", "the same, p50", "ms", limit="fdatasync.p50"),
        Row("runs1.p99", "runs", "the same, p99", "ms", limit="fdatasync.p99"),
        Row("runs1.cpu", "runs", "the same, server's CPU a run", "ms"),
        Row("runs1.flushes", "runs", "the same, flushes a run", "", most=7.05),
        Row("status.rate", "status", "GET of a run, 64 connections", "/s", least_of_limit=0.4,
            limit="bare.rate"),
        Row("status.p99", "status", "the same, p99", "ms"),
        Row("rebuild.rate", "rebuild", f"views rebuilt from {n(size.events)} events", "events/s",
            least=100000, limit="scan.rate"),
        Row("show.ms", "replay", "`replay show` of a session of 10,000 events, the whole process", "ms",
            most=100),
        Row("show.json", "replay", "the same with --json", "ms"),
        Row("at.ms", "replay", "`replay at` its end", "ms"),
        Row("verify.rate", "verify", f"audit verify, {n(size.events)} events, one core", "events/s",
            least=500000, limit="scan.rate"),
        Row("idle.mb", "idle", "memory, idle", "MB", most=60),
        Row("used.mb", "idle", f"memory after {n(size.sessions)} runs", "MB", most=200,
            limit="idle.mb"),
        Row("sessions.mb", "idle", f"memory that {n(size.sessions)} open idle sessions add", "MB",
            most=200, limit="idle.mb"),
        Row("sessions.actors", "idle", f"live actors with {n(size.sessions)} open idle sessions", "",
            most=0),
        Row("idle.cores", "idle", "CPU of an idle server", "cores", most=0.005),
        Row("sessions.cores", "idle", f"CPU, idle, {n(size.sessions)} open sessions", "cores",
            most=0.005),
        Row("idle.written", "idle", "written to disk while idle", "bytes"),
        Row("restart.ready", "restart", f"start after kill -9, {n(size.events)} events, "
            f"{n(size.unfinished)} unfinished runs: ready", "s", most=3),
        Row("restart.first", "restart", "the same: first step", "s", most=1),
        Row("restart.all", "restart", "the same: all runs done", "s", most=5),
        Row("behind.ready", "restart", f"start with views {n(size.events)} events behind: ready", "s"),
        Row("burst.during", "burst", f"{n(size.burst)} starts from 256 connections: runs completed "
            "while they come", "/s", least_of_limit=0.9, limit="burst.usual"),
        Row("burst.to_end", "burst", "the same: until the last has ended", "/s", least_of_limit=0.9,
            limit="burst.usual"),
        Row("burst.accepted", "burst", "the same: accepted", "runs"),
        Row("burst.other", "burst", "the same: answers that are neither 201 nor 429", "", most=0),
        Row("refused.accepted", "burst", f"{n(size.burst)} starts from 256 connections, 64 runs execute and "
            "100 may wait: accepted", "runs"),
        Row("refused.refused", "burst", "the same: refused with 429", "runs", least=1),
        Row("refused.other", "burst", "the same: any other answer", "", most=0),
        Row("kafka.ack.rate", "kafka", "Kafka: run acknowledged, 64 connections, the runs wait", "/s",
            least=3000, limit="trip.rate"),
        Row("kafka.ack.p50", "kafka", "the same, p50", "ms", limit="trip.p50"),
        Row("kafka.ack.p99", "kafka", "the same, p99", "ms", limit="trip.p99"),
        Row("kafka.ack1.p50", "kafka", "Kafka, run acknowledged, 1 connection: p50", "ms",
            most_of_limit=3, limit="trip.p50"),
        Row("kafka.ack1.p50", "kafka", "the same beside a consumer of what a node follows", "ms",
            most_of_limit=3, limit="followed.p50"),
        Row("kafka.ack1.p99", "kafka", "the same: p99", "ms", limit="trip.p99"),
        Row("kafka.ack1.starts.p50", "kafka",
            "Kafka, run acknowledged, 1 connection, while each is given to its harness: p50", "ms", limit="trip.p50"),
        Row("kafka.runs3.rate", "kafka", "Kafka: whole runs, 3 steps, 64 connections", "/s",
            limit="trip.rate", limit_per=10),
        Row("kafka.runs3.p50", "kafka", "the same, p50", "ms"),
        Row("kafka.runs3.p99", "kafka", "the same, p99", "ms"),
        Row("kafka.runs3.cpu", "kafka", "the same, server's CPU a run", "ms"),
        Row("kafka.seen.p50", "kafka", "the same, age of an event when a consumer sees it, p50", "ms"),
        Row("kafka.seen.p99", "kafka", "the same, age of an event when a consumer sees it, p99", "ms",
            most=50),
        Row("kafka.failover", "kafka", "kill -9 of one of two nodes, session timeout 6 s: its last run moves on", "s",
            most=9),
        Row("kafka.runs1.p50", "kafka", "Kafka, whole runs, 3 steps, 1 connection: p50", "ms",
            limit="trip.p50"),
    ]


def show(value, unit=""):
    if value == 0 or abs(value) >= 100 or (unit in ("", "runs", "bytes", "events") and value == int(value)):
        text = f"{value:,.0f}"
    elif abs(value) >= 10:
        text = f"{value:.1f}"
    elif abs(value) >= 0.1:
        text = f"{value:.2f}"
    else:
        text = f"{value:.5f}".rstrip("0")
    return text + unit if unit.startswith("/") else f"{text} {unit}".strip()


def floor_of(row):
    if row.least is not None:
        return "at least " + show(row.least, row.unit)
    if row.most is not None:
        return "at most " + show(row.most, row.unit)
    if row.least_of_limit is not None:
        return f"at least {row.least_of_limit} x"
    if row.most_of_limit is not None:
        return f"at most {row.most_of_limit} x"
    return ""


def met(row, value, limit):
    """True, False, or nothing where there is no floor."""
    if row.least is not None:
        return value >= row.least
    if row.most is not None:
        return value <= row.most
    if limit and row.least_of_limit is not None:
        return value >= row.least_of_limit * limit
    if limit and row.most_of_limit is not None:
        return value <= row.most_of_limit * limit
    return None


def table(figures, size):
    """Lines of the table, and the titles of the rows whose floor is not met."""
    lines = ["| figure | floor | measured | least to greatest | limit beside it | ratio | met |",
             "|---|---|---|---|---|---|---|"]
    missed, before = [], ""
    for row in rows(size):
        samples = figures.get(row.key)
        full = row.title
        if full.startswith("the same"):
            full = before + full.removeprefix("the same")
        else:
            before = full.split(": ")[0]
        if not samples:
            continue
        value = statistics.median(samples)
        beside = figures.get(row.limit)
        limit = statistics.median(beside) / row.limit_per if beside else None
        good = met(row, value, limit)
        if good is False:
            missed.append(full)
        unit = LIMITS.get(row.limit, ("", row.unit))[1]
        what = LIMITS[row.limit][0] if row.limit in LIMITS else BESIDE.get(row.limit, "")
        if row.limit_per > 1:
            unit, what = row.unit, f"{what}, {row.limit_per} events each"
        lines.append("| " + " | ".join([
            full, floor_of(row), show(value, row.unit), f"{show(min(samples))} to {show(max(samples))}",
            f"{show(limit, unit)} ({what})" if limit else "", f"{value / limit:.2f}" if limit else "",
            {True: "yes", False: "**not met**", None: ""}[good]]) + " |")
    return lines, missed


def page(b, command):
    """The whole of docs/benchmarks.md."""
    lines, missed = table(b.figures, b.size)
    out = ["# Benchmarks", "",
           f"Written by `{command}`: medians of {b.rounds} interleaved rounds, {b.size.seconds} s a load,",
           "wrk and the release binary on one machine, every write durable before its answer. Absolute figures "
           "move from machine", "to machine: compare with the limit beside them, which the same rounds "
           "measured.", "",
           "| | |", "|---|---|", f"| commit | `{b.commit}` |",
           f"| date | {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC |"]
    out += [f"| {name} | {value} |" for name, value in host.machine()]
    out += [f"| load average before | {b.load_before:.2f} |", "", "## Figures", "", *lines, ""]
    if missed:
        out += ["Not met: " + "; ".join(missed) + ".", ""]
    out += ["## Limits of the machine", "", "| limit | measured | least to greatest |", "|---|---|---|"]
    for key, (title, unit) in LIMITS.items():
        if samples := b.figures.get(key):
            out.append(f"| {title} | {show(statistics.median(samples), unit)} | "
                       f"{show(min(samples))} to {show(max(samples))} |")
    return "\n".join(out + ["", *HOW]) + "\n"


HOW = """## How

- `scripts/bench` measures everything, `scripts/bench NAME...` some of `ack runs status rebuild replay
  verify idle restart burst kafka`, `--quick` with small sizes, for a look at whether it works. Groups and Lua scripts: `scripts/bench.d/`;
  programs: `tests/bench/`. It needs a quiet machine, and says at the top how quiet it was.
- A load: `wrk -t1 -c64 -d8s --timeout 60s -s scripts/bench.d/post.lua http://127.0.0.1:PORT/api/v1/agents/A/runs`.
- The server listens on the loopback, its data folder is on the repository's disk. Its settings are the defaults,
  except for `sandbox.mount_roots`, `log.level`, and `runs.max_queued` where more than 100,000 runs are to wait.
  Processor time and memory are those of the server's process alone, as the kernel tells them.
- *Acknowledged*: `POST /api/v1/agents/{a}/runs` until the 201. In the first rows the agent's harness is up,
  has one run and executes nothing, so the runs are accepted and wait; in the rows that say so each is given to its
  harness, or they execute meanwhile: the events of that stand in the log before the next acceptance.
- *Whole runs*: the same with `Prefer: wait`, answered after the terminal event. The harness is
  `tests/bench/pooled_harness.cpp`: one process in the sandbox that serves up to 4,096 runs at a time and sends
  every frame of the protocol; a step gives 16 bytes. After each round the ledger is asked: every accepted run has
  succeeded, with as many steps as it asked for.
- *Flushes*: groups that the ledger committed, each with one sync of the disk, by the runs in that time.
- *Start after kill -9*: `tests/bench/make_ledger.cpp` writes the ended and the unfinished runs; a server with a
  harness that stands still takes them up and is killed; the next one has a harness that works. Times count from the
  start of the process; steps and ends as their events tell, `ready` by `GET /readyz`.
- *Kafka*: one broker by `scripts/kafka` on the same cores, topics of 12 partitions. *Broker alone* is
  `tests/bench/broker_bench.cpp`: records of an event's size with the ledger's client settings, from the producer's
  call until the consumer has them, with one partition and with as many as a node of this ledger reads, since a broker
  looks at all of them for each answer to a consumer. The age of an event is the time from its `time` until that program, as a consumer
  of the topic, has it, while the whole runs are measured.
- *Burst*: starts without `Prefer`, one at a time from each connection. Completions are counted in the ledger
  between the first acceptance and the last, and until the last run has ended.""".splitlines()
