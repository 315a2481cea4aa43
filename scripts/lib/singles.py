"""Single compiles as whole processes: what a hit and a miss cost, beside a process that does nothing."""

import shutil
import subprocess
from pathlib import Path

from figures import cell, ratio
from lab import Failure

LIB = Path(__file__).resolve().parent
HEADERS = ["<algorithm>", "<functional>", "<iostream>", "<map>", "<memory>", "<regex>", "<string>", "<vector>"]
# Own headers of the large C++ file; the standard library brings the rest.
OWN_HEADERS = 420
# Functions of the crate: its rlib is about 1 MiB.
FUNCTIONS = 56
# So many runs in a row: the last takes as long as any that came behind it (behind a large program the second takes a
# fifth more, the third a twentieth).
BEHIND_ITSELF = 5
RAW, LIBC, STARTER, INSTANT = "process that exits", "static C program", "only starts it", "instant"


class Compile:
    """A compile to be measured: `words` is the command, `outputs` what it leaves."""

    def __init__(self, label, language, words, outputs):
        self.label = label
        self.language = language
        self.words = words
        self.outputs = outputs


class Singles:
    def __init__(self, lab, env):
        self.folder = lab.folder / "singles"
        self.folder.mkdir()
        self.env = env
        self.make_programs()
        self.compiles = [self.small_c(), self.large_cxx()]
        if shutil.which("rustc"):
            self.compiles.append(self.crate())

    def make(self, *words):
        done = subprocess.run(words, cwd=self.folder, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def make_programs(self):
        (self.folder / "libc.c").write_text("int main(void) { return 0; }\n")
        self.make("gcc", "-O2", "-static", "-nostdlib", "-o", "noop-raw", str(LIB / "noop.c"))
        self.make("gcc", "-O2", "-static", "-o", "noop-libc", "libc.c")
        self.make("gcc", "-O2", "-static", "-o", "starter", str(LIB / "starter.c"))
        self.make("gcc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-o", "asker", str(LIB / "asker.c"))
        self.make("gcc", "-O2", "-o", "rounds", str(LIB / "rounds.c"))

    def small_c(self):
        (self.folder / "one.h").write_text("int add(int, int);\n")
        text = '#include "one.h"\n#ifndef ROUND\n#define ROUND -1\n#endif\nint add(int a, int b) { return a + b + ROUND; }\n'
        (self.folder / "small.c").write_text(text)
        words = [shutil.which("gcc"), "-O1", "-c", "small.c", "-o", "small.o"]
        return Compile("C, 1 header", "c", words, ["small.o"])

    def large_cxx(self):
        # Real trees have deep and wide include graphs: folders of 20 headers, each including the one
        # before, and the standard library beside them.
        for n in range(OWN_HEADERS):
            path = self.folder / f"many/part{n // 20}/h{n}.hpp"
            path.parent.mkdir(parents=True, exist_ok=True)
            before = f'#include "part{(n - 1) // 20}/h{n - 1}.hpp"\n' if n % 20 else ""
            path.write_text(f"#pragma once\n{before}inline int f{n}(int x) {{ return x + {n}; }}\n")
        includes = HEADERS + [f'"part{n // 20}/h{n}.hpp"' for n in range(19, OWN_HEADERS, 20)]
        text = "".join(f"#include {name}\n" for name in includes)
        # Enough code for an object that is a blob of its own: the small C file's is not.
        text += "std::map<std::string, std::vector<int>> table;\n"
        text += "int sum(const std::string& name) { int all = 0; for (int each : table[name]) all += each; return all; }\n"
        text += f"#ifndef ROUND\n#define ROUND -1\n#endif\nint total(int x) {{ return f{OWN_HEADERS - 1}(x) + ROUND; }}\n"
        (self.folder / "large.cpp").write_text(text)
        words = [shutil.which("g++"), "-O1", "-Imany", "-c", "large.cpp", "-o", "large.o"]
        return Compile(f"C++, {self.headers(words)} headers", "c", words, ["large.o"])

    def crate(self):
        one = "pub fn f{n}(x: u64) -> u64 {{ let mut v = vec![x; {n} % 7 + 1]; v.push({n}); v.iter().map(|e| e.rotate_left({n} % 60)).sum() }}\n"
        (self.folder / "big.rs").write_text("".join(one.format(n=n) for n in range(FUNCTIONS)))
        (self.folder / "out").mkdir()
        # As cargo calls it, past rustup's front.
        rustc = str(Path(self.make("rustc", "--print", "sysroot").strip()) / "bin/rustc")
        words = [rustc, "--crate-name", "big", "--edition=2021", "big.rs", "--error-format=json",
                 "--json=diagnostic-rendered-ansi,artifacts,future-incompat", "--crate-type", "lib",
                 "--emit=dep-info,metadata,link", "-C", "embed-bitcode=no", "-C", "debuginfo=2", "-C", "metadata=5a8a5c7a1e1b2f3d",
                 "-C", "extra-filename=-5a8a5c7a1e1b2f3d", "--out-dir", "out"]
        self.make(*words)
        outputs = sorted(f"out/{path.name}" for path in (self.folder / "out").iterdir())
        size = (self.folder / "out/libbig-5a8a5c7a1e1b2f3d.rlib").stat().st_size
        return Compile(f"rustc, {size / 2**20:.1f} MiB rlib", "rust", words, outputs)

    def headers(self, words):
        listed = self.make(*words[:-2], "-M")
        # The source is not one, nor is the file that every compile includes unasked.
        return len([name for name in set(listed.replace("\\\n", " ").split()[2:]) if not name.endswith("stdc-predef.h")])

    # ------------------------------------------------------------------------ the interleaved run

    def rounds(self, count, commands, status=0, times=1):
        """Runs each (words, cache or None, outputs) `count` times in turn, `times` times in each turn; gives of each the
        milliseconds of the first in each turn, and those of the last. `status` is the right one for them."""
        script = self.folder / "commands"
        with open(script, "w") as file:
            for words, cache, outputs in commands:
                lines = [f"rm={path}" for path in outputs] + ([f"exit={status}"] if status else [])
                lines += [f"env={name}={value}" for name, value in (cache.own.items() if cache else ())]
                file.writelines(f"{line}\n" for line in [*lines, *words, "@END@"])
        done = subprocess.run(["./rounds", str(count), str(times), str(script)], cwd=self.folder, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"the timed run broke off: {done.stderr.strip()}")
        taken = [[int(word) / 1e6 for word in line.split()] for line in done.stdout.splitlines()]
        return list(zip(taken[::2], taken[1::2]))

    def enter(self, row, label, name, times):
        """Enters the samples of those that ended well; the others are said."""
        into = cell(row["phases"].setdefault(label, {}), name)
        into["samples"] = [time for time in times if time >= 0]
        failed = len(times) - len(into["samples"])
        if failed:
            into["note"] = f"failed {failed} times of {len(times)}"

    def hits(self, figures, caches, count):
        """One warm hit of each cache for each compile, and of an instant cache: behind itself, as hit follows hit in a
        build, and behind whatever else was in the turn, which has pushed it out of the processor's caches."""
        rows = [figures.row("hit-first", "One warm hit, whole process, behind other programs", "ms", RAW),
                figures.row("hit", "One warm hit, whole process, behind itself", "ms", RAW)]
        plan = [("", RAW, ["./noop-raw"], None, []), ("", LIBC, ["./noop-libc"], None, [])]
        for compile, cache in self.pairs(caches):
            try:
                self.warm_up(cache, compile)
            except Failure as failure:
                cell(rows[1]["phases"].setdefault(compile.label, {}), cache.name)["note"] = str(failure)
                continue
            plan.append((compile.label, cache.name, [cache.program, *compile.words], cache, compile.outputs))
        plan += [(compile.label, INSTANT, self.instant(compile), None, compile.outputs) for compile in self.compiles]
        server = subprocess.Popen(["./asker", "serve", "asked"], cwd=self.folder)
        try:
            before = counted(caches)
            times = self.rounds(count, [entry[2:] for entry in plan], times=BEHIND_ITSELF)
            after = counted(caches)
        finally:
            server.kill()
            server.wait()
        for (label, name, *_), both in zip(plan, times):
            for row, samples in zip(rows, both):
                self.enter(row, label, name, samples)
        expected = {cache.name: count * BEHIND_ITSELF * sum(1 for *_, used, _ in plan if used is cache) for cache in caches}
        note_counts(rows[1], before, after, expected, "hits")
        for row in rows:
            limits = [ratio(row["phases"], compile.label, "zccache", INSTANT) for compile in self.compiles]
            row["notes"].append("zccache's hits take " + ", ".join(f"{each:.2f}" for each in limits if each) + " of an instant cache's (asker.c)")

    def instant(self, compile):
        """What the instant cache runs: it links what is there by now into place."""
        stored = self.folder / "stored"
        pairs = []
        for name in compile.outputs:
            copy = stored / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / name, copy)
            pairs += [str(copy.relative_to(self.folder)), name]
        return ["./asker", "asked", *pairs]

    def misses(self, figures, caches, counts):
        """One miss of each cache, the bare compiler, and a program that only starts it, in turn: every round compiles
        something new. `counts` gives the rounds of each compile."""
        row = figures.row("miss", "One miss, whole process, a new macro each time", "ms", "bare")
        for compile, count in zip(self.compiles[:2], counts):
            words = [*compile.words[:-2], "-DROUND=@ROUND@", *compile.words[-2:]]
            users = [cache for cache in caches if compile.language in cache.languages]
            plan = [("bare", words, None), (STARTER, ["./starter", *words], None)] + [(cache.name, [cache.program, *words], cache) for cache in users]
            before = counted(users)
            times = self.rounds(count, [(words, cache, compile.outputs) for _, words, cache in plan])
            after = counted(users)
            for (name, *_), (samples, _) in zip(plan, times):
                self.enter(row, compile.label, name, samples)
            note_counts(row, before, after, {cache.name: count for cache in users}, "misses")

    def pairs(self, caches):
        return [(compile, cache) for compile in self.compiles for cache in caches if compile.language in cache.languages]

    def warm_up(self, cache, compile):
        """Compiles until it must be known: a cache may write a result down beside the build. Fails where it is not even then."""
        for _ in range(4):
            before = counted([cache])[cache.name][0]
            done = subprocess.run([cache.program, *compile.words], cwd=self.folder, env=cache.env, capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise Failure(f"ended with {done.returncode}: {done.stderr[-200:].strip()}")
        after = counted([cache])[cache.name][0]
        if None not in (before, after) and after <= before:
            raise Failure("does not hit")


def counted(caches):
    found = {}
    for cache in caches:
        try:
            found[cache.name] = cache.counts()
        except (Failure, KeyError, ValueError):
            found[cache.name] = (None, None)
    return found


def note_counts(row, before, after, expected, kind):
    """Says how many hits (or misses) each cache itself counted; what is short of the expected is marked."""
    at = 0 if kind == "hits" else 1
    for name, wanted in expected.items():
        if None in before[name] or None in after[name]:
            row["notes"].append(f"{name}: counts nothing that can be read")
            continue
        made = after[name][at] - before[name][at]
        mark = "" if made >= wanted else "   <-- NOT ALL: its times are not those of " + kind
        row["notes"].append(f"{name}: {made} {kind} counted of {wanted}{mark}")
        if mark:
            row.setdefault("short", []).append(name)
