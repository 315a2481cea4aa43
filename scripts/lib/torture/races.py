"""Files that change while a compile is under way."""

import mmap
import os
import random
import shutil
import subprocess
import threading
import time
from pathlib import Path

from torture.ground import Ran, digest

FILES = {
    "m.c": '#include "a.h"\n#include <b.h>\n#if __has_include("maybe.h")\n#include "maybe.h"\n#else\n#define MAYBE 0\n#endif\n'
           "int values[] = {A, B, MAYBE, OWN, FROM_ARGS};\n#define X(n) int padding##n;\nX(1) X(2)\n",
    "one/b.h": None,
    "two/a.h": "#define A 1\n",
    "two/b.h": "#define B 1\n",
    "two/maybe.h": None,
    "args": "-DFROM_ARGS=1 -O1",
    "own.h": "#define OWN 1\n",
}
WORDS = ["gcc", "-include", "own.h", "-I", "one", "-I", "two", "@args", "-c", "m.c", "-o", "m.o"]


class Tree:
    """The files of one compile, with what the bare compiler makes of each state."""

    def __init__(self, ground, row, dice):
        self.ground, self.row, self.dice = ground, row, dice
        self.state = dict(FILES)
        for name, text in FILES.items():
            if text is not None:
                ground.write(name, text)
            else:
                # Another fault may have left it here.
                (ground.work / name).unlink(missing_ok=True)
        (ground.work / "one").mkdir(exist_ok=True)

    def key(self):
        return tuple(sorted(self.state.items(), key=lambda item: item[0]))

    def truth(self):
        return self.ground.truth(WORDS, "m.o", self.key())

    def other(self, name):
        """Another text for a file, or its absence."""
        value = self.dice.randrange(1, 5)
        texts = {
            "m.c": [FILES["m.c"] + f"int more{value};\n", FILES["m.c"], "#error broken\n"],
            "one/b.h": [f"#define B {value}0\n", None],
            "two/a.h": [f"#define A {value}\n", None, f"#define A {value}\n#include \"b.h\"\n"],
            "two/b.h": [f"#define B {value}\n", None],
            "two/maybe.h": [f"#define MAYBE {value}\n", None],
            "args": [f"-DFROM_ARGS={value} -O1", f"-DFROM_ARGS={value} -O2"],
            "own.h": [f"#define OWN {value}\n"],
        }
        return self.dice.choice(texts[name])

    def plan(self):
        """One change, as (name, text) and how it is done."""
        name = self.dice.choice(list(FILES))
        # Only what is done in one step leaves no third state to see.
        return name, self.other(name), self.dice.choice(["rename", "rename", "write", "folder"])

    def change(self, name, text, how):
        path = self.ground.work / name
        if text is None:
            path.unlink(missing_ok=True)
        elif how == "write" and path.exists():
            # Same length or not, without a new inode: an editor that saves in place.
            with open(path, "r+b") as file:
                file.write(text.encode())
                file.truncate()
        elif how == "folder" and "/" in name:
            # The whole folder is exchanged.
            old, new = path.parent, path.parent.with_name(path.parent.name + ".new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(old, new)
            (new / path.name).write_text(text)
            away = old.with_name(old.name + ".old")
            shutil.rmtree(away, ignore_errors=True)
            old.rename(away)
            new.rename(old)
        else:
            self.ground.write(name, text, atomic=True)
        self.state[name] = text


def inputs(ground, count=3000, name="inputs changed in a compile"):
    """Sources, headers, search folders and response files changed, renamed, removed at random moments."""
    row = ground.row(name)
    tree = Tree(ground, row, ground.random)
    out = ground.work / "m.o"
    for _ in ground.rounds(row, count):
        before = tree.truth()
        change = tree.plan()
        pause = ground.random.uniform(0, 0.05)
        out.unlink(missing_ok=True)
        ran = []
        compile = threading.Thread(target=lambda: ran.append(ground.zccache(*WORDS)))
        compile.start()
        time.sleep(pause)
        tree.change(*change)
        compile.join()
        content = digest(out.read_bytes()) if out.is_file() else None
        after = tree.truth()
        if change[2] == "rename" or change[1] is None:
            # Done in one step: the compile saw the one state or the other. gcc reads a source again for its
            # messages, which may so be of both.
            if ran[0].status == 0 or ran[0].status not in (before[0][0], after[0][0]):
                ground.judge(row, WORDS, ran[0], content, [before, after])
        # Whatever it saw, nothing wrong may have been stored of it.
        for _ in range(2):
            ground.compile(row, WORDS, "m.o", tree.key(), remove=False)
    ground.works(row)


def outputs(ground):
    """Outputs changed, renamed, removed, or replaced by links while they are made or delivered."""
    row = ground.row("outputs changed in a compile")
    ground.write("big.c", "const char big[600000] = {1};\n")
    words = ["gcc", "-c", "big.c", "-o", "big.o"]
    out = ground.work / "big.o"
    ground.compile(row, words, "big.o", 1)
    kinds = ["truncate", "append", "remove", "rename", "symlink", "hard link"]
    for _ in ground.rounds(row, 1000):
        if ground.random.random() < 0.1:
            ground.write("big.c", f"const char big[600000] = {{{ground.random.randrange(3)}}};\n", atomic=True)
        compile = threading.Thread(target=lambda: ground.zccache(*words))
        compile.start()
        time.sleep(ground.random.uniform(0, 0.01))
        try:
            kind = ground.random.choice(kinds)
            if kind == "truncate":
                os.truncate(out, ground.random.randrange(1000))
            elif kind == "append":
                with open(out, "ab") as file:
                    file.write(b"more")
            elif kind == "remove":
                out.unlink()
            elif kind == "rename":
                out.rename(ground.work / "elsewhere.o")
            elif kind == "symlink":
                (ground.work / "link").unlink(missing_ok=True)
                (ground.work / "link").symlink_to("target.o")
                (ground.work / "link").rename(out)
            else:
                (ground.work / "second.o").unlink(missing_ok=True)
                os.link(out, ground.work / "second.o")
        except OSError:
            pass  # not there just now
        compile.join()
        ground.compile(row, words, "big.o", (ground.work / "big.c").read_text(), remove=False)
    ground.works(row)


def compilers(ground):
    """The compiler itself replaced: another program under the same name, at random moments."""
    row = ground.row("compiler replaced in a compile")
    ground.write("c.c", "int c = VALUE;\n")
    program = ground.work / "bin" / "gcc"
    program.parent.mkdir()

    def install(value):
        temp = program.with_name("next")
        temp.write_text(f'#!/bin/sh\nexec /usr/bin/gcc -DVALUE={value} "$@"\n')
        temp.chmod(0o755)
        temp.rename(program)

    install(0)
    words = [str(program), "-c", "c.c", "-o", "c.o"]
    out, value = ground.work / "c.o", 0
    for _ in ground.rounds(row, 400):
        before = ground.truth(words, "c.o", value)
        out.unlink(missing_ok=True)
        ran = []
        compile = threading.Thread(target=lambda: ran.append(ground.zccache(*words)))
        compile.start()
        time.sleep(ground.random.uniform(0, 0.04))
        value = ground.random.randrange(4)
        install(value)
        compile.join()
        after = ground.truth(words, "c.o", value)
        content = digest(out.read_bytes()) if out.is_file() else None
        ground.judge(row, words, ran[0], content, [before, after])
        ground.compile(row, words, "c.o", value)
        ground.compile(row, words, "c.o", value)


def trees(ground):
    """Two trees share what is stored, and one strips, truncates and appends to what it was given."""
    row = ground.row("two trees, one of which spoils its files")
    words = ["gcc", "-g0", "-c", "big.c", "-o", "big.o"]
    for tree in ("left", "right"):
        ground.write(f"{tree}/big.c", "const char big[900000] = {1};\nint f() { return 1; }\n")
    truth = ground.truth(["gcc", "-g0", "-c", "left/big.c", "-o", "t.o"], "t.o", "big")
    spoil = [
        lambda path: os.truncate(path, 100), lambda path: os.truncate(path, 0),
        lambda path: open(path, "ab").write(b"more"), lambda path: ground.bare("strip", path),
        lambda path: open(path, "r+b").write(b"spoilt"), lambda path: os.utime(path, (1, 1)),
        lambda path: path.chmod(0o600), lambda path: path.unlink(),
    ]
    for _ in ground.rounds(row, 1000):
        env = dict(ground.env, ZCCACHE_LINK_MODE=ground.random.choice(["auto", "hardlink", "copy"]))
        victim = ground.work / "left" / "big.o"

        def harm():
            time.sleep(ground.random.uniform(0, 0.01))
            try:
                ground.random.choice(spoil)(victim)
            except OSError:
                pass

        Ran([ground.lab.zccache, *words], ground.work / "left", env)
        spoiler = threading.Thread(target=harm)
        spoiler.start()
        if ground.random.random() < 0.5:
            spoiler.join()
        out = ground.work / "right" / "big.o"
        if ground.random.random() < 0.7:
            out.unlink(missing_ok=True)
        ran = Ran([ground.lab.zccache, *words], ground.work / "right", env)
        ground.judge(row, words, ran, digest(out.read_bytes()) if out.exists() else None, [truth])
        spoiler.join()
        again = digest(out.read_bytes())
        if again != truth[1]:
            row.count(1, 0, 0.0, "what one tree does to its file reaches the other")
    ground.works(row)


def written(path, change):
    """Writes to a file as tools do that want nobody to notice: its times stay."""
    about = path.stat()
    change(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def mapped(path, dice):
    """Writes through a mapping, and holds it for a while."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        for _ in range(3):
            view[dice.randrange(len(view))] ^= 1
            time.sleep(dice.uniform(0, 0.003))


def crates(ground):
    """Two trees share a crate, which is delivered as a hard link; one writes into its file in all the ways there are."""
    row = ground.row("two trees, one of which writes into its crates")
    if not shutil.which("rustc"):
        row.skipped = "skipped: no rustc"
        return
    # In our own environment, which rustup's front needs.
    asked = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True)
    rustc = Path(asked.stdout.strip()) / "bin/rustc"
    ground.write("c.rs", "".join(f"pub fn f{n}(x: u64) -> String {{ format!(\"{{x}} {n}\") }}\n" for n in range(150)))
    words = [str(rustc), "--crate-name", "c", "--crate-type", "rlib", "--emit=metadata,link", "-Cmetadata=1", "c.rs", "--out-dir"]
    outs = {tree: ground.work / tree for tree in ("left", "right", "truth")}
    for folder in outs.values():
        folder.mkdir()
    bare = ground.bare(*words, outs["truth"])

    def content(tree):
        files = [outs[tree] / name for name in ("libc.rlib", "libc.rmeta")]
        return digest(b"".join(path.read_bytes() for path in files if path.exists()))

    truth = (bare.said(), content("truth"), bare.seconds)
    dice = ground.random
    spoil = [
        lambda path: written(path, lambda path: open(path, "r+b").write(b"spoilt")),
        lambda path: written(path, lambda path: os.truncate(path, 100)),
        lambda path: open(path, "ab").write(b"more"),
        lambda path: mapped(path, dice),
        lambda path: os.utime(path, (1, 1)),
        lambda path: path.unlink(),
        lambda path: (written(path, lambda path: open(path, "r+b").write(b"spoilt")), path.unlink()),
        lambda path: os.link(path, outs["left"] / f"more{dice.randrange(1 << 30)}"),
        lambda path: path.rename(outs["left"] / f"other{dice.randrange(1 << 30)}"),
        lambda path: [written(other, lambda path: open(path, "r+b").write(b"spoilt")) for other in outs["left"].glob("*r*")],
        lambda path: shutil.rmtree(outs["left"]),
        lambda path: ground.zccache("stop"),
    ]

    def harm():
        time.sleep(dice.uniform(0, 0.004))
        for _ in range(dice.randrange(1, 3)):
            try:
                dice.choice(spoil)(outs["left"] / dice.choice(["libc.rlib", "libc.rmeta"]))
            except (OSError, ValueError):
                pass  # not there just now, or empty

    for _ in ground.rounds(row, 1000):
        outs["left"].mkdir(exist_ok=True)
        ground.zccache(*words, outs["left"])
        spoiler = threading.Thread(target=harm)
        spoiler.start()
        both = dice.random() < 0.5
        if both:
            spoiler.join()
        for tree in dice.choice([["right"], ["right", "left"], ["left", "right"]]) if both else ["right"]:
            outs[tree].mkdir(exist_ok=True)
            if dice.random() < 0.7:
                for path in list(outs[tree].iterdir()):
                    path.unlink()
            ran = ground.zccache(*words, outs[tree])
            ground.judge(row, [*words, tree], ran, content(tree), [truth])
        spoiler.join()
        if content("right") != truth[1]:
            row.count(1, 0, 0.0, "what one tree does to its file reaches the other")
    before = ground.hits() or 0
    for _ in range(4):
        ground.zccache(*words, outs["right"])
    if (ground.hits() or 0) == before:
        row.count(0, 1, 0.0, "never a hit")


def late(ground):
    """Headers that come into an earlier folder, and go, while a slow daemon still writes the compile down."""
    row = ground.row("headers that come late")
    env = dict(ground.env, ZCCACHE_FAULT="daemon.reported:sleep=40:*")
    words = ["gcc", "-Izero", "-Ione", "-c", "late.c", "-o", "late.o"]
    for folder in ("zero", "one"):
        (ground.work / folder).mkdir(exist_ok=True)
    for number in ground.rounds(row, 400):
        value = ground.random.randrange(1 << 30)
        ground.write("late.c", f"#include <y.h>\n#if __has_include(<z.h>)\n#include <z.h>\n#endif\nint a{value} = Y;\n")
        name = ground.random.choice(["y.h", "z.h"])
        come = ground.work / "zero" / name
        ground.write("one/y.h", f"#define Y {value % 1000}\n", atomic=True)
        if ground.random.random() < 0.3:
            come.write_text("#define Y 7\n")
        ran = []
        compile = threading.Thread(target=lambda: ran.append(ground.zccache(*words, env=env)))
        compile.start()
        time.sleep(ground.random.uniform(0, 0.07))
        if come.exists():
            come.unlink()
        else:
            come.write_text("#ifdef Y\n#undef Y\n#endif\n#define Y 9\n")
        compile.join()
        for _ in range(2):
            ground.compile(row, words, "late.o", (number, "after"), remove=False)
        come.unlink(missing_ok=True)
        ground.compile(row, words, "late.o", (number, "gone"), remove=False)
    ground.works(row)


def together(ground):
    """Two builds in one tree at once, while it is edited."""
    row = ground.row("two builds in one tree")
    jobs, edit = ground.project(6)
    for _ in ground.rounds(row, 100):
        edit()
        # The same objects by two builds: neither may see half of the other's.
        pair = [threading.Thread(target=lambda: [ground.zccache(*words) for words, _, _ in jobs()]) for _ in range(2)]
        for build in pair:
            build.start()
        for build in pair:
            build.join()
        for words, out, state in jobs():
            ground.compile(row, words, out, state, remove=False)


FAULTS = [inputs, outputs, compilers, trees, crates, late, together]
