"""Whole builds of real projects, of every cache in turn: bare, cold, warm, after a restart, after another
branch, with other numbers of jobs.

In each round each cache runs the same phase, one after the other, in an order that moves on by one
with each round; so whatever else the machine does meets all of them.
"""

import os
import shutil
import subprocess
import time

from applications import Application
from caches import Cache
from figures import cell, median
from lab import Failure, debian_source, need_tools, say
from projects import Abseil, Git

JOBS = (1, 2, 4, 8)
WARM = ("warm", "restarted", "branch and back")


class Bare(Cache):
    """No cache: the compiler itself."""

    name = "bare"
    server = False

    def variables(self):
        return {}

    def counts(self):
        return 0, 0


class Instant(Bare):
    """The limit: see instant.c. `folder` holds what the bare build made."""

    name = "instant"
    languages = ("c",)

    def variables(self):
        return {"INSTANT_STORE": str(self.folder)}

    def take(self, built, files):
        for path in files:
            copy = self.folder / path.relative_to(built)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)


class Subject:
    """A project as the phases see it: clean, build, change branches. Knows how a cache is put in front."""

    def __init__(self, project, log):
        self.project = project
        self.log = log

    def other_branch_and_back(self):
        self.project.checkout("other")
        self.project.checkout("main")

    def prepare(self, cache):
        pass


class GitSubject(Subject):
    title = "git's library: C, gcc -g -O1, make"
    kind = Git

    def words(self, cache):
        self.project.prefix = cache.program
        return "bare" if cache.name == "bare" else "prefix", shutil.which("gcc"), cache.env, self.log

    def clean(self, cache):
        self.project.clean(*self.words(cache))

    def build(self, cache):
        self.project.build(*self.words(cache))

    def built(self, cache):
        return self.project.folder


class AbseilSubject(Subject):
    title = "abseil: C++, g++ -O1, cmake and ninja"
    kind = Abseil

    def words(self, cache):
        self.project.prefix = cache.program
        self.project.build_folder = f"build-{cache.name}"
        return "bare" if cache.name == "bare" else "launcher", shutil.which("g++"), cache.env, self.log

    def prepare(self, cache):
        self.project.configure(*self.words(cache))

    def clean(self, cache):
        self.project.clean(*self.words(cache))

    def build(self, cache):
        self.project.build(*self.words(cache))

    def built(self, cache):
        return self.project.folder / f"build-{cache.name}"


class CargoSubject(Subject):
    kind = Application

    @property
    def title(self):
        return f"{self.project.name}: Rust, {self.project.crates} crates, cargo build, debug"

    def clean(self, cache):
        self.project.clean()

    def build(self, cache):
        env = dict(cache.env, CARGO_INCREMENTAL="0")
        if cache.name != "bare":
            # Build scripts compile C; cc needs to be told of wrappers that it does not know.
            name = os.path.basename(cache.program)
            env.update(RUSTC_WRAPPER=cache.program, CC=f"{cache.program} cc", CXX=f"{cache.program} c++", CC_KNOWN_WRAPPER_CUSTOM=name)
        self.project.build(env, self.log)


SUBJECTS = {"c": GitSubject, "cxx": AbseilSubject, "rust": CargoSubject}


