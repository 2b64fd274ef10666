#!/usr/bin/env python3
"""A harness that does what a run's initial state says: {"do": [[operation, arguments ...], ...]}.

  ["step", KEY, OUTPUT?]            executes a step; OUTPUT as it was written, else null
  ["gated", KEY, GATE]              a step that lasts until the file GATE is there (folder /gates)
  ["flaky", KEY, TIMES, RETRYABLE?] a step whose first TIMES executions fail
  ["stuck", KEY, TIMEOUT_MS, TIMES] a step with a time limit whose first TIMES executions never end
  ["wait", GATE]                    waits outside of any step
  ["say", TEXT, TIMES?]             a message: the text once or as often
  ["log", LEVEL, TEXT] ["usage", COST, IN, OUT] ["checkpoint", STATE]
  ["large", KEY, BYTES]             a step whose output is a text of so many bytes
  ["received"]                      publishes what came so far but acknowledgements, received.jsonl: a line
                                    {"bytes", "frame", "files": {pointer: {"sha256", "size"}}} a frame
  ["tool", KEY, TOOL]               a call with its result
  ["artifact", NAME, TEXT, TYPE?]   publishes a file of the work folder
  ["stderr", TEXT]                  a line of the raw log
  ["env", NAME]                     says the length of the variable, or that there is none
  ["repeat", TIMES, OPERATION]      with {} in its strings replaced by the number, from 1
  ["error", MESSAGE, CODE?, RETRYABLE?] ["exit", STATUS, ATTEMPTS?]
  ["result"]                        ends here

The result is the initial state as it was written, byte for byte; with a prompt the prompt, after one
step and one message, or for `do [...]` after that script. `--runs N`: serves N runs at once.
With CONTRACT_EFFECTS each execution of a step becomes a line RUN/KEY ATTEMPT of that file.
"""
import hashlib, json, os, re, select, sys

GATES = os.environ.get("CONTRACT_GATES", "/gates")
EFFECTS = os.environ.get("CONTRACT_EFFECTS")
DECODER = json.JSONDecoder()
PIECES = []
CANCELLED = set()
RECEIVED = {}  # Of each run: its frames as they came.


def raw_member(line, name):
    """The text of the first member of that name as it was written."""
    begin = re.search(f'"{name}"\\s*:\\s*', line).end()
    return line[begin:DECODER.raw_decode(line, begin)[1]]


def raw_elements(text):
    """The elements of a JSON array as they were written."""
    elements, at = [], 1
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return elements
        end = DECODER.raw_decode(text, at)[1]
        elements.append(text[at:end])
        at = end


def content_of(workdir, blob):
    """What lies in the file of a member that was too large for its frame."""
    with open(os.path.join(workdir, blob["path"]), "rb") as file:
        return file.read()


def report(workdir, line):
    """A received frame with what its files hold, as a line of received.jsonl."""
    files = {}
    for pointer, blob in json.loads(line).get("blobs", {}).items():
        content = content_of(workdir, blob)
        files[pointer] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return f'{{"bytes":{len(line.encode())},"frame":{line},"files":{json.dumps(files)}}}\n'


def send(run, frame_type, **members):
    PIECES.append(json.dumps({"type": frame_type, "run": run, **members}) + "\n")


def flush():
    data = "".join(PIECES).encode()
    PIECES.clear()
    while data:
        data = data[os.write(1, data):]


class GivenUp(Exception):
    """The run ends with an error of this code."""


class Finished(Exception):
    """The script ends here."""


def step(run, key, execute, **members):
    """Asks for the step and executes it until it is done. Yields for every frame that it waits for."""
    if run in CANCELLED:
        raise GivenUp("cancelled")
    send(run, "step.start", key=key, **members)
    while True:
        frame = yield
        if frame["type"] == "cancel":
            raise GivenUp("cancelled")
        if frame["type"] == "step.cached":
            return
        if frame["type"] == "step.give_up":
            raise GivenUp("step_given_up")
        if frame["type"] == "step.go":
            if EFFECTS:
                with open(EFFECTS, "a", encoding="utf-8") as file:
                    file.write(f"{run}/{key} {frame['attempt']}\n")
            failed = yield from execute(frame["attempt"])
            if failed is None:
                return
            send(run, "step.fail", key=key, error={"message": f"failure {frame['attempt']}",
                                                   "code": "flaky"}, retryable=failed)


def gate(name):
    """Lasts until the file is there, whatever frames come."""
    while not os.path.exists(os.path.join(GATES, name)):
        yield "poll"


