"""Brokers, nodes and workers: real processes on the loopback, to be killed, stopped and started again."""
import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts" / "kafka.d"))
import cluster  # noqa: E402  (choose_ports)

HARNESS = pathlib.Path(__file__).resolve().parent / "harness.py"
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class Unavailable(Exception):
    """There is no broker to be had on this machine."""


class Broken(Exception):
    """The soak cannot go on, and why."""


def ports(count):
    """Free ones that the system gives to no client: who is started again needs its port back."""
    return cluster.choose_ports(count)


class Process:
    """Something that runs until it is ended; whether it should run is remembered. It dies with this
    process. One thread: the kernel binds a child to the thread that started it."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.child, self.wanted, self.stopped = None, False, False
        self.starts, self.ends = 0, []
        self.asked, self.rude_ends = False, []
        folder.mkdir(parents=True, exist_ok=True)

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        if self.runs():
            return
        self.note_end()
        env = {k: v for k, v in os.environ.items() if not k.startswith("RUNLEDGER_")}
        self.wanted, self.stopped = True, False
        self.starts += 1
        with open(self.folder / "printed", "a") as out:
            print(f"--- start {self.starts}", file=out, flush=True)
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, self.command())],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**env, **self.environment()})

    def runs(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.runs():
            self.child.send_signal(number)
            self.stopped = {signal.SIGSTOP: True, signal.SIGCONT: False}.get(number, self.stopped)

    def kill(self):
        self.note_end()
        self.wanted = self.asked = False
        self.signal(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def ask_to_end(self):
        """Once: a second signal would end it at once."""
        self.wanted = False
        if self.runs() and not self.asked:
            self.asked = True
            self.signal(signal.SIGTERM)

    def note_end(self):
        """How it ended that was asked to; before it listens SIGTERM is a signal as any other."""
        if not self.asked or self.child.poll() is None:
            return
        self.asked = False
        code = self.child.returncode
        if code != 0 and (code != -signal.SIGTERM or self.listened()):
            self.rude_ends.append(code)

    def listened(self):
        printed = (self.folder / "printed").read_text(errors="replace")
        return " listens on " in printed.rpartition("--- start ")[2]

    def await_end(self, seconds):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.child.wait(seconds)
        return None

    def watch(self):
        """Starts again what ended by itself, and says so; nothing: all is well."""
        if not self.wanted or self.child is None or self.child.poll() is None:
            return None
        code = self.child.returncode
        self.ends.append(code)
        self.start()
        return f"{self.name} ended with {code}: {self.last_words()}"

    def crashed(self):
        return [code for code in self.ends if code < 0 and -code in CRASHES]

    def last_words(self):
        lines = (self.folder / "printed").read_text(errors="replace").splitlines()
        said = [line for line in lines if not line.startswith("--- start")]
        return said[-1][:400] if said else "it said nothing"


class Node(Process):
    """`runledger serve` on a ledger in Kafka. Its port is the same after each start."""

    def __init__(self, number, folder, plan, port):
        super().__init__(f"node {number}", folder / f"node-{number}")
        self.plan, self.port, self.data = plan, port, self.folder / "data"
        self.alone = False  # Without the group: it takes every partition.

    def command(self):
        plan = self.plan
        words = [plan.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data,
                 "--log.format", "text", "--ledger", "kafka", "--kafka.brokers", plan.brokers,
                 "--kafka.topic-prefix", plan.prefix, "--kafka.partitions", plan.partitions,
                 "--kafka.session-timeout-ms", plan.session_ms, "--workers.lease", plan.lease,
                 "--sandbox.mount-roots", plan.effects, "--runs.max-running", 16,
                 "--runs.drain-seconds", 2]
        if plan.secret is not None and not self.alone:
            words += ["--kafka.advertise", self.url(), "--kafka.cluster-secret-file", plan.secret]
        return words

    def environment(self):
        return {"RUNLEDGER_BOOTSTRAP_KEY": self.plan.key}

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(link):
            link.request("GET", "/readyz")
            return self.runs() and link.getresponse().status == 200
        return False


class Worker(Process):
    """`runledger worker`, which knows all nodes."""

    def __init__(self, number, folder, plan, nodes, key):
        super().__init__(f"worker {number}", folder / f"worker-{number}")
        self.number, self.plan, self.key = number, plan, key
        self.servers = ",".join(node.url() for node in nodes)

    def command(self):
        return [self.plan.binary, "worker", "--server", self.servers, "--queue", "soak", "--slots", 2,
                "--name", f"worker-{self.number}", "--work-dir", self.folder / "work",
                "--sandbox", "none", "--drain-seconds", 1, "--",
                "/usr/bin/python3", HARNESS, self.plan.effects / "remote"]

    def environment(self):
        return {"RUNLEDGER_API_KEY": self.key}


class Brokers:
    """A cluster by scripts/kafka."""

    def __init__(self, folder, count):
        self.folder, self.count, self.address = folder, count, None
        self.down, self.paused = set(), set()

    def say(self, *words):
        done = subprocess.run([ROOT / "scripts" / "kafka", *map(str, words), "--data", self.folder],
                              capture_output=True, text=True)
        if done.returncode == 3:
            raise Unavailable(done.stderr.strip())
        if done.returncode != 0:
            raise Broken(f"scripts/kafka {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start_all(self):
        self.address = self.say("start", "--brokers", self.count, "--until-pid", os.getpid())

    def start(self, number):
        self.say("start", number)
        self.down.discard(number)

    def launch(self, number):
        """Starts it without waiting until it answers."""
        self.down.discard(number)
        return subprocess.Popen([ROOT / "scripts" / "kafka", "start", str(number), "--data", self.folder],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, number):
        self.say("kill", number)
        self.down.add(number)
        self.paused.discard(number)

    def pause(self, number):
        self.say("pause", number)
        self.paused.add(number)

    def resume(self, number):
        self.say("resume", number)
        self.paused.discard(number)

    def stop(self):
        if (self.folder / "cluster.json").exists():
            self.say("stop")


def wait_until(what, condition, seconds, pause=0.05):
    until = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > until:
            raise Broken(f"waited {seconds} s in vain: {what}")
        time.sleep(pause)
