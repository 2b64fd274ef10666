"""Runledger agents in Python: harness protocol, version 1. Standard library only; copy this file.

    def main(run):
        text = run.step("fetch", lambda: "some text")    # executed once, answered from the ledger later
        run.message(f"{len(text)} characters")
        return {"characters": len(text)}                 # the result of the run
    runledger_agent.serve(main)

`main` is called again from its beginning in every attempt; steps that are done return what they returned
then. So: everything that has an effect or is not deterministic belongs in a step.
"""
import contextlib, functools, hashlib, json, os, queue, sys, threading, traceback

class AgentError(Exception):
    """Raise it in `main` to fail the attempt, in a step to fail this execution of the step."""
    def __init__(self, message, code=None, retryable=False):
        super().__init__(message)
        self.code, self.retryable = code, retryable

class StepGivenUp(AgentError):
    """The retries of a step are used up. `main` may catch it and go on without the step."""

class Cancelled(Exception):
    """The run was cancelled: no further step starts. Let it pass through `main`."""
    code, retryable = "cancelled", False

class Run:
    """One run. Its methods are for the thread that `main` was called in; frames take effect in order.
    Each frame but a step's has an id, by default one that is the same in every attempt: it counts once."""
    def __init__(self, frame, write):
        self.id, self.session, self.attempt = frame["run"], frame["session"], frame["attempt"]
        self.agent, self.limits, self.workdir = frame["agent"], frame["limits"], frame["workdir"]
        self.prompt, self.initial_state = map(frame["input"].get, ("prompt", "initial_state"))
        self.history = frame["history"]             # of the session: items with seq, type, time, data
        self.step_key, self.step_attempt = None, 0  # of the step that is being executed
        self.cancelled = threading.Event()          # a long step may look at it and stop early
        self._write, self._inbox, self._unacked, self._counts = write, queue.SimpleQueue(), set(), {}

    @property
    def state(self):
        """The state of the run's latest checkpoint, None without one."""
        own = [i for i in self.history if i["type"] == "checkpoint" and i["run_id"] == self.id]
        return own[-1]["data"]["state"] if own else None

    def path(self, name):
        """A path in the work folder, which is private to the run and kept over its attempts."""
        return os.path.join(self.workdir, name)

    def write_file(self, name, text):
        """Writes a file of the work folder whole or not at all, also when killed in the middle."""
        with open(self.path(name + ".part"), "w", encoding="utf-8", newline="") as file:
            print(text, end="", file=file, flush=True)
            os.fsync(file.fileno())
        os.replace(file.name, self.path(name))

    def idempotency_key(self):
        """What a step should give to a tool, so that it acts once: the same in every attempt."""
        return f"{self.id}/{self.step_key}"

    def step(self, key, function, *args, **options):
        """Executes `function(*args)` as the step `key`, unless it is done: then returns what it did. An
        exception fails the execution, and it is tried again unless that is an AgentError that is not
        retryable; StepGivenUp in the end. Options: name, kind, timeout_ms, max_cost_usd."""
        if not self.cancelled.is_set():
            self._send("step.start", key=key, **options)
        while not (self.cancelled.is_set() and self._inbox.empty()):  # a step that may go, goes
            answer = self._hear()
            if answer["type"] == "step.cached":
                return answer["output"]
            if answer["type"] == "step.give_up":
                raise StepGivenUp(f"step {key}: {answer['error']['message']}", "step_given_up")
            if answer["type"] == "step.go":
                outside, self._counts = self._counts, {}
                self.step_key, self.step_attempt = key, answer["attempt"]
                try:
                    output = json.loads(_encode(function(*args)))  # as a later attempt will see it
                    self._send("step.done", key=key, output=output)
                    return output
                except Exception as error:  # every failure of the function is the step's
                    retryable = getattr(error, "retryable", True)
                    self._send("step.fail", key=key, error=_error(error), retryable=retryable)
                finally:
                    self.step_key, self._counts = None, outside
        raise Cancelled("cancelled")

    def message(self, content, role="assistant", id=None):
        self._send("message", id or True, role=role, content=content)
    def log(self, message, level="info", id=None, **fields):
        self._send("log", id or True, level=level, message=message, fields=fields)
    def checkpoint(self, state, id=None):
        self._send("checkpoint", id or True, state=state)
    def artifact(self, path, id=None, **about):
        """Publishes a file of the work folder (about: name, media_type); leave it be until flush() returns."""
        self._send("artifact", id or True, path=path, **about)
    def usage(self, tokens_in=0, tokens_out=0, cost_usd=0, id=None, **about):
        """What was spent since the last report (about: model, category). In a step every execution counts."""
        about |= {"key": self.step_key} if self.step_key else {}
        self._send("usage", id or True, tokens_in=tokens_in, tokens_out=tokens_out, cost_usd=str(cost_usd), **about)

    def tool(self, tool, function, **args):
        """Calls `function(**args)` inside a step and records the call and its outcome."""
        self._send("tool.call", True, key=self.step_key, tool=tool, args=args)
        try:
            output = function(**args)
        except Exception as error:
            self._send("tool.result", True, key=self.step_key, tool=tool, error=_error(error))
            raise
        self._send("tool.result", True, key=self.step_key, tool=tool, output=output)
        return output

    def flush(self, timeout=None):
        """Waits until every frame with an id is durable. False if nothing was heard for `timeout` seconds."""
        with contextlib.suppress(queue.Empty):
            while self._unacked:
                self._hear(timeout)
        return not self._unacked

    def _hear(self, timeout=None):
        frame = self._inbox.get(timeout=timeout)
        self._unacked.discard(frame.get("id"))  # of an ack
        return frame

    def _send(self, type, id=None, **members):
        if id is True:
            execution = f"@{self.step_attempt}" if type == "usage" else ""
            place = f"{self.step_key}{execution}/{type}" if self.step_key else type
            self._counts[place] = self._counts.get(place, 0) + 1
            id = f"{place}#{self._counts[place]}"
        if id:
            members["id"] = id = id if len(id) <= 200 else hashlib.sha256(id.encode()).hexdigest()
        line = _encode({"type": type, "run": self.id, **members})
        self._unacked |= {id} - {None}
        self._write(line)

