"""The real binary on a data folder of its own, and the load that wrk puts on it."""
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import time

import host

HELD = ("if [ -e /gate/closed ]; then "
        "echo '{\"type\":\"ready\",\"protocol\":1,\"max_runs\":4096}'; exec cat >/dev/null; fi; "
        "exec /opt/agent/pooled_harness --max-runs 4096")
POOLED = ["/opt/agent/pooled_harness", "--max-runs", "4096"]


def wrk(url, script, connections, *, seconds=None, limit=None, **env):
    """One load from one thread of wrk. Returns its figures; a socket error spoils a measurement."""
    settings = {**os.environ, "BENCH_LUA": str(host.LUA)}
    settings.update({"BENCH_" + name.upper(): str(value) for name, value in env.items()})
    if limit is not None:
        settings["BENCH_LIMIT"] = str(limit)
    text = host.output_of(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds or 600}s", "--timeout", "60s", "-s",
         host.LUA / f"{script}.lua", url], env=settings, until="reached\n" if limit else None)
    got = json.loads(next(line for line in text.splitlines() if line.startswith('{"requests"')))
    if got["socket_errors"] or got["timeouts"] or (got["refused"] and limit is None):
        raise host.Failure(f"wrk met errors: {got}")
    if not got["requests"]:
        raise host.Failure("wrk got no answer")
    if limit is None:
        got["rate"] = got["requests"] / (got["duration_us"] / 1e6)
    elif sum(got["statuses"].values()) < limit:
        raise host.Failure(f"wrk ended before {limit} answers: {got}")
    return got


class Server:
    """`runledger serve` on a free port of the loopback. Use as a context: it ends with it."""

    ledger_file = "ledger.db"
    listen = "127.0.0.1:0"

    def __init__(self, folder, *flags):
        self.folder, self.flags = folder, flags
        self.data = folder / "data"
        self.gate = folder / "gate"
        self.gate.mkdir(parents=True, exist_ok=True)
        self.key = "bench-" + secrets.token_hex(16)
        self.child, self.port, self.began = None, 0, 0.0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, patience=60):
        """Starts it; `began` is when, on the wall clock. Returns the seconds until it was ready."""
        listening = self.folder / "listening"
        env = {**os.environ, "RUNLEDGER_BOOTSTRAP_KEY": self.key}
        with open(listening, "w") as out, open(self.folder / "log", "a") as log:
            self.began = time.time()
            self.child = host.start(
                [host.BUILD / "runledger", "serve", "--listen", self.listen, "--data", self.data,
                 "--log.level", "warn", "--sandbox.mount-roots", f"{host.PROGRAMS},{self.gate}",
                 *self.flags], stdout=out, stderr=log, env=env)
        found = host.wait_until("the server listens", lambda: self._answers_on(listening), patience,
                                0.002)
        self.port = int(found.group(1))
        host.wait_until("the server is ready", self._ready, patience, 0.002)
        return time.time() - self.began

    def _answers_on(self, listening):
        self._must_live()
        return re.search(r" listens on http://127\.0\.0\.1:(\d+)", listening.read_text())

    def _must_live(self):
        if self.child.poll() is not None:
            log = (self.folder / "log").read_text()[-2000:]
            raise host.Failure(f"the server ended with {self.child.returncode}:\n{log}")

    def _ready(self):
        self._must_live()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/readyz")[0] == 200
        return False

    @property
    def pid(self):
        return self.child.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        """One request; status and body, parsed where it is JSON."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers["Authorization"] = "Bearer " + self.key
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            link.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = link.getresponse()
            text = answer.read().decode()
        finally:
            link.close()
        return answer.status, json.loads(text) if text.startswith(("{", "[")) else text

    def metrics(self):
        text = self.ask("GET", "/metrics")[1]
        return {m[1]: float(m[2]) for m in re.finditer(r"^(\w+) (\S+)$", text, re.M)}

    def create_agent(self, slug, command, runs_at_a_time=4096):
        """An agent with a single process that serves many runs."""
        harness = {
            "kind": "process", "command": command, "heartbeat_seconds": 3600,
            "mounts": [{"source": str(host.PROGRAMS), "target": "/opt/agent", "mode": "ro"},
                       {"source": str(self.gate), "target": "/gate", "mode": "ro"}],
            "pool": {"max_processes": 1, "max_runs_per_process": runs_at_a_time}}
        status, agent = self.ask("POST", "/api/v1/agents",
                                 {"name": slug, "slug": slug, "recipe": {"harness": harness}})
        if status != 201:
            raise host.Failure(f"the agent was refused: {status} {agent}")
        return agent["id"]

    def check_run(self, slug, steps):
        """One whole run must be what the load is believed to be."""
        status, run = self.ask("POST", f"/api/v1/agents/{slug}/runs", {"prompt": str(steps)},
                               Prefer="wait=30")
        if status != 201 or run["status"] != "succeeded" or run["steps_completed"] != steps:
            raise host.Failure(f"a run of {steps} steps gave {status}: {run}")

    def post_runs(self, slug, connections, steps=3, prefer="", **how):
        script = "count" if "limit" in how else "post"
        return wrk(f"{self.url}/api/v1/agents/{slug}/runs", script, connections, key=self.key,
                   body=json.dumps({"prompt": str(steps)}), prefer=prefer, **how)

    def acknowledged_while_runs_start(self):
        """The p50 of acknowledgements at one connection, in ms, while each run is given to a harness."""
        self.create_agent("taken", ["/bin/sh", "-c", HELD])
        return self.post_runs("taken", 1, seconds=3)["p50_us"] / 1000

    def wait_for_work(self, patience=300):
        """Until every accepted run has ended."""
        def idle():
            self._must_live()
            return self.ledger("SELECT 1 FROM unfinished LIMIT 1") is None
        host.wait_until("all runs have ended", idle, patience, 0.1)

    def rows(self, query, *values):
        """The answer to a question to the ledger's file."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/{self.ledger_file}?mode=ro", uri=True)) as db:
            return db.execute(query, values).fetchall()

    def ledger(self, query, *values):
        """The first row of it."""
        return next(iter(self.rows(query, *values)), None)

    def count(self, name, since=0):
        return self.ledger('SELECT count(*) FROM events WHERE type = ? AND "offset" >= ?',
                           f"dev.runledger.{name}.v1", since)[0]

    def check_all_succeeded(self):
        """Every accepted run has ended well, with as many steps as its prompt asks for."""
        accepted, succeeded = self.count("session.turn_accepted"), self.count("run.succeeded")
        asked = self.ledger("SELECT sum(CAST(json_extract(data, '$.prompt') AS INTEGER)) FROM events "
                            "WHERE type = 'dev.runledger.session.turn_accepted.v1'")[0]
        done = self.count("run.step_completed")
        if accepted != succeeded or asked != done:
            raise host.Failure(f"{accepted} runs accepted and {succeeded} succeeded, "
                               f"{asked} steps asked for and {done} done")

    def stop(self):
        host.end(self.child, signal.SIGTERM)

    def kill(self):
        if self.child is not None:
            host.end(self.child, signal.SIGKILL)
