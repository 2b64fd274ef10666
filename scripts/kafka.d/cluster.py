"""A cluster in a folder: cluster.json, and for each broker its properties, data, log and pid."""
import base64
import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import artifacts
import metadata
from failures import Failure, WrongCall

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "kafka"
START_SECONDS, STOP_SECONDS = 120, 20
SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}


@dataclasses.dataclass
class Wanted:
    """What a call asks of a cluster; None: as it is, or the default."""

    brokers: int | None = None
    port: int | None = None
    properties: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Process:
    """A process that is told apart from a later one with the same number."""

    pid: int
    started: str

    @staticmethod
    def now(pid):
        fields = stat_fields(pid)
        return Process(pid, fields[19]) if fields else None

    @staticmethod
    def read(file):
        with contextlib.suppress(OSError, ValueError):
            pid, started = file.read_text().split()
            process = Process(int(pid), started)
            return process if process.state() else None
        return None

    def write(self, file):
        file.write_text(f"{self.pid} {self.started}\n")

    def state(self):
        """A letter as in /proc/PID/stat; empty: it has ended."""
        fields = stat_fields(self.pid)
        return fields[0] if fields and fields[19] == self.started and fields[0] not in "ZX" else ""

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self, seconds):
        deadline = time.monotonic() + seconds
        while self.state():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def stat_fields(pid):
    """/proc/PID/stat from the state on; empty if there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_free(port):
    with socket.socket() as probe:
        # As Java does: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def choose_ports(count):
    """Free ones below those that the system gives to clients: a broker that was killed must get its
    port back, and a client that calls in vain must not take it."""
    low, _ = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    candidates = list(range(15_000, low if low > 16_000 else 32_000))
    random.shuffle(candidates)
    chosen = []
    for port in candidates:
        if is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return chosen
    raise Failure("no free ports on 127.0.0.1 between 15000 and 32000")


def new_cluster_id():
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):  # Kafka's own programs would take it for an option.
            return text


@contextlib.contextmanager
def locked(data):
    with open(data / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(version):
    """The checked jars, and the archive of their classes."""
    jars = artifacts.fetch(version)
    with artifacts.locked(version):
        archive = artifacts.class_archive(version)
        if not archive.exists():
            learn_classes(version, jars, archive)
    return jars


def learn_classes(version, jars, archive):
    """Runs a broker once and lets the JVM write down what it loaded."""
    print("Writing an archive of Kafka's classes, with which brokers start faster",
          file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        once = Cluster.make(pathlib.Path(folder), version, Wanted())
        written = pathlib.Path(folder) / "classes.jsa"
        once.start(jars, (), flags=[f"-XX:ArchiveClassesAtExit={written}"])
        if once.stop(seconds=300):
            written.touch()  # Nothing is written by a Java that cannot: nobody need try again.
            os.replace(written, archive)


def start(data, wanted, numbers):
    """Makes the cluster if there is none, and starts those of its brokers that do not run."""
    recorded = Cluster.load(data) if (data / "cluster.json").exists() else None
    version = artifacts.chosen_version()
    if recorded and "KAFKA_VERSION" not in os.environ:
        version = recorded.version
    jars = prepare(version)
    data.mkdir(parents=True, exist_ok=True)
    with locked(data):
        exists = (data / "cluster.json").exists()
        cluster = Cluster.load(data) if exists else Cluster.make(data, version, wanted)
        if exists:
            cluster.insist_on(version, wanted)
        cluster.start(jars, numbers)
    return cluster


class Cluster:
    def __init__(self, data, plan):
        self.data, self.plan = data, plan
        self.version = plan["version"]
        self.brokers = {b["number"]: b for b in plan["brokers"]}

    @staticmethod
    def load(data):
        try:
            return Cluster(data, json.loads((data / "cluster.json").read_text()))
        except FileNotFoundError:
            raise WrongCall(f"{data} holds no cluster; scripts/kafka start makes one") from None

    @staticmethod
    def make(data, version, wanted):
        count = wanted.brokers or 1
        if not 1 <= count <= 9:
            raise WrongCall(f"--brokers {count}: 1 to 9")
        for line in wanted.properties:
            if "=" not in line:
                raise WrongCall(f"--property {line}: NAME=VALUE is needed")
        first = wanted.port
        ports = list(range(first, first + 2 * count)) if first else choose_ports(2 * count)
        for port in ports:
            refuse_taken(port, "Choose another --port, or none")
        plan = {"version": version, "cluster_id": new_cluster_id(), "properties": wanted.properties,
                "brokers": [{"number": n + 1, "port": ports[n], "controller_port": ports[count + n]}
                            for n in range(count)]}
        artifacts.write_at_once(data / "cluster.json", json.dumps(plan, indent=1) + "\n")
        return Cluster(data, plan)

    def insist_on(self, version, wanted):
        """A cluster stays what it was made as."""
        first = self.plan["brokers"][0]["port"]
        differences = [
            f"{name} {there}, not {asked}" for name, there, asked in (
                ("version", self.version, version),
                ("--brokers", len(self.brokers), wanted.brokers or len(self.brokers)),
                ("--port", first, wanted.port or first),
                ("--property", self.plan["properties"],
                 wanted.properties or self.plan["properties"]))
            if there != asked]
        if differences:
            raise WrongCall(f"{self.data} holds a cluster with {'; '.join(differences)}. "
                            "Take another --data, or stop it and remove the folder")

    def address(self):
        return ",".join(f"127.0.0.1:{b['port']}" for b in self.brokers.values())

    def folder(self, number):
        if number not in self.brokers:
            raise WrongCall(f"there is no broker {number} in {self.data}: "
                            f"1 to {len(self.brokers)}")
        return self.data / f"broker-{number}"

    def process(self, number):
        return Process.read(self.folder(number) / "pid")

    def running(self):
        return {n: p for n in self.brokers if (p := self.process(n))}

    def start(self, jars, numbers, flags=()):
        down = [n for n in numbers or self.brokers if not self.process(n)]
        for number in down:
            for port in ("port", "controller_port"):
                refuse_taken(self.brokers[number][port],
                             f"The cluster in {self.data} needs it: end that program, or take "
                             "another --data")
        if not down:
            return
        print(f"Starting Apache Kafka {self.version}, "
              f"{'a broker' if len(down) == 1 else f'{len(down)} brokers'}, data and logs in "
              f"{self.data}", file=sys.stderr)
        self.format(jars, down)
        for number in down:
            self.launch(jars, number, flags)
        try:
            self.await_answers(down)
        except BaseException:
            for number in down:
                if process := self.process(number):
                    process.signal(signal.SIGKILL)
            raise

    def format(self, jars, numbers):
        running = []
        for number in numbers:
            folder = self.folder(number)
            (folder / "tmp").mkdir(parents=True, exist_ok=True)
            (folder / "server.properties").write_text(self.properties(number))
            if not (folder / "data" / "meta.properties").exists():
                call = artifacts.java_call(
                    self.version, jars, "-Xmx128m", "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "-t",
                    self.plan["cluster_id"], "-c", str(folder / "server.properties"))
                running.append((number, subprocess.Popen(
                    call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
        for number, process in running:
            said = process.communicate()[0]
            if process.returncode != 0:
                raise Failure(f"the data folder of broker {number} could not be formatted:\n"
                              f"{said.strip()[-2000:]}")

    def launch(self, jars, number, flags):
        folder = self.folder(number)
        call = artifacts.java_call(
            self.version, jars, *flags, "-Xmx256m", "-XX:+UseSerialGC", "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={folder / 'tmp'}", "kafka.Kafka",
            str(folder / "server.properties"))
        with open(folder / "log", "ab") as log:
            log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} start\n".encode())
            log.flush()
            process = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd=folder, start_new_session=True)
        Process.now(process.pid).write(folder / "pid")

    def properties(self, number):
        broker = self.brokers[number]
        copies = min(3, len(self.brokers))
        voters = ",".join(f"{b['number']}@127.0.0.1:{b['controller_port']}"
                          for b in self.brokers.values())
        lines = [
            "process.roles=broker,controller", f"node.id={number}",
            f"controller.quorum.voters={voters}", "controller.listener.names=CONTROLLER",
            f"listeners=PLAINTEXT://127.0.0.1:{broker['port']},"
            f"CONTROLLER://127.0.0.1:{broker['controller_port']}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            f"log.dirs={self.folder(number) / 'data'}", "auto.create.topics.enable=false",
            f"offsets.topic.replication.factor={copies}", "offsets.topic.num.partitions=4",
            f"transaction.state.log.replication.factor={copies}",
            f"transaction.state.log.min.isr={min(2, copies)}",
            "transaction.state.log.num.partitions=4",
            # Quick to notice, and quick to take back a broker that was killed.
            "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500",
            # Half of the heap by default, for compacted topics, of which there is one small one.
            "log.cleaner.dedupe.buffer.size=8388608",
            "group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=500",
            *self.plan["properties"]]
        return "\n".join(lines) + "\n"

    def await_answers(self, started):
        """Until each broker that was started knows all that run, itself among them."""
        deadline = time.monotonic() + START_SECONDS
        waiting = list(started)
        while waiting:
            for number in started:
                if not self.process(number):
                    raise Failure(f"broker {number} ended while it started; the end of "
                                  f"{self.folder(number) / 'log'}:\n{self.log_end(number)}")
            expected = {n: b["port"] for n, b in self.brokers.items()
                        if (p := self.process(n)) and p.state() != "T"}
            number = waiting[0]
            known = metadata.known_brokers(self.brokers[number]["port"])
            if expected.items() <= known.items():
                waiting.pop(0)
            elif time.monotonic() > deadline:
                raise Failure(f"broker {number} has not answered in {START_SECONDS} s; the end of "
                              f"{self.folder(number) / 'log'}:\n{self.log_end(number)}")
            else:
                time.sleep(0.1)

    def log_end(self, number):
        lines = (self.folder(number) / "log").read_text(errors="replace").splitlines()
        return "\n".join("  " + line[:300] for line in lines[-15:])

    def signal(self, number, verb):
        process = self.process(number)
        if not process:
            raise Failure(f"broker {number} of {self.data} does not run")
        process.signal(SIGNALS[verb])
        if verb == "kill" and not process.ended(STOP_SECONDS):
            raise Failure(f"process {process.pid} (broker {number}) does not end")

    def stop(self, numbers=(), seconds=STOP_SECONDS):
        """Whether all ended by themselves in that time."""
        in_order = True
        with locked(self.data):
            if not numbers:
                (self.data / "watchdog.pid").unlink(missing_ok=True)
            processes = [p for n in numbers or self.brokers if (p := self.process(n))]
            for process in processes:
                process.signal(signal.SIGTERM)
                process.signal(signal.SIGCONT)  # A paused one would not hear it.
            deadline = time.monotonic() + seconds
            for process in processes:
                if not process.ended(max(0, deadline - time.monotonic())):
                    in_order = False
                    process.signal(signal.SIGKILL)
                    process.ended(STOP_SECONDS)
        return in_order

    def status(self):
        words = {"": "stopped", "T": "paused"}
        for number, broker in self.brokers.items():
            process = self.process(number)
            state = process.state() if process else ""
            yield (f"{number} 127.0.0.1:{broker['port']} {words.get(state, 'running')}"
                   + (f", process {process.pid}" if process else ""))

    def watch(self, pid):
        """Leaves a process behind that ends the brokers when `pid` ends. The last call counts."""
        watchdog = subprocess.Popen(
            [sys.executable, str(SCRIPT), "watch", "--data", str(self.data), "--until-pid",
             str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
        while not self.is_on_watch(watchdog.pid):
            if watchdog.poll() is not None:
                raise Failure(f"the watchdog of process {pid} ended at once")
            time.sleep(0.02)

    def end_with(self, pid):
        """The watchdog: waits for the end of `pid`, for its own dismissal, or for the loss of the
        folder; without the folder nobody else could find the brokers."""
        known = self.running()
        Process.now(os.getpid()).write(self.data / "watchdog.pid")
        while not has_ended(pid, seconds=1) and self.is_on_watch(os.getpid()):
            known.update(self.running())
        if not self.data.exists():
            for process in known.values():
                if process.state():
                    process.signal(signal.SIGKILL)
        elif self.is_on_watch(os.getpid()):
            self.stop()

    def is_on_watch(self, pid):
        process = Process.read(self.data / "watchdog.pid")
        return process is not None and process.pid == pid


def has_ended(pid, seconds):
    """Waits at most that long for it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


def refuse_taken(port, advice):
    if not is_free(port):
        raise Failure(f"port {port} of 127.0.0.1 is taken by another program. {advice}")
