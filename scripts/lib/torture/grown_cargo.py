"""Cargo workspaces that grow at random: crates of all types that use each other, build scripts, procedural macros, tests,
and cargo commands over them. The sources of crates are made by `grown_crates`."""

import re

from torture.grown import Grown
from torture.grown_crates import WRONG, Crate

KINDS = ["lib", "lib", "lib", "macro", "both", "dylib", "static", "cdylib"]
FLAGS = ["-C debuginfo=1", "-C target-cpu=native", "--cfg walked", "-D warnings", "-A warnings", "-C prefer-dynamic",
         "-C link-arg=-Wl,--build-id=sha1", "-C link-arg=-Wl,-z,now", "-C symbol-mangling-version=v0", "-C instrument-coverage",
         "-C force-frame-pointers=yes", "-W unused_qualifications", "-C link-arg=-fuse-ld=bfd", "-C metadata=walked"]
PROFILE = {
    "debug": ["0", "0", "1", "2", '"line-tables-only"'], "opt-level": ["0", "1", "2", '"s"'], "panic": ['"abort"', '"unwind"'],
    "lto": ['"thin"', '"off"', "true"], "codegen-units": ["1", "4"], "strip": ['"symbols"', '"debuginfo"', '"none"'],
    "split-debuginfo": ['"off"', '"packed"', '"unpacked"'], "overflow-checks": ["true", "false"],
    "debug-assertions": ["true", "false"], "rpath": ["true"], "incremental": ["false"],
}


class Command:
    """What to run, and where. `words` go to cargo; `place` is the workspace itself or a copy of it; `shared` means that
    checkouts share results."""

    def __init__(self, words, variables, place, target, shared):
        self.words, self.variables, self.place, self.target, self.shared = words, variables, place, target, shared

    def __str__(self):
        names = " ".join(f"{name}={value!r}" for name, value in self.variables.items())
        return f"{names} cargo {' '.join(self.words)} (in {self.place}, target {self.target}{', shared' if self.shared else ''})"


