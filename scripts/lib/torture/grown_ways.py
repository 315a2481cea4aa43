"""The ways to call a compiler: C projects as in grown_c, by commands that the shell, the environment and what lies in
the output's place make odd."""

import shutil

from torture import grown_c
from torture.grown import prepared

# What a shell does before the command, in the folder of it; `OUT` is the output's name.
PREPARATIONS = [
    "rm -f OUT; ln -s target OUT", "rm -f OUT target; echo old > target; ln -s target OUT", "rm -f OUT target; : > target; ln -s target OUT",
    "rm -f OUT hard; echo old > OUT; ln OUT hard", "rm -f OUT; echo old > OUT; chmod 400 OUT", "rm -f OUT; : > OUT; chmod 755 OUT",
    "rm -rf OUT; mkdir OUT", "umask 077", "umask 0", "umask 777", "cd -P .", "unset PWD", "PWD=/", "PWD=$(pwd)/.", "exec 2>&1", "exec < /dev/null", "exec <&-",
    "ulimit -f 1", "rm -f OUT; ln -s none/target OUT", "rm -f OUT; ln -s . OUT",
]
# Variables that compilers and their parts look at.
VARIABLES = [
    ("LANG", ["de_DE.UTF-8", "C", "en_US.UTF-8"]), ("LC_ALL", ["C", "POSIX", "C.UTF-8", "none"]), ("LC_MESSAGES", ["de_DE"]), ("LANGUAGE", ["de"]),
    ("CPATH", ["inc", "alt:inc", "none::inc", ":"]), ("C_INCLUDE_PATH", ["alt", "sys:inc"]), ("CPLUS_INCLUDE_PATH", ["alt", "inc"]), ("OBJC_INCLUDE_PATH", ["inc"]),
    ("GCC_EXEC_PREFIX", ["/none/", "bin/", "/usr/lib/gcc/"]), ("COMPILER_PATH", ["bin", "none", "/usr/bin"]), ("LIBRARY_PATH", ["inc", "none"]),
    ("DEPENDENCIES_OUTPUT", ["build/dep.txt", "build/dep.txt goal"]), ("SUNPRO_DEPENDENCIES", ["build/sun.txt", "build/sun.txt goal"]),
    ("SOURCE_DATE_EPOCH", ["0", "1700000000", "bad", ""]), ("HOME", ["/none", "", "/root"]), ("TMPDIR", ["/none", "build", ""]), ("TERM", ["dumb", "xterm"]),
    ("GCC_COLORS", ["", "error=01;31"]), ("COLUMNS", ["40"]), ("CCC_OVERRIDE_OPTIONS", ["+-O1", "#^-DONE=7"]), ("COLLECT_GCC", ["x"]), ("GCC_COMPARE_DEBUG", ["1"]), ("CLICOLOR_FORCE", ["1"]),
    ("COMPILER_RT_OPTIONS", ["x"]), ("LD_LIBRARY_PATH", ["inc"]), ("PWD", ["/", "."]), ("GCC_EXTRA_DIAGNOSTIC_OUTPUT", ["fixits-v1"]), ("GCC_URLS", ["no"]), ("CC_LOG_DIAGNOSTICS", ["1"]), ("CC_PRINT_OPTIONS", ["1"]),
    ("AS_OPTIONS", ["x"]), ("CFLAGS", ["-DONE=3"]), ("LD_PRELOAD", ["none.so"]), ("POSIXLY_CORRECT", ["1"]),
]
FLAGS = ["-save-temps", "-save-temps=obj", "-E", "-S", "-M", "-MM", "-fsyntax-only", "-fverbose-asm", "-H", "-v", "-###", "-dM -E", "-fdump-tree-optimized", "-MJ build/db.json", "-fpreprocessed", "-P -E", "-x none", "-x c++", "-x c",
         "-fdirectives-only", "-ftime-report", "-fcallgraph-info", "-frecord-gcc-switches", "-grecord-command-line", "-dumpbase other", "-dumpdir build/", "-Wa,-adhln=build/list.txt", "-Wa,--listing-lhs-width=2", "-Wp,-MD,build/wp.d", "-Wp,-DONE=4",
         "-Xpreprocessor -DONE=5", "-aux-info build/aux.txt", "-fstack-usage", "--param max-inline-insns-auto=3", "-I -", "-nostdinc", "-isysroot none", "--sysroot=alt", "-iprefix in -iwithprefix c", "-B bin", "-Bbin/", "-wrapper env,X=1",
         "-MD -MF build/made.d -MQ a$b", "-MG -M", "-MMD -MG", "-fworking-directory", "-ftest-coverage", "-fprofile-arcs", "--coverage -dumpbase \"\"", "-fdebug-prefix-map=..=X", "-gz", "-gdwarf-4", "-g3", "-pg", "-ansi", "-trigraphs", "-C -E", "-CC -E",
         "-fmax-errors=1", "-fno-diagnostics-show-caret", "-fdiagnostics-format=json", "-fdiagnostics-color=always", "-Werror", "-fpch-preprocess -E", "-include none.h", "-imacros alt/a.h", "-undef", "-fpic", "-m32", "-march=native", "--help", "--version"]


