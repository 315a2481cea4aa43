"""Cold compiles in pieces: what a miss costs in a real project, on a machine that is never the same for long.

A whole build takes half a minute, and on a shared machine two bare ones differ by more than a good cache costs. So a
project's compiles are cut into pieces of one to three seconds; each piece is compiled bare and through every cache, one after
the other in an order that moves on, by as many at a time as there are processors, and always into the same folder.
Linear drift meets all alike; of a piece's rounds the median counts, so that no single pause does.
"""

import json
import random
import re
import shlex
import statistics
import subprocess
import time
from collections import Counter
from pathlib import Path

from builds import BREAKS, Bare, find_subject, machine_cpu
from figures import cell
from lab import Failure, say

# Compiles in one piece.
SIZE = 15
RESAMPLED = 400
# After a piece its server writes down what it made; whoever comes next is not to pay for that.
REST_S = 0.3


def is_compile(command):
    return re.search(r"\s-c\s", command) and "&&" not in command


def git_compiles(project, words):
    """What make would run for each object, now that everything else is made."""
    for path in project.folder.rglob("*.o"):
        path.unlink()
    said = subprocess.run([*project.words(*words[:2]), "-n", "V=1", "libgit.a"], cwd=project.folder, env=words[2], capture_output=True, text=True)
    return project.folder, [line for line in said.stdout.splitlines() if is_compile(line)]


def abseil_compiles(project, _words):
    folder = project.folder / project.build_folder
    said = subprocess.run(["ninja", "-C", str(folder), "-t", "compdb"], capture_output=True, text=True)
    commands = [each["command"] for each in json.loads(said.stdout)]
    return folder, [command for command in commands if is_compile(command)]


COMPILES = {"c": git_compiles, "cxx": abseil_compiles}


class Pieces:
    """One project's compiles, ready to be made by any cache."""

    def __init__(self, name, lab, env, caches):
        folder = lab.folder / f"caches-pieces-{name}"
        self.caches = [Bare("env", folder, env)] + [kind(program, folder, env) for kind, program in caches if "c" in kind.languages]
        self.name = name
        self.lab = lab
        self.subject = find_subject(name, lab, env, f"{name}-pieces")
        self.jobs = self.subject.project.jobs
        # Of each cache, how many compiles it did not count as misses.
        self.others = Counter()

    def prepare(self):
        bare = self.caches[0]
        self.subject.prepare(bare)
        self.subject.build(bare)
        self.folder, commands = COMPILES[self.name](self.subject.project, self.subject.words(bare))
        if len(commands) < 100:
            raise Failure(f"only {len(commands)} compiles found")
        # Neighbours in the list are alike: so each piece gets some of all kinds.
        count = -(-len(commands) // SIZE)
        self.pieces = [commands[n::count] for n in range(count)]

    def outputs(self, command):
        words = shlex.split(command)
        return [self.folder / words[at + 1] for at, word in enumerate(words) if word in ("-o", "-MF")]

    def compile(self, cache, piece):
        """Compiles a piece; gives the seconds it took and those that processors worked."""
        for command in piece:
            for path in self.outputs(command):
                path.unlink(missing_ok=True)
        front = "" if cache.name == "bare" else shlex.quote(cache.program) + " "
        script = self.lab.folder / "piece"
        script.write_text("".join(f"exec {front}{command}\0" for command in piece))
        words = ["xargs", "-0", "-n1", f"-P{self.jobs}", "-a", str(script), "sh", "-c"]
        worked, start = machine_cpu(), time.monotonic()
        done = subprocess.run(words, cwd=self.folder, env=cache.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        took = time.monotonic() - start
        time.sleep(REST_S)
        if done.returncode:
            raise Failure(f"{cache.name}: {done.stderr[-300:]}")
        return took, machine_cpu() - worked

    def measure(self, figures, rounds, until):
        """Up to so many rounds, as long as they end in time."""
        self.prepare()
        title = self.subject.title
        row = figures.row(f"{self.name}-pieces", f"{title}: cold compiles in pieces of {len(self.pieces[0])}, -j{self.jobs}", "s", "bare")
        taken = {cache.name: [] for cache in self.caches}
        begun = time.monotonic()
        for number in range(rounds):
            if number and time.monotonic() + (time.monotonic() - begun) / number > until:
                break
            self.round(number, taken)
            said = ", ".join(f"{name} {sum(time for time, _ in all_[-1]):.1f}" for name, all_ in taken.items())
            say(f"  {self.name}, in pieces, round {number + 1}: {said}")
        for name, all_ in taken.items():
            into = cell(row["phases"].setdefault("cold", {}), name)
            into["samples"] = [round(sum(time for time, _ in each), 3) for each in all_]
            if name != "bare":
                told = [f"{what} {estimate(taken['bare'], all_, at)}" for at, what in enumerate(("of bare:", "in CPU time"))]
                others = self.others[name]
                into["note"] = ", ".join(told + [f"{others} compiles were no misses"] * bool(others))

    def round(self, number, taken):
        for cache in self.caches[1:]:
            cache.wipe()
        before = [cache.counts() for cache in self.caches[1:]]
        for all_ in taken.values():
            all_.append([])
        for at, piece in enumerate(self.pieces):
            turn = (number + at) % len(self.caches)
            for cache in self.caches[turn:] + self.caches[:turn]:
                taken[cache.name][-1].append(self.compile(cache, piece))
        compiles = sum(map(len, self.pieces))
        for cache, (_, earlier) in zip(self.caches[1:], before):
            _, misses = cache.counts()
            if misses is not None:
                self.others[cache.name] += compiles - (misses - earlier)

    def end(self):
        for cache in self.caches:
            cache.end()


def estimate(bare, ours, at):
    """The ratio of two lists of rounds, of which each is a list of pieces, with its standard error (by resampling
    the rounds). `at`: which of a piece's two numbers."""
    draw = random.Random(1)
    rounds = range(len(bare))

    def total(all_, chosen):
        return sum(statistics.median(all_[n][piece][at] for n in chosen) for piece in range(len(all_[0])))

    def of(chosen):
        return total(ours, chosen) / total(bare, chosen)

    drawn = [of(draw.choices(rounds, k=len(rounds))) for _ in range(RESAMPLED)]
    return f"{of(rounds):.3f}" + (f" ± {statistics.stdev(drawn):.3f}" if len(rounds) > 2 else "")


def measure(figures, lab, env, kinds, rounds, seconds):
    """Both projects, each in its half of the time."""
    start = time.monotonic()
    for n, name in enumerate(COMPILES):
        say(f"compiling {name} in pieces")
        pieces = Pieces(name, lab, env, kinds)
        try:
            pieces.measure(figures, rounds, start + seconds * (n + 1) / len(COMPILES))
        except BREAKS as failure:
            say(f"{name} in pieces broke off: {failure}")
            figures.row(f"{name}-pieces", f"{name} in pieces broke off: {failure}", "")
        finally:
            pieces.end()
        figures.write()
