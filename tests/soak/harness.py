#!/usr/bin/env python3
"""A harness that notes every execution of a step, as an outer world would: one line `RUN/KEY ATTEMPT`.

    harness.py EFFECTS [MAX_RUNS]

What a run does stands in its initial state: {"steps": N, "pause_ms": MS, "flaky": K}: N steps, each of
which lasts so long; the first execution of step K fails. It holds many runs at a time in one thread.
"""
import json
import os
import select
import sys
import time

EFFECTS = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
MAX_RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
HEARTBEAT_S = 5


class Run:
    def __init__(self, frame):
        wanted = frame["input"].get("initial_state") or {}
        self.id = frame["run"]
        self.steps, self.pause_s = wanted.get("steps", 2), wanted.get("pause_ms", 0) / 1000
        self.flaky = wanted.get("flaky", 0)
        self.step = 0
        self.ready_at, self.attempt = None, 0  # Of the step that is being executed.


class Harness:
    def __init__(self):
        self.runs, self.input, self.ending = {}, b"", False
        self.beat_at = time.monotonic() + HEARTBEAT_S

    def say(self, **frame):
        data = json.dumps(frame).encode() + b"\n"
        while data:
            data = data[os.write(1, data):]

    def serve(self):
        self.say(type="ready", protocol=1, max_runs=MAX_RUNS)
        while not (self.ending and not self.runs):
            if select.select([0], [], [], self.patience())[0]:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                *lines, self.input = (self.input + data).split(b"\n")
                for line in lines:
                    self.hear(json.loads(line))
            self.finish_steps()
            self.beat()

    def patience(self):
        times = [run.ready_at for run in self.runs.values() if run.ready_at is not None]
        return max(0, min([*times, self.beat_at]) - time.monotonic())

    def beat(self):
        if time.monotonic() >= self.beat_at:
            self.beat_at = time.monotonic() + HEARTBEAT_S
            for run in self.runs:
                self.say(run=run)

    def hear(self, frame):
        kind, run = frame["type"], self.runs.get(frame.get("run"))
        if kind == "run.start":
            run = self.runs[frame["run"]] = Run(frame)
            if not frame.get("history_more"):
                self.advance(run)
        elif kind == "shutdown":
            self.ending = True
        elif run is None:
            return
        elif kind == "history" and not frame["more"]:
            self.advance(run)
        elif kind == "step.go":
            line = f"{run.id}/{frame['key']} {frame['attempt']}\n"
            os.write(EFFECTS, line.encode())
            run.attempt, run.ready_at = frame["attempt"], time.monotonic() + run.pause_s
        elif kind == "step.cached":
            self.advance(run)
        elif kind == "step.give_up":
            self.end(run, type="error", message="a step was given up", code="step_given_up")
        elif kind == "cancel":
            self.end(run, type="error", message="cancelled", code="cancelled")

    def finish_steps(self):
        now = time.monotonic()
        for run in [r for r in self.runs.values() if r.ready_at is not None and r.ready_at <= now]:
            run.ready_at = None
            if run.step == run.flaky and run.attempt == 1:
                self.say(type="step.fail", run=run.id, key=f"s{run.step}",
                         error={"message": "the first execution fails"}, retryable=True)
            else:
                self.say(type="step.done", run=run.id, key=f"s{run.step}", output=run.attempt)
                self.advance(run)

    def advance(self, run):
        """Asks for the next step, or ends the run after its last one."""
        if run.step == run.steps:
            self.end(run, type="result", output={"steps": run.steps})
            return
        run.step += 1
        self.say(type="step.start", run=run.id, key=f"s{run.step}")

    def end(self, run, **frame):
        self.say(run=run.id, **frame)
        del self.runs[run.id]


if __name__ == "__main__":
    Harness().serve()
