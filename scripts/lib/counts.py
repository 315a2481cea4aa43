"""Counts that do not vary with the machine's load: system calls and instructions of one hit."""

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from lab import Failure

# Runs after which a compile must be known, also to those that first see it often.
WARM_UPS = 5


class Hit:
    """One warm compile of one cache, run under tools that count. `folder` is its cwd; `traces` a folder that
    no cache watches, else a daemon would see every line that is written about it."""

    def __init__(self, cache, compile, folder, traces):
        self.cache = cache
        self.compile = compile
        self.folder = folder
        self.traces = traces
        traces.mkdir(exist_ok=True)

    def run(self, *before):
        for output in self.compile.outputs:
            (self.folder / output).unlink(missing_ok=True)
        words = [*before, self.cache.program, *self.compile.words]
        done = subprocess.run(words, cwd=self.folder, env=self.cache.env, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise Failure(f"{' '.join(words[:3])} ... ended with {done.returncode}: {done.stderr[-300:].strip()}")
        return done

    def hits_only(self, count, *before):
        """Runs it `count` times and makes sure each was a hit."""
        earlier = self.cache.counts()[0]
        for _ in range(count):
            last = self.run(*before)
        made = count if earlier is None else self.cache.counts()[0] - earlier
        if made != count:
            raise Failure(f"{count} compiles {'under ' + Path(before[0]).name + ' ' if before else ''}made {made} hits")
        return last

    def wrapper_calls(self):
        """Counter of the system calls of all the wrapper's processes, without looks for an answer that is not there
        yet: how many those are depends on the machine."""
        trace = self.traces / "wrapper"
        words = [shutil.which("strace"), "-f", "-qq", "-o", str(trace)]
        for _ in range(WARM_UPS):
            self.run()
            time.sleep(0.02)
        self.hits_only(1, *words)
        return calls(trace, without="= -1 EAGAIN")

    def server_calls(self, count=20, threads=True):
        """The system calls of the server's processes for one hit, as a Counter of means; without `threads`, of their
        first thread only, which does not work in the background. None without a server."""
        servers = self.cache.processes()
        if not servers:
            return None
        self.hits_only(2)
        trace = self.traces / "server"
        with Strace(servers, trace, threads):
            for _ in range(count):
                self.run()
            time.sleep(0.2)
        counts = calls(trace)
        return Counter({name: each / count for name, each in counts.items()})

    def instructions(self):
        """User instructions of the wrapper's process itself for one hit."""
        report = self.traces / "callgrind"
        words = [shutil.which("valgrind"), "--tool=callgrind", f"--callgrind-out-file={report}"]
        # Some of valgrind's own variables are inputs of a compile: it is another one under it.
        for _ in range(WARM_UPS):
            self.run(*words)
            time.sleep(0.3)
        last = self.hits_only(1, *words)
        found = re.search(r"Collected : (\d+)", last.stderr)
        if not found:
            raise Failure("valgrind counted nothing")
        return int(found[1])


class Strace:
    """Traces running processes while it is entered."""

    def __init__(self, pids, trace, threads):
        self.pids = pids
        self.trace = trace
        self.threads = threads

    def __enter__(self):
        attach = [word for pid in self.pids for word in ("-p", str(pid))]
        follow = ["-f"] if self.threads else []
        words = [shutil.which("strace"), *follow, "-qq", "-o", str(self.trace), *attach]
        self.tracer = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        # Attached once every thread says so.
        deadline = time.monotonic() + 10
        tasks = [task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir() if self.threads or task.name == str(pid)]
        while not all(map(traced, tasks)):
            if time.monotonic() > deadline or self.tracer.poll() is not None:
                self.__exit__()
                raise Failure("strace can't attach to the server")
            time.sleep(0.01)

    def __exit__(self, *_):
        self.tracer.send_signal(signal.SIGINT)
        self.tracer.wait()


def traced(task):
    return "TracerPid:\t0\n" not in (task / "status").read_text()


def calls(trace, without=None):
    """name -> count, of a trace by `strace -f -o`. A call split over two lines counts once. Lines with the
    text `without` do not count."""
    counts = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"^(?:\d+\s+)?(\w+)\(", line)
        if found and not (without and without in line):
            counts[found[1]] += 1
    return counts


def measure(figures, caches, singles):
    """The rows of counts: for every cache and every compile."""
    rows = {
        "calls": figures.row("calls", "System calls of one hit, all processes of the wrapper", "calls"),
        "server_calls": figures.row("server_calls", "System calls of one hit, server", "calls"),
        "instructions": figures.row("instructions", "User instructions of one hit, the wrapper's first process (callgrind)", "instructions"),
    }
    for compile, cache in singles.pairs(caches):
        hit = Hit(cache, compile, singles.folder, singles.folder.parent / "traces")
        for name, count in (
            ("calls", lambda: sum(hit.wrapper_calls().values())),
            ("server_calls", lambda: total(hit.server_calls())),
            ("instructions", hit.instructions),
        ):
            phase = rows[name]["phases"].setdefault(compile.label, {})
            try:
                phase[cache.name] = {"value": count()}
            except (Failure, OSError, subprocess.TimeoutExpired) as failure:
                phase[cache.name] = {"value": None, "note": "failed"}
                rows[name]["notes"].append(f"{cache.name}, {compile.label}: {failure}")


def total(counts):
    return None if counts is None else float(sum(counts.values()))
