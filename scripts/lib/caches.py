"""The caches being measured, each behind the same few questions.

Every cache has a folder of its own, a home of its own and its own variables; nothing of the user's is
touched. Settings are those that each one's documentation gives for local use.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from lab import Failure

# Not called ZCCACHE_...: a variable of that kind that the first look does not know costs the short way.
MARK = "BENCH_CACHE_FOLDER"
SECONDS = 60


class Cache:
    """A compiler cache. `program` goes before the compiler, with `env` set."""

    name = ""
    languages = ("c", "rust")
    # Whether a server process keeps what it knows.
    server = True

    def __init__(self, program, folder, env):
        self.program = str(program)
        self.folder = folder / self.name
        self.folder.mkdir(parents=True)
        self.home = folder / f"home-{self.name}"
        self.home.mkdir()
        # Toolchain and crates are found through the home folder unless they are named.
        self.own = {"HOME": str(self.home), MARK: str(self.folder), **self.variables()}
        self.env = {**env, **self.own}

    def variables(self):
        raise NotImplementedError

    def version(self):
        done = self.run("--version")
        return (done.stdout or done.stderr).splitlines()[0].strip()

    def run(self, *words):
        """One of the cache's own commands. Failure: it did not end well, or not in time."""
        # Into files: a server that keeps its starter's streams would hold pipes open.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            try:
                done = subprocess.run([self.program, *words], env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Failure(f"{self.name} {' '.join(words)}: {error}") from None
            for stream in out, err:
                stream.seek(0)
            done.stdout, done.stderr = out.read(), err.read()
        if done.returncode:
            raise Failure(f"{self.name} {' '.join(words)} ended with {done.returncode}: {(done.stderr or done.stdout)[-300:]}")
        return done

    def start(self):
        pass

    def stop(self):
        pass

    def counts(self):
        """(hits, misses) so far; (None, None) where the cache does not tell."""
        raise NotImplementedError

    def wipe(self):
        """Forgets everything, on the disk too, and starts anew."""
        self.end()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.start()

    def restart(self):
        self.end()
        self.start()

    def end(self):
        """Stops it, by force if need be: only processes that are certainly ours."""
        try:
            self.stop()
        except Failure:
            pass  # none ran
        deadline = time.monotonic() + 5
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def processes(self):
        """The ids of its processes: those with our mark, or, where a server drops its environment, with a program in our
        folder. Between builds that is its server."""
        mark = f"{MARK}={self.folder}".encode() + b"\0"
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if not entry.name.isdigit():
                    continue
                marked = mark in (entry / "environ").read_bytes() + b"\0"
                if marked or os.readlink(entry / "exe").startswith(f"{self.folder}/"):
                    found.append(int(entry.name))
            except OSError:
                continue  # ended meanwhile, or not ours to look at
        return found

    def disk(self):
        """Bytes it takes on the disk, one for each inode."""
        seen = {}
        for path in [*self.folder.rglob("*"), *self.home.rglob("*")]:
            try:
                stat = path.lstat()
                seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
            except OSError:
                continue
        return sum(seen.values())

    def resident(self):
        """Bytes of memory of its server."""
        text = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.processes())
        return sum(int(kib) << 10 for kib in re.findall(r"VmRSS:\s+(\d+) kB", text))

    def cpu(self):
        """Seconds of CPU time of its server."""
        total = 0
        for pid in self.processes():
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
        return total / os.sysconf("SC_CLK_TCK")


class Zccache(Cache):
    name = "zccache"

    def variables(self):
        return {"ZCCACHE_CACHE_DIR": str(self.folder)}

    def start(self):
        self.run("start")

    def stop(self):
        self.run("stop")

    def counts(self):
        status = json.loads(self.run("status", "--json").stdout)
        return status["hits"], status["misses"]


class Ccache(Cache):
    name = "ccache"
    languages = ("c",)
    server = False

    def variables(self):
        return {"CCACHE_DIR": str(self.folder)}

    def counts(self):
        stats = dict(line.split("\t")[:2] for line in self.run("--print-stats").stdout.splitlines())
        return int(stats["direct_cache_hit"]) + int(stats["preprocessed_cache_hit"]), int(stats["cache_miss"])


class Sccache(Cache):
    name = "sccache"

    def variables(self):
        # Before it knew SCCACHE_SERVER_UDS, it needed a port of its own.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return {
            "SCCACHE_DIR": str(self.folder / "store"),
            "SCCACHE_SERVER_UDS": str(self.folder / "socket"),
            "SCCACHE_SERVER_PORT": str(port),
            "SCCACHE_IDLE_TIMEOUT": "0",
        }

    def start(self):
        self.run("--start-server")

    def stop(self):
        self.run("--stop-server")

    def counts(self):
        stats = json.loads(self.run("--show-stats", "--stats-format=json").stdout)["stats"]
        return tuple(sum(stats[kind]["counts"].values()) for kind in ("cache_hits", "cache_misses"))


class Kache(Cache):
    name = "kache"
    server = False  # its daemon serves remote stores only

    def variables(self):
        return {"KACHE_CACHE_DIR": str(self.folder), "XDG_CACHE_HOME": str(self.home / "cache"), "XDG_CONFIG_HOME": str(self.home / "config")}

    def counts(self):
        # For readers only: `local 12 · prefetch 0 · remote 0 · dup 1 · miss 3`.
        text = self.run("stats").stdout
        found = {name: int(number.replace(",", "")) for name, number in re.findall(r"\b(local|dup|miss) ([\d,]+)", text)}
        return (found["local"] + found.get("dup", 0), found["miss"]) if {"local", "miss"} <= found.keys() else (None, None)


class Original(Zccache):
    """It has the commands and the variable that ours kept; only its numbers are called otherwise."""

    name = "original"

    def counts(self):
        daemon = json.loads(self.run("status", "--json").stdout)["daemon"]
        return daemon["cache_hits"], daemon["cache_misses"]


PEERS = {each.name: each for each in (Ccache, Sccache, Kache, Original)}
