#!/usr/bin/env python3
"""A harness that does exactly what its arguments say, one after the other: mostly what it should not do.

  ready[=N]     the `ready` line, with max_runs N
  line=TEXT     TEXT and a line feed to stdout
  raw=TEXT      TEXT alone (escapes such as \\n and \\xff are bytes)
  stderr=TEXT   TEXT and a line feed to stderr
  big=N         one line of N bytes
  flood=TEXT    TEXT lines for ever
  await=TEXT    reads stdin until a line holds TEXT; the end of stdin ends it with status 3
  echo          sends every line of stdin back as a log frame, for ever
  hang          does nothing more, for ever
  exit=N        ends with status N
  signal=N      ends by signal N
  deaf          ignores SIGTERM
  on_term=TEXT  on SIGTERM: TEXT to stdout and status 0
  orphan        leaves a process behind that has left the session (double fork, setsid), and tells its pid
  forks=N       tries to have N processes that sleep; tells how many it got
  env           tells its whole environment
  python=CODE   runs CODE; what it puts into `told` is told (None: nothing)

To tell is to send a log frame whose fields hold the answer.
"""
import json
import os
import signal
import sys
import time


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(**fields):
    say(json.dumps({"type": "log", "level": "info", "message": "told", "fields": fields}))


def forever():
    while True:
        signal.pause()


def orphan():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.write(writer, str(os.getpid()).encode())
            forever()
        os._exit(0)
    tell(pid=int(os.read(reader, 20)))


def forks(wanted):
    got = 0
    for _ in range(wanted):
        try:
            if os.fork() == 0:
                forever()
            got += 1
        except OSError:
            break
    tell(processes=got)


def await_line(text):
    for line in sys.stdin:
        if text in line:
            return
    sys.exit(3)


def polite_end(text):
    def handler(*_):
        os.write(1, (text + "\n").encode())  # Not through a buffer that may be in use.
        os._exit(0)
    signal.signal(signal.SIGTERM, handler)


def main():
    for argument in sys.argv[1:]:
        name, _, value = argument.partition("=")
        if name == "ready":
            say(json.dumps({"type": "ready", "protocol": 1, "max_runs": int(value or 1)}))
        elif name == "line":
            say(value)
        elif name == "raw":
            os.write(1, value.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        elif name == "stderr":
            print(value, file=sys.stderr, flush=True)
        elif name == "big":
            say("x" * int(value))
        elif name == "flood":
            block = (value + "\n") * 1000
            while True:
                sys.stdout.write(block)
        elif name == "await":
            await_line(value)
        elif name == "echo":
            for line in sys.stdin:
                tell(line=line.rstrip("\n"))
        elif name == "hang":
            forever()
        elif name == "exit":
            sys.exit(int(value))
        elif name == "signal":
            os.kill(os.getpid(), int(value))
        elif name == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif name == "on_term":
            polite_end(value)
        elif name == "orphan":
            orphan()
        elif name == "forks":
            forks(int(value))
        elif name == "env":
            tell(**os.environ)
        elif name == "python":
            scope = {"told": {}, "os": os, "time": time}
            try:
                exec(value, scope)
            except BaseException as error:  # The kind of refusal is what the test asks for.
                scope["told"]["error"] = type(error).__name__
            if scope["told"] is not None:
                tell(**scope["told"])
        else:
            sys.exit("no such rudeness: " + argument)


main()
