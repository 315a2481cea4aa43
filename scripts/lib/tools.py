"""Single commands of tools around the compiler: bare, a miss, a hit. No other cache serves any of them."""

import shutil
import subprocess

from figures import cell
from lab import REPO, Failure, say

# The timed run looks for nothing on PATH.
ENV = shutil.which("env")
OBJECTS = 100
FUNCTIONS = 30


class Tool:
    """A command to be measured: `words` bare, `cached` with zccache, `outputs` what is removed before each."""

    def __init__(self, label, words, outputs=(), cached=None):
        self.label = label
        self.words = [shutil.which(words[0]) or words[0], *words[1:]]
        self.outputs = list(outputs)
        self.cached = cached

    def with_cache(self, program):
        return self.cached(program) if self.cached else [program, *self.words]


class Tools:
    """The row `tools`; `singles` has the folder, the sources and the interleaved run."""

    def __init__(self, singles, cache):
        self.singles = singles
        self.cache = cache
        self.folder = singles.folder

    def objects(self):
        names = []
        for n in range(OBJECTS):
            functions = "".join(f"int f{n}_{k}(int x) {{ int i, s = {k}; for (i = 0; i < x; i++) s ^= f{n}_{k - 1}(s + i); return s; }}\n" for k in range(1, FUNCTIONS))
            (self.folder / f"part{n}.c").write_text(f"int f{n}_0(int x) {{ return x; }}\n{functions}")
            names.append(f"part{n}.o")
        (self.folder / "part-main.c").write_text("int f0_1(int); int main(void) { return f0_1(0) != 1; }\n")
        self.singles.make("gcc", "-g", "-O1", "-c", *(f"{name[:-2]}.c" for name in names), "part-main.c")
        return ["part-main.o", *names]

    def all(self):
        """The tools that are there; the others are said."""
        objects = self.objects()
        farm = self.folder / "farm"
        farm.mkdir()
        (farm / "rustfmt").symlink_to(self.cache.program)
        data = self.folder / "data.txt"
        data.write_text("".join(f"{n * 7919 % 1000003} line\n" for n in range(400_000)))
        script = ["/bin/sh", "-c", "sort data.txt > sorted.txt"]
        manifest = ["--manifest-path", str(REPO / "Cargo.toml")]
        (self.folder / "page.c").write_text("#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n")
        tools = [
            ("gcc", "ld.bfd", Tool(f"link, gcc and bfd, {OBJECTS} objects", ["gcc", "-fuse-ld=bfd", *objects, "-o", "linked"], ["linked"])),
            ("clang", "ld.lld", Tool(f"link, clang and lld, {OBJECTS} objects", ["clang", "-fuse-ld=lld", *objects, "-o", "linked"], ["linked"])),
            ("gcc", "ld", Tool("compile and link, 8 sources", ["gcc", "-g", "-O1", "part-main.c", *(f"part{n}.c" for n in range(7)), "-o", "linked"], ["linked"])),
            ("ar", "ar", Tool(f"archive, {OBJECTS} objects", ["ar", "rcs", "all.a", *objects], ["all.a"])),
            ("emcc", "node", Tool("emcc -c, C", ["emcc", "-O1", "-c", "page.c", "-o", "page.o"], ["page.o"])),
            ("emcc", "node", Tool("emcc, compile and link", ["emcc", "-O1", "page.c", "-o", "page.js"], ["page.js", "page.wasm"])),
            ("clang-tidy", "clang-tidy", Tool("clang-tidy, C++", ["clang-tidy", "--quiet", "--checks=-*,bugprone-*", "large.cpp", "--", "-Imany", "-std=c++17"])),
            ("include-what-you-use", "include-what-you-use", Tool("include-what-you-use, C++", ["include-what-you-use", "-Imany", "-std=c++17", "large.cpp"])),
            ("cargo", "rustfmt", Tool("cargo fmt --check, this repository", ["cargo", "fmt", "--check", *manifest],
                                      cached=lambda _: [ENV, f"RUSTFMT={farm / 'rustfmt'}", "cargo", "fmt", "--check", *manifest])),
            ("sh", "sort", Tool("exec, a sort of 5 MiB", script, ["sorted.txt"],
                                cached=lambda program: [program, "exec", "--input", "data.txt", "--output", "sorted.txt", "--", *script])),
        ]
        for one, other, tool in tools:
            missing = [name for name in (one, other) if not shutil.which(name)]
            if missing:
                say(f"{tool.label}: {', '.join(missing)} is not there")
            else:
                yield tool

    def measure(self, figures, count):
        row = figures.row("tools", "Tools around the compiler, whole process", "ms", "bare")
        row["notes"].append("no other cache serves these")
        for tool in self.all():
            try:
                self.one(row, tool, count)
            except Failure as failure:
                cell(row["phases"].setdefault(tool.label, {}), "zccache")["note"] = str(failure)

    def one(self, row, tool, count):
        status = self.run(tool.words, self.singles.env)
        ours = tool.with_cache(self.cache.program)
        for _ in range(2):
            self.clean(tool)
            if self.run(ours, self.cache.env) != status:
                raise Failure("ends otherwise than the bare tool")
        hits, misses = self.cache.counts()
        # Every one of these is run and stored anew.
        fresh = [ENV, "ZCCACHE_RECACHE=1", *ours]
        commands = [(tool.words, None), (fresh, self.cache), (ours, self.cache)]
        times = self.singles.rounds(count, [(words, cache, tool.outputs) for words, cache in commands], status)
        for name, (samples, _) in zip(["bare", "a miss", "a hit"], times):
            self.singles.enter(row, tool.label, name, samples)
        now = self.cache.counts()
        made = now[0] - hits, now[1] - misses
        if min(made) < count:
            note = f"{tool.label}: {made[0]} hits and {made[1]} misses counted of {count} each   <-- NOT ALL"
            row["notes"].append(note)
            row.setdefault("short", []).append("zccache")

    def clean(self, tool):
        for output in tool.outputs:
            (self.folder / output).unlink(missing_ok=True)

    def run(self, words, env):
        done = subprocess.run(words, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        return done.returncode
