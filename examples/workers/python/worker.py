#!/usr/bin/env python3
"""A remote worker in plain Python: serves a queue of Runledger by polling (docs/workers.md).

    RUNLEDGER_API_KEY=... ./worker.py http://127.0.0.1:8080 demo

It does the work itself instead of starting a harness: each run counts the words of its prompt, line
by line, and each line is a step. What is specific to that stands in work(); the rest is the protocol
and can be taken as it is. One run at a time, one thread for the messages that come, the main thread
for the work.
"""
import http.client, json, os, queue, secrets, signal, socket, sys, threading, time
import urllib.error, urllib.request

SERVER, QUEUE = sys.argv[1].rstrip("/"), sys.argv[2]
ONCE = "--once" in sys.argv[3:]
AWAY = (OSError, http.client.HTTPException, ValueError)  # Not reachable, or an answer cut off.


class Lost(Exception):
    """The lease is over: nothing that is said of this run counts any more."""


class Run:
    """One leased run, seen from the work: ask for a step, execute it, say what it gave."""

    def __init__(self, worker, lease):
        self.worker, self.id, self.lease = worker, lease["run"], lease["lease"]
        self.inbox, self.frames = queue.Queue(), 0
        self.start = None  # The run.start frame.
        self.kept = {}     # What is not answered yet, by the frame's id.

    def say(self, frame):
        """Every frame has an id, so one that is sent twice takes effect once."""
        self.frames += 1
        frame_id = f"w{self.lease}.{self.frames}"
        self.worker.send(self, frame_id, {"type": "frame", "run": self.id, "lease": self.lease,
                                          "id": frame_id, "frame": frame})
        return frame_id

    def hear(self, *types):
        while True:
            message = self.inbox.get()
            if message["type"] == "lease.ended":
                raise Lost(message["reason"])
            if message["type"] in types:
                return message

    def acknowledge(self, frame_id):
        """It is durable. What asks for a step is kept until it is answered."""
        if self.kept.get(frame_id, {"frame": {}})["frame"].get("type") != "step.start":
            self.kept.pop(frame_id, None)

    def step(self, key, execute):
        """The output of a step. One that is recorded is not executed again, in whatever attempt."""
        asked = self.say({"type": "step.start", "key": key})
        while True:
            answer = self.hear("step.go", "step.cached", "step.give_up", "cancel")
            if answer["type"] == "cancel":
                raise RuntimeError("cancelled")
            if answer.get("key") != key:
                continue  # Said again for an earlier step.
            self.kept.pop(asked, None)
            if answer["type"] == "step.cached":
                return answer["output"]
            if answer["type"] == "step.give_up":
                raise RuntimeError(f"step {key} failed for good")
            output = execute()
            self.say({"type": "step.done", "key": key, "output": output})
            return output


def reason_of(refused):
    try:
        return refused.read().decode()
    except AWAY:
        return str(refused)


class Worker:
    def __init__(self):
        self.token = secrets.token_hex(16)  # Who comes back with it is the same worker.
        self.path = f"/api/v1/workers/connections/{self.token}"
        self.outbox, self.batch, self.unsent = [], 0, []
        self.lock = threading.Lock()  # Of outbox and of what runs keep.
        self.run, self.runs = None, queue.Queue()
        self.lease_s, self.leaving = 30.0, False

    def call(self, method, path, body=None, patience=60):
        request = urllib.request.Request(
            SERVER + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + os.environ["RUNLEDGER_API_KEY"],
                     "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=patience) as answer:
            text = answer.read()
            if not text and answer.status != 204:
                raise http.client.IncompleteRead(text)  # Cut off before its length was said.
            return json.loads(text) if text else None

    def greet(self):
        """A new connection: says which lease is held, and begins to count batches anew."""
        if self.run and not self.run.start:
            self.run = None  # Its beginning did not come; it is given to somebody anew.
        held = [{"run": self.run.id, "lease": self.run.lease}] if self.run else []
        welcome = self.call("PUT", self.path, {
            "protocol": 1, "queue": QUEUE, "name": socket.gethostname(),
            "slots": 0 if self.leaving else 1, "leases": held})
        self.lease_s = welcome["lease_ms"] / 1000
        self.batch, self.last, self.unsent = 0, 0, []
        with self.lock:  # The server may have lost what it had not made durable.
            self.outbox = list(self.run.kept.values()) if self.run else []
        print(f"serving queue {QUEUE} on {SERVER} as {welcome['worker']}", flush=True)

    def send(self, run, frame_id, message):
        with self.lock:
            run.kept[frame_id] = message
            self.outbox.append(message)

    def forward(self):
        """Sends what the work says. A batch that may not have arrived is sent again as it was."""
        with self.lock:
            if not self.unsent:
                self.unsent, self.outbox = self.outbox[:1000], self.outbox[1000:]
        if self.unsent:
            self.call("PUT", f"{self.path}/messages/{self.batch + 1}", {"messages": self.unsent})
            self.batch, self.unsent = self.batch + 1, []

    def poll(self):
        """One round: what the work said, and what the server has to say. Also a sign of life."""
        self.forward()
        wait = 0 if self.run else min(2, int(self.lease_s / 3))  # Work may speak at any time.
        answer = self.call("GET", f"{self.path}/messages?after={self.last}&wait={wait}")
        for message in answer["messages"]:
            self.take(message)
        self.last = answer["last"]
        if self.run and not answer["messages"]:
            time.sleep(0.02)
        if not answer["messages"] and wait == 0:
            time.sleep(0.05)

    def take(self, message):
        if message["type"] == "lease.granted":
            self.run = Run(self, message)
        elif self.run and message.get("run") == self.run.id:
            if message["type"] == "run.start":
                self.run.start = message
                self.runs.put(self.run)
            else:
                if message["type"] == "ack":
                    with self.lock:
                        self.run.acknowledge(message["id"])
                self.run.inbox.put(message)
                if message["type"] == "lease.ended":
                    self.run = None

    def serve(self):
        """The messages' thread."""
        connected = False
        while not self.leaving:
            try:
                if not connected:
                    self.greet()
                    connected = True
                self.poll()
            except urllib.error.HTTPError as refused:
                if refused.code in (401, 403, 422):
                    print(reason_of(refused), file=sys.stderr, flush=True)
                    os._exit(2)
                if refused.code == 404:  # connection_gone: the server was started anew, say.
                    connected = False
                time.sleep(0.5)
            except AWAY:  # What was not sent waits.
                connected = False
                time.sleep(0.5)
        try:
            self.forward()
            self.call("DELETE", self.path, patience=5)
        except AWAY:
            pass  # It will be missed, and then its lease is over.


def work(run):
    """What this worker is for."""
    counts = []
    for number, line in enumerate(run.start["input"]["prompt"].splitlines(), 1):
        counts.append(run.step(f"line-{number}", lambda: len(line.split())))
    return {"lines": len(counts), "words": sum(counts)}


def main():
    worker = Worker()
    messages = threading.Thread(target=worker.serve, daemon=True)
    messages.start()
    signal.signal(signal.SIGTERM, lambda *_: worker.runs.put(None))
    while (run := worker.runs.get()) is not None:
        try:
            run.say({"type": "result", "output": work(run)})
            run.hear()  # Until the lease is over.
        except Lost as why:
            print(f"{run.id}: {why}", flush=True)
        except Exception as failed:  # The run's attempt fails; the server decides what follows.
            run.say({"type": "error", "message": str(failed), "retryable": True})
        if ONCE:
            break
    worker.leaving = True
    messages.join(10)


if __name__ == "__main__":
    main()
