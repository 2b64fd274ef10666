"""What is measured. Each function is one round of one group and adds figures to `b` by name."""
import os
import re
import shutil
import signal
import time

import host
import kafka
from server import HELD, POOLED, Server, wrk

QUEUE_OF_ANY_LENGTH = ("--runs.max-queued", "100000000")


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise host.Failure(f"nothing matches {pattern} in:\n{text}")
    return [float(x) for x in found.groups()]


def limits(b):
    """What the machine itself can do, in this round."""
    text = host.output_of([host.PROGRAMS / "log_bench", b.folder / "limits", b.size.log_events])
    sync = number(r"4 KiB \+ fdatasync, growing file\s+p50 ([\d.]+) ms\s+p99 ([\d.]+) ms", text)
    b.add("fdatasync.p50", sync[0])
    b.add("fdatasync.p99", sync[1])
    b.add("group.rate", number(r"append, groups of 64\s+(\d+) events/s", text)[0])
    b.add("scan.rate", number(r"from the file, verified\s+(\d+) events/s", text)[0])
    listening = b.folder / "bare"
    with open(listening, "w") as out:
        bare = host.start([host.PROGRAMS / "bare_beast", "--port", "0", "--seconds", "600"], stdout=out)
    found = host.wait_until("bare_beast listens",
                            lambda: re.search(r"listening on (\d+)", listening.read_text()))
    got = wrk(f"http://127.0.0.1:{found[1]}/", "get", 64, seconds=b.size.seconds)
    b.add("bare.rate", got["rate"])
    host.end(bare)


def ack(b):
    """POST of runs that wait: their agent's harness is up, has one run, and executes nothing."""
    with Server(b.new_folder("ack"), *QUEUE_OF_ANY_LENGTH) as s:
        (s.gate / "closed").touch()
        s.create_agent("held", ["/bin/sh", "-c", HELD], runs_at_a_time=1)
        s.post_runs("held", 1, seconds=1)
        one = s.post_runs("held", 1, seconds=b.size.seconds)
        b.add("ack1.p50", one["p50_us"] / 1000)
        b.add("ack1.p99", one["p99_us"] / 1000)
        many = s.post_runs("held", 64, seconds=b.size.seconds)
        b.add("ack.rate", many["rate"])
        b.add("ack.p50", many["p50_us"] / 1000)
        b.add("ack.p99", many["p99_us"] / 1000)
        b.add("ack1.starts.p50", s.acknowledged_while_runs_start())
        s.kill()
        if s.count("session.turn_accepted") < one["requests"] + many["requests"]:
            raise host.Failure("an acknowledged run is not in the ledger")


def ack_busy(b):
    """The same while the runs execute their three steps beside it."""
    with Server(b.new_folder("busy"), *QUEUE_OF_ANY_LENGTH) as s:
        s.create_agent("bench", POOLED)
        s.check_run("bench", 3)
        s.post_runs("bench", 64, seconds=1)
        begin = s.metrics()["runledger_ledger_end_offset"]
        got = s.post_runs("bench", 64, seconds=b.size.seconds)
        end = s.metrics()["runledger_ledger_end_offset"]
        b.add("busy.rate", got["rate"])
        b.add("busy.p50", got["p50_us"] / 1000)
        b.add("busy.p99", got["p99_us"] / 1000)
        ended = s.ledger("SELECT count(*) FROM events WHERE type = 'dev.runledger.run.succeeded.v1' "
                         'AND "offset" >= ? AND "offset" < ?', begin, end)[0]
        b.add("busy.completed", ended / (got["duration_us"] / 1e6))


def whole_runs(b, s, name, connections, steps):
    """Prefer: wait: answered after the terminal event. CPU and flushes are the server's."""
    before, cpu = s.metrics(), host.cpu_seconds(s.pid)
    got = s.post_runs("bench", connections, steps, prefer="wait=60", seconds=b.size.seconds)
    cpu, after = host.cpu_seconds(s.pid) - cpu, s.metrics()
    groups = "runledger_ledger_append_groups_total"
    b.add(name + ".rate", got["rate"])
    b.add(name + ".p50", got["p50_us"] / 1000)
    b.add(name + ".p99", got["p99_us"] / 1000)
    b.add(name + ".cpu", cpu * 1000 / got["requests"])
    b.add(name + ".lag", after["runledger_views_lag_events"])
    b.add(name + ".flushes", (after[groups] - before[groups]) / got["requests"])
    s.wait_for_work()


