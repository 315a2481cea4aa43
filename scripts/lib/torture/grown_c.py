"""C projects that grow at random: folders of headers that hide each other, sources, and commands over them."""

import os

from torture.grown import Grown

FOLDERS = ["", "src", "src/in", "inc", "inc/in", "alt", "sys"]
# In this order: each includes later ones only, so that nothing goes round in circles.
HEADERS = ["a.h", "in/e.h", "b.h", "c.h", "d.h"]
SOURCES = ["src/one.c", "src/two.c", "src/in/three.cc", "four.cpp", "src/five.S", "src/six.c"]
DATA = ["args.rsp", "data.bin", "words.inc", "src/data.bin", "inc/words.inc", "alt/words.inc"]
OBJECTS = ["pre/x.o", "pre/y.o"]
SCRIPT = "bin/gcc"


def macro(name):
    """`in/e.h` as a part of a macro's name."""
    return name.replace("/", "_").replace(".", "_").upper()


def header_name(path):
    """What includes call the header of this path."""
    return next(name for name in HEADERS if path == name or path.endswith("/" + name))


def without_dependencies(words, shown):
    """The words without those that ask for dependency files, which few links can give."""
    return [word for word in words if not word.startswith("-M") and word not in ("target", shown("build/made.d"))]


class Grower(Grown):
    folders = [*FOLDERS, "build", "pre", "bin"]
    # A header has one name only.
    optional = [os.path.join(folder, header) for folder in FOLDERS[1:] for header in HEADERS if (folder[-2:], header[:3]) != ("in", "in/")]
    files = [*SOURCES, *DATA, SCRIPT]
    # Shell scripts that stand for compilers.
    scripts = [SCRIPT]
    objects = OBJECTS
    alike = ["inc", "alt", "sys"]
    # How likely an optional file is there at first.
    likely = 0.35
    replaced = ["inc", "alt", "sys", "inc/in"]
    links = [("link", "alt"), ("link", "inc"), ("link", "sys"), ("none", "sys"), ("none", "inc")]

    def __init__(self, dice):
        super().__init__(dice)
        self.serial = 0

    def may_stand_for(self, path, other):
        """Whether one may be a link to the other: a header that includes itself twice would never end."""
        return header_name(path) == header_name(other)

    def object(self, path):
        """The text of an object, and what compiles it."""
        name = path.rsplit("/", 1)[-1].split(".")[0]
        return f"pre/{name}.c", f"int {name}(void) {{ return {self.number()}; }}\n", ["gcc", "-c", f"pre/{name}.c", "-o", path]

    def precompile(self, ground, root):
        """A precompiled header comes, or goes."""
        path = self.dice.choice([path for path in self.optional if path.startswith(("inc", "alt", "sys"))])
        compiled = root / f"{path}.gch"
        if compiled.is_file():
            compiled.unlink()
            return f"{path}.gch is gone"
        if (root / path).is_file():
            language = self.dice.choice(["c-header", "c++-header"])
            flags = self.dice.choice([[], ["-O2"], ["-g"]])
            ground.bare("gcc", "-x", language, *flags, "-Iinc", "-Ialt", path, "-o", f"{path}.gch", cwd=root)
        return f"{path}.gch is made"

    extras = [precompile]

    def include(self, name, own=None):
        """Lines that include a header, if it is there, in one of the many ways."""
        kind = self.dice.randrange(14)
        quoted, angled = f'"{name}"', f"<{name}>"
        either = quoted if self.chance(0.6) else angled
        if kind < 3:
            # A header that is missing is an error, which is no matter now and then.
            return f"#include {either}\n" if self.chance(0.5) else \
                f"#if __has_include({either})\n#include {either}\n#endif\n"
        if kind == 3 and own:
            return f"#if __has_include_next(<{own}>)\n#include_next <{own}>\n#endif\n"
        if kind == 4:
            self.serial += 1
            return f"#define WHICH_{self.serial} {either}\n#if __has_include({either})\n#include WHICH_{self.serial}\n#endif\n"
        if kind == 5 and not own:
            return "#ifdef FROM_ARGS\n#include FROM_ARGS\n#endif\n"
        if kind == 6:
            return f"#if __has_include({either})\n#define HAS_{macro(name)} {self.number()}\n#endif\n"
        if kind == 7:
            return f"#if defined(V_{macro(name)}) && V_{macro(name)} > 20\n#include {either}\n#endif\n"
        if kind == 8:
            # Ways to write it that only a preprocessor sees through.
            form = self.dice.choice(["# /* */ include {}", "#inc\\\nlude {}", "%:include {}", "#include/* {} */{}", "#import {}", "\\\n#include {}\r"])
            return f"#if __has_include({either})\n{form.replace('{}', either)}\n#endif\n"
        if kind == 9:
            # And some that are none.
            return self.dice.choice(["/*\n#include {}\n*/\n", "// \\\n#include {}\n", "#if 0\n#include {}\n#endif\n",
                                     "#ifdef NEVER\n#include {}\n#endif\n"]).replace("{}", either)
        if kind == 10:
            return f"#pragma GCC dependency {either}\n" if self.chance(0.2) else f"#if defined __has_include && __has_include({either})\n#define HAS_{macro(name)} {self.number()}\n#endif\n"
        if kind == 11:
            self.serial += 1
            return f"#define NAME_{self.serial}(x) x\n#if __has_include({quoted})\n#include NAME_{self.serial}({quoted})\n#endif\n"
        return f"#if __has_include({quoted})\n#include {quoted}\n#elif __has_include({angled})\n#include {angled}\n#endif\n"

    def header(self, path):
        """A text for a header of this path."""
        name = header_name(path)
        later = HEADERS[HEADERS.index(name) + 1:]
        unique = macro(path)
        text = self.dice.choice(["", "#pragma once\n", f"#ifndef G_{unique}\n#define G_{unique}\n", f"#ifndef G_{macro(name)}\n#define G_{macro(name)}\n"])
        ends = "#endif\n" if text.startswith("#ifndef") else ""
        for _ in range(self.dice.choice([0, 0, 1, 1, 2])):
            if later:
                text += self.include(self.dice.choice(later), name)
        text += f"#undef V_{macro(name)}\n#define V_{macro(name)} {self.number()}\n"
        if self.chance(0.3):
            text += f"#ifndef __ASSEMBLER__\n#ifndef S_{unique}\n#define S_{unique}\n"
            text += self.dice.choice([
                f"static int unused_{unique}(void) {{ return {self.number()}; }}\n",
                f"static const char *const name_{unique} __attribute__((used)) = __FILE__;\n",
                f"static inline int twice_{unique}(int x) {{ return x * {self.number()}; }}\n",
                f"typedef struct {{ int m[{self.number()}]; }} t_{unique};\n",
            ]) + "#endif\n#endif\n"
        if self.chance(0.05):
            text += f"#warning number {self.number()}\n"
        return text + ends

    def source(self, path):
        """A text for a source of this path."""
        text = "".join(self.include(self.dice.choice(HEADERS)) for _ in range(self.dice.randrange(1, 5)))
        if path.endswith(".S"):
            uses = "".join(f"#ifdef V_{macro(name)}\n.long V_{macro(name)}\n#endif\n" for name in HEADERS)
            return f"{text}.data\n.globl five\nfive:\n.long {self.number()}\n{uses}" + self.assembly("{}\n")
        name = path.rsplit("/", 1)[-1].split(".")[0]
        uses = "".join(f"#ifdef V_{macro(each)}\nV_{macro(each)},\n#endif\n#ifdef HAS_{macro(each)}\nHAS_{macro(each)},\n#endif\n"
                       for each in HEADERS)
        text += f"int {name}_values[] = {{\n{uses}{self.number()}}};\n"
        if self.chance(0.3):
            text += self.assembly('__asm__("{}");\n', quote='\\"')
        if self.chance(0.1):
            text += f"const char *{name}_time = __TIMESTAMP__;\n"
        if self.chance(0.1):
            text += f'#line {self.number()} "{self.dice.choice(HEADERS)}"\n'
        if self.chance(0.2):
            text += f"const char *{name}_file = __FILE__;\nint {name}_line = __LINE__;\n"
        if self.chance(0.1):
            text += f"int {name}_bad(void) {{ int unused; return {self.number()} == {self.number()} || 1; }}\n"
        return text + f"int {name}(int x) {{ return {name}_values[x] + {self.number()}; }}\n"

    def assembly(self, frame, quote='"'):
        kind = self.dice.randrange(4)
        if kind == 0:
            return frame.format(f".incbin {quote}data.bin{quote}")
        if kind == 1:
            return frame.format(f".include {quote}words.inc{quote}")
        return ""

    def text(self, path):
        if path.endswith(".h"):
            return self.header(path)
        if path.endswith(".inc"):
            return f"# {self.number()}\n"
        if path.endswith(".bin"):
            return str(self.number())
        if path.endswith(".rsp"):
            return f"-DONE={self.number()} " + self.dice.choice(["-O1", "-Iinc", "-I../inc", "-include d.h", "-g", ""])
        if path == SCRIPT:
            return f'#!/bin/sh\nexec gcc -DFROM_SCRIPT={self.number()} "$@"\n'
        return self.source(path)

    def command(self, number):
        """Where, with which variables, and what to run; what it makes carries the number."""
        # The last one is a link.
        folder = self.dice.choice(["", "", "", "src", "src", "build", "build", "link"])
        up = "../" if folder else ""
        shown = lambda path: path[len(folder) + 1:] if folder and path.startswith(folder + "/") else up + path
        kind = self.dice.randrange(14)
        if kind == 0:
            return folder, {}, ["ar", "rcs", f"made{number}.a", *map(shown, OBJECTS)]
        if kind == 1:
            return folder, {}, [self.dice.choice(["ld", "gcc"]), "-r", *map(shown, OBJECTS), "-o", f"made{number}.r"]
        sources = [path for path in SOURCES if not path.endswith(".S") or self.chance(0.5)]
        source = self.dice.choice(sources)
        words = [self.dice.choice(["g++", "clang++"] if source.endswith(("cc", "cpp")) else ["gcc", "gcc", "clang", shown(SCRIPT)])]
        words += self.search(shown) + self.flags(shown)
        several = [shown(path) for path in SOURCES if path.endswith(".c") and self.chance(0.6)]
        if kind == 2:
            # `main` is missing, which -shared does not mind.
            words = without_dependencies(words, shown) + ["-shared", "-fPIC", shown(source), *map(shown, OBJECTS), "-o", f"made{number}.so"]
        elif kind == 3 and several:
            words[0] = self.dice.choice(["gcc", "clang"])
            words = without_dependencies(words, shown) + ["-shared", "-fPIC", *several, "-o", f"made{number}.so"]
        elif kind == 4 and several:
            words[0] = self.dice.choice(["gcc", "clang"])
            words += ["-c", *several]
        elif kind == 5:
            words += ["-c", "-x", self.dice.choice(["c", "c++"]), shown(source), "-o", f"made{number}.o", "@" + shown("args.rsp")]
        else:
            words += [self.dice.choice(["-c", "-c", "-c", "-c", "-S"]), shown(source)]
            words += ["-o", self.dice.choice([f"made{number}.o", shown(f"build/made{number}.o")])]
        return folder, self.variables(shown), words

    def search(self, shown):
        words = []
        for _ in range(self.dice.randrange(5)):
            flag = self.dice.choice(["-I", "-I", "-I", "-iquote", "-isystem", "-idirafter"])
            place = shown(self.dice.choice(FOLDERS[1:] + ["link", "none"]))
            words += [flag + place] if flag == "-I" else [flag, place]
        for _ in range(self.dice.choice([0, 0, 0, 1])):
            words += [self.dice.choice(["-include", "-imacros"]), self.dice.choice(HEADERS)]
        return words

    def flags(self, shown):
        words = []
        for choice in [
            ["-O0", "-O2", "-Os"], ["-g", "-g1", "-ggdb3", "-g -gsplit-dwarf"], ["-Wall -Wextra", "-Wall", "-w"],
            ["-MD", "-MMD", "-MD -MP", "-MMD -MP -MT target"], ["-DONE=1", '-DFROM_ARGS="d.h"', "-DFROM_ARGS=<c.h>"],
            ["-fstack-usage", "-fno-common", "-fPIC", "-pipe", "--coverage", "-ffile-prefix-map=..=up", "-std=gnu99"], ["-fdiagnostics-color=always", "-Wmissing-include-dirs", "-Wsystem-headers", "-Werror", "-pedantic"],
            [f"-Wa,-I{shown(place)}" for place in ("inc", "alt")], [f"-MF {shown('build/made.d')}", "-save-temps", "-E"],
        ]:
            if self.chance(0.05 if "-E" in choice else 0.3):
                words += self.dice.choice(choice).split()
        return words

    def variables(self, shown):
        names = {}
        if self.chance(0.1):
            names[self.dice.choice(["CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"])] = shown(self.dice.choice(FOLDERS[1:]))
        if self.chance(0.1):
            names["SOURCE_DATE_EPOCH"] = str(1_700_000_000 + self.number())
        return names