class Grower(Grown):
    likely = 0.0
    mended = 0.8
    scripts, objects, links = [], [], []

    def __init__(self, dice):
        super().__init__(dice)
        names = [f"c{number}" for number in range(dice.randrange(2, 6))]
        self.crates = {}
        # The last ones first: each uses later ones only.
        for name in reversed(names):
            kind = "bin" if name == "c0" else dice.choice(KINDS)
            uses = [crate for crate in self.crates.values() if crate.kind != "cdylib" and self.chance(0.6)]
            self.crates[name] = Crate(dice, name, kind, uses)
        self.folders = ["outside"] + [f"{name}/src/{module}" for name in names for module in ("one", "two")]
        self.files = ["Cargo.toml"] + [path for crate in self.crates.values() for path in crate.files]
        self.optional = [path for crate in self.crates.values() for path in crate.modules]
        self.optional += ["clippy.toml", ".clippy.toml", f"{names[-1]}/clippy.toml", ".cargo/config.toml"]
        self.folders.append(".cargo")
        self.alike = [f"{name}/src/one" for name in names]
        self.replaced = self.alike + [f"{name}/src" for name in names]

    def may_stand_for(self, path, other):
        return path.rsplit("/", 1)[-1] == other.rsplit("/", 1)[-1]

    def text(self, path):
        if path.endswith("clippy.toml"):
            return f"too-many-arguments-threshold = {self.dice.randrange(2, 5)}\n"
        if path == ".cargo/config.toml":
            return f'[env]\nWALKED = "{self.number()}"\n' + self.dice.choice(["", "", '[build]\nrustflags = ["--cfg", "walked"]\n'])
        name, _, rest = path.partition("/")
        return self.crates[name].text(rest) if rest else self.workspace()

    def workspace(self):
        members = ", ".join(f'"{name}"' for name in sorted(self.crates))
        text = f'[workspace]\nmembers = [{members}]\nresolver = "{self.dice.choice(["2", "3"])}"\n'
        for profile in ("dev", "release"):
            text += f"\n[profile.{profile}]\n"
            if profile == "dev" and self.chance(0.6):
                text += "debug = 0\n"
                chosen = [name for name in PROFILE if name != "debug" and self.chance(0.12)]
            else:
                chosen = [name for name in PROFILE if self.chance(0.15)]
            # Dynamic libraries of Rust are neither for LTO nor for another way to panic than std's own.
            if any(crate.kind == "dylib" for crate in self.crates.values()):
                chosen = [name for name in chosen if name not in ("lto", "panic")]
            text += "".join(f"{name} = {self.dice.choice(PROFILE[name])}\n" for name in chosen)
        if self.chance(0.15):
            text += f"\n[profile.dev.package.{self.dice.choice(sorted(self.crates))}]\nopt-level = {self.dice.choice('123')}\n"
        return text

    def mend(self, root):
        """Makes a workspace sound: what must be there is there, each module once, and nothing is wrong by intent."""
        for path in self.files:
            place = root / path
            for _ in range(20):
                if place.is_file() and WRONG not in place.read_text():
                    break
                self.put(place, self.text(path))
        for crate in self.crates.values():
            for source in crate.sources:
                folder = (root / crate.name / source).parent
                text = (root / crate.name / source).read_text()
                other = folder / "other.rs"
                if '"other.rs"' in text and not other.is_file():
                    self.put(other, crate.module(sound=True))
                for name in re.findall(r"\bmod (one|two);", text):
                    places = [folder / f"{name}.rs", folder / name / "mod.rs"]
                    there = [place for place in places if place.is_file()]
                    if len(there) == 2:
                        self.dice.choice(there).unlink()
                    elif not there:
                        place = self.dice.choice(places)
                        self.put(place, crate.module())
                        # A dangling link or a folder of its name is no module, but may be an error.
                        rest = places[1 - places.index(place)]
                        if rest.is_symlink():
                            rest.unlink()
                    for place in [*places, other]:
                        if place.is_file() and WRONG in place.read_text():
                            self.put(place, crate.module(sound=True))

    def put(self, place, text):
        if place.is_symlink() or place.is_file():
            place.unlink()
        elif place.is_dir():
            place.rmdir()
        if place.parent.is_symlink():
            place.parent.unlink()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def command(self, number):
        verb = self.dice.choice(["build", "build", "build", "check", "check", "test", "clippy", "run"])
        words = [verb, "--offline"]
        if verb in ("build", "check", "clippy"):
            # What is tried after an error must not depend on who was first.
            words += ["-j2", "--keep-going"]
            words += self.dice.choice([[], [], ["--all-targets"], ["--tests"], ["--examples", "--bins"]])
            words += self.dice.choice([[], ["--message-format=json"], ["--message-format=json-diagnostic-rendered-ansi"]])
        elif verb == "test":
            words += ["-j1", "--no-fail-fast", "--tests"]
        else:
            words += ["-j1", "-q", "-p", "c0"]
        if verb != "run" and self.chance(0.25):
            words += ["-p", self.dice.choice(sorted(self.crates))]
        if self.chance(0.2):
            words.append("--release")
        if self.chance(0.25):
            words += ["--features", self.dice.choice(["a", "b", "a,b"])]
        elif self.chance(0.1):
            words.append("--no-default-features")
        target = self.dice.choice(["target", "target", "target", "outside/target"])
        if target != "target":
            words += ["--target-dir", target]
        if verb == "test":
            words += ["--", "--test-threads=1"]
        variables = {}
        if self.chance(0.25):
            variables["RUSTFLAGS"] = " ".join(self.dice.choice(FLAGS) for _ in range(self.dice.choice([1, 1, 2])))
        if self.chance(0.4):
            variables["WALKED"] = str(self.number())
        if self.chance(0.1):
            variables["CARGO_TERM_COLOR"] = "always"
        place = self.dice.choice(["home", "home", "home", "copy"])
        return Command(words, variables, place, target, self.chance(0.2))
