"""Objects, libraries and archives that grow at random, and links and archivers over them: libraries of one name come
and go in several folders, scripts name others, archives are updated in place."""

from torture.grown import Grown, prepared

PLACES = ["lib", "alt", "sys"]
NAMES = ["one", "two"]
# Text in a library's place is a linker script.
SCRIPTS = ["lib/libone.so", "alt/libtwo.so", "sys/libone.a"]
TEXTS = ["ver.map", "list.dyn", "add.ld", "objs.rsp", "flags.rsp", "prof.txt"]
SOURCES = ["src/main.c", "src/more.c", "src/x.c"]
OBJECTS = ["pre/main.o", "pre/x.o", "pre/y.o", "pre/z.o", "pre/base.a", "pre/thin.a"]
LINKERS = ["bfd", "gold", "lld", "mold"]


class Grower(Grown):
    folders = ["src", "pre", "out", *PLACES]
    optional = SCRIPTS
    files = [*TEXTS, *SOURCES]
    scripts = []
    objects = OBJECTS
    alike = PLACES
    likely = 0.1
    at_first = 12
    replaced = PLACES
    links = [("link", "lib"), ("link", "alt"), ("none", "sys"), ("none", "pre")]

    def may_stand_for(self, path, other):
        return path.rsplit("/", 1)[1] == other.rsplit("/", 1)[1]

    # What the folders of libraries go through.

    def library(self, ground, root):
        """A library comes, in one of the forms, or goes."""
        place, name = self.dice.choice(PLACES), self.dice.choice(NAMES)
        folder = root / place
        if not folder.is_dir():
            return f"no {place}"
        kind = self.dice.choice(["static", "static", "static", "shared", "shared", "shared", "thin", "needing", "needing", "no more", "link", "lto"])
        end = "so" if kind in ("shared", "needing") else self.dice.choice(["a", "so"]) if kind in ("no more", "link") else "a"
        target = folder / f"lib{name}.{end}"
        if kind in ("no more", "link"):
            target.unlink(missing_ok=True)
            if kind == "link":
                target.symlink_to(f"../{self.dice.choice(PLACES)}/lib{name}.{end}")
            return f"{place}/lib{name}.{end}: {kind}"
        # Every library defines both names now and then: which one is found first matters.
        uses = "int two(void); " if kind == "needing" and name == "one" else ""
        call = "two()" if uses else self.number()
        (root / f"pre/lib{name}.c").write_text(f"{uses}int {name}(void) {{ return {call}; }}\nint other_{name}_{self.number()}(void) {{ return 1; }}\n")
        source = f"pre/lib{name}.c"
        target.unlink(missing_ok=True)
        if end == "so":
            soname = [f"-Wl,-soname,lib{name}.so"] if self.chance(0.7) else []
            # What it needs is found by its own list of folders, the linker's, or a variable.
            needs = [f"-L{self.dice.choice(PLACES)}", "-ltwo", *self.pick(0.5, "-Wl,-rpath,$ORIGIN/../alt", f"-Wl,-rpath,{root}/sys -Wl,--disable-new-dtags", f"-Wl,-rpath,{root}/lib")] if uses else []
            ground.bare("gcc", "-shared", "-fPIC", *soname, source, "-o", f"{place}/lib{name}.so", *needs, cwd=root)
        else:
            flags = ["-flto", "-frandom-seed=1"] if kind == "lto" else []
            ground.bare("gcc", "-fPIC", *flags, "-c", source, "-o", f"pre/lib{name}.o", cwd=root)
            made = f"pre/lib{name}.o"
            if kind == "thin":
                # Beside it, so that another one does not change it.
                made = f"{place}/member_{name}.o"
                (root / f"pre/lib{name}.o").replace(root / made)
            ground.bare("gcc-ar", "rcsT" if kind == "thin" else "rcs", f"{place}/lib{name}.a", made, cwd=root)
        if kind == "needing":
            # What it needs is another library of that name then.
            (root / f"{self.dice.choice(PLACES)}/libtwo.so").unlink(missing_ok=True)
        return f"{place}/lib{name}.{end}: {kind}"

    def member(self, ground, root):
        """A member of a thin archive changes, the archive does not."""
        place, name = self.dice.choice(PLACES), self.dice.choice(NAMES)
        if (root / f"{place}/member_{name}.o").is_file():
            (root / "pre/member.c").write_text(f"int {name}(void) {{ return {self.number()}; }}\n")
            ground.bare("gcc", "-fPIC", "-c", "pre/member.c", "-o", f"{place}/member_{name}.o", cwd=root)
        return f"another member of {place}/lib{name}.a"

    def modes(self, ground, root):
        path = self.dice.choice([*OBJECTS, "lib/libone.a", "lib/libone.so", "alt/libtwo.so"])
        if (root / path).is_file():
            (root / path).chmod(self.dice.choice([0o644, 0o444, 0o755, 0o600]))
        return f"another mode of {path}"

    extras = [library, library, library, library, member, modes]

    def object(self, path):
        name = path.rsplit("/", 1)[-1].split(".")[0]
        if path.endswith(".a"):
            ways = "rcsT" if name == "thin" else self.dice.choice(["rcs", "rcs", "rcs", "rcs", "rcS", "rcsD"])
            return "pre/note.txt", "", ["sh", "-c", f"rm -f {path}; ar {ways} {path} {' '.join(self.some(['pre/x.o', 'pre/y.o', 'pre/z.o']))}"]
        words = [self.dice.choice(["gcc", "gcc", "gcc", "clang"]), "-fPIC", "-c", f"pre/{name}.c", "-o", path]
        words += self.pick(0.3, "-g", "-O2", "-ffunction-sections", "-g -O1")
        if words[0] == "gcc":
            words += self.pick(0.15, "-flto -frandom-seed=1", "-flto -ffat-lto-objects -frandom-seed=1")
        return f"pre/{name}.c", self.source(name), words

    def source(self, name):
        if name == "main":
            uses = self.dice.choice([[], [], [], ["one"], ["one"], ["two"], ["one", "two"], ["x", "y"]])
            declared = "".join(f"int {use}(void);\n" for use in uses)
            return f"{declared}int main(void) {{ return {self.number()}{''.join(f' + {use}()' for use in uses)}; }}\n"
        text = f"int {name}(void) {{ return {self.number()}; }}\nint {name}_value = {self.number()};\n"
        if self.chance(0.2):
            text += f"const char *{name}_file = __FILE__;\n"
        if self.chance(0.2):
            text += f"__attribute__((weak)) int one(void) {{ return {self.number()}; }}\n"
        if self.chance(0.1):
            text += f"int __wrap_one(void) {{ return {self.number()}; }}\n"
        return text

    def text(self, path):
        if path.startswith("src/"):
            return self.source(path[4:].split(".")[0])
        if path == "ver.map":
            return f"V_{self.number()} {{ global: x; {self.dice.choice(['one;', 'two;', 'y; x_value;', ''])} local: *; }};\n"
        if path == "list.dyn":
            return f"{{ {self.dice.choice(['x;', 'y;', 'one; x;', '*;'])} }};\n"
        if path == "add.ld":
            return f"SECTIONS {{ .added : {{ BYTE({self.number()}) }} }} INSERT AFTER .data;\n"
        if path == "objs.rsp":
            return " ".join(self.some(["pre/x.o", "pre/y.o", "pre/z.o"]))
        if path == "flags.rsp":
            return self.dice.choice(["-Llib -lone", "-Lalt -lone", "-Lalt -Llib -lone -ltwo", "-Wl,-z,now", "@objs.rsp", ""])
        if path == "prof.txt":
            return f":ir\nx\n{self.number()}\n1\n{self.number()}\n\n"
        # A script in a library's place. None leads back to itself: that linkers would follow for ever.
        name, end = path.rsplit("/lib", 1)[1].split(".")
        place = self.dice.choice(PLACES)
        if end == "a":
            return self.dice.choice(["INPUT(pre/z.o)\n", f"/* {self.number()} */ GROUP(pre/z.o)\n"])
        others = ["INPUT(-ltwo)\n"] if name == "one" else []
        return self.dice.choice([*others, f"GROUP({place}/lib{name}.a AS_NEEDED({place}/libtwo.a))\n", f"INPUT(../{place}/lib{name}.a)\n",
                                 f"INPUT(lib{name}.a)\n", "INPUT(pre/z.o)\n", f"/* {self.number()} */ GROUP(-l:lib{name}.a)\n"])

    # Commands.

    def command(self, number):
        kind = self.dice.randrange(10)
        if kind < 4:
            return self.archive(number)
        if kind == 4:
            return self.partial(number)
        if kind == 5:
            return self.chain(number)
        return self.link(number)

    def libraries(self, shown=lambda path: path):
        words = [f"-L{shown(place)}" for place in self.dice.sample([*PLACES, "link", "none"], self.dice.randrange(2, 5))]
        named = [self.dice.choice([*[f"-l{name}"] * 5, f"-l:lib{name}.a"]) for name in self.some(NAMES)]
        return words, named

    def link(self, number):
        folder = self.dice.choice(["", "", "", "out"])
        up = "../" if folder else ""
        tool = self.dice.choice(["gcc", "gcc", "clang"])
        inputs = self.dice.choice([["pre/main.o"], ["pre/main.o", "pre/x.o", "pre/y.o"], ["src/main.c"], ["src/main.c", "src/x.c"], ["src/main.c", "pre/x.o", "pre/y.o"],
                                   ["pre/main.o", "pre/base.a"], ["pre/main.o", "pre/thin.a"]])
        words = [tool, *(up + path for path in inputs)]
        searched, named = self.libraries(lambda path: up + path)
        words += searched + named if self.chance(0.8) else searched
        words += self.pick(0.5, "-shared -fPIC", "-shared -fPIC", "-static", "-static-pie", "-no-pie", "-nostartfiles -shared -fPIC")
        words += self.pick(0.5, *(f"-fuse-ld={linker}" for linker in LINKERS))
        if not folder:
            words += self.pick(0.3, "-Wl,--version-script=ver.map", "-Wl,--dynamic-list=list.dyn", "-Wl,-T,add.ld", "@flags.rsp", "@objs.rsp", "add.ld", "-Wl,@flags.rsp")
        words += self.pick(0.4, "-Wl,--wrap=one", "-Wl,-rpath,/none -Wl,--enable-new-dtags", f"-Wl,-rpath-link,{up}alt", f"-Wl,-rpath-link,{up}lib", "-Wl,--as-needed",
                           "-Wl,--gc-sections", "-Wl,-z,now", "-Wl,--unresolved-symbols=ignore-all", "-Wl,--export-dynamic", "-Wl,-s", "-Wl,--no-as-needed", "-Wl,-Bstatic",
                           f"-Wl,-Map={up}out/made{number}.map", "-Wl,--whole-archive", "-Wl,--trace", "-v", "-Wl,--defsym=two=one", "-Wl,--build-id=sha1", f"-B{up}lib", "-Wl,--cref")
        if self.chance(0.15):
            words += ["-Wl,--start-group", *named, "-Wl,--end-group"]
        words += self.pick(0.35, "-flto -frandom-seed=1", "-g -gsplit-dwarf", "--coverage", "-g", "-O2", "-g -O2", "-save-temps", "-MD", f"-fprofile-use={up}prof.txt", "-flto=2 -frandom-seed=1 -O2")
        names = {"LIBRARY_PATH": up + self.dice.choice(PLACES)} if self.chance(0.15) else {}
        if self.chance(0.15):
            names["LD_LIBRARY_PATH"] = up + self.dice.choice(PLACES)
        if self.chance(0.08):
            names["LD_RUN_PATH"] = self.dice.choice(["/none", "/other"])
        return folder, names, [*words, "-o", self.dice.choice([f"made{number}", f"{up}out/made{number}"])], self.target(number)

    def target(self, number):
        """What lies in the output's place before."""
        name = f"made{number}"
        return prepared(self.dice.choice([f"rm -f {name}; ln -s target{number} {name}", f"rm -f {name} hard{number}; echo old > {name}; ln {name} hard{number}",
                                          f"rm -f {name}; echo old > {name}; chmod 400 {name}", f"rm -f {name} target{number}; echo old > target{number}; ln -s target{number} {name}",
                                          "umask 077", "umask 0"])) if self.chance(0.2) else []

    def partial(self, number):
        tool = self.dice.choice(["ld", "ld.bfd", "ld.gold", "ld.lld", "mold", "gcc", "clang"])
        searched, named = self.libraries()
        words = [tool, *self.dice.choice([["-r"], ["-r"], ["-shared"], ["-shared", "-nostdlib"]]), *(self.some(["pre/x.o", "pre/y.o", "pre/z.o"]) if self.chance(0.8) else ["@objs.rsp"])]
        if "-shared" in words or self.chance(0.2):
            words += searched + named
        if tool.startswith(("ld", "mold")):
            words += self.pick(0.4, "--version-script=ver.map", "--trace", "-Map=out/ld.map", "-T add.ld", "--rpath-link=alt", "--build-id", "--whole-archive", "--gc-sections", "-s", "--sort-section=name")
        return "", {}, [*words, "-o", f"made{number}.r"], self.target(f"{number}.r")

    def archive(self, number):
        tool = self.dice.choice(["ar", "ar", "ar", "gcc-ar", "llvm-ar"])
        name = f"made{number}.a"
        members = self.some(["pre/x.o", "pre/y.o", "pre/z.o"])
        start = self.dice.choice([f"cp pre/base.a {name}", f"cp pre/base.a {name}", f"cp pre/thin.a {name}", f"rm -f {name}", f"rm -f {name}; ln -s target{number} {name}; cp pre/base.a target{number}",
                                  f"rm -f {name} hard{number}; cp pre/base.a {name}; ln {name} hard{number}", f"rm -f {name}; cp pre/base.a {name}; chmod 400 {name}", f": > {name}"])
        if self.chance(0.03):
            start = f"echo junk > {name}"
        kind = self.dice.randrange(10)
        if kind == 0:
            words = [self.dice.choice(["ranlib", "gcc-ranlib", "llvm-ranlib"]), *self.pick(0.3, "-D", "-t"), name]
        elif kind == 1:
            words = [tool, self.dice.choice(["d", "ds", "dv", "m", "s", "t", "p", "tv"]), name, *(path.rsplit("/", 1)[1] for path in members)]
            words = words[:3] if words[1] in ("s", "t", "tv", "p") else words
        elif kind == 2:
            words = [tool, self.dice.choice(["rb", "ra", "ri", "rbs"]), "y.o", name, *members]
        elif kind == 3:
            words = [tool, "x", name] if self.chance(0.5) else [tool, "xo", name]
            words = [words[0], words[1], "../" + name]
            return "out", {}, words, prepared(start.replace("pre/", "../pre/").replace(name, "../" + name).replace("target", "../target").replace("hard", "../hard"))
        elif kind == 4:
            words = [tool, self.dice.choice(["rcs", "qc"]), name, "@objs.rsp"]
        else:
            ways = self.dice.choice(["rcs", "rcs", "rcsD", "rcsT", "rc", "r", "q", "qc", "qcs", "ru", "rcu", "rcsv", "rcS", "crs", "-rcs", "rcsU", "rcP", "rcsP", "rcsTP"])
            words = [tool, ways, name, *members]
        return "", {}, words, prepared(start)

    def chain(self, number):
        """An archive made by one command and linked by the next one."""
        members = self.some(["pre/x.o", "pre/y.o", "pre/z.o"])
        name = f"made{number}.a"
        ways = self.dice.choice(["rcs", "rcsT", "rc", "qc"])
        steps = [f"rm -f {name}", f"$Z {self.dice.choice(['ar', 'gcc-ar', 'llvm-ar'])} {ways} {name} {' '.join(members)}"]
        steps += self.dice.choice([[], [f"$Z ranlib {name}"], [f"$Z ar d {name} {members[0].rsplit('/', 1)[1]}"], ["$Z gcc -c src/x.c -o out/x.o", f"$Z ar r {name} out/x.o"]])
        searched, named = self.libraries()
        steps.append(f"$Z {self.dice.choice(['gcc', 'clang'])} {' '.join(searched)} pre/main.o {name} {' '.join(named)} -o made{number}")
        steps.append(f"./made{number}; echo $?")
        return "", {}, ["sh", "-c", " && ".join(steps[:-1]) + "; " + steps[-1]], [], [], False, True
