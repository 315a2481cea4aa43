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
# What a cache that does not work ends in: its commands, its answers, its builds.
BREAKS = (Failure, OSError, subprocess.SubprocessError, KeyError, ValueError)
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


def find_subject(name, lab, env, folder_name=None):
    """The project of a row, in a folder of its own."""
    subject = SUBJECTS[name]
    kind = subject.kind
    need_tools([tool for tool in kind.tools if tool != "cargo"], getattr(kind, "headers", {}))
    jobs = os.cpu_count() or 1
    if kind is Application:
        project = Application(lab, jobs, env)
    else:
        project = kind(lab, jobs, debian_source(kind.package, lab.tarballs), folder_name)
    project.patience = 900
    return subject(project, lab.folder / f"{folder_name or name}.log")


def machine_cpu():
    """Seconds for which the machine's processors have worked since its start, for whomever."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _waiting, interrupts, soft_interrupts = map(int, file.readline().split()[1:8])
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


class Builds:
    """The rows of one project. `limits`: cold and warm rounds, and how many seconds there are: each phase runs
    once, and again while its last round would still fit."""

    def __init__(self, name, lab, env, caches, figures, limits):
        self.name = name
        self.cold_rounds, self.warm_rounds, self.seconds = limits
        language = "rust" if name == "rust" else "c"
        subject = self.subject = find_subject(name, lab, env)
        folder = lab.folder / f"caches-{name}"
        self.caches = [Bare("env", folder, env)]
        if language == "c":
            self.caches.append(Instant(self.make_instant(lab, env), folder, env))
        self.caches += [kind(program, folder, env) for kind, program in caches if language in kind.languages]
        title = subject.title
        jobs = subject.project.jobs
        self.row = figures.row(name, f"{title}, -j{jobs}", "s", "bare")
        self.cpu_row = figures.row(f"{name}-cpu", f"{title}, cold: CPU time of the whole machine", "s", "bare")
        self.jobs_row = figures.row(f"{name}-jobs", f"{title}, warm, by jobs", "s", "instant" if language == "c" else None)
        self.footprint = figures.row(f"{name}-footprint", f"{title}: after the builds", "")
        self.broken = {}
        # Caches that do not hit: their warm builds are cold ones, and not measured again and again.
        self.missing = set()

    def make_instant(self, lab, env):
        program = lab.folder / "instant"
        source = os.path.join(os.path.dirname(__file__), "instant.c")
        words = ["gcc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-o", str(program), source]
        subprocess.run(words, env=env, check=True)
        return program

    def run(self):
        try:
            start = time.monotonic()
            for cache in self.caches:
                self.guarded(cache, self.subject.prepare, cache)
            # Cold builds are the long ones: they leave room for the others.
            self.rounds(self.cold_rounds, start + 0.6 * self.seconds, [("cold", self.cold)])
            self.measure_footprint()
            warm = list(zip(WARM, (self.warm, self.restarted, self.branch)))
            self.rounds(self.warm_rounds, start + 0.9 * self.seconds, warm)
            for jobs in JOBS:
                self.subject.project.jobs = jobs
                self.rounds(2, start + self.seconds, [(f"-j{jobs}", self.warm)], self.jobs_row)
            self.note_server()
            self.note_limit()
        finally:
            for cache in self.caches:
                cache.end()

    def rounds(self, count, deadline, phases, row=None):
        """Runs the phases up to `count` times, as long as they end before the deadline."""
        last = 0
        for round in range(max(count, 1)):
            begun = time.monotonic()
            if round and begun + last > deadline:
                return
            for phase, action in phases:
                self.phase(phase, round, action, row or self.row)
            last = time.monotonic() - begun

    def phase(self, phase, round, action, row):
        turn = round % len(self.caches)
        order = self.caches if not round else self.caches[turn:] + self.caches[:turn]
        cells = row["phases"].setdefault(phase, {})
        for cache in order:
            if cache.name == ("instant" if phase == "cold" else "bare"):
                continue
            if phase != "cold" and cache.name in self.missing:
                cell(cells, cache.name).setdefault("note", "does not hit, see warm")
                continue
            self.guarded(cache, self.sample, cache, cell(cells, cache.name), action)
            if cache.name in self.broken:
                cells[cache.name].setdefault("note", f"failed: {self.broken[cache.name]}")
            if phase == "cold" and cache.name == "bare" and not round:
                self.teach_instant(cache)
        done = ", ".join(f"{name} {each['samples'][-1]:.1f}" for name, each in cells.items() if each["samples"])
        say(f"  {self.name}, {phase}, round {round + 1}: {done}")

    def guarded(self, cache, action, *words):
        """A cache that breaks is said to be broken, and the others go on. Without a bare build nothing makes sense."""
        if cache.name in self.broken:
            return
        try:
            action(*words)
        except BREAKS as failure:
            if cache.name == "bare":
                raise Failure(f"the bare build: {failure}") from None
            self.broken[cache.name] = str(failure).splitlines()[-1][:200]

    def sample(self, cache, into, action):
        action(cache)
        before = cache.counts()
        cpu, machine = cache.cpu(), machine_cpu()
        start = time.monotonic()
        self.subject.build(cache)
        into["samples"].append(round(time.monotonic() - start, 3))
        if action == self.cold:
            # What a server does when the build has ended is counted as well.
            time.sleep(0.5)
            samples = cell(self.cpu_row["phases"].setdefault("cold", {}), cache.name)["samples"]
            samples.append(round(machine_cpu() - machine, 2))
        into["server_cpu"] = round(cache.cpu() - cpu, 2)
        if cache.name not in ("bare", "instant"):
            hits, misses = (None if None in (now, then) else now - then for now, then in zip(cache.counts(), before))
            into.update(hits=hits, misses=misses)
            if action != self.cold and hits is not None and hits <= misses:
                into["note"] = "does not hit"
                self.missing.add(cache.name)

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

    def teach_instant(self, bare):
        for cache in self.caches:
            if isinstance(cache, Instant):
                built = self.subject.built(bare)
                cache.take(built, [path for path in built.rglob("*") if path.suffix in (".o", ".d") and "CompilerId" not in str(path)])

    def measure_footprint(self):
        rows = self.footprint["phases"]
        for cache in self.caches:
            if cache.name in ("bare", "instant") or cache.name in self.broken:
                continue
            rows.setdefault("MiB on the disk", {})[cache.name] = {"value": cache.disk() / 2**20}
            if cache.server:
                rows.setdefault("MiB of memory, server", {})[cache.name] = {"value": cache.resident() / 2**20}

    def note_server(self):
        for phase in ("cold", "warm"):
            cells = self.row["phases"][phase]
            spent = {cache.name: {"value": cells[cache.name].get("server_cpu")} for cache in self.caches if cache.server and cache.name in cells}
            self.footprint["phases"][f"s of CPU time, server, one {phase} build"] = spent

    def note_limit(self):
        cells = self.row["phases"]["warm"]
        limit = median(cells.get("instant", {}))
        ours = median(cells.get("zccache", {}))
        if limit and ours:
            self.row["notes"].append(f"zccache's warm build takes {ours / limit:.2f} of an instant compiler's")