def runs(b):
    with Server(b.new_folder("runs")) as s:
        s.create_agent("bench", POOLED)
        for steps in (3, 10):
            s.check_run("bench", steps)
        s.post_runs("bench", 64, prefer="wait=60", seconds=1)
        s.wait_for_work()
        whole_runs(b, s, "runs3", 64, 3)
        whole_runs(b, s, "runs10", 64, 10)
        whole_runs(b, s, "runs1", 1, 3)
        s.check_all_succeeded()


def status(b):
    with Server(b.new_folder("status")) as s:
        s.create_agent("bench", POOLED)
        s.post_runs("bench", 64, prefer="wait=60", limit=1000)
        s.wait_for_work()
        code, found = s.ask("GET", "/api/v1/runs?limit=200")
        if code != 200 or len(found) != 200:
            raise host.Failure(f"the list of runs gave {code}, {len(found)} items")
        paths = s.folder / "paths"
        paths.write_text("".join(f"/api/v1/runs/{run['id']}\n" for run in found))
        got = wrk(s.url, "get", 64, seconds=b.size.seconds, key=s.key, paths=paths)
        b.add("status.rate", got["rate"])
        b.add("status.p99", got["p99_us"] / 1000)


def rebuild(b):
    """All views from a ledger file, by the code that the server uses."""
    text = host.output_of([host.PROGRAMS / "rebuild_bench", b.size.events, "sqlite"],
                          env={**os.environ, "TMPDIR": str(b.folder)})
    rounds = re.findall(r"rebuild: (\d+) events in ([\d.]+) s", text)
    if not rounds:
        raise host.Failure("rebuild_bench says nothing of a rebuild:\n" + text)
    for events, seconds in rounds:
        b.add("rebuild.rate", float(events) / max(float(seconds), 0.01))


def replay(b):
    """`replay` on a session of 10,000 events: the whole process."""
    text = host.output_of([host.PROGRAMS / "replay_bench", host.BUILD / "runledger", 10_000,
                           b.size.log_events * 2], env={**os.environ, "TMPDIR": str(b.folder)})
    b.add("show.ms", number(r"^show: median ([\d.]+) ms", text)[0])
    b.add("show.json", number(r"show --json: median ([\d.]+) ms", text)[0])
    b.add("at.ms", number(r"at the end: median ([\d.]+) ms", text)[0])


def verify(b):
    """The ledger hashed anew, judged by the fold, and held against its tree heads: on one core."""
    text = host.output_of([host.PROGRAMS / "verify_bench", b.size.events],
                          env={**os.environ, "TMPDIR": str(b.folder)})
    rounds = re.findall(r"verify: (\d+) events in ([\d.]+) s, ([\d.]+) s of one core", text)
    if not rounds:
        raise host.Failure("verify_bench says nothing of a verification:\n" + text)
    for events, seconds, _ in rounds:
        b.add("verify.rate", float(events) / max(float(seconds), 0.001))


def idle_cost(b, s, name):
    """Ten seconds in which nobody asks for anything."""
    before, written = host.exact_cpu_seconds(s.pid), host.bytes_written(s.pid)
    time.sleep(b.size.idle_seconds)
    b.add(name + ".cores", (host.exact_cpu_seconds(s.pid) - before) / b.size.idle_seconds)
    b.add(name + ".written", host.bytes_written(s.pid) - written)


def idle(b):
    """An idle server; then what open sessions leave behind when their runs have ended."""
    with Server(b.new_folder("idle")) as s:
        s.create_agent("bench", POOLED)
        s.check_run("bench", 3)
        host.wait_until("the first run's actors are gone", lambda: at_rest(s))
        b.add("idle.mb", host.resident_mb(s.pid))
        idle_cost(b, s, "idle")
        s.post_runs("bench", 64, prefer="wait=60", limit=b.size.sessions)
        s.wait_for_work()
        b.add("used.mb", host.resident_mb(s.pid))
        until = time.monotonic() + 60
        while not at_rest(s) and time.monotonic() < until:
            time.sleep(0.2)
        b.add("sessions.actors", s.metrics()["runledger_live_actors"])
        b.add("sessions.mb", host.resident_mb(s.pid) - b.last("idle.mb"))
        idle_cost(b, s, "sessions")
        s.check_all_succeeded()
        if s.count("session.turn_accepted") < b.size.sessions or s.count("session.terminated"):
            raise host.Failure("the sessions are not open")


def at_rest(s):
    return s.metrics()["runledger_live_actors"] == 0


