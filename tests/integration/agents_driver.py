"""Stands in for the server: drives an agent over the harness protocol, without a sandbox.

A `Session` keeps the durable history of one run, as the server would, and checks every frame. `drive`
runs one attempt after the other in child processes, killed where the caller says. What the agent
did is in the session afterwards; `outcome` is what must be the same however often it was killed.
Standard library only, single-threaded, every wait has a deadline.
"""
import hashlib, importlib.util, json, os, selectors, shutil, signal, subprocess, time

HERE = os.path.dirname(os.path.abspath(__file__))
AGENTS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "examples", "agents")
MAX_FRAME_BYTES = 1 << 20
BLOB_BYTES = 256 * 1024
WAIT_SECONDS = 30


class Violation(AssertionError):
    """The agent broke the protocol."""


def require(condition, text):
    if not condition:
        raise Violation(text)


def make_recipe():
    """The module examples/agents/make_recipe.py."""
    spec = importlib.util.spec_from_file_location("make_recipe", f"{AGENTS}/make_recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(body, folder):
    """Lays the files of a recipe out in `folder`/agent and gives its command for this place."""
    harness = body["recipe"]["harness"]
    place = os.path.join(folder, "agent")
    os.makedirs(place, exist_ok=True)
    for name, text in harness.get("files", {}).items():
        with open(os.path.join(place, name), "w", encoding="utf-8", newline="") as file:
            file.write(text)
    places = {"/agent/": place + "/"}
    for mount in harness.get("mounts", []):
        places[mount["target"] + "/"] = mount["source"] + "/"
    command = list(harness["command"])
    for inside, outside in places.items():
        command = [outside + part.removeprefix(inside) if part.startswith(inside) else part
                   for part in command]
    return command


def is_text(least=0, most=None):
    return lambda v: isinstance(v, str) and least <= len(v) and (most is None or len(v) <= most)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_money(value):
    try:
        return 0 <= float(value) < 1e9 and not isinstance(value, bool)
    except (TypeError, ValueError):
        return False


def is_error(value):
    return isinstance(value, dict) and is_text()(value.get("message")) and \
        isinstance(value.get("code", ""), str)


def anything(value):
    return True


KEY = is_text(1, 200)
OPTIONAL, REQUIRED = False, True
MEMBERS = {
    "ready": {"protocol": (REQUIRED, lambda v: v == 1), "max_runs": (OPTIONAL, is_count)},
    "step.start": {"key": (REQUIRED, KEY), "name": (OPTIONAL, is_text()), "kind": (OPTIONAL, is_text()),
                   "timeout_ms": (OPTIONAL, is_count), "max_cost_usd": (OPTIONAL, is_money)},
    "step.done": {"key": (REQUIRED, KEY), "output": (REQUIRED, anything)},
    "step.fail": {"key": (REQUIRED, KEY), "error": (REQUIRED, is_error),
                  "retryable": (OPTIONAL, lambda v: isinstance(v, bool))},
    "message": {"role": (REQUIRED, lambda v: v in ("assistant", "system", "user")),
                "content": (REQUIRED, is_text())},
    "tool.call": {"key": (REQUIRED, KEY), "tool": (REQUIRED, is_text(1)), "args": (REQUIRED, anything)},
    "tool.result": {"key": (REQUIRED, KEY), "tool": (REQUIRED, is_text(1)),
                    "output": (OPTIONAL, anything), "error": (OPTIONAL, is_error)},
    "checkpoint": {"state": (REQUIRED, anything)},
    "usage": {"tokens_in": (REQUIRED, is_count), "tokens_out": (REQUIRED, is_count),
              "cost_usd": (REQUIRED, is_money), "model": (OPTIONAL, is_text()),
              "category": (OPTIONAL, is_text()), "key": (OPTIONAL, KEY)},
    "log": {"level": (REQUIRED, lambda v: v in ("trace", "debug", "info", "warning", "warn", "error")),
            "message": (REQUIRED, is_text()), "fields": (OPTIONAL, lambda v: isinstance(v, dict))},
    "artifact": {"path": (REQUIRED, is_text(1)), "name": (OPTIONAL, is_text(1)),
                 "media_type": (OPTIONAL, is_text(1))},
    "result": {"output": (REQUIRED, anything)},
    "error": {"message": (REQUIRED, is_text()), "code": (OPTIONAL, is_text()),
              "retryable": (OPTIONAL, lambda v: isinstance(v, bool))},
}
NOT_RECORDED = ("step.start", "step.done", "step.fail", "result", "error", "artifact", "usage")
ITEM_TYPES = {"message": "assistant_message", "tool.call": "tool_call", "tool.result": "tool_result",
              "checkpoint": "checkpoint", "log": "log"}


def read_frame(line):
    """One line of the agent as an object whose own members are right."""
    require(len(line) <= MAX_FRAME_BYTES, f"a frame of {len(line)} bytes")
    try:
        frame = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise Violation(f"not JSON: {line[:200]!r}: {error}")
    require(isinstance(frame, dict), f"not an object: {line[:200]!r}")
    if "type" not in frame:
        require(set(frame) <= {"run"}, f"no type: {line[:200]!r}")
        return frame
    require(frame["type"] in MEMBERS, f"unknown type: {line[:200]!r}")
    for name, (required, check) in MEMBERS[frame["type"]].items():
        require(name in frame or not required, f"{name} is missing: {line[:200]!r}")
        require(name not in frame or check(frame[name]), f"{name} is wrong: {line[:200]!r}")
    require("id" not in frame or is_text(1, 200)(frame["id"]), f"bad id: {line[:200]!r}")
    return frame


class Step:
    def __init__(self):
        self.attempts, self.failures, self.state, self.output = 0, 0, "new", None
        self.effects_when_done = None


class Session:
    """The durable history of one run (the last of its session), and the server's part of the talk."""

    def __init__(self, folder, *, prompt=None, initial_state=None, run="run_1", earlier=(),
                 step_attempts=5, intercept=None):
        self.run, self.workdir = run, os.path.join(folder, "work_" + run)
        os.makedirs(self.workdir, exist_ok=True)
        self.input = {"prompt": prompt} if prompt is not None else {"initial_state": initial_state}
        self.items, self.first = [], 0
        for kind, data in earlier:
            self._add(kind, data)
        self.first = len(self.items)
        self._add("user_message", {"content": prompt} if prompt is not None else self.input)
        self.steps, self.ids, self.artifacts = {}, {}, []
        self.messages, self.usage, self.logs = [], [], []
        self.attempt, self.ended, self.cancelled = 0, None, False
        self.step_attempts, self.intercept = step_attempts, intercept or (lambda frame, answers: answers)
        self.starts_after_cancel = 0
        self.events = 0  # durable changes that a later attempt need not repeat

    def _add(self, kind, data):
        self.items.append({"seq": len(self.items) + 1, "type": kind,
                           "time": "2026-01-01T00:00:00.000Z", "data": data})

    # What the server sends.

    def start_frames(self):
        """run.start and, where the history is long, the history frames after it."""
        self.attempt += 1
        self._add("run_status", {"status": "running", "from": "pending", "attempt": self.attempt})
        for step in self.steps.values():
            step.state = "done" if step.state == "done" else "given_up" if step.state == "given_up" \
                else "new"
        last = max([i for i, item in enumerate(self.items) if item["type"] == "checkpoint"],
                   default=self.first)
        items = [item for i, item in enumerate(self.items)
                 if item["type"] not in ("log", "usage") and (i < self.first or i >= last)]
        start = {"type": "run.start", "run": self.run, "session": "sess_1", "attempt": self.attempt,
                 "agent": {"id": "ag_1", "slug": "agent", "version": 1}, "input": self.input,
                 "limits": {}, "workdir": self.workdir, "history": [], "history_more": False}
        frames, size = [start], len(json.dumps(self.input)) + 1000
        for item in items:
            stripped = len(json.dumps(item))
            if stripped > BLOB_BYTES:
                stripped = 1000
            if size + stripped > MAX_FRAME_BYTES - 4096:
                frames[-1]["history_more" if frames[-1] is start else "more"] = True
                frames.append({"type": "history", "run": self.run, "items": [], "more": False})
                size = 200
            frames[-1]["history" if frames[-1] is start else "items"].append(item)
            size += stripped
        return frames

    def encode(self, frame):
        """The line of a frame, its large members moved to files of the work folder."""
        frame, blobs = json.loads(json.dumps(frame)), {}
        places = [("/input", frame.get("input", {})), ("", frame)]
        for name in ("history", "items"):
            places += [(f"/{name}/{i}/data", item["data"]) for i, item in enumerate(frame.get(name, []))]
        for pointer, place in places:
            for name in ("prompt", "initial_state", "content", "output", "state", "result"):
                if name not in place or len(json.dumps(place[name])) <= BLOB_BYTES:
                    continue
                value = place.pop(name)
                data = (value if isinstance(value, str) else json.dumps(value)).encode()
                digest = hashlib.sha256(data).hexdigest()
                path = os.path.join(".runledger", "blobs", digest)
                os.makedirs(os.path.join(self.workdir, ".runledger", "blobs"), exist_ok=True)
                with open(os.path.join(self.workdir, path), "wb") as file:
                    file.write(data)
                blobs[f"{pointer}/{name}"] = {
                    "digest": "sha256:" + digest, "size": len(data), "path": path,
                    "media_type": "text/plain" if isinstance(value, str) else "application/json"}
        if blobs:
            frame["blobs"] = blobs
        line = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        assert len(line) <= MAX_FRAME_BYTES, "the driver made a frame that is too long"
        return line

    # What the agent sends.

    def on_frame(self, frame):
        """Records a frame of this run; gives the frames that answer it."""
        require(self.ended is None, f"after the end of the run: {frame}")
        kind, answers = frame["type"], []
        seen = self.ids.get(frame.get("id"))
        if seen is not None:
            require(seen == frame, f"one id, two frames: {seen} and {frame}")
        else:
            if "id" in frame:
                self.ids[frame["id"]] = frame
            if kind in ("step.start", "step.done", "step.fail"):
                answers += getattr(self, "_on_" + kind.replace(".", "_"))(frame) or []
            else:
                self._on_other(kind, frame)
                self.events += 1
        if "id" in frame:
            answers.append({"type": "ack", "run": self.run, "id": frame["id"]})
        answers = self.intercept(frame, answers)
        for answer in answers:
            self.cancelled |= answer["type"] == "cancel"
            if answer["type"] == "step.give_up":
                self.steps[answer["key"]].state = "given_up"
        return answers

    def _go(self, key):
        step = self.steps[key]
        step.attempts, step.state = step.attempts + 1, "going"
        self._add("step_started", {"key": key, "attempt": step.attempts})
        return [{"type": "step.go", "run": self.run, "key": key, "attempt": step.attempts}]

    def _on_step_start(self, frame):
        key = frame["key"]
        if self.cancelled:  # one may have crossed the cancel in the pipes
            self.starts_after_cancel += 1
            require(self.starts_after_cancel == 1, f"starts steps after the cancel: {frame}")
            return []
        step = self.steps.setdefault(key, Step())
        require(step.state != "going", f"starts a step that is executing: {frame}")
        if step.state == "done":
            return [{"type": "step.cached", "run": self.run, "key": key, "output": step.output}]
        if step.state == "given_up":
            return [self._give_up(key, {"message": "given up before"})]
        return self._go(key)

    def _give_up(self, key, error):
        return {"type": "step.give_up", "run": self.run, "key": key, "error": error}

    def _on_step_done(self, frame):
        step = self.steps.get(frame["key"])
        require(step is not None and step.state == "going", f"was not told to go: {frame}")
        step.state, step.output = "done", frame["output"]
        step.effects_when_done = self.effects().get(frame["key"], [])
        self._add("step_completed", {"key": frame["key"], "attempt": step.attempts,
                                     "output": frame["output"], "duration_ms": 1})
        self.events += 1

    def _on_step_fail(self, frame):
        step = self.steps.get(frame["key"])
        require(step is not None and step.state == "going", f"was not told to go: {frame}")
        step.failures += 1
        self.events += 1
        if self.cancelled:
            step.state = "new"
            return []
        if frame.get("retryable", True) and step.failures < self.step_attempts:
            return self._go(frame["key"])
        self._add("step_failed", {"key": frame["key"], "attempt": step.attempts, "error": frame["error"]})
        return [self._give_up(frame["key"], frame["error"])]

    def _on_other(self, kind, frame):
        if kind in ("result", "error"):
            going = [key for key, step in self.steps.items() if step.state == "going"]
            require(not going or self.cancelled, f"ends while {going} executes: {frame}")
            self.ended = frame
        elif kind == "artifact":
            self._take_artifact(frame)
        elif kind == "usage":
            self.usage.append({k: v for k, v in frame.items() if k not in ("type", "run", "id")})
        else:
            data = {k: v for k, v in frame.items() if k not in ("type", "run", "id")}
            self._add(ITEM_TYPES[kind], data)
            if kind == "message":
                self.messages.append(data)
            if kind == "log":
                self.logs.append(data)

    def _take_artifact(self, frame):
        path = os.path.join(self.workdir, frame["path"])
        inside = os.path.realpath(path).startswith(os.path.realpath(self.workdir) + os.sep)
        require(inside and os.path.isfile(path) and not os.path.islink(path),
                f"not a regular file in the work folder: {frame}")
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        name = frame.get("name") or os.path.basename(frame["path"])
        self.artifacts.append((name, frame.get("media_type"), digest))
        self._add("artifact_published", {"name": name, "digest": digest})

    # What came of it.

    def effects(self):
        """The attempts in which each step was executed, as the agent noted it: {key: [attempt, ...]}."""
        noted = {}
        path = os.path.join(self.workdir, "effects.log")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    key, attempt = line.removesuffix("\n").rsplit(" ", 1)
                    require(key.startswith(self.run + "/"), f"not an idempotency key: {key}")
                    noted.setdefault(key[len(self.run) + 1:], []).append(int(attempt))
        return noted

    def check_effects(self):
        """No step ran that was not told to, none twice in one attempt, none again once it was done."""
        noted = self.effects()
        require(set(noted) == {key for key, step in self.steps.items() if step.state == "done"},
                f"effects of other steps than those that are done: {noted}")
        for key, attempts in noted.items():
            step = self.steps[key]
            require(attempts == sorted(set(attempts)), f"{key} ran twice in an attempt: {attempts}")
            require(attempts[-1] <= step.attempts, f"{key} ran without step.go: {attempts}")
            require(attempts == step.effects_when_done, f"{key} ran again after it was done: {attempts}")

    def outcome(self):
        """What must not depend on where the agent was killed."""
        ended = {k: v for k, v in (self.ended or {}).items() if k != "run"}
        checkpoints = [item["data"] for item in self.items if item["type"] == "checkpoint"]
        return {"ended": ended, "artifacts": self.artifacts, "messages": self.messages,
                "usage": self.usage, "logs": self.logs, "checkpoints": checkpoints,
                "steps": {key: step.output for key, step in self.steps.items()}}


class Agent:
    """One process of an agent, its lines and its stderr."""

    def __init__(self, command, folder, session, env):
        self.stderr_path = os.path.join(folder, "stderr.txt")
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": session.workdir,
                       "RUNLEDGER_RUN_ID": session.run, "RUNLEDGER_SESSION_ID": "sess_1",
                       "RUNLEDGER_ATTEMPT": str(session.attempt), "RUNLEDGER_WORKDIR": session.workdir}
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                command, cwd=session.workdir, env={**environment, **(env or {})}, bufsize=0,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True)
        os.set_blocking(self.process.stdin.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.rest, self.unsent = b"", b""

    def send(self, data):
        self.unsent += data
        self._push()

    def _push(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.process.stdin.fileno(), self.unsent[:65536]):]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = b""
        registered = self.process.stdin in self.selector.get_map()
        if self.unsent and not registered:
            self.selector.register(self.process.stdin, selectors.EVENT_WRITE)
        elif registered and not self.unsent:
            self.selector.unregister(self.process.stdin)

    def line(self, seconds=WAIT_SECONDS):
        """The next line without its end, None when the output has ended."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            ready = self.selector.select(deadline - time.monotonic())
            require(ready or time.monotonic() < deadline, f"no line within {seconds} s")
            if any(key.fileobj is self.process.stdin for key, _ in ready):
                self._push()
            if any(key.fileobj is self.process.stdout for key, _ in ready):
                data = os.read(self.process.stdout.fileno(), 1 << 20)
                if not data:
                    require(not self.rest, f"half a line at the end: {self.rest[:200]!r}")
                    return None
                self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def kill(self):
        """SIGKILL to the whole process group; returns when nothing of it can write any more."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.close()

    def close(self):
        self.process.wait(WAIT_SECONDS)
        self.selector.close()
        self.process.stdin.close()
        self.process.stdout.close()

    def end(self):
        """The run has ended: the agent is told to shut down and must exit by itself."""
        self.send(b'{"type":"shutdown","drain_ms":5000}\n')
        if not self.unsent:
            self.process.stdin.close()
        while (line := self.line(10)) is not None:
            require("type" not in read_frame(line), f"after the end of the run: {line[:200]!r}")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            raise Violation("does not exit after its run")
        self.close()