class Grower(grown_c.Grower):
    links = [*grown_c.Grower.links, ("link", "src"), ("build/in", "../src")]

    def twin(self, ground, root):
        """A folder becomes another one's copy, but for one header."""
        one, other = self.dice.sample(self.alike, 2)
        if any((root / each).is_symlink() or not (root / each).is_dir() for each in (one, other)):
            return f"no {one} or {other}"
        shutil.rmtree(root / other)
        shutil.copytree(root / one, root / other, symlinks=True)
        headers = [path for path in self.optional if path.startswith(f"{other}/") and (root / path).is_file() and not (root / path).is_symlink()]
        if headers:
            path = self.dice.choice(headers)
            (root / path).write_text(self.text(path))
        return f"{other} is like {one}, but for {path if headers else 'nothing'}"

    def retarget(self, ground, root):
        """A folder's link leads to another one."""
        (root / "link").unlink(missing_ok=True)
        target = self.dice.choice(self.alike)
        (root / "link").symlink_to(target)
        return f"link leads to {target} now"

    extras = [*grown_c.Grower.extras, *[twin] * 4, *[retarget] * 4]

    def search(self, shown):
        return super().search(shown) + self.pick(0.5, f"-isystem {shown('link')}")

    def command(self, number):
        folder, names, words = super().command(number)
        names = dict(names)
        # By their full names: gcc calls what a link leads to by its own name if that is shorter.
        if self.chance(0.6):
            words = [f"{{root}}/{word.removeprefix('../')}" if before in ("-isystem", "-idirafter") else word for before, word in zip(["", *words], words)]
        up = "../" if folder else ""
        kind = self.dice.randrange(8)
        if words[0] in ("ar", "ld"):
            return folder, names, words, [], [], self.chance(0.5)
        for _ in range(self.dice.choice([0, 0, 1, 2]) if kind else 2):
            name, values = self.dice.choice(VARIABLES)
            value = self.dice.choice(values)
            names[name] = value.replace("build/", up + "build/") if folder and name.endswith(("OUTPUT", "DEPENDENCIES")) else value
        before = []
        out = words[words.index("-o") + 1] if "-o" in words else f"made{number}.o"
        if kind == 1:
            words = words + self.dice.choice(FLAGS).replace("build/", up + "build/").split()
        elif kind == 2:
            # By standard input.
            sources = [word for word in words if word.endswith((".c", ".cc", ".cpp", ".S"))]
            if sources:
                words = [word for word in words if word not in sources] + ["-x", self.dice.choice(["c", "c++"]), self.dice.choice(["-", "-", "/dev/stdin"])]
                words += [] if "-o" in words else ["-o", out]
                before = prepared(f"exec < {sources[0]}")
        elif kind == 3:
            before = prepared(self.dice.choice(PREPARATIONS).replace("OUT", out))
        elif kind == 4:
            # Into a folder that comes and goes.
            words = [f"{up}gone/{out.rsplit('/', 1)[-1]}" if word == out else word for word in words]
            before = prepared(self.dice.choice([f"rm -rf {up}gone", f"mkdir -p {up}gone", f"rm -rf {up}gone; ln -s src {up}gone", f"rm -rf {up}gone; mkdir {up}gone; chmod 500 {up}gone"]))
        elif kind == 5:
            # The working folder under another name. (A link of the project may lead there, or elsewhere.)
            before = prepared(self.dice.choice([f"cd -L {up}link", f"cd -L {up}build/in", "PWD=$(pwd -P)", "PWD=$(pwd)/."]))
        return folder, names, words, before, [], self.chance(0.3)
