"""Rust crates that grow at random: modules in files that may be there or not, files that are included, crates that
are used, and commands over them."""

from torture.grown import Grown

MODULES = ["one", "two", "three"]
# Where the modules of a crate's root may be: at most one of each is right.
PLACES = [f"src/{name}.rs" for name in MODULES] + [f"src/{name}/mod.rs" for name in MODULES] + [f"src/one/{name}.rs" for name in MODULES[1:]]
ROOTS = ["src/lib.rs", "src/main.rs", "other/lib.rs"]
TEXTS = ["src/text.txt", "src/one/text.txt", "other/text.txt", "code.in"]
CRATES = ["pre/libdep.rlib", "pre/libsecond.rlib"]


class Grower(Grown):
    folders = ["src", "src/one", "src/two", "src/three", "other", "pre", "build"]
    optional = PLACES
    files = [*ROOTS, *TEXTS]
    scripts = []
    objects = CRATES
    alike = ["src/one", "src/two", "src/three"]
    likely = 0.6
    replaced = ["src/one", "other", "src/two"]
    links = [("src/linked", "one"), ("src/linked", "two")]
    extras = []

    def may_stand_for(self, path, other):
        return path.rsplit("/", 1)[0] != other.rsplit("/", 1)[0]

    def object(self, path):
        name = path.rsplit("/", 1)[-1].split(".")[0].removeprefix("lib")
        text = f"pub const NUMBER: u32 = {self.number()};\npub fn twice(x: u32) -> u32 {{ x * {self.number()} }}\n"
        if self.chance(0.5):
            text += f"#[macro_export]\nmacro_rules! {name}_macro {{ () => {{ {self.number()} }}; }}\n"
        words = ["rustc", "--crate-name", name, "--crate-type", "lib", f"pre/{name}.rs", "--out-dir", "pre"]
        return f"pre/{name}.rs", text, words

    def item(self, name):
        """One item that looks at something."""
        kind = self.dice.randrange(10)
        text = self.dice.choice(["text.txt", "one/text.txt", "../other/text.txt"])
        return [
            f"pub const {name}: u32 = {self.number()};\n",
            f"pub const {name}: u32 = {self.number()};\n",
            f'pub const {name}: &str = include_str!("{text}");\n',
            f'pub const {name}: &[u8] = include_bytes!("{text}");\n',
            f'pub const {name}: u32 = include!("../code.in");\n',
            f'pub const {name}: Option<&str> = option_env!("WALKED");\n',
            f'#[cfg(feature = "{self.dice.choice(["a", "b"])}")]\npub const {name}: u32 = {self.number()};\n',
            f"pub const {name}: &str = file!();\npub fn line_of_{name.lower()}() -> u32 {{ line!() }}\n",
            f"fn unused_{name.lower()}() {{ let x = {self.number()}; }}\n",
            f"pub fn generic_{name.lower()}<T: Copy>(x: T) -> (T, u32) {{ (x, {self.number()}) }}\n",
        ][kind]

    def text(self, path):
        if path.endswith(".txt"):
            return str(self.number())
        if path == "code.in":
            return f"{{ {self.number()} }}"
        text = ""
        if path in ROOTS:
            text += self.dice.choice(["", "#![allow(dead_code)]\n", "#![warn(missing_docs)]\n"])
            for crate in ("dep", "second"):
                if self.chance(0.3):
                    text += f"pub use {crate}::NUMBER as {crate.upper()};\n"
        # A module's own modules lie below it.
        modules = MODULES if path in ROOTS[:2] else MODULES[1:] if "/one" in path else []
        for name in modules:
            if self.chance(0.3):
                text += self.dice.choice(["", "", "", f'#[path = "linked/{name}.rs"]\n', '#[cfg(feature = "a")]\n']) + f"pub mod {name};\n"
        for number in range(self.dice.randrange(1, 4)):
            text += self.item(f"ITEM{number}")
        return text + ("fn main() {}\n" if path.endswith("main.rs") else "")

    def command(self, number):
        root = self.dice.choice(ROOTS)
        kind = "bin" if root.endswith("main.rs") else self.dice.choice(["lib", "lib", "rlib", "cdylib", "staticlib"])
        emit = self.dice.choice(["link", "dep-info,link", "dep-info,metadata,link", "dep-info,metadata", "metadata"])
        folder = self.dice.choice(["", "", "build"])
        up = "../" if folder else ""
        words = ["rustc", "--crate-name", f"made{number}", "--edition=2021", up + root, "--crate-type", kind, f"--emit={emit}"]
        words += ["--out-dir", self.dice.choice([up + "build", "."]), "-C", f"extra-filename=-{number}"]
        words += ["-L", f"dependency={up}pre", "--extern", f"dep={up}pre/libdep.rlib"]
        if self.chance(0.5):
            words += ["--extern", f"second={up}pre/libsecond.rlib"]
        for choice in [["-C debuginfo=2", "-C debuginfo=1"], ["-C opt-level=2"], ['--cfg feature="a"', '--cfg feature="b"'],
                       ["--cap-lints allow", "--cap-lints warn", "-D warnings"], ["--error-format=json --json=diagnostic-rendered-ansi,artifacts"],
                       ["-C metadata=1234", "-C codegen-units=1"]]:
            if self.chance(0.4):
                words += self.dice.choice(choice).split()
        names = {"WALKED": str(self.number())} if self.chance(0.3) else {}
        return folder, names, words
