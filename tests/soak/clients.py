"""Clients that create, resume, cancel, repeat and read, on any node, and record what they were told.

The record is the history that tests/linearizability judges; history.go says what a line holds. A call
that changes something is repeated under its key, perhaps elsewhere, until its outcome is certain.
"""
import http.client
import json
import random
import threading
import time

# Of 503 and 429: what says that nothing was changed. Anything else leaves the outcome open.
NOTHING_CHANGED = {"ledger_unavailable", "not_owner", "not_ready", "draining", "queue_full",
                   "too_many_connections"}
PATIENCE_S = 4


class Unsent(Exception):
    """The request never reached a server."""


class Link:
    """Connections of one thread: one to each node."""

    def __init__(self, nodes, key):
        self.nodes, self.headers = nodes, {"Authorization": "Bearer " + key}
        self.open = {}

    def ask(self, node, method, path, body=None, **headers):
        """Status, headers and body as JSON. OSError or HTTPException: no answer."""
        fresh = node not in self.open
        link = self.open.pop(node, None) or http.client.HTTPConnection(
            "127.0.0.1", self.nodes[node].port, timeout=PATIENCE_S)
        if fresh:
            try:
                link.connect()
            except OSError as why:
                raise Unsent() from why
        headers = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            link.request(method, path, None if body is None else json.dumps(body), headers)
            answer = link.getresponse()
            text = answer.read()
        except BaseException:
            link.close()
            raise
        if answer.will_close:
            link.close()
        else:
            self.open[node] = link
        return answer.status, answer.headers, json.loads(text) if text else None


class Session:
    """What the clients know of one object. Its name is the key of its creation."""

    def __init__(self, name, agent, body):
        self.name, self.agent, self.body = name, agent, body
        self.id, self.runs, self.keys = None, [], 0


class World:
    """What the clients share."""

    def __init__(self, nodes, key, agents, seed):
        self.nodes, self.key, self.agents, self.seed = nodes, key, agents, seed
        self.lock, self.over = threading.Lock(), threading.Event()
        self.abandoned = threading.Event()  # Calls without an answer are not repeated any more.
        self.sessions, self.complaints = [], []
        self.began = time.monotonic_ns()
        self.rest_ms = 15

    def now(self):
        return time.monotonic_ns() - self.began

    def complain(self, text):
        with self.lock:
            self.complaints.append(text)


