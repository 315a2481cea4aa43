"""The sources of one crate of a random workspace. All crates of a kind offer the same names, so that whoever uses them
compiles whatever stands behind the names."""

from torture.grown import Grown

# Lines with this do not compile, or let other lines not compile.
WRONG = "// wrong"

TYPES = {"both": '["rlib", "cdylib"]', "dylib": '["dylib", "rlib"]', "static": '["staticlib", "rlib"]', "cdylib": '["cdylib"]'}


class Crate(Grown):
    def __init__(self, dice, name, kind, uses):
        super().__init__(dice)
        self.name, self.kind, self.uses = name, kind, uses
        # A script before the build, and a library in C that it makes.
        self.scripted = self.chance(0.5)
        self.native = self.scripted and kind != "macro" and self.chance(0.5)
        self.sources = ["src/lib.rs"]
        own = ["Cargo.toml", "src/lib.rs", "text.txt", "macro.txt", "code.in", "data.bin"]
        if kind == "bin":
            own.append("src/main.rs")
        if self.scripted:
            own += ["build.rs", "input.txt"]
        if self.native:
            own += ["native.c", "native.h"]
        if kind not in ("macro", "cdylib"):
            own += [path for path in ("tests/it.rs", f"examples/ex_{name}.rs", "benches/be.rs") if self.chance(0.4)]
        self.files = [f"{name}/{path}" for path in own]
        modules = [] if kind == "macro" else ["src/one.rs", "src/two.rs", "src/one/mod.rs", "src/two/mod.rs", "src/other.rs"]
        self.modules = [f"{name}/{path}" for path in modules]

    @property
    def libraries(self):
        return [crate for crate in self.uses if crate.kind != "macro"]

    def text(self, path):
        """A text for the file of this path."""
        if path.endswith((".txt", ".bin")):
            return str(self.number())
        if path == "code.in":
            return f"{{ {self.number()} }}"
        if path.endswith(".h"):
            return f"#define FACTOR {self.number()}\n"
        if path.endswith(".c"):
            return f'#include "native.h"\nunsigned {self.name}_native(void) {{ return FACTOR * {self.number()}; }}\n'
        make = {"Cargo.toml": self.manifest, "build.rs": self.script, "src/main.rs": self.program, "tests/it.rs": self.test,
                "benches/be.rs": self.test, f"examples/ex_{self.name}.rs": self.program, "src/lib.rs": self.library}
        return make.get(path, self.module)()

    def manifest(self):
        text = f'[package]\nname = "{self.name}"\nversion = "0.{self.dice.randrange(2)}.{self.number()}"\n'
        text += f'edition = "{self.dice.choice(["2018", "2021", "2021", "2024"])}"\n'
        for key, values in [("authors", ['["A <a@a>"]', '["B"]']), ("description", ['"one"', '"another"']), ("license", ['"MIT"']),
                            ("homepage", ['"http://a"'])]:
            if self.chance(0.3):
                text += f"{key} = {self.dice.choice(values)}\n"
        if self.native:
            text += f'links = "{self.name}_native"\n'
        if self.kind == "macro":
            text += "\n[lib]\nproc-macro = true\n"
        elif self.kind in TYPES:
            text += f"\n[lib]\ncrate-type = {TYPES[self.kind]}\n"
        passed = "".join(f', "{crate.name}/a"' for crate in self.uses if self.chance(0.4))
        text += f'\n[features]\ndefault = [{self.dice.choice(["", "", chr(34) + "b" + chr(34)])}]\na = [{passed[2:]}]\nb = []\n'
        text += "\n[dependencies]\n"
        for crate in self.uses:
            features = self.dice.choice(["", "", ', features = ["a"]', ", default-features = false"])
            text += f'{crate.name} = {{ path = "../{crate.name}"{features} }}\n'
        if self.chance(0.1):
            text += '\n[lints.rust]\nunused = "allow"\n'
        return text

    def script(self):
        lines = ['println!("cargo::rerun-if-changed=build.rs");', 'println!("cargo::rustc-check-cfg=cfg(built_on, walked)");',
                 'println!("cargo::rerun-if-changed=input.txt");']
        if self.chance(0.6):
            lines.append('println!("cargo::rerun-if-env-changed=WALKED");')
            lines.append('made += &format!("pub const WALKED: Option<&str> = {:?};\\n", env::var("WALKED").ok());')
        if self.chance(0.4):
            lines.append('println!("cargo::rustc-cfg=built_on");')
        if self.chance(0.2):
            lines.append(f'println!("cargo::warning=number {self.number()}");')
        if self.chance(0.3):
            lines.append('let mut seen: Vec<_> = env::vars().filter(|(name, _)| name.starts_with("DEP_")).collect(); seen.sort();')
            lines.append('made += &format!("pub const SEEN: &str = {:?};\\n", format!("{:?}", seen));')
        if self.native:
            flags = self.dice.choice(["", "-O2", "-g"])
            lines += ['println!("cargo::rerun-if-changed=native.c");', 'println!("cargo::rerun-if-changed=native.h");',
                      f'run("TOOL_CC", &format!("-c -fPIC {flags} native.c -o {{}}/native.o", out));',
                      f'run("TOOL_AR", &format!("rcsD {{0}}/lib{self.name}_native.a {{0}}/native.o", out));',
                      f'println!("cargo::rustc-link-search={self.dice.choice(["native=", ""])}{{}}", out);',
                      f'println!("cargo::rustc-link-lib=static={self.name}_native");',
                      f'println!("cargo::metadata=number={self.number()}");']
        if self.kind in ("both", "cdylib") and self.chance(0.6):
            lines.append(f'println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,lib{self.name}.so.{self.number()}");')
        if self.kind in ("both", "cdylib") and self.chance(0.2):
            # The linker joins it with rustc's own.
            lines += ['fs::write(format!("{}/map", out), "WALKED { global: walked_*; };").unwrap();',
                      'println!("cargo::rustc-cdylib-link-arg=-Wl,--version-script={}/map", out);']
        if self.kind == "bin" and self.chance(0.4):
            lines.append(f'println!("cargo::rustc-link-arg-bins=-Wl,--defsym=walked_number={self.number()}");')
        body = "\n    ".join(lines)
        return f"""use std::{{env, fs, process::Command}};

#[allow(dead_code)]
fn run(tool: &str, words: &str) {{
    let tool = env::var(tool).unwrap();
    let mut all = tool.split(' ').chain(words.split(' ')).filter(|word| !word.is_empty());
    let done = Command::new(all.next().unwrap()).args(all).status().unwrap();
    assert!(done.success());
}}

#[allow(unused_mut, unused_variables)]
fn main() {{
    let out = env::var("OUT_DIR").unwrap();
    let input = fs::read_to_string("input.txt").unwrap_or_default();
    let mut made = format!("pub const MADE: u32 = {{}} + {self.number()};\\n", input.trim());
    println!("cargo::rustc-env=BUILT=built with {{}}, {self.dice.randrange(3)}", input.trim());
    {body}
    fs::write(format!("{{}}/made.rs", out), made).unwrap();
}}
"""

    def library(self):
        if self.kind == "macro":
            return self.macros()
        text = self.dice.choice([""] * 6 + ["#![allow(dead_code)]\n", "#![warn(missing_docs)]\n", f"#![deny(warnings)] {WRONG}\n"])
        for name in ("one", "two"):
            if self.chance(0.5):
                before = self.dice.choice(["", "", "", '#[cfg(feature = "a")]\n', '#[cfg_attr(feature = "b", path = "other.rs")]\n'])
                text += f"{before}pub mod {name};\n"
        if self.chance(0.2):
            text += self.dice.choice(["", '#[cfg(feature = "a")]\n']) + '#[path = "other.rs"]\npub mod placed;\n'
        text += f"pub const NUMBER: u32 = {self.number()};\n"
        text += f"pub fn plain(x: u32) -> u32 {{ x * {self.number()} }}\n"
        text += f"#[inline]\npub fn inlined(x: u32) -> u32 {{ x + {self.number()} }}\n"
        text += f"pub fn generic<T: Into<u32>>(x: T) -> u32 {{ x.into() + {self.number()} }}\n"
        inside = self.dice.choice([str(self.number()), "$crate::NUMBER", f"{{ let x: u32 = $crate::generic({self.number()}u8); x }}",
                                   'option_env!("WALKED").map_or(3, |text| text.len() as u32)'])
        text += f"#[macro_export]\nmacro_rules! {self.name}_macro {{ () => {{ {inside} }}; }}\n"
        text += f"pub trait Shape {{ fn sides(&self) -> u32 {{ {self.number()} }} }}\nimpl Shape for u32 {{}}\n"
        if self.kind in ("both", "cdylib", "static"):
            text += f'#[unsafe(no_mangle)]\npub extern "C" fn {self.name}_entry() -> u32 {{ plain({self.number()}) }}\n'
        text += self.uses_text()
        if self.native:
            text += f'unsafe extern "C" {{ fn {self.name}_native() -> u32; }}\npub fn native() -> u32 {{ unsafe {{ {self.name}_native() }} }}\n'
        if self.scripted and self.chance(0.7):
            text += 'pub mod made { include!(concat!(env!("OUT_DIR"), "/made.rs")); }\n'
        if self.scripted and self.chance(0.4):
            text += f'pub const BUILT: &str = env!("BUILT");\n#[cfg(built_on)]\npub const ON: u32 = {self.number()};\n'
        text += "".join(self.item(f"ITEM{number}", '"../{}"') for number in range(self.dice.randrange(1, 5)))
        if self.chance(0.4):
            text += f'#[cfg(test)]\nmod tests {{\n    #[test]\n    fn works() {{\n        println!("{{}}", super::plain({self.number()}));\n' \
                    f"        assert!(super::plain(1) < {self.dice.choice([1000, 1000, 1000, 25])});\n    }}\n}}\n"
        return text

    def uses_text(self):
        """Something of the crates that this one uses."""
        text = ""
        for crate in self.uses:
            if crate.kind == "macro":
                if self.chance(0.7):
                    text += f"pub fn answer_of_{crate.name}() -> u32 {{ {crate.name}::answer!() }}\n"
                if self.chance(0.5):
                    text += f"#[derive({crate.name}::Named)]\npub struct Derived{crate.name.upper()};\n"
                if self.chance(0.4):
                    text += f"#[{crate.name}::marked]\npub fn marked_of_{crate.name}() -> u32 {{ {self.number()} }}\n"
                continue
            terms = [f"{crate.name}::plain({self.number()})", f"{crate.name}::inlined(2)", f"{crate.name}::generic({self.number()}u8)",
                     f"{crate.name}::{crate.name}_macro!()", f"{crate.name}::NUMBER", f"{crate.name}::Shape::sides(&4u32)"]
            chosen = [term for term in terms if self.chance(0.5)] or terms[:1]
            text += f"pub fn uses_{crate.name}() -> u32 {{ {' + '.join(chosen)} }}\n"
            if self.chance(0.4):
                text += f"pub use {crate.name}::NUMBER as NUMBER_OF_{crate.name.upper()};\n"
            if self.chance(0.2):
                text += f"pub fn through_{crate.name}<T: {crate.name}::Shape>(x: T) -> u32 {{ x.sides() }}\n"
        return text

    def item(self, name, frame):
        """One item that looks at something; `frame` makes what stands for a file of the crate."""
        low = name.lower()
        text, data, code = map(frame.format, ("text.txt", "data.bin", "code.in"))
        return self.dice.choice([
            f"pub const {name}: u32 = {self.number()};\n",
            f'pub const {name}: &str = include_str!({text});\n',
            f'pub const {name}: &[u8] = include_bytes!({data});\n',
            f'pub const {name}: u32 = include!({code});\n',
            f'pub const {name}: Option<&str> = option_env!("WALKED");\n',
            f'pub const {name}: &str = env!("{self.dice.choice(["CARGO_PKG_VERSION", "CARGO_PKG_AUTHORS", "CARGO_MANIFEST_DIR", "CARGO_PKG_DESCRIPTION"])}");\n',
            f'pub const {name}: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/text.txt"));\n',
            f'#[cfg(feature = "{self.dice.choice("ab")}")]\npub const {name}: u32 = {self.number()};\n',
            f"#[cfg(debug_assertions)]\npub const {name}: u32 = {self.number()};\n",
            f"pub const {name}: &str = file!();\npub fn line_of_{low}() -> u32 {{ line!() }}\n",
            f"fn unused_{low}() {{ let x = {self.number()}; }}\n",
            f"pub fn old_{low}() -> bool {{ let x = vec![{self.number()}]; return x.len() == 0; }}\n",
            f"pub fn many_{low}(a: u32, b: u32, c: u32, d: u32) -> u32 {{ a + b + c + d + {self.number()} }}\n",
            f"pub fn generic_{low}<T: Copy>(x: T) -> (T, u32) {{ (x, {self.number()}) }}\n",
            f'pub fn loud_{low}(x: u32) -> u32 {{ if x > {self.number()} {{ panic!("{{}}", x) }} x - 1 }}\n',
            f"pub static {name}: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new({self.number()});\n",
            f"std::thread_local! {{ pub static {name}: u32 = const {{ {self.number()} }}; }}\n",
            f'std::arch::global_asm!(".section .rodata.{self.name}_{low}_{self.number()}", ".incbin \\"{self.name}/data.bin\\"", ".text");\n',
        ] + ([f'pub fn {low}() -> u32 {{ "text" }} {WRONG}\n'] if self.chance(0.5) else []))

    def module(self, sound=False):
        """A text for a module. Its folder may be one or another, so files are named in full."""
        items = [self.item(f"PART{number}", 'concat!(env!("CARGO_MANIFEST_DIR"), "/{}")') for number in range(self.dice.randrange(1, 3))]
        return "".join(item for item in items if not sound or WRONG not in item)

    def macros(self):
        """Procedural macros that make what they make of all that such macros can look at."""
        number = lambda: str(self.number())
        helper = self.libraries[0].name if self.libraries else None
        answers = [
            f'"{number()}".to_string()',
            'std::env::var("CARGO_PKG_VERSION_PATCH").unwrap()',
            'std::env::var("CARGO_PKG_DESCRIPTION").unwrap_or_default().len().to_string()',
            'std::fs::read_to_string(std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/macro.txt").unwrap_or("7".into())',
            f'"{{ include_str!(concat!(env!(\\"CARGO_MANIFEST_DIR\\"), \\"/text.txt\\")).as_bytes()[1] as u32 + {number()} }}".to_string()',
            '"option_env!(\\"WALKED\\").map_or(1, |text| text.as_bytes()[0] as u32)".to_string()',
            f'"{{ const X: u32 = {number()}; X + line!() }}".to_string()',
        ]
        if helper:
            answers += [f"({helper}::plain(2) + {helper}::NUMBER).to_string()"] * 2
        marked = self.dice.choice(["item", 'format!("#[inline] {item}").parse().unwrap()', f'format!("{{item}} pub const MARKED: u32 = {number()};").parse().unwrap()'])
        name = self.dice.choice(['"a name"', f'"name {number()}"', 'std::env::var("CARGO_CRATE_NAME").unwrap()', 'std::env::var("CARGO_PKG_AUTHORS").unwrap()'])
        made = 'const _: &str = concat!(env!("OUT_DIR"), "/made.rs");\n' if self.scripted and self.chance(0.3) else ""
        return f"""extern crate proc_macro;
use proc_macro::TokenStream;
{made}
#[proc_macro]
pub fn answer(_input: TokenStream) -> TokenStream {{
    let text: String = {self.dice.choice(answers)};
    text.parse().unwrap()
}}

#[proc_macro_derive(Named)]
pub fn named(item: TokenStream) -> TokenStream {{
    let name = item.into_iter().filter_map(|tree| match tree {{
        proc_macro::TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }}).last().unwrap();
    format!("impl {{name}} {{{{ pub fn named() -> &'static str {{{{ {{:?}} }}}} }}}}", {name}).parse().unwrap()
}}

#[proc_macro_attribute]
pub fn marked(_attribute: TokenStream, item: TokenStream) -> TokenStream {{
    {marked}
}}
"""

    def program(self):
        """A `main` that prints what it sees of its own crate and those it uses."""
        text = self.dice.choice(["", "", "", f"#![deny(warnings)] {WRONG}\n"])
        text += f"fn main() {{\n    println!(\"{{}} {{}}\", {self.name}::NUMBER, {self.name}::plain({self.number()}));\n"
        for crate in self.libraries:
            text += f'    println!("{{}} {{}}", {crate.name}::generic({self.number()}u8), {crate.name}::{crate.name}_macro!());\n'
        for crate in self.uses:
            if crate.kind == "macro" and self.chance(0.5):
                text += f'    let answer: u32 = {crate.name}::answer!();\n    println!("{{answer}}");\n'
        if self.native:
            text += f'    println!("{{}}", {self.name}::native());\n'
        text += f'    println!("{{:?}} {{}} {{}}", option_env!("WALKED"), file!(), env!("{self.dice.choice(["CARGO_PKG_VERSION", "CARGO_CRATE_NAME", "CARGO_PKG_NAME"])}"));\n'
        if self.chance(0.2):
            text += f"    let unused = {self.number()};\n"
        if self.scripted and self.chance(0.5):
            text += '    println!("{}", env!("BUILT"));\n'
        return text + "}\n"

    def test(self):
        limit = self.dice.choice([10**6, 10**6, 10**6, 50])
        text = f"#[test]\nfn from_outside() {{\n    println!(\"{{}}\", {self.name}::NUMBER);\n    assert!({self.name}::plain({self.number()}) < {limit});\n}}\n"
        if self.kind == "bin" and self.chance(0.5):
            text += f'#[test]\nfn the_program() {{\n    assert!(std::process::Command::new(env!("CARGO_BIN_EXE_{self.name}")).output().unwrap().status.success());\n}}\n'
        return text