def perform(run, start, operation, raw):
    name, *given = operation
    if name in ("step", "gated", "flaky", "stuck", "large"):
        def execute(attempt):
            if name == "gated":
                yield from gate(given[1])
            if name == "flaky" and attempt <= given[1]:
                return given[2] if len(given) > 2 else True
            while name == "stuck" and attempt <= given[2]:
                yield
            output = raw_elements(raw)[2] if name == "step" and len(given) > 1 else "null"
            if name == "large":
                output = json.dumps("L" * given[1])
            PIECES.append(f'{{"type":"step.done","run":"{run}","key":{json.dumps(given[0])},'
                          f'"output":{output}}}\n')
            return None
        limit = {"timeout_ms": given[1]} if name == "stuck" else {}
        yield from step(run, given[0], execute, name="step " + given[0], kind="test", **limit)
    elif name == "wait":
        yield from gate(given[0])
    elif name == "say":
        send(run, "message", role="assistant", content=given[0] * (given[1] if len(given) > 1 else 1))
    elif name == "received":
        with open(os.path.join(start["workdir"], "received.jsonl"), "w", encoding="utf-8") as file:
            file.writelines(report(start["workdir"], line) for line in RECEIVED[run])
        send(run, "artifact", path="received.jsonl")
    elif name == "log":
        send(run, "log", level=given[0], message=given[1], fields={"n": 1})
    elif name == "usage":
        PIECES.append(f'{{"type":"usage","run":"{run}","cost_usd":{raw_elements(raw)[1]},'
                      f'"tokens_in":{given[1]},"tokens_out":{given[2]},"model":"m","category":"c"}}\n')
    elif name == "checkpoint":
        PIECES.append(f'{{"type":"checkpoint","run":"{run}","state":{raw_elements(raw)[1]}}}\n')
    elif name == "tool":
        send(run, "tool.call", key=given[0], tool=given[1], args={"a": 1})
        send(run, "tool.result", key=given[0], tool=given[1], output={"b": 2})
    elif name == "artifact":
        with open(os.path.join(start["workdir"], given[0]), "w", encoding="utf-8") as file:
            file.write(given[1])
        send(run, "artifact", path=given[0], **({"media_type": given[2]} if len(given) > 2 else {}))
    elif name == "stderr":
        print(given[0], file=sys.stderr, flush=True)
    elif name == "env":
        value = os.environ.get(given[0])
        send(run, "message", role="assistant",
             content="absent" if value is None else f"{len(value)} characters")
    elif name == "repeat":
        for n in range(1, given[0] + 1):
            text = json.dumps(given[1]).replace("{}", str(n))
            yield from perform(run, start, json.loads(text), text)
    elif name == "exit":
        if len(given) < 2 or start["attempt"] <= given[1]:
            flush()
            os._exit(given[0])
    elif name == "error":
        send(run, "error", message=given[0], **({"code": given[1]} if len(given) > 1 else {}),
             retryable=len(given) > 2 and given[2])
        raise Finished
    elif name == "result":
        raise Finished
    else:
        raise ValueError(name)


def input_of(start, line):
    """The prompt and the initial state as it was written, one of them None; from the files, if need be."""
    given, blobs = start["input"], start.get("blobs", {})
    prompt, state = given.get("prompt"), None
    if "/input/prompt" in blobs:
        prompt = content_of(start["workdir"], blobs["/input/prompt"]).decode()
    if "/input/initial_state" in blobs:
        # A line feed is white space there, and would end a frame.
        state = content_of(start["workdir"], blobs["/input/initial_state"]).decode().replace("\n", " ")
    elif prompt is None:
        state = raw_member(line, "initial_state")
    return prompt, state


def drive(run, start, line):
    try:
        prompt, output = input_of(start, line)
        script = "[]"
        if prompt is not None:
            output = json.dumps(prompt)
            if prompt.startswith("do ["):
                script = prompt[3:]
            else:
                yield from perform(run, start, ["step", "answer", 1], '["step","answer",' + output + "]")
                send(run, "message", role="assistant", content="You said: " + prompt)
        elif "do" in json.loads(output):
            script = raw_member(output, "do")
        for raw in raw_elements(script):
            try:
                yield from perform(run, start, json.loads(raw), raw)
            except Finished:
                if json.loads(raw)[0] == "error":
                    return
                break
        PIECES.append(f'{{"type":"result","run":"{run}","output":{output}}}\n')
    except GivenUp as end:
        send(run, "error", message=str(end), code=str(end))


class Server:
    """The runs of this process and what it reads."""

    def __init__(self, max_runs):
        self.max_runs, self.drivers, self.polling, self.pending = max_runs, {}, set(), b""
        self.starts, self.stopping = {}, False

    def advance(self, run, frame):
        try:
            polls = self.drivers[run].send(frame)
            (self.polling.add if polls == "poll" else self.polling.discard)(run)
        except StopIteration:
            del self.drivers[run], RECEIVED[run]
            self.polling.discard(run)
            self.stopping |= self.max_runs == 1

    def on_line(self, text):
        frame = json.loads(text)
        run = frame.get("run")
        if run and frame["type"] != "ack":
            RECEIVED.setdefault(run, []).append(text)
        if frame["type"] in ("run.start", "history"):
            if frame["type"] == "run.start":
                RECEIVED[run] = [text]
                self.starts[run] = (frame, text)
            if not frame.get("history_more", frame.get("more")):
                self.drivers[run] = drive(run, *self.starts.pop(run))
                self.advance(run, None)
        elif frame["type"] == "shutdown":
            self.stopping = True
        elif run in self.drivers and frame["type"] != "ack":
            if frame["type"] == "cancel":
                CANCELLED.add(run)
            if run not in self.polling:  # what polls finishes first
                self.advance(run, frame)

    def serve(self):
        while self.drivers or not self.stopping:
            flush()
            readable, _, _ = select.select([0], [], [], 0.01 if self.polling else 5)
            for run in list(self.polling):
                self.advance(run, None)
            if readable:
                chunk = os.read(0, 1 << 20)
                if not chunk:
                    return
                *lines, self.pending = (self.pending + chunk).split(b"\n")
                for line in lines:
                    self.on_line(line.decode())
            else:
                for run in self.drivers:
                    PIECES.append(f'{{"run":"{run}"}}\n')
        flush()


max_runs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
PIECES.append(json.dumps({"type": "ready", "protocol": 1, "max_runs": max_runs}) + "\n")
Server(max_runs).serve()