class Client(threading.Thread):
    def __init__(self, world, number):
        super().__init__(name=f"client-{number}", daemon=True)
        self.world, self.number = world, number
        self.random = random.Random(f"{world.seed}/{number}")
        self.link = Link(world.nodes, world.key)
        self.history, self.made, self.in_vain = [], 0, 0

    def run(self):
        while not self.world.over.is_set():
            try:
                self.act()
            except Exception as why:  # A client that dies silently would prove nothing.
                self.world.complain(f"{self.name}: {type(why).__name__}: {why}")
            time.sleep(self.random.uniform(0, 2 * self.world.rest_ms) / 1000)

    def act(self):
        what, known = self.random.random(), self.pick_session()
        if known is None or what < 0.25:
            self.create()
        elif what < 0.45:
            self.message(known)
        elif what < 0.51:
            self.settle(known, "cancel", f"/api/v1/sessions/{known.id}/cancel", None, None)
        elif what < 0.75:
            self.read_session(known)
        else:
            self.read_run(known, self.random.choice(known.runs))

    def pick_session(self):
        with self.world.lock:
            recent = self.world.sessions[-12:] if self.random.random() < 0.8 else self.world.sessions
            return self.random.choice(recent) if recent else None

    def node(self):
        return self.random.randrange(len(self.world.nodes))

    # --- calls that change something

    def create(self):
        self.made += 1
        state = {"steps": self.random.randint(1, 4), "pause_ms": self.random.randint(0, 120),
                 "flaky": self.random.choice([0, 0, 0, 1])}
        session = Session(f"c{self.number}-{self.made}",
                          self.random.choice(self.world.agents),
                          {"initial_state": state})
        path = f"/api/v1/agents/{session.agent}/runs"
        if self.twice(session, "create", path, session.body, session.name):
            with self.world.lock:
                self.world.sessions.append(session)

    def message(self, session):
        with self.world.lock:
            session.keys += 1
            key = f"{session.name}-m{session.keys}"
        self.twice(session, "message", f"/api/v1/sessions/{session.id}/messages",
                   {"message": "go on"}, key)

    def twice(self, session, op, path, body, key):
        """One key: now and then on two nodes at once, now and then again a while later."""
        roll = self.random.random()
        twin = None
        if roll < 0.15:
            other = Client(self.world, 1000 + self.number)
            other.random = random.Random(self.random.random())
            twin = threading.Thread(target=other.settle, args=(session, op, path, body, key))
            twin.start()
        outcome = self.settle(session, op, path, body, key)
        if twin is not None:
            twin.join()
            self.history += other.history
            self.in_vain += other.in_vain
        elif roll < 0.3 and outcome == "ok":
            self.settle(session, op, path, body, key)
        return outcome == "ok"

    def settle(self, session, op, path, body, key):
        """Asks until the outcome is certain; which it is."""
        while True:
            outcome = self.attempt(session, op, path, body, key)
            if outcome in ("ok", "refused") or self.world.abandoned.is_set():
                return outcome
            if session.runs:
                self.read_run(session, self.random.choice(session.runs))
            time.sleep(self.random.uniform(0.05, 0.3))

    def attempt(self, session, op, path, body, key):
        line = {"process": self.number, "object": session.name, "op": op, "call": self.world.now()}
        headers = {"Idempotency_Key": key} if key else {}
        if key:
            line["key"] = key
        node = line["node"] = self.node()
        try:
            status, got, answer = self.link.ask(node, "POST", path, body, **headers)
        except Unsent:
            return self.record(line, "none")
        except (OSError, http.client.HTTPException, ValueError):
            return self.record(line, "unknown")
        code = answer.get("code") if isinstance(answer, dict) else None
        if status in (201, 202):
            line["answer"] = told(op, answer, got)
            self.learn(session, line["answer"])
            return self.record(line, "ok")
        if op == "message" and status == 409 and code == "session_terminated":
            return self.record(line, "refused")
        if status in (429, 503):
            return self.record(line, "none" if code in NOTHING_CHANGED else "unknown")
        self.world.complain(f"{op} {path}: {status} {json.dumps(answer)[:300]}")
        return self.record(line, "unknown")

    def learn(self, session, answer):
        with self.world.lock:
            session.id = answer.get("session") or session.id
            if answer.get("run") and answer["run"] not in session.runs:
                session.runs.append(answer["run"])

    # --- reads

    def read_session(self, session, node=None):
        return self.read(session, f"/api/v1/sessions/{session.id}", node, {"op": "read_session"},
                         lambda a: {"status": a["status"], "runs": [
                             {"run": r["run_id"], "status": r["status"]} for r in a["runs"]]})

    def read_run(self, session, run, node=None):
        return self.read(session, f"/api/v1/runs/{run}", node, {"op": "read_run", "run": run},
                         lambda a: {"status": a["status"], "attempt": a["attempt"] or 0,
                                    "steps": a["steps_completed"]})

    def read(self, session, path, node, more, render):
        node = self.node() if node is None else node
        line = {"process": self.number, "object": session.name, **more, "node": node,
                "call": self.world.now()}
        try:
            status, headers, answer = self.link.ask(node, "GET", path)
        except (Unsent, OSError, http.client.HTTPException, ValueError):
            return self.record(line, "none")
        if status == 200:
            line["answer"] = render(answer)
            return self.record(line, "stale" if headers.get("Runledger-Stale") == "true" else "ok")
        if status == 404:
            return self.record(line, "missing")
        if status not in (429, 503):
            self.world.complain(f"GET {path}: {status} {json.dumps(answer)[:300]}")
        return self.record(line, "none")

    def record(self, line, outcome):
        """What had no effect and told nothing is counted only."""
        if outcome == "none":
            self.in_vain += 1
            return outcome
        if outcome != "unknown":
            line["return"] = self.world.now()
        line["outcome"] = outcome
        self.history.append(line)
        return outcome


def told(op, answer, headers):
    """The members of an answer that the history keeps."""
    if op == "cancel":
        return {"status": answer["status"]}
    out = {"run": answer["run_id"], "replayed": headers.get("Idempotent-Replayed") == "true"}
    if op == "create":
        out["session"] = answer["session_id"]
    return out