class Builds:
    """The rows of one project. `limits`: cold and warm rounds, and the moment after which no new round begins."""

    def __init__(self, name, lab, env, caches, figures, limits):
        self.kind = SUBJECTS[name]
        self.name = name
        self.cold_rounds, self.warm_rounds, self.deadline = limits
        language = "rust" if name == "rust" else "c"
        subject = self.subject = self.find_subject(lab, env)
        folder = lab.folder / f"caches-{name}"
        self.caches = [Bare("env", folder, env)]
        if language == "c":
            self.caches.append(Instant(self.make_instant(lab, env), folder, env))
        self.caches += [kind(program, folder, env) for kind, program in caches if language in kind.languages]
        title = subject.title
        jobs = subject.project.jobs
        self.row = figures.row(name, f"{title}, -j{jobs}", "s", "bare")
        self.jobs_row = figures.row(f"{name}-jobs", f"{title}, warm, by jobs", "s", "instant" if language == "c" else None)
        self.footprint = figures.row(f"{name}-footprint", f"{title}: after the builds", "")
        # Caches that failed, or that do not hit: measured once.
        self.broken = {}
        self.once = set()

    def find_subject(self, lab, env):
        kind = self.kind.kind
        need_tools([tool for tool in kind.tools if tool != "cargo"], getattr(kind, "headers", {}))
        jobs = os.cpu_count() or 1
        if kind is Application:
            project = Application(lab, jobs, env)
        else:
            project = kind(lab, jobs, debian_source(kind.package, lab.tarballs))
        return self.kind(project, lab.folder / f"{self.name}.log")

    def make_instant(self, lab, env):
        program = lab.folder / "instant"
        source = os.path.join(os.path.dirname(__file__), "instant.c")
        words = ["gcc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-o", str(program), source]
        subprocess.run(words, env=env, check=True)
        return program

    def run(self):
        try:
            for cache in self.caches:
                self.guarded(cache, self.subject.prepare, cache)
            for round in range(max(self.cold_rounds, 1)):
                self.phase("cold", round, self.cold)
            for round in range(max(self.warm_rounds, 1)):
                for phase, action in zip(WARM, (self.warm, self.restarted, self.branch)):
                    self.phase(phase, round, action)
            self.measure_footprint()
            for jobs in JOBS:
                self.subject.project.jobs = jobs
                for round in range(2):
                    self.phase(f"-j{jobs}", round, self.warm, self.jobs_row)
            self.note_limit()
        finally:
            for cache in self.caches:
                cache.end()

    def phase(self, phase, round, action, row=None):
        row = row or self.row
        if round and time.monotonic() > self.deadline:
            return
        turn = round % len(self.caches)
        order = self.caches if not round else self.caches[turn:] + self.caches[:turn]
        cells = row["phases"].setdefault(phase, {})
        for cache in order:
            if cache.name == "bare" and phase != "cold" or cache.name == "instant" and phase == "cold" or round and cache.name in self.once:
                continue
            if cache.name in self.broken:
                cell(cells, cache.name).setdefault("note", f"failed: {self.broken[cache.name]}")
                continue
            self.guarded(cache, self.sample, cache, cell(cells, cache.name), action)
        if phase == "cold" and not round:
            self.teach_instant()
        done = ", ".join(f"{name} {each['samples'][-1]:.1f}" for name, each in cells.items() if each["samples"])
        say(f"  {self.name}, {phase}, round {round + 1}: {done}")

    def guarded(self, cache, action, *words):
        """A cache that breaks is said to be broken, and the others go on. Without a bare build nothing makes sense."""
        if cache.name in self.broken:
            return
        try:
            action(*words)
        except (Failure, OSError, subprocess.SubprocessError) as failure:
            if cache.name == "bare":
                raise
            self.broken[cache.name] = str(failure).splitlines()[-1][:200]

    def sample(self, cache, into, action):
        action(cache)
        before = cache.counts()
        cpu = cache.cpu()
        start = time.monotonic()
        self.subject.build(cache)
        into["samples"].append(round(time.monotonic() - start, 3))
        into["server_cpu"] = round(cache.cpu() - cpu, 2)
        if cache.name not in ("bare", "instant"):
            hits, misses = (None if None in (now, then) else now - then for now, then in zip(cache.counts(), before))
            into.update(hits=hits, misses=misses)
            if action != self.cold and (hits or 0) <= (misses or 0):
                into["note"] = "does not hit"
                self.once.add(cache.name)

    # ------------------------------------------------------------------------ what precedes each build

    def cold(self, cache):
        if cache.name not in ("bare", "instant"):
            cache.wipe()
        self.subject.clean(cache)

    def warm(self, cache):
        self.subject.clean(cache)

    def restarted(self, cache):
        self.subject.clean(cache)
        if cache.server:
            cache.restart()

    def branch(self, cache):
        self.subject.clean(cache)
        self.subject.other_branch_and_back()

    # ------------------------------------------------------------------------ the rest

    def teach_instant(self):
        for cache in self.caches:
            if isinstance(cache, Instant):
                # The last build in the tree may be any cache's: all of them made the same.
                self.subject.clean(self.caches[0])
                self.subject.build(self.caches[0])
                built = self.subject.built(self.caches[0])
                cache.take(built, [path for path in built.rglob("*") if path.suffix in (".o", ".d") and "CompilerId" not in str(path)])

    def measure_footprint(self):
        rows = self.footprint["phases"]
        for cache in self.caches:
            if cache.name in ("bare", "instant") or cache.name in self.broken:
                continue
            rows.setdefault("MiB on the disk", {})[cache.name] = {"value": cache.disk() / 2**20}
            if cache.server:
                rows.setdefault("MiB of memory, server", {})[cache.name] = {"value": cache.resident() / 2**20}
                warm = self.row["phases"]["warm"].get(cache.name, {}).get("server_cpu")
                rows.setdefault("s of CPU time, server, one warm build", {})[cache.name] = {"value": warm}

    def note_limit(self):
        cells = self.row["phases"]["warm"]
        limit = median(cells.get("instant", {}))
        ours = median(cells.get("zccache", {}))
        if limit and ours:
            self.row["notes"].append(f"zccache's warm build takes {ours / limit:.2f} of an instant compiler's")
