"""Sources under clang-tidy and include-what-you-use, whose configurations come and go in the folders above, and declared
commands, whose inputs do."""

from torture.grown import Grown, prepared

SETTINGS = [".clang-tidy", "src/.clang-tidy", "src/in/.clang-tidy", "inc/.clang-tidy", "conf.tidy"]
DATABASES = ["compile_commands.json", "src/compile_commands.json", "out/compile_commands.json"]
HEADERS = ["inc/a.h", "inc/b.h", "alt/a.h", "src/a.h", "src/in/b.h"]
SOURCES = ["src/one.c", "src/in/two.cc"]
DATA = ["data/a.txt", "data/b.txt", "data/in/a.txt", "data/in/c.txt", "data/.hidden.txt", "data/in/deep/d.txt", "other/a.txt", "other/b.dat"]
SCRIPT = "gen"


class Grower(Grown):
    folders = ["src/in", "inc", "alt", "out", "data/in/deep", "other", "pre"]
    optional = [*SETTINGS, *DATABASES, *HEADERS, *DATA, "map.imp"]
    files = [*SOURCES, SCRIPT]
    scripts = [SCRIPT]
    objects = ["pre/x.o"]
    alike = ["inc", "alt", "data/in"]
    likely = 0.5
    replaced = ["inc", "data/in", "data", "src/in"]
    links = [("link", "data"), ("link", "other"), ("data/linked", "../other"), ("data/linked", "in"), ("none", "inc")]

    def may_stand_for(self, path, other):
        return path.rsplit(".", 1)[1] == other.rsplit(".", 1)[1] and not path.endswith(".h")

    def empty_folder(self, ground, root):
        """A folder in the data comes or goes."""
        place = root / self.dice.choice(["data/empty", "data/in/empty", "data/in/deep/empty"])
        if place.is_dir():
            place.rmdir()
        elif place.parent.is_dir():
            place.mkdir()
        return f"{place.name} comes or goes"

    def mode(self, ground, root):
        path = self.dice.choice([*DATA, SCRIPT])
        if (root / path).is_file():
            (root / path).chmod(0o755 if path == SCRIPT else self.dice.choice([0o644, 0o755, 0o600]))
        return f"another mode of {path}"

    extras = [empty_folder, mode]

    def object(self, path):
        return "pre/x.c", f"int x = {self.number()};\n", ["gcc", "-c", "pre/x.c", "-o", path]

    def text(self, path):
        if path in SETTINGS:
            checks = self.dice.choice(["-*,readability-magic-numbers", "-*,bugprone-*", "-*,misc-*,readability-*", "readability-braces-around-statements", "-*,modernize-*", "-*,cppcoreguidelines-*"])
            text = f"Checks: '{checks}'\n" + self.dice.choice(["", "", "InheritParentConfig: true\n", "WarningsAsErrors: '*'\n", "HeaderFilterRegex: '.*'\n", "FormatStyle: file\n", "User: me\n", "ExtraArgs: ['-DONE=3']\n",
                                                             f"CheckOptions:\n  - key: readability-magic-numbers.IgnoredIntegerValues\n    value: '{self.number()};{self.number()}'\n", "UseColor: true\n", "Checks: [\n"])
            return text
        if path in DATABASES:
            entries = []
            for source in self.some([*SOURCES, "src/none.c"]):
                flags = " ".join(self.pick(0.9, "-Iinc", "-Iinc -Ialt", "-Iinc -DONE=1", "-Ialt -O2", "-Iinc -Wall", "-I{root}/inc"))
                entries.append(f'{{"directory": "{self.dice.choice(["{root}", "{root}", "{root}/src/.."])}", "command": "cc {flags} -c {source} -o x{self.number()}.o", "file": "{self.dice.choice([source, "{root}/" + source])}"}}')
            return f"[{','.join(entries)}]\n"
        if path == "map.imp":
            return f'[ {{ "include": ["\\"a.h\\"", "private", "\\"{self.dice.choice(["b.h", "c.h", "a.h"])}\\"", "public"] }} ]\n'
        if path == SCRIPT:
            return f'#!/bin/sh\n# {self.number()}\nout=$1; shift\nmkdir -p "$out"\ncat "$@" > "$out/all.txt"\n' + self.dice.choice(["", 'echo made\n', f'ln -sf all.txt "$out/link{self.number()}"\n', 'chmod 755 "$out/all.txt"\n', f'mkdir -p "$out/d{self.number()}"\n'])
        if path.endswith((".txt", ".dat")):
            return f"{self.number()}\n"
        if path.endswith(".h"):
            later = {"a.h": "b.h"}.get(path.rsplit("/", 1)[1])
            text = f"#ifndef G_{path[-3].upper()}\n#define G_{path[-3].upper()}\n"
            if later and self.chance(0.5):
                text += f'#if __has_include("{later}")\n#include "{later}"\n#endif\n'
            return text + f"static inline int f_{path[-3]}(int x) {{ if (x) return {self.number()}; return x * {self.number()}; }}\n#endif\n"
        text = "".join(f'#if __has_include("{name}")\n#include "{name}"\n#endif\n' if self.chance(0.7) else f'#include "{name}"\n' for name in ("a.h", "b.h") if self.chance(0.6))
        text += self.dice.choice(["", "#ifdef ONE\nint one_is_defined(void) { int *p = 0; return *p; }\n#endif\n"])
        return text + f"int f{self.number()}(int x) {{ if (x == {self.number()}) return {self.number()}; int unused; return x; }}\n#ifdef G_A\nint g(void) {{ return f_a({self.number()}); }}\n#endif\n"

    def command(self, number):
        kind = self.dice.randrange(10)
        if kind < 4:
            return self.tidy(number)
        if kind < 6:
            return self.what_you_use(number)
        return self.declared(number)

    def flags(self, up):
        return self.dice.choice([f"-I{up}inc", f"-I{up}inc -I{up}alt", f"-I{up}alt", f"-I{up}inc -DONE=1", f"-I{up}none -I{up}inc", f"-I{up}inc -Wall"]).split()

    def tidy(self, number):
        folder = self.dice.choice(["", "", "src", "src/in"])
        up = "../" * (folder.count("/") + 1) if folder else ""
        source = self.dice.choice(SOURCES)
        words = ["clang-tidy", *self.pick(0.6, "--quiet", "--checks=-*,readability-*", "--header-filter=.*", "--warnings-as-errors=*", f"--config-file={up}conf.tidy", "--use-color", "--system-headers", "--format-style=llvm")]
        if self.chance(0.15):
            words += [self.dice.choice(["--config={Checks: '-*,bugprone-*'}", "--config={Checks: '-*,readability-magic-numbers', InheritParentConfig: true}", "--config=", "--dump-config", "--list-checks"])]
        before = []
        if self.chance(0.25):
            words += [f"--export-fixes={up}out/made{number}.yaml"]
        if self.chance(0.1):
            before = prepared(f"cp {up}{source} {up}out/fixed.{source.rsplit('.')[1]}")
            words += [self.dice.choice(["--fix", "--fix-errors", "--fix-notes"])]
            source = f"out/fixed.{source.rsplit('.')[1]}"
        words += self.pick(0.35, f"-p {up}out", f"-p={up or '.'}", f"-p {up}src", f"-p {up}out/compile_commands.json")
        words += [up + source] if self.chance(0.9) else [up + path for path in SOURCES]
        if self.chance(0.55):
            words += ["--", *self.flags(up)]
        return folder, {}, words, before, [], self.chance(0.1)

    def what_you_use(self, number):
        words = ["include-what-you-use", *self.flags(""), *self.pick(0.5, "-Xiwyu --mapping_file=map.imp", "-Xiwyu --error=3", "-Xiwyu --verbose=3", "-Xiwyu --no_fwd_decls", "-Xiwyu --check_also=inc/*", "-Xiwyu --keep=*/b.h")]
        words += self.dice.choice([["-c"], [], ["-fsyntax-only"]])
        return "", {}, [*words, self.dice.choice(SOURCES), *self.pick(0.2, f"-o out/made{number}.o")]

    def declared(self, number):
        """A command and globs that mean all it reads. (What it lists besides, the globs list as well.)"""
        folder = self.dice.choice(["", "", "data", "out"])
        up = "../" if folder else ""
        out = f"{up}out/made{number}"
        find = f"find -L {up}data -name '*.txt' | LC_ALL=C sort"
        told, words = self.dice.choice([
            ([f"{up}data/**/*.txt"], ["sh", "-c", f"cat $({find}) > {out}"]),
            ([f"{up}data/**"], ["sh", "-c", f"cat $({find}) > {out}; echo done"]),
            ([f"{up}data"], ["sh", "-c", f"(cat $({find}); find -L {up}data | LC_ALL=C sort) > {out}"]),
            ([f"{up}data"], ["sh", "-c", f"find -L {up}data -type d | LC_ALL=C sort | sed s/^/dir/ > {out}"]),
            ([f"{up}data/*.txt"], ["sh", "-c", f"cat {up}data/*.txt > {out}"]),
            ([f"{up}data/*/a.txt"], ["sh", "-c", f"cat {up}data/*/a.txt > {out} || :"]),
            ([f"{up}data/{{a,in/c}}.txt"], ["sh", "-c", f"cat {up}data/a.txt {up}data/in/c.txt > {out} 2>&1 || :"]),
            ([f"{up}data/[ab].txt", f"{up}other/b.dat"], ["sh", "-c", f"cat {up}data/[ab].txt {up}other/b.dat > {out} 2>/dev/null; :"]),
            ([f"{up}data/a.txt"], ["sort", f"{up}data/a.txt", "-o", out]),
            ([f"{up}link"], ["sh", "-c", f"find -L {up}link -type f | LC_ALL=C sort | xargs cat /dev/null > {out}"]),
            ([f"{up}data/a.txt", f"{up}data/in/*.txt"], [f"{up or './'}gen", out, f"{up}data/a.txt"]),
            ([f"{up}data/a.txt"], [f"{up or './'}gen", out, f"{up}data/a.txt"]),
            ([f"{up}data/a.txt"], ["sh", "-c", f"test -e {up}data/a.txt && echo yes > {out} || echo no > {out}"]),
            ([f"{up}data/*/*"], ["sh", "-c", f"ls {up}data/*/*.txt > {out} 2>&1; :"]),
            ([f"{up}data"], ["sh", "-c", f"find -L {up}data -type f -perm -100 | LC_ALL=C sort > {out}"]),
            ([f"{up}data"], ["sh", "-c", f"find -L {up}data -type f -perm -100 | LC_ALL=C sort > {up}data/made{number}; cat {up}data/made{number}"]),
        ])
        if f"{up}data/made{number}" in words[-1]:
            out = f"{up}data/made{number}"
        declared = ["exec", *(word for glob in told for word in ("--input", glob)), "--output", out]
        names = {}
        if self.chance(0.3):
            declared += ["--env", "WALKED"]
            names = {"WALKED": str(self.number())}
            if words[0] == "sh":
                words = ["sh", "-c", words[2] + f"; printf '%s' \"$WALKED\""]
        before = prepared(f"rm -rf {out}; mkdir {out}; echo mine > {out}/mine") if words[0].endswith("gen") and self.chance(0.3) else prepared(f"rm -rf {out}")
        return folder, names, words, before, [*declared, "--"]
