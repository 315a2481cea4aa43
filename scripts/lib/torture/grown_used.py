"""What random Rust crates use of others: crates, crates behind crates, procedural macros, and libraries in C; where they
come from, and how commands name them."""

OBJECTS = ["pre/libbehind-1.rlib", "pre/libdep.rlib", "pre/libsecond.rlib", "pre/libbelow.so", "pre/libmac.so", "pre/libwalk.a", "pre2/libwalk.a", "pre/extra.o"]
DEP = "rustc --crate-name dep --edition=2021 --crate-type lib pre/dep.rs --out-dir pre --extern behind=pre/libbehind-1.rlib"


class Used:
    def object(self, path):
        """A source, its text, and what makes this file of it."""
        name = path.rsplit("/", 1)[-1].split(".")[0].removeprefix("lib")
        if name in ("walk", "extra"):
            source = path.rsplit(".", 1)[0] + ".c"
            text = f"unsigned {name}_number(void) {{ return {self.number()}; }}\n"
            if name == "walk" and self.chance(0.3):
                text += f"unsigned walk_other(void) {{ return {self.number()}; }}\n"
            if name == "extra":
                return source, text, ["gcc", "-c", "-fPIC", source, "-o", path]
            thin = self.dice.choice(["", "", "T"])
            return source, text, ["sh", "-c", f"gcc -c -fPIC {source} -o {source}.o && rm -f {path} && ar rcsD{thin} {path} {source}.o"]
        if name == "below":
            # What a procedural macro is linked with changes without it.
            return "pre/below.c", f"unsigned below(void) {{ return {self.number()}; }}\n", ["gcc", "-shared", "-fPIC", "pre/below.c", "-o", path]
        if name == "mac":
            words = "rustc --crate-name mac --crate-type proc-macro --edition=2021 pre/mac.rs --out-dir pre -L native=pre -l dylib=below"
            return "pre/mac.rs", self.macros(), words.split()
        text = f"pub const NUMBER: u32 = {self.number()};\npub fn twice(x: u32) -> u32 {{ x * {self.number()} }}\n"
        inside = self.dice.choice([str(self.number()), "$crate::NUMBER", 'match option_env!("WALKED") { Some(x) => x.len() as u32, None => 1 }', "line!()"])
        text += f"#[macro_export]\nmacro_rules! {name.split('-')[0]}_macro {{ () => {{ {inside} }}; }}\n"
        text += f"#[inline]\npub fn inlined(x: u32) -> u32 {{ x + {self.number()} }}\npub fn generic<T: Into<u32>>(x: T) -> u32 {{ x.into() * {self.number()} }}\n"
        if name == "dep":
            text += f"pub fn deep(x: u32) -> u32 {{ behind::inlined(x) + {self.number()} }}\npub use behind::NUMBER as BEHIND;\n"
            return "pre/dep.rs", text, DEP.split()
        if name == "behind-1":
            # Who uses it is made anew, as cargo does it.
            make = "rustc --crate-name behind --edition=2021 --crate-type lib pre/behind.rs -C extra-filename=-1 --out-dir pre"
            return "pre/behind.rs", text, ["sh", "-c", f"{make} && if test -f pre/dep.rs; then {DEP}; fi"]
        return f"pre/{name}.rs", text, ["rustc", "--crate-name", name, "--edition=2021", "--crate-type", "lib", f"pre/{name}.rs", "--out-dir", "pre"]

    def macros(self):
        answer = self.dice.choice([
            f'"{self.number()}"', *['unsafe { below() }.to_string()'] * 2, 'std::env::var("CARGO_PKG_VERSION").unwrap_or("1".into())',
            '"{ include_str!(concat!(env!(\\"OUT_DIR\\"), \\"/made.rs\\")).len() as u32 }"', '"match option_env!(\\"WALKED\\") { Some(x) => x.len() as u32, None => 5 }"', '"{ line!() }"',
        ])
        return "extern crate proc_macro;\n#[allow(dead_code)]\nunsafe extern \"C\" { fn below() -> u32; }\n" \
               "#[proc_macro]\npub fn answer(_: proc_macro::TokenStream) -> proc_macro::TokenStream {\n" \
               f"    let text = {answer};\n    text.parse().unwrap()\n}}\n" \
               f"const _: u32 = {self.number()};\n"

    def uses(self):
        """Items that use them."""
        text = ""
        for crate in ("dep", "second"):
            if self.chance(0.4):
                text += self.dice.choice([
                    f"pub use {crate}::NUMBER as {crate.upper()};\n", f"pub fn of_{crate}() -> u32 {{ {crate}::twice(2) + {crate}::inlined(3) + {crate}::generic(4u8) }}\n",
                    f"pub const {crate.upper()}: u32 = {crate}::{crate}_macro!();\n", "pub fn deep() -> u32 { dep::deep(3) + dep::BEHIND }\n" if crate == "dep" else "",
                ])
        if self.chance(0.3):
            text += "pub const ANSWER: u32 = mac::answer!();\n"
        if self.chance(0.3):
            link = self.dice.choice(['#[link(name = "walk", kind = "static")]\n', '#[link(name = "walk", kind = "static", modifiers = "+whole-archive")]\n',
                                     '#[link(name = "libwalk.a", kind = "static", modifiers = "+verbatim")]\n'])
            text += f'{link}unsafe extern "C" {{ fn walk_number() -> u32; }}\npub fn number() -> u32 {{ unsafe {{ walk_number() }} }}\n'
        return text

    def main(self):
        return f"fn main() {{ println!(\"{{}}\", {self.number()}); }}\n"

    def used(self, up):
        """The words of a command that name them."""
        words = ["-L", f"dependency={up}pre", "--extern", f"dep={up}pre/libdep.rlib", "--extern", f"mac={up}pre/libmac.so", "--extern", f"second={up}pre/libsecond.rlib"]
        folders = self.dice.choice([["pre"], ["pre2"], ["pre2", "pre"], ["pre", "pre2"], ["out", "pre2"]])
        for folder in folders:
            words += ["-L", f"native={up}{folder}"]
        # Modifiers are an error where the source names the library too.
        if self.chance(0.2):
            words += ["-l", "static=walk"]
        elif self.chance(0.05):
            words += ["-l", self.dice.choice(["static:+whole-archive=walk", "static:-bundle=walk", "static:+verbatim=libwalk.a"])]
        return words