def serve(main, max_runs=1, heartbeat_seconds=15.0):
    """Calls `main(run)` for each run until the server ends this process. With `max_runs` 1 the process ends
    after its run, else up to `max_runs` runs at a time have a thread each."""
    pipe, out, lock = os.fdopen(os.dup(0), "rb"), os.dup(1), threading.Lock()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # prints and child processes of the agent
    os.dup2(2, 1)                                 # must not get between the frames
    sys.stdout.reconfigure(line_buffering=True)
    runs, stopping = {}, threading.Event()

    def write(line):
        with lock, contextlib.suppress(BrokenPipeError):  # the server is gone: input ends too
            while line:
                line = line[os.write(out, line):]

    def drive(run):
        try:
            run._send("result", output=main(run))
        except BaseException as error:
            run._send("error", retryable=getattr(error, "retryable", False), **_error(error))
        del runs[run.id]
        if max_runs == 1 or (stopping.is_set() and not runs):
            os._exit(0)

    def beat():
        while not threading.Event().wait(heartbeat_seconds):
            for run in list(runs):
                write(_encode({"run": run}))

    write(_encode({"type": "ready", "protocol": 1, "max_runs": max_runs}))
    threading.Thread(target=beat, daemon=True).start()
    for frame in map(json.loads, pipe):
        kind, run = frame["type"], runs.get(frame.get("run"))
        _restore_blobs(frame, run.workdir if run else frame.get("workdir"))
        if kind == "run.start":
            run = runs[frame["run"]] = Run(frame, write)
        elif kind == "history":
            run.history += frame["items"]
        elif kind == "shutdown":
            stopping.set()
            if not runs:
                break
        elif run:
            if kind == "cancel":
                run.cancelled.set()
            run._inbox.put(frame)
        if kind in ("run.start", "history") and not frame.get("history_more", frame.get("more")):
            threading.Thread(target=drive, args=(run,), daemon=True).start()
    os._exit(0)

def _restore_blobs(frame, folder):
    """Puts the members that were too large for the frame back in their places."""
    for pointer, blob in frame.get("blobs", {}).items():
        *parents, last = [n.replace("~1", "/").replace("~0", "~") for n in pointer.split("/")[1:]]
        into = functools.reduce(lambda at, n: at[int(n) if isinstance(at, list) else n], parents, frame)
        with open(os.path.join(folder, blob["path"]), encoding="utf-8", newline="") as file:
            into[last] = file.read() if blob["media_type"] == "text/plain" else json.load(file)

def _encode(value):
    line = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > 1 << 20:
        raise AgentError(f"{len(line)} bytes do not fit in a frame, publish an artifact", "too_large")
    return line

def _error(error):
    traceback.print_exception(error)
    message = str(error) or type(error).__name__
    return {"message": message[:4000], "code": getattr(error, "code", None) or type(error).__name__}