def prepare_restart(b):
    """A ledger with ended and unfinished runs, its views current, left by a kill -9. Kept for all
    rounds; also tells how fast a server catches up with a ledger that its views have not seen."""
    s = Server(b.new_folder("restart"), *QUEUE_OF_ANY_LENGTH)
    (s.gate / "closed").touch()
    s.start()
    agent = s.create_agent("held", ["/bin/sh", "-c", HELD])
    s.stop()
    print("  " + host.output_of(
        [host.PROGRAMS / "make_ledger", "--data", s.data, "--agent", agent, "--slug", "held",
         "--events", b.size.events, "--unfinished", b.size.unfinished]).strip())
    host.flush_disks()
    b.add("behind.ready", s.start(patience=300))
    host.wait_until("the views have caught up",
                    lambda: s.metrics()["runledger_views_lag_events"] == 0, 300)
    host.end(s.child, signal.SIGKILL)
    (s.gate / "closed").unlink()
    s.data.rename(s.folder / "kept")
    return s


def restart(b):
    """Start after kill -9, with work that was cut off; the harness is whole again."""
    if b.prepared is None:
        b.prepared = prepare_restart(b)
    s = b.prepared
    shutil.copytree(s.folder / "kept", s.data)
    host.flush_disks()
    try:
        since = s.ledger('SELECT max("offset") + 1 FROM events')[0]
        b.add("restart.ready", s.start())
        s.wait_for_work()
        first = s.ledger("SELECT min(time) FROM events WHERE type = 'dev.runledger.run.step_started.v1' "
                         'AND "offset" >= ?', since)[0]
        last, ended = s.ledger("SELECT max(time), count(*) FROM events WHERE "
                               "type = 'dev.runledger.run.succeeded.v1' AND \"offset\" >= ?", since)
        if ended != b.size.unfinished:
            raise host.Failure(f"{ended} of {b.size.unfinished} runs were taken up and ended")
        b.add("restart.first", first / 1000 - s.began)
        b.add("restart.all", last / 1000 - s.began)
        s.check_all_succeeded()
    finally:
        s.kill()
        shutil.rmtree(s.data)


def burst(b):
    """Many starts from 256 connections against an agent that works at its usual rate."""
    with Server(b.new_folder("burst")) as s:
        s.create_agent("bench", POOLED)
        usual = s.post_runs("bench", 64, prefer="wait=60", seconds=b.size.seconds)
        b.add("burst.usual", usual["rate"])
        s.wait_for_work()
        since = s.metrics()["runledger_ledger_end_offset"]
        got = s.post_runs("bench", 256, limit=b.size.burst)
        s.wait_for_work()
        accepted, first, last = s.ledger(
            "SELECT count(*), min(time), max(time) FROM events WHERE "
            "type = 'dev.runledger.session.turn_accepted.v1' AND \"offset\" >= ?", since)
        during, = s.ledger("SELECT count(*) FROM events WHERE type = 'dev.runledger.run.succeeded.v1' "
                           'AND "offset" >= ? AND time <= ?', since, last)
        end, = s.ledger("SELECT max(time) FROM events WHERE type = 'dev.runledger.run.succeeded.v1' "
                        'AND "offset" >= ?', since)
        b.add("burst.during", during * 1000 / max(last - first, 1))
        b.add("burst.to_end", accepted * 1000 / max(end - first, 1))
        b.add("burst.accepted", accepted)
        b.add("burst.other", sum(n for code, n in got["statuses"].items() if code not in ("201", "429")))
        s.check_all_succeeded()


def burst_refused(b):
    """The same burst where 64 runs execute and 100 may wait: what does not fit is refused, with 429."""
    with Server(b.new_folder("refused"), "--runs.max-queued", "100") as s:
        s.create_agent("bench", POOLED, runs_at_a_time=64)
        got = s.post_runs("bench", 256, limit=b.size.burst)
        s.wait_for_work()
        b.add("refused.accepted", got["statuses"].get("201", 0))
        b.add("refused.refused", got["statuses"].get("429", 0))
        b.add("refused.other",
              sum(n for code, n in got["statuses"].items() if code not in ("201", "429")))
        if s.count("session.turn_accepted") < got["statuses"].get("201", 0):
            raise host.Failure("an acknowledged run is not in the ledger")
        s.check_all_succeeded()


GROUPS = {"ack": [ack, ack_busy], "runs": [runs], "status": [status], "rebuild": [rebuild],
          "replay": [replay], "verify": [verify],
          "idle": [idle], "restart": [restart], "burst": [burst, burst_refused], "kafka": kafka.MEASURES}
