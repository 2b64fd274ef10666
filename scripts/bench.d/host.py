"""The machine, and the processes that a measurement starts on it."""
import ctypes
import os
import pathlib
import platform
import select
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "release"
PROGRAMS = BUILD / "bench"
LUA = pathlib.Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")

_children = []
_at_end = []


class Failure(Exception):
    """A measurement that cannot be trusted, and why."""


def start(command, **options):
    """Starts a process that dies with this one, however this one dies."""
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)], **options)
    _children.append(child)
    return child


def end(child, sig=signal.SIGKILL, patience=60):
    """Ends a process that start() made; by force when it does not follow in time."""
    if child.poll() is None:
        child.send_signal(sig)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child in _children:
        _children.remove(child)


def at_end(action):
    """Called when all measurements are over, however they ended."""
    _at_end.append(action)


def end_all():
    for child in list(_children):
        end(child)
    while _at_end:
        _at_end.pop()()


def output_of(command, patience=900, until=None, **options):
    """What a program prints. It is ended when it takes longer than `patience` seconds; with `until`, by
    SIGINT as soon as it prints that line."""
    child = start(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        if until is not None:
            read_line(child, until, patience)
        text, _ = child.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not end within {patience} s") from None
    finally:
        end(child)
    if child.returncode != 0:
        raise Failure(f"{command[0]} ended with {child.returncode}")
    return text


def read_line(child, line, patience):
    """Reads until a line comes, unbuffered, so that the rest is still there to be read."""
    got, end_at = b"", time.monotonic() + patience
    while not got.endswith(line.encode()):
        ready, _, _ = select.select([child.stdout], [], [], max(end_at - time.monotonic(), 0))
        byte = os.read(child.stdout.fileno(), 1) if ready else b""
        if not byte:
            raise Failure(f"{child.args[4]} did not say {line.strip()!r}:\n{got.decode()}")
        got += byte
    child.send_signal(signal.SIGINT)


def wait_until(what, condition, patience=60, pause=0.05):
    """Polls until the condition holds and returns what it gave."""
    until = time.monotonic() + patience
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > until:
            raise Failure(f"waited {patience} s in vain: {what}")
        time.sleep(pause)


def cpu_seconds(pid):
    """Processor time of a process, its ended threads included, its children not."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def exact_cpu_seconds(pid):
    """The same of the threads that live, in nanoseconds: for processes that do next to nothing."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9


def status_field(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise Failure(f"/proc/{pid}/status has no {name}")


def resident_mb(pid):
    return status_field(pid, "VmRSS") / 1024


def bytes_written(pid):
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise Failure(f"/proc/{pid}/io has no write_bytes")


def flush_disks():
    """Lets what earlier measurements wrote reach the disk before the next one begins."""
    ctypes.CDLL(None).sync()


def mount_of(path):
    """File system and device of a path."""
    best, path = ("", "", ""), str(path)
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        device, point, kind = line.split()[:3]
        inside = point == "/" or path == point or path.startswith(point + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind, device)
    return f"{best[1]} on {best[2]}"


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit():
    changed = [line for line in git("status", "--porcelain").splitlines()
               if not line.endswith("docs/benchmarks.md")]
    return git("rev-parse", "HEAD") + (" with local changes" if changed else "")


def machine():
    """Name and value of what the figures depend on."""
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    model = next((l.split(":", 1)[1].strip() for l in info if l.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = dict(l.split("=", 1) for l in pathlib.Path("/etc/os-release").read_text().splitlines()
                   if "=" in l)
    return [
        ("processor", f"{model}, {len(os.sched_getaffinity(0))} cores for everything, "
                      "load generator included"),
        ("memory", f"{memory:.0f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("system", release.get("PRETTY_NAME", "unknown").strip('"')),
        ("disk", mount_of(ROOT)),
    ]


def make_folder():
    """A new folder on the repository's disk: where the ledgers are measured. What a killed measurement
    left there goes."""
    for left in (ROOT / "build").glob("bench-data.*"):
        pid = left.suffix[1:]
        if pid == str(os.getpid()) or not pathlib.Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = ROOT / "build" / f"bench-data.{os.getpid()}"
    folder.mkdir(parents=True)
    return folder
