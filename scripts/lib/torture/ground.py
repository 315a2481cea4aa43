"""Where faults are tried: compiles through the cache beside bare ones, and what came of them."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

# More than this beyond the compile itself is too long for anything to wait.
WAIT_MAX = 5.0
# A compile that takes this long hangs.
HANG = 60


class Row:
    """One line of the table."""

    def __init__(self, name):
        self.name = name
        self.rounds = self.compiles = self.wrong = self.failed = 0
        self.longest = 0.0
        self.skipped = None
        self.notes = []
        self.lock = threading.Lock()

    def count(self, wrong, failed, extra, note):
        with self.lock:
            self.compiles += 1
            self.wrong += wrong
            self.failed += failed
            self.longest = max(self.longest, extra)
            if wrong or failed or extra > WAIT_MAX:
                self.notes.append(note)

    def is_good(self):
        return not self.wrong and not self.failed and self.longest <= WAIT_MAX

    def cells(self):
        verdict = self.skipped or ("good" if self.is_good() else "BAD")
        return [self.name, self.rounds, self.compiles, self.wrong, self.failed, f"{self.longest:.2f}", verdict]

    def line(self):
        return (f"{self.name}: {self.rounds} rounds, {self.compiles} compiles, {self.wrong} wrong, "
                f"{self.failed} failed, longest extra wait {self.longest:.2f} s"
                + (f" ({self.skipped})" if self.skipped else ""))


class Ran:
    """How a command ended."""

    def __init__(self, words, cwd, env, prefix=()):
        begin = time.monotonic()
        try:
            done = subprocess.run([*prefix, *map(str, words)], cwd=cwd, env=env, capture_output=True, timeout=HANG)
            self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            self.status, self.out, self.err = "hangs", b"", b""
        self.seconds = time.monotonic() - begin

    def said(self):
        return self.status, self.out, self.err


class Ground:
    def __init__(self, lab, random, scale, other=None):
        self.lab, self.random, self.scale, self.other = lab, random, scale, other
        self.rows = []
        self.work = lab.folder / "work"
        self.work.mkdir()
        self.truths = {}
        # By number of jobs, and how many run at once.
        self.crowds = {}
        self.env = lab.env
        # Put before every command through the cache.
        self.prefix = ()

    def row(self, name):
        self.rows.append(Row(name))
        return self.rows[-1]

    def rounds(self, row, count):
        """So many rounds, times the scale."""
        for number in range(max(1, round(count * self.scale))):
            row.rounds += 1
            yield number

    def zccache(self, *words, cwd=None, env=None):
        return Ran([self.lab.zccache, *words], cwd or self.work, env or self.env, self.prefix)

    def bare(self, *words, cwd=None, env=None):
        return Ran(words, cwd or self.work, env or self.env)

    def write(self, name, text, atomic=False):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if atomic:
            temp = path.with_name(path.name + ".new")
            temp.write_text(text)
            temp.rename(path)
        else:
            path.write_text(text)
        return path

    def truth(self, words, out, state):
        """What the bare compiler makes of this: how it ended, the object, its time. `state` names all inputs."""
        key = (tuple(map(str, words)), str(out), state)
        if state is None:
            return self.bare_compile(words, out)
        if key not in self.truths:
            self.truths[key] = self.bare_compile(words, out)
        return self.truths[key]

    def bare_compile(self, words, out):
        name = f"truth-{threading.get_ident()}.o"
        made = self.work / name
        made.unlink(missing_ok=True)
        ran = self.bare(*[name if word == out else word for word in words])
        content = made.read_bytes() if made.exists() else None
        made.unlink(missing_ok=True)
        return ran.said(), digest(content), ran.seconds

    def crowded(self, jobs, at_once):
        """How long the slowest of these takes the bare compiler, when they run beside each other."""
        key = len(jobs), at_once
        if key not in self.crowds:
            with ThreadPoolExecutor(at_once) as pool:
                ran = list(pool.map(lambda job: self.bare_compile(*job[:2]), 3 * jobs))
            self.crowds[key] = max(seconds for _, _, seconds in ran)
        return self.crowds[key]

    def compile(self, row, words, out, state=None, remove=True, itself=0.0):
        """One compile through the cache, held against the bare one. It may take as long as that, or `itself` seconds."""
        status, content, seconds = self.truth(words, out, state)
        truth = status, content, max(seconds, itself)
        if remove:
            (self.work / out).unlink(missing_ok=True)
        ran = self.zccache(*words)
        made = self.work / out
        # After a failure an object of earlier is not the compile's.
        there = made.is_file() and (remove or ran.status == 0)
        self.judge(row, words, ran, digest(made.read_bytes()) if there else None, [truth])
        return ran

    def judge(self, row, words, ran, content, truths):
        """Counts a compile; right is what is like any of the truths."""
        said = ran.said()
        right = any((said, content) == (truth[0], truth[1]) for truth in truths)
        failed = not any(ran.status == truth[0][0] for truth in truths)
        extra = max(0.0, ran.seconds - max(truth[2] for truth in truths))
        note = f"{' '.join(map(str, words))}: {ran.status}, {extra:.2f} s more, {ran.err[:300]!r}"
        row.count(not right and not failed, failed, extra, note)

    def many(self, row, jobs, at_once=6):
        """Compiles (words, out, state) in parallel."""
        # Where everything is slow, waiting for each other is most of it.
        itself = self.crowded(jobs, at_once) if "TORTURE_MACHINE" in os.environ else 0.0
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda job: self.compile(row, *job, itself=itself), jobs))

    def project(self, count, filler=1500):
        """Sources that share headers; gives (words, out) of each, and a function that edits by the dice."""
        for header in range(4):
            self.write(f"inc/h{header}.h", f"#define H{header} 0\n")
        for number in range(count):
            text = "".join(f'#include "h{header}.h"\n' for header in range(4))
            text += f"const char filler{number}[{filler}] = {{1}};\nint f{number}() {{ return H0 + H1 + H2 + H3; }}\n"
            self.write(f"s{number}.c", text)
        values = [0] * 4

        def edit():
            header = self.random.randrange(4)
            values[header] = self.random.randrange(6)
            self.write(f"inc/h{header}.h", f"#define H{header} {values[header]}\n", atomic=True)

        def jobs():
            state = tuple(values)
            return [(["gcc", "-O1", "-Iinc", "-c", f"s{n}.c", "-o", f"s{n}.o"], f"s{n}.o", state) for n in range(count)]

        return jobs, edit

    def daemon(self):
        """The process that serves the root; None when there is none."""
        try:
            pid = int((self.lab.root / "daemon.lock").read_text())
            os.path.samefile(f"/proc/{pid}/exe", self.lab.binary)
            return pid
        except (OSError, ValueError):
            return None

    def signal(self, number):
        """Sends the daemon a signal; False when there is none."""
        pid = self.daemon()
        try:
            if pid and b"daemon" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, number)
                return True
        except OSError:
            pass
        return False

    def works(self, row, tries=4):
        """After the fault, the cache must work again by itself: a repeat must hit."""
        self.write("again.c", "int again() { return 1; }\n")
        for _ in range(tries):
            before = self.hits()
            self.compile(row, ["gcc", "-c", "again.c", "-o", "again.o"], "again.o", "again")
            if before is not None and (self.hits() or 0) > before:
                return
            time.sleep(0.3)
        row.count(0, 1, 0.0, "afterwards the cache does not hit any more")

    def can_mount(self, row):
        """Whether file systems can be mounted here, seen by nobody else (`torture` sees to that)."""
        able = os.environ.get("TORTURE_UNSHARED") == "1"
        if not able:
            row.skipped = "skipped: needs root"
        return able

    @contextmanager
    def cache_of_its_own(self, name, options="mode=700"):
        """For a while the cache lies on a small file system of its own; gives its folder."""
        root = self.lab.folder / name
        root.mkdir(exist_ok=True)
        self.bare("mount", "-t", "tmpfs", "-o", options, "tmpfs", root)
        self.env["ZCCACHE_CACHE_DIR"] = str(root)
        try:
            yield root
        finally:
            self.zccache("stop")
            self.env["ZCCACHE_CACHE_DIR"] = str(self.lab.root)
            self.bare("umount", "-l", root)

    def mount_image(self, row, kind, *options):
        """A new file system of this kind in a file, mounted; None where this system has no such kind."""
        if not shutil.which(f"mkfs.{kind}"):
            row.skipped = f"skipped: no mkfs.{kind} here"
            return None
        image, folder = self.lab.folder / f"{kind}.img", self.lab.folder / kind
        folder.mkdir()
        with open(image, "wb") as file:
            file.truncate(256 << 20)
        make = {"ext4": ["-q", "-O", "quota", "-E", "quotatype=usrquota"], "btrfs": ["-q"]}.get(kind, [])
        made = self.bare(f"mkfs.{kind}", *make, image)
        if kind == "exfat":
            # Gone by itself once nobody uses it.
            loop = self.bare("losetup", "-f", "--show", image).out.decode().strip()
            mounted = self.bare("mount.exfat-fuse", "-o", ",".join(options), loop, folder)
            self.bare("losetup", "-d", loop)
        else:
            mounted = self.bare("mount", "-o", ",".join(["loop", *options]), image, folder)
        if made.status or mounted.status:
            row.skipped = f"skipped: no {kind} here"
            return None
        return folder

    def hits(self):
        ran = self.zccache("status", "--json")
        return json.loads(ran.out).get("hits") if ran.status == 0 else None


def digest(content):
    return hashlib.blake2b(content).digest() if content is not None else None


class Meanwhile:
    """Does something again and again, with random pauses, while a block runs."""

    def __init__(self, random, pause, action):
        self.random, self.pause, self.action = random, pause, action
        self.done = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(self.random.uniform(0, self.pause)):
            self.done += bool(self.action())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


KILL, STOP, CONT, TERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM
