"""Rust crates that grow at random: modules in files that may be there or not, files that are included, crates, macros
and libraries in C that are used, and commands over them."""

import re

from torture.grown import Grown
from torture.grown_used import OBJECTS, Used

MODULES = ["one", "two", "three"]
# Where the modules of a crate's root may be: at most one of each is right.
PLACES = [f"src/{name}.rs" for name in MODULES] + [f"src/{name}/mod.rs" for name in MODULES] + [f"src/one/{name}.rs" for name in MODULES[1:]]
ROOTS = ["src/lib.rs", "src/main.rs", "other/lib.rs"]
MACROS = "other/macros.rs"
TEXTS = ["src/text.txt", "src/one/text.txt", "src/two/text.txt", "src/three/text.txt", "other/text.txt"]
# The assembler looks for what it reads from where the command runs.
ASSEMBLED = ["data.bin", "build/data.bin", "words.s", "build/words.s"]
MADE = ["out/made.rs", "out2/made.rs"]
LINKED = ["map.txt", "build/map.txt", "args.rsp", "build/args.rsp"]
INCLUDED = ["code.in", "src/code.in"]


class Grower(Used, Grown):
    folders = ["src", "src/one", "src/two", "src/three", "other", "pre", "pre2", "build", "out", "out2"]
    optional = PLACES
    files = [*ROOTS, MACROS, *TEXTS, *ASSEMBLED, *MADE, *LINKED, *INCLUDED]
    scripts = []
    objects = OBJECTS
    alike = ["src/one", "src/two", "src/three"]
    likely = 0.6
    replaced = ["src/one", "other", "src/two", "pre2", "out"]
    links = [("src/linked", "one"), ("src/linked", "two")]
    extras = []
    # How often all is put in order after an edit: what does not compile tells little.
    mended = 0.75

    def may_stand_for(self, path, other):
        return path.rsplit("/", 1)[0] != other.rsplit("/", 1)[0]

    def mend(self, root):
        """What is named is there again, and each module once."""
        for path in self.files:
            place = root / path
            # Pictures of the same folder come back with others' files, so what includes what may have changed.
            if not place.is_file() and place.parent.is_dir() and not place.is_dir():
                place.unlink(missing_ok=True)
                place.write_text(self.text(path))
        todo = [path for path in ROOTS[:2] if (root / path).is_file()]
        while todo:
            path = todo.pop()
            if not (root / path).is_file():
                continue
            folder = path.rsplit("/", 1)[0] if path in ROOTS or path.endswith("/mod.rs") else path.removesuffix(".rs")
            text = (root / path).read_text()
            for before, name in re.findall(r"(#\[.*\]\n)?pub mod (\w+);", text):
                places = [f"src/linked/{name}.rs"] if "path" in before else [f"{folder}/{name}.rs", f"{folder}/{name}/mod.rs"]
                there = [place for place in places if (root / place).is_file()]
                for place in there[1:]:
                    (root / place).unlink()
                place = there[0] if there else self.dice.choice([place for place in places if (root / place).parent.is_dir()] or places)
                if not there:
                    if (root / place).is_symlink():
                        (root / place).unlink()
                    if (root / place).is_dir() or not (root / place).parent.is_dir():
                        continue
                    (root / place).write_text(self.item("ITEM0"))
                if "path" not in before and len(todo) < 20:
                    todo.append(place)

    def item(self, name):
        """One item that looks at something."""
        # The last ones are not there for every module.
        text = self.dice.choice(["text.txt"] * 10 + ["one/text.txt", "../other/text.txt"])
        low = name.lower()
        return self.dice.choice([
            f"pub const {name}: u32 = {self.number()};\n",
            f"pub const {name}: u32 = {self.number()};\n",
            f'pub const {name}: &str = include_str!("{text}");\n',
            f'pub const {name}: &[u8] = include_bytes!("{text}");\n',
            f'pub const {name}: u32 = include!("../code.in");\n',
            f'pub const {name}: Option<&str> = option_env!("WALKED");\n',
            f'pub const {name}: &str = env!("NAMED");\n',
            f'pub const {name}: &str = concat!(env!("NAMED"), "-", {self.number()}, file!());\n',
            f'#[cfg(feature = "{self.dice.choice(["a", "b"])}")]\npub const {name}: u32 = {self.number()};\n',
            f"pub const {name}: &str = file!();\npub fn line_of_{low}() -> u32 {{ line!() }}\n",
            f"fn unused_{low}() {{ let x = {self.number()}; }}\n",
            f"pub fn generic_{low}<T: Copy>(x: T) -> (T, u32) {{ (x, {self.number()}) }}\n",
            f"#[inline]\npub fn inline_{low}(x: u32) -> u32 {{ x / {self.number()} }}\n",
            f'pub fn loud_{low}(x: u32) -> u32 {{ if x > {self.number()} {{ panic!("{{}}", x) }} x }}\n',
            f'#[cfg(test)]\n#[test]\nfn tests_{low}() {{ assert_eq!({self.number()}, 12); }}\n',
            f"macro_rules! made_{low} {{ () => {{ {self.number()} }}; }}\npub const {name}: u32 = made_{low}!();\n",
            self.assembly(name),
            self.assembly(name),
        ])

    def assembly(self, name):
        """What only the assembler reads."""
        what, path = self.dice.choice([(".incbin", "data.bin"), (".include", "words.s")])
        quoted = self.dice.choice([
            f'"{what} \\"{path}\\""', f'r#"{what} "{path}""#', f'"{what}   \\"{path}\\""',
            # Only a compiler sees through these.
            f'"{what}\\t\\"{path}\\""', f'"{what} \\\n    \\"{path}\\""', f'"{what} /* */ \\"{path}\\""', f'"{what.upper()} \\"{path}\\""',
            f'concat!("{what[:3]}", "{what[3:]} \\"{path}\\"")', f'"\\x2e{what[1:]} \\"{path}\\""',
        ])
        if self.chance(0.4):
            # Each unit that is made of this has its own, so it has no name.
            return f'pub fn assembled_{name.lower()}() {{\n    unsafe {{ std::arch::asm!("jmp 2f", {quoted}, "2:") }}\n}}\n'
        return f'std::arch::global_asm!(".section .rodata.walked,\\"a\\"", {quoted}, ".text");\n'

    def text(self, path):
        if path.endswith((".txt", ".bin")) and "map" not in path:
            return str(self.number())
        if path.endswith("map.txt"):
            return f"{{ {self.dice.choice(['entry', 'e*', '*', f'e{self.number()}'])}; }};\n"
        if path.endswith("args.rsp"):
            return self.dice.choice(['--cfg\nfeature="a"\n', "-C\nopt-level=1\n", "-Copt-level=2\n", f"--cfg\nnumber{self.number()}\n", "-Awarnings\n"])
        if path.endswith("words.s"):
            return f".long {self.number()}\n" + self.dice.choice(["", "", '.incbin "data.bin"\n'])
        if path.endswith("code.in"):
            return f"{{ {self.number()} }}"
        if path in MADE:
            return f"pub const MADE: u32 = {self.number()};\n"
        if path == MACROS:
            return self.macros()
        text = self.dice.choice(["", "#![allow(dead_code)]\n", "#![warn(missing_docs)]\n"]) if path in ROOTS else ""
        # A module's own modules lie below it.
        modules = MODULES if path in ROOTS[:2] else MODULES[1:] if "/one" in path else []
        for name in modules:
            if self.chance(0.3):
                text += self.dice.choice(["", "", "", f'#[path = "linked/{name}.rs"]\n', '#[cfg(feature = "a")]\n']) + f"pub mod {name};\n"
        if path in ROOTS:
            text += self.uses()
            if self.chance(0.3):
                text += 'pub mod made { include!(concat!(env!("OUT_DIR"), "/made.rs")); }\n'
            text += f'#[unsafe(no_mangle)]\npub extern "C" fn entry() -> u32 {{ {self.number()} }}\n'
        for number in range(self.dice.randrange(1, 4)):
            text += self.item(f"ITEM{number}")
        return text + (self.main() if path.endswith("main.rs") else "")

    def command(self, number):
        root = self.dice.choice([*ROOTS, *ROOTS, MACROS])
        kind = self.dice.choice(["lib", "lib", "rlib", "cdylib", "cdylib", "staticlib", "dylib"])
        kind = {"src/main.rs": "bin", MACROS: "proc-macro"}.get(root, kind)
        emit = self.dice.choice(["link", "link", "dep-info,link", "dep-info,link", "dep-info,link", "dep-info,metadata,link", "dep-info,metadata",
                                 "metadata", self.dice.choice(["obj,link", "asm", "llvm-ir,dep-info", "mir"])])
        folder = self.dice.choice(["", "", "build"])
        up = "../" if folder else ""
        words = ["rustc", "--crate-name", f"made{number}", "--edition=2021", up + root, "--crate-type", kind, f"--emit={emit}"]
        words += ["--out-dir", self.dice.choice([up + "build", "."]), "-C", f"extra-filename=-{number}"]
        words += self.used(up)
        if "obj" in emit or "asm" in emit or "llvm" in emit:
            words.append("-Ccodegen-units=1")
        if kind in ("bin", "lib") and self.chance(0.15):
            words.append("--test")
            kind = "test"
        words += self.flags(kind)
        if kind == "cdylib" and self.chance(0.4):
            # rustc gives a version script of its own, which not every linker joins with another one.
            words += ["-C", self.dice.choice(["link-arg=-Wl,--version-script=map.txt", "link-arg=-Wl,--dynamic-list=map.txt"])]
        elif kind in ("cdylib", "bin") and self.chance(0.3):
            words += ["-C", self.dice.choice([f"link-arg={up}pre/extra.o", "link-arg=-Wl,-z,now", "link-arg=-Wl,--build-id=sha1",
                                              "link-arg=-fuse-ld=bfd", "linker=clang"])]
        # Where the macro's library is found.
        names = {"LD_LIBRARY_PATH": up + "pre", "NAMED": str(self.number()), "OUT_DIR": self.dice.choice(["../out", "../out", "../out2"])}
        if self.chance(0.3):
            names["WALKED"] = str(self.number())
        return folder, names, words

    def flags(self, kind):
        words = []
        for choice in [["-C debuginfo=2", "-C debuginfo=1", "-C debuginfo=2 -C split-debuginfo=packed"],
                       ["-C opt-level=2", "-O", "-C opt-level=s -C lto=thin" if kind in ("bin", "cdylib") else "-O"],
                       ['--cfg feature="a"', '--cfg feature="b"'],
                       ["--cap-lints allow", "--cap-lints warn", "-W unused", "-D warnings" if self.chance(0.2) else "-A warnings"],
                       ["--error-format=json --json=diagnostic-rendered-ansi,artifacts"], ["-C metadata=1234", "-C codegen-units=1"]]:
            if self.chance(0.4):
                words += self.dice.choice(choice).split()
        for choice in ["-C panic=abort" if kind in ("bin", "cdylib") else "-C overflow-checks=yes", "-C strip=symbols", "-C strip=debuginfo",
                       "-C target-cpu=native", "-C instrument-coverage", "@args.rsp",
                       "-C prefer-dynamic" if kind in ("lib", "dylib") else "-C relocation-model=pic"]:
            if self.chance(0.07):
                words += choice.split()
        return words
