"""Precompiled headers and modules: several that could be taken, made of headers that change, and compiles that use them."""

from torture.grown import Grown

# Each includes later ones only.
HEADERS = ["inc/a.h", "inc/b.h", "alt/a.h", "alt/b.h", "pre/all.h", "pre/other.h"]
MODULES = ["inc/module.modulemap", "alt/module.modulemap"]
SOURCES = ["src/one.c", "src/two.cc", "src/three.c"]
# What is compiled of pre/all.h and inc/a.h. A folder holds several candidates.
COMPILED = ["pre/all.h.gch", "pre/all.h.pch", "pre/other.h.gch", "inc/a.h.gch/one", "inc/a.h.gch/two", "alt/a.h.gch", "pre/keep.pch"]
FLAGS = [[], [], ["-O2"], ["-g"], ["-DONE=1"], ["-fPIC"]]


class Grower(Grown):
    folders = ["src", "inc", "inc/a.h.gch", "alt", "pre", "out"]
    optional = [*HEADERS, *MODULES]
    files = SOURCES
    scripts = []
    objects = COMPILED
    alike = ["inc", "alt"]
    likely = 0.95
    replaced = ["inc", "alt", "pre"]
    links = [("link", "inc"), ("link", "alt"), ("none", "alt")]

    def may_stand_for(self, path, other):
        return path.rsplit("/", 1)[1] == other.rsplit("/", 1)[1]

    def no_more(self, ground, root):
        path = self.dice.choice(COMPILED)
        if (root / path).is_file():
            (root / path).unlink()
        return f"no more {path}"

    extras = [no_more]

    def object(self, path):
        header = {"keep.pch": "pre/all.h"}.get(path[4:], path.split(".h.", 1)[0] + ".h")
        tool = "clang" if path.endswith("pch") else "gcc"
        language = "c-header" if self.chance(0.8) else "c++-header"
        return "pre/note.txt", "", [tool, "-x", language, *self.dice.choice(FLAGS), "-Iinc", "-Ialt", header, "-o", path]

    def text(self, path):
        if path.endswith("modulemap"):
            return "module A {\n  header \"a.h\"\n  export *\n}\n" + self.dice.choice(["", f"module B {{ header \"b.h\" export * }}\n", f"// {self.number()}\n"])
        if path.startswith("src/"):
            name = path[4:].split(".")[0]
            guard = "#if __has_include(<{0}>)\n#include <{0}>\n#endif\n"
            first = self.dice.choice([*map(guard.format, ["all.h", "a.h", "b.h", "other.h"]), '#include "all.h"\n', '#include "a.h"\n', "#include <a.h>\n", "", '#include "other.h"\n', '#include "b.h"\n#include "a.h"\n'])
            uses = "".join(f"#ifdef V_{each}\nV_{each},\n#endif\n" for each in "ABO")
            return f"{first}int {name}[] = {{\n{uses}{self.number()}}};\n" + self.dice.choice(["", f"const char *{name}_file = __FILE__;\n", "#ifdef USE_S\nint used(void) { return s_a(); }\n#endif\n"])
        name = path.rsplit("/", 1)[1][0].upper()
        includes = {"pre/all.h": ["a.h", "b.h"], "pre/other.h": ["b.h"], "inc/a.h": ["b.h"], "alt/a.h": ["b.h"]}.get(path, [])
        text = self.dice.choice(["#pragma once\n", f"#ifndef G_{name}\n#define G_{name}\n"])
        ends = "#endif\n" if "ifndef" in text else ""
        for each in includes:
            if self.chance(0.6):
                text += f"#if __has_include(<{each}>)\n#include <{each}>\n#endif\n"
        value = name if name != "A" or "all" not in path else "O"
        text += f"#undef V_{value}\n#define V_{value} {self.number()}\n"
        if self.chance(0.3):
            text += f"static inline int s_{name.lower()}(void) {{ return {self.number()} + __LINE__; }}\n"
        if self.chance(0.1):
            text += f"#warning number {self.number()}\n"
        return text + ends

    def search(self):
        return self.dice.choice([["-Ipre", "-Iinc"], ["-Iinc", "-Ialt", "-Ipre"], ["-Iinc", "-Ipre"], ["-Ialt", "-Iinc", "-Ipre"], ["-Ilink", "-Iinc"], ["-Ipre", "-Iinc", "-Ialt"], ["-Inone", "-Iinc", "-Ialt"]])

    def command(self, number):
        kind = self.dice.randrange(12)
        source = self.dice.choice([SOURCES[0], SOURCES[0], *SOURCES])
        flags = [*self.dice.choice(FLAGS), *self.search()]
        out = f"made{number}.o"
        asks = self.pick(0.4, "-MD", "-MMD", "-Winvalid-pch", "-H", "-g", "-Wall", "-MD -MP -MF out/dep.d")
        if kind == 0:
            header = self.dice.choice(["pre/all.h", "pre/other.h", "inc/a.h"])
            return "", {}, [self.dice.choice(["gcc", "clang"]), "-x", self.dice.choice(["c-header", "c-header", "c++-header"]), *flags, *asks, header, "-o", f"out/made{number}.{self.dice.choice(['gch', 'pch'])}", *self.pick(0.3, "-Wp,-DX")]
        if kind == 1:
            return "", {}, ["clang", *flags, *asks, self.dice.choice(["-x", "-x", "-emit-ast"]), "c-header", self.dice.choice(["pre/all.h", "inc/a.h"]), "-Xclang", "-emit-pch", "-o", f"out/made{number}.pch",
                            *self.pick(0.5, "-Xclang -fno-pch-timestamp", "-fpch-instantiate-templates")]
        if kind < 5:
            return "", {}, ["clang", *flags, *asks, *self.dice.choice([["-include-pch", "pre/keep.pch"], ["-include-pch", "pre/all.h.pch"], ["-include", "pre/all.h"], ["-include", "pre/all.h"]]), "-c", source, "-o", out, *self.pick(0.2, "-Xclang -fno-pch-timestamp", "-Xclang -fno-validate-pch")]
        if kind < 8:
            return "", {}, [self.dice.choice(["gcc", "gcc", "g++"]), *flags, *asks, *self.pick(0.6, "-include pre/all.h", "-include inc/a.h", "-include a.h", "-imacros pre/all.h", "-include pre/other.h"), "-c", source, "-o", out]
        if kind == 8:
            return "", {}, ["clang", "-fmodules", "-fmodules-cache-path=../modules", *self.pick(0.5, "-fimplicit-module-maps", "-fmodule-map-file=inc/module.modulemap", "-fmodule-name=A", "-fno-implicit-module-maps"), *flags, *asks, "-c", source, "-o", out]
        return self.chain(number, source, flags)

    def chain(self, number, source, flags):
        """A precompiled header made by one command and used by the next one."""
        flags = " ".join(flags)
        made = f"out/made{number}.h"
        tool, end = self.dice.choice([("gcc", "gch"), ("clang", "pch"), ("clang", "gch")])
        steps = [f"cp -p pre/all.h {made}"] if self.chance(0.5) else [f"printf '#include \"../pre/all.h\"\\n' > {made}; touch -d @1700000000 {made}"]
        stamp = " -Xclang -fno-pch-timestamp" if tool == "clang" and self.chance(0.3) else ""
        steps.append(f"$Z {tool} -x c-header {flags}{stamp} {made} -o {made}.{end}")
        use = self.dice.choice([f"-include {made}"] + ([f"-include-pch {made}.{end}"] if tool == "clang" else []))
        steps.append(f"$Z {tool} {flags}{stamp} {use} -c {source} -o made{number}.o")
        if self.chance(0.3):
            steps.append(f"$Z {tool} {flags}{stamp} {use} -c src/three.c -o made{number}.3.o")
        return "", {}, ["sh", "-c", " && ".join(steps)], [], [], False, True