def attempt(command, folder, session, env=None, kill=None, drop=None):
    """One attempt. `kill(attempt, line, events)` is asked after the line of that number was recorded
    and answered (`events`: what this attempt has made durable, starts of steps not counted), `drop(attempt, line)` before: then the
    line is lost with the agent. Gives the number of lines."""
    frames = session.start_frames()
    before = session.events
    agent = Agent(command, folder, session, env)
    lines = 0
    try:
        agent.send(b'{"type":"hello","protocol":1,"server":"driver","unknown_member":[1]}\n')
        while session.ended is None:
            line = agent.line()
            if line is None:
                break
            lines += 1
            if drop and drop(session.attempt, lines):
                agent.kill()
                return lines
            frame = read_frame(line)
            if lines == 1:
                require(frame.get("type") == "ready", f"not ready: {line[:200]!r}")
                agent.send(b"".join(map(session.encode, frames)))
            elif "type" in frame:
                require(frame["type"] != "ready", "a second ready")
                require(frame.get("run", session.run) == session.run, f"another run: {frame}")
                agent.send(b"".join(map(session.encode, session.on_frame(frame))))
            if kill and kill(session.attempt, lines, session.events - before):
                agent.kill()
                return lines
        if session.ended is not None:
            agent.end()
        else:
            agent.close()
            require(session.cancelled, f"exits without an end, code {agent.process.returncode}")
        return lines
    except BaseException:
        agent.kill()
        raise


def drive(command, folder, session, env=None, kill=None, drop=None, max_attempts=200):
    """Attempts until the run has ended. Gives the number of lines of the last one."""
    for _ in range(max_attempts):
        lines = attempt(command, folder, session, env, kill, drop)
        if session.ended is not None or session.cancelled:
            return lines
    raise Violation(f"no end after {max_attempts} attempts")


def fresh(folder, name):
    """An empty folder of that name."""
    path = os.path.join(folder, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path
