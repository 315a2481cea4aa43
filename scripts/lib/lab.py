"""What the measuring scripts share: a cache of their own to try zccache in, and the tools they need.

Nothing here touches the user's cache, home folder or apt configuration.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """Something the user must know; printed without a stack trace."""


def say(text=""):
    print(text, flush=True)


def find_zccache(given):
    """The binary to try: the one given, $ZCCACHE, else the newest one this checkout has built."""
    given = given or os.environ.get("ZCCACHE")
    if given:
        found = shutil.which(given)
        if not found:
            raise Failure(f"no such program: {given}")
        return Path(found).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPO / "target"))
    built = [path for path in target.glob("**/zccache") if path.parent.name in ("release", "debug") and path.is_file()]
    if not built:
        raise Failure("no built zccache found: run `cargo build --release`, or name one with --zccache")
    return max(built, key=lambda path: path.stat().st_mtime).resolve()


# Which Debian package has which tool.
PACKAGES = {
    "gcc": "gcc", "g++": "g++", "clang": "clang", "clang++": "clang", "make": "make", "cmake": "cmake",
    "ninja": "ninja-build", "git": "git", "xz": "xz-utils", "ccache": "ccache", "strace": "strace", "gdb": "gdb",
    "valgrind": "valgrind", "clang-tidy": "clang-tidy", "include-what-you-use": "iwyu",
    "qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "mkfs.ext4": "e2fsprogs", "depmod": "kmod",
    "mkfs.vfat": "dosfstools", "setquota": "quota", "btrfs": "btrfs-progs", "mount.exfat-fuse": "exfat-fuse",
    "mkfs.exfat": "exfatprogs", "emcc": "emscripten", "node": "nodejs",
}


def need_tools(tools, headers=()):
    """Installs the missing tools and C headers (header -> package) with apt-get, and says so."""
    missing = {PACKAGES[tool] for tool in tools if not shutil.which(tool)}
    if shutil.which("gcc"):
        for header, package in dict(headers).items():
            probe = ["gcc", "-fsyntax-only", "-x", "c", "-"]
            if subprocess.run(probe, input=f"#include <{header}>\n".encode(), capture_output=True).returncode:
                missing.add(package)
    else:
        missing.update(dict(headers).values())
    if not missing:
        return
    names = sorted(missing)
    say(f"installing with apt-get: {' '.join(names)}")
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    if subprocess.run(install, env=env, capture_output=True).returncode:
        # The package lists may be missing or old.
        subprocess.run(["apt-get", "update", "-q"], env=env, capture_output=True)
        done = subprocess.run(install, env=env, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"apt-get install {' '.join(names)} failed:\n{done.stderr}")


def debian_source(package, folder):
    """The upstream tarball of a Debian source package, fetched into `folder` unless it's there.

    Source packages are usually not enabled: a private copy of the machine's sources with deb-src
    does it, with lists and caches of its own, so that the machine's apt is left as it is.
    """
    def fetched():
        return sorted(folder.glob(f"{package}_*.orig.tar.*"))

    if fetched():
        return fetched()[-1]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="prove-apt-") as temp:
        temp = Path(temp)
        parts = temp / "sources.d"
        parts.mkdir()
        etc = Path("/etc/apt")
        count = 0
        for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))]:
            if not path.is_file() or path.suffix not in (".list", ".sources"):
                continue
            text = path.read_text()
            if path.suffix == ".sources":
                text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", text)
            else:
                lines = [re.sub(r"^\s*deb(-src)?\s", "deb-src ", line) for line in text.splitlines()]
                text = "".join(line + "\n" for line in dict.fromkeys(lines) if line.startswith("deb-src"))
            (parts / f"{count}{path.suffix}").write_text(text)
            count += 1
        (temp / "lists" / "partial").mkdir(parents=True)
        (temp / "cache" / "archives" / "partial").mkdir(parents=True)
        apt = [
            "apt-get", "-q", "-o", f"Dir::Etc::sourceparts={parts}", "-o", "Dir::Etc::sourcelist=/dev/null",
            "-o", f"Dir::State::lists={temp}/lists", "-o", f"Dir::Cache={temp}/cache",
            # Otherwise apt warns that its unprivileged user can't write into our folder.
            "-o", "APT::Sandbox::User=root",
        ]
        say(f"fetching the source package {package}")
        for words in (["update"], ["source", "--download-only", "--only-source", package]):
            done = subprocess.run([*apt, *words], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise Failure(f"apt-get {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    if not fetched():
        raise Failure(f"apt-get source {package} brought no upstream tarball")
    return fetched()[-1]


def unpack(tarball, folder):
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(tarball), "-C", str(folder), "--strip-components=1"], check=True)


class Lab:
    """A temporary folder with a home, a cache root and a `bin` folder that holds only zccache.

    As a context manager it stops the daemon at the end, whatever happened.
    """

    def __init__(self, binary, keep=False, name="zccache-lab"):
        self.binary = binary
        self.keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.home = self.folder / "home"
        self.bin = self.folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        (self.bin / "zccache").symlink_to(binary)
        self.zccache = str(self.bin / "zccache")
        self.roots = []
        self.use_root("cache")
        # Ctrl-C and kill come as exceptions, so that the daemon is stopped then, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def use_root(self, name):
        """From now on a cache root of this name."""
        self.root = self.folder / name
        self.roots.append(self.root)

    @property
    def env(self):
        foreign = ("ZCCACHE_", "CCACHE_", "GIT_", "MAKEFLAGS", "MFLAGS", "NINJA_STATUS", "CFLAGS", "CXXFLAGS")
        env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        env.update(
            HOME=str(self.home), ZCCACHE_CACHE_DIR=str(self.root), LC_ALL="C.UTF-8",
            # As the bare build has it: else others on the machine decide what is measured.
            ZCCACHE_COMPILE_PRIORITY="normal",
            PATH=f"{self.bin}:{os.environ['PATH']}", GIT_CONFIG_NOSYSTEM="1",
        )
        env.pop("CC", None)
        env.pop("CXX", None)
        return env

    @property
    def bare_env(self):
        """Without a cache, and with the toolchains that rustup finds through the home folder."""
        homes = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}
        foreign = ("ZCCACHE_", "CARGO_", "RUSTC", "RUSTFLAGS", "SCCACHE_", "KACHE_")
        env = {name: value for name, value in self.env.items() if name in homes or not name.startswith(foreign)}
        for name, folder in homes.items():
            env.setdefault(name, str(Path.home() / folder))
        return env

    def run(self, *words, check=True):
        done = subprocess.run([self.zccache, *words], env=self.env, capture_output=True, text=True)
        if check and done.returncode:
            raise Failure(f"zccache {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def status(self):
        """What `status --json` says, also of a cache that no daemon serves (that's exit status 1)."""
        done = self.run("status", "--json", check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise Failure(f"zccache status --json ended with {done.returncode} and is no JSON:\n{done.stdout}{done.stderr}")

    def counts(self):
        """The counters, as plain numbers (`linking`: links and archives among them), and how often each reason was given."""
        status = self.status()
        counters = {"hits": "hits", "misses": "misses", "uncacheable": "non_cacheable", "errors": "errors"}
        counts = {name: status[field] for name, field in counters.items()}
        counts["linking"] = sum(self.linking(status, field) for field in ("hits", "misses", "non_cacheable"))
        return counts, status["reasons"]

    def linking(self, status, field):
        """How many links and archives a status counts in this field."""
        return sum(status["by_language"].get(name, {}).get(field, 0) for name in ("link", "archive"))

    def stop(self):
        self.run("stop")
        # `stop` promises an ended daemon; a moment for the kernel to take its entry away.
        deadline = time.monotonic() + 5
        while self.daemons() and time.monotonic() < deadline:
            time.sleep(0.02)

    def daemons(self):
        """The ids of all daemons of this root: processes of our binary with our root in their environment."""
        mark = b"ZCCACHE_CACHE_DIR=" + os.fsencode(self.root) + b"\0"
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if mark not in (entry / "environ").read_bytes() + b"\0":
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"daemon" in words[1:3] and os.path.samefile(entry / "exe", self.binary):
                    found.append(int(entry.name))
            except OSError:
                continue  # ended meanwhile, or not ours to look at
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        left = []
        for self.root in self.roots:
            try:
                self.run("stop", check=False)
                time.sleep(0.1)
            finally:
                for pid in self.daemons():
                    left.append(pid)
                    os.kill(pid, signal.SIGKILL)
        if self.keep:
            say(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if left:
            raise Failure(f"`zccache stop` left daemons behind (killed now): {left}")
        return False


def table(head, rows):
    """Prints aligned columns: words to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    numeric = [all(re.match(r"^[-\d]", row[i]) for row in cells[1:]) for i in range(len(head))]
    for row in cells:
        padded = (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric))
        say("  ".join(padded).rstrip())
