"""Runledger agents in Python: harness protocol, version 1. Standard library only; copy this file.

    import runledger_agent

    def main(run):
        text = run.step("fetch", lambda: "some text")    # executed once, answered from the ledger later
        run.message(f"{len(text)} characters")
        return {"characters": len(text)}                 # the result of the run

    runledger_agent.serve(main)

`main` is called again from its beginning in every attempt; steps that are done return what they
returned then. So: everything that has an effect or is not deterministic belongs in a step.
"""
import contextlib, hashlib, json, os, queue, sys, threading, traceback

class AgentError(Exception):
    """Raise it in `main` to fail the attempt, in a step to fail this execution of the step."""
    def __init__(self, message, code=None, retryable=False):
        super().__init__(message)
        self.code, self.retryable = code, retryable

class StepGivenUp(AgentError):
    """The retries of a step are used up. `main` may catch it and go on without the step."""

class Cancelled(Exception):
    """The run was cancelled: no further step starts. Let it pass through `main`."""

class Run:
    """One run; its methods are for the thread that `main` was called in. Frames take effect in order."""
    def __init__(self, channel, frame):
        self.id, self.session, self.attempt = frame["run"], frame.get("session"), frame["attempt"]
        self.agent, self.limits = frame.get("agent", {}), frame.get("limits", {})
        self.workdir = frame.get("workdir") or os.environ.get("RUNLEDGER_WORKDIR") or os.getcwd()
        restore_blobs(frame, self.workdir)
        self.prompt = frame.get("input", {}).get("prompt")
        self.initial_state = frame.get("input", {}).get("initial_state")
        self.history = frame.get("history", [])  # timeline items: seq, type, time, data
        self.step_key, self.step_attempt = None, 0  # of the step that is being executed
        self.cancelled = threading.Event()  # a long step may look at it and stop early
        self._channel, self._inbox, self._counts = channel, queue.SimpleQueue(), {}
        self._step_counts, self._unacked, self._acked = {}, set(), threading.Condition()

    @property
    def state(self):
        """The state of the run's latest checkpoint, None without one."""
        own = [i["data"].get("state") for i in self.history
               if i["type"] == "checkpoint" and i.get("run_id", self.id) == self.id]
        return own[-1] if own else None

    def path(self, name):
        """A path in the work folder, which is private to the run and kept over its attempts."""
        return os.path.join(self.workdir, name)

    def write_file(self, name, text):
        """Writes a file of the work folder whole or not at all, also when killed in the middle."""
        with open(self.path(name + ".part"), "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path(name + ".part"), self.path(name))

    def idempotency_key(self):
        """What a step should give to a tool, so that it acts once: the same in every attempt."""
        return f"{self.id}/{self.step_key}"

    def step(self, key, function, *args, name=None, kind=None, timeout_ms=None, max_cost_usd=None):
        """Executes `function(*args)` as the step `key`, unless it is done: then returns what it did.

        An exception fails the execution; the server backs off and it is tried again, unless it is
        an AgentError with retryable=False. StepGivenUp when the retries are used up."""
        if self.cancelled.is_set():
            raise Cancelled()
        self._send("step.start", None, key=key, name=name, kind=kind, timeout_ms=timeout_ms,
                   max_cost_usd=max_cost_usd)
        while True:
            answer = self._inbox.get()
            if answer["type"] == "cancel":
                raise Cancelled()
            if answer.get("key") != key:
                continue
            if answer["type"] == "step.cached":
                return answer.get("output")
            if answer["type"] == "step.give_up":
                message = (answer.get("error") or {}).get("message")
                raise StepGivenUp(f"step {key}: {message}", "step_given_up")
            if answer["type"] == "step.go":
                self.step_key, self.step_attempt, self._step_counts = key, answer["attempt"], {}
                try:
                    output = json.loads(_encode(function(*args)))  # as a later attempt will see it
                    self._send("step.done", None, key=key, output=output, keep="output")
                    return output
                except Exception as error:  # every failure of the function is the step's
                    traceback.print_exc()
                    self._send("step.fail", None, key=key, error=_error(error),
                               retryable=getattr(error, "retryable", True))
                finally:
                    self.step_key = None

    def message(self, content, role="assistant", id=None):
        self._send("message", id or True, role=role, content=content)

    def log(self, message, level="info", id=None, **fields):
        self._send("log", id or True, level=level, message=message, fields=fields or None)

    def usage(self, tokens_in=0, tokens_out=0, cost_usd=0, model=None, category=None, id=None):
        """What was spent since the last report. In a step every execution counts, outside once a run."""
        self._send("usage", id or True, tokens_in=tokens_in, tokens_out=tokens_out,
                   cost_usd=str(cost_usd), model=model, category=category, key=self.step_key)

    def checkpoint(self, state, id=None):
        self._send("checkpoint", id or True, state=state, keep="state")

    def artifact(self, path, name=None, media_type=None, id=None):
        """Publishes a regular file of the work folder. Do not change it before flush() returns."""
        self._send("artifact", id or True, path=path, name=name, media_type=media_type)

    def tool(self, tool, function, **args):
        """Calls `function(**args)` inside a step and records the call and its outcome."""
        self._send("tool.call", True, key=self.step_key, tool=tool, args=args)
        try:
            output = function(**args)
        except Exception as error:
            self._send("tool.result", True, key=self.step_key, tool=tool, error=_error(error))
            raise
        self._send("tool.result", True, key=self.step_key, tool=tool, output=output, keep="output")
        return output

    def flush(self, timeout=None):
        """Waits until every frame with an id is durable. False after `timeout` seconds without that."""
        with self._acked:
            return self._acked.wait_for(lambda: not self._unacked, timeout)

    def _send(self, type, id, keep=None, **members):
        if id is True:  # the same in every attempt, because `main` is deterministic outside of steps
            place = f"{self.step_key}/{type}" if self.step_key else type
            if self.step_key and type == "usage":
                place = f"{self.step_key}@{self.step_attempt}/{type}"
            counts = self._step_counts if self.step_key else self._counts
            counts[place] = counts.get(place, 0) + 1
            id = f"{place}#{counts[place]}"
        if id and len(id) > 200:
            id = hashlib.sha256(id.encode()).hexdigest()
        given = {k: v for k, v in members.items() if v is not None or k == keep}
        line = _encode({"type": type, "run": self.id, **given, **({"id": id} if id else {})})
        if id:
            with self._acked:
                self._unacked.add(id)
        self._channel.write(line)

    def _receive(self, frame):
        if frame["type"] == "ack":
            with self._acked:
                self._unacked.discard(frame["id"])
                self._acked.notify_all()
            return
        if frame["type"] == "cancel":
            self.cancelled.set()
        restore_blobs(frame, self.workdir)
        self._inbox.put(frame)

    def _drive(self, main):
        try:
            self._send("result", None, output=main(self), keep="output")
        except Cancelled:
            self._send("error", None, message="cancelled", code="cancelled")
        except BaseException as error:
            traceback.print_exc()
            self._send("error", None, retryable=getattr(error, "retryable", False), **_error(error))
        self._channel.ended(self)

class _Channel:
    """The two pipes, moved away from where prints and child processes of the agent could use them."""
    def __init__(self, max_runs):
        self.input, self.output, self.lock = os.fdopen(os.dup(0), "rb"), os.dup(1), threading.Lock()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)
        self.max_runs, self.runs, self.stopping = max_runs, {}, False

    def write(self, line):
        with self.lock, contextlib.suppress(BrokenPipeError):  # the server is gone: input ends too
            while line:
                line = line[os.write(self.output, line):]

    def ended(self, run):
        del self.runs[run.id]
        if self.max_runs == 1 or (self.stopping and not self.runs):
            os._exit(0)

    def beat(self, seconds):
        while not threading.Event().wait(seconds):
            for run in list(self.runs):
                self.write(_encode({"run": run} if self.max_runs > 1 else {}))

def serve(main, max_runs=1, heartbeat_seconds=15.0):
    """Calls `main(run)` for each run until the server ends this process. With `max_runs` 1 the
    process ends after its run, else up to `max_runs` runs at a time have a thread each."""
    channel = _Channel(max_runs)
    channel.write(_encode({"type": "ready", "protocol": 1, "max_runs": max_runs}))
    threading.Thread(target=channel.beat, args=(heartbeat_seconds,), daemon=True).start()
    for line in channel.input:
        frame = json.loads(line)
        if frame["type"] == "hello" and frame["protocol"] != 1:
            sys.exit(f"unknown protocol version {frame['protocol']}")
        if frame["type"] == "shutdown":
            channel.stopping = True
            if not channel.runs:
                break
        elif frame["type"] in ("run.start", "history"):
            if frame["type"] == "run.start":
                run = channel.runs[frame["run"]] = Run(channel, frame)
            else:
                run = channel.runs[frame["run"]]
                restore_blobs(frame, run.workdir)
                run.history += frame["items"]
            if not frame.get("history_more", frame.get("more")):
                threading.Thread(target=run._drive, args=(main,), daemon=True).start()
        elif run := channel.runs.get(frame.get("run")):
            run._receive(frame)
    os._exit(0)

def restore_blobs(frame, folder):
    """Puts the members that were too large for the frame back in their places."""
    for pointer, blob in (frame.pop("blobs", None) or {}).items():
        *parents, last = [n.replace("~1", "/").replace("~0", "~") for n in pointer.split("/")[1:]]
        place = frame
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        with open(os.path.join(folder, blob["path"]), encoding="utf-8", newline="") as file:
            text = file.read()
        place[last] = text if blob.get("media_type", "").startswith("text/plain") else json.loads(text)

def _encode(value):
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    line = text.encode() + b"\n"
    if len(line) > 1 << 20:
        raise AgentError(f"{len(line)} bytes do not fit in a frame, publish an artifact", "too_large")
    return line

def _error(error):
    text = str(error) or type(error).__name__
    return {"message": text[:4000], "code": getattr(error, "code", None) or type(error).__name__}
