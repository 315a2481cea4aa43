//! rustc, cargo and clippy: what a compile depends on that no list of files tells.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::kit::{Output, SYSTEM_PATH, eventually, finish};

/// A sandbox on whose PATH the real compilers are, not rustup's fronts.
struct Sandbox(crate::kit::Sandbox);

impl std::ops::Deref for Sandbox {
    type Target = crate::kit::Sandbox;

    fn deref(&self) -> &crate::kit::Sandbox {
        &self.0
    }
}

impl std::ops::DerefMut for Sandbox {
    fn deref_mut(&mut self) -> &mut crate::kit::Sandbox {
        &mut self.0
    }
}

impl Sandbox {
    fn new() -> Sandbox {
        let mut s = crate::kit::Sandbox::new();
        s.set("PATH", format!("{}/bin:{SYSTEM_PATH}", sysroot().display()));
        Sandbox(s)
    }

    /// As bare; gives whether it was a hit.
    #[track_caller]
    fn looked_up(&self, line: &str) -> bool {
        let hits = || self.status()["hits"].as_u64().unwrap();
        let before = hits();
        self.same(line);
        hits() > before
    }

    #[track_caller]
    fn miss(&self, line: &str) {
        assert!(!self.looked_up(line), "a hit where a compile was due: {line}");
    }

    /// A compile, then a hit.
    #[track_caller]
    fn warm(&self, line: &str) {
        self.miss(line);
        assert!(self.looked_up(line), "not a hit: {line}; {}", self.reasons());
    }
}

fn sysroot() -> PathBuf {
    let asked = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim())
}

fn failed(output: &Output) -> bool {
    !output.status.success()
}

/// The options of a plain library `a`, made from `a.rs`.
const LIB: &str = "rustc --crate-name a a.rs --edition=2021 --crate-type lib -C metadata=m";

/// A folder's `libn.a` with a function that gives a number.
fn static_library(s: &Sandbox, folder: &str, value: u32) {
    s.write("n.c", format!("int n(void) {{ return {value}; }}\n"));
    s.bare("gcc -c n.c -o n.o").ok();
    fs::create_dir_all(s.path(folder)).unwrap();
    let archive = format!("{folder}/libn.a");
    let _ = fs::remove_file(s.path(&archive));
    s.bare(&format!("ar rcsD {archive} n.o")).ok();
    for made in ["n.c", "n.o"] {
        s.remove(made);
    }
}

/// A procedural macro `pm::f!` of this body, compiled into a folder.
fn procedural_macro(s: &Sandbox, body: &str, folder: &str) {
    let text = "extern crate proc_macro; use proc_macro::TokenStream; #[proc_macro] pub fn f(_: TokenStream)";
    s.write("pm.rs", format!("{text} -> TokenStream {{ {body}.parse().unwrap() }}\n"));
    let line = "rustc --crate-name pm pm.rs --edition=2021 --crate-type proc-macro -C metadata=pm";
    s.bare(&format!("{line} --out-dir {folder}")).ok();
}

#[test]
fn modules_of_a_command_that_asks_for_no_list() {
    let s = Sandbox::new();
    s.write("a.rs", "mod m; pub fn f() -> u32 { m::X }\n");
    s.write("m.rs", "pub const X: u32 = 1;\n");
    s.warm(LIB);
    s.write("m.rs", "pub const X: u32 = 2;\n");
    s.warm(LIB);
    // It would be ambiguous.
    s.write("m/mod.rs", "pub const X: u32 = 3;\n");
    assert!(failed(&s.same(LIB).0));
}

#[test]
fn a_source_that_names_the_crate_by_its_file() {
    let s = Sandbox::new();
    s.write("tool.rs", "fn main() {}\n");
    for line in ["rustc tool.rs", "rustc -O tool.rs -o t", "rustc --crate-type lib tool.rs"] {
        s.warm(line);
    }
    s.write("tool.rs", "#![crate_name = \"other\"]\nfn main() {}\n");
    s.same("rustc tool.rs");
    assert!(s.exists("other"));
}

#[test]
fn files_of_the_assembler() {
    let s = Sandbox::new();
    let asm = |text: &str| s.write("a.rs", format!("core::arch::global_asm!({text});\n"));
    asm(r#"".section .rodata", ".global b", "b:", ".incbin \"d ata\"""#);
    s.write("d ata", "one");
    s.warm(LIB);
    s.write("d ata", "two");
    s.warm(LIB);
    // Files in files.
    asm("r#\".include \"x.s\"\"#");
    s.write("x.s", ".include \"y.s\"\n");
    s.write("y.s", ".globl q\nq: .long 1\n");
    s.warm(LIB);
    s.write("y.s", ".globl q\nq: .long 2\n");
    s.warm(LIB);
    // A name that only the compiler knows, here and in a macro of another crate.
    let makes = r#"macro_rules! i { ($p:literal) => { core::arch::global_asm!(concat!(".incbin \"", $p, "\"")); } }"#;
    s.write("a.rs", format!("{makes}\ni!(\"d ata\");\n"));
    s.miss(LIB);
    s.miss(LIB);
    assert!(s.reasons().contains("assembler_input"), "{}", s.reasons());
    s.write("b.rs", format!("#[macro_export]\n{makes}\n"));
    s.bare(&LIB.replace("a.rs", "b.rs").replace("name a", "name b")).ok();
    s.write("a.rs", "b::i!(\"d ata\");\n");
    let line = format!("{LIB} --extern b=libb.rlib");
    s.miss(&line);
    s.write("d ata", "three");
    s.miss(&line);
}

#[test]
fn directives_of_the_assembler_in_disguise() {
    let s = Sandbox::new();
    for text in [
        r#"".section .rodata.w", ".INCBIN \"x.bin\"""#,
        r#"".include\t\"x.s\"""#,
        "\".include \\\n   \\\"x.s\\\"\"",
        r#"".include /* x */ \"x.s\"""#,
        r#"".section .rodata.w", concat!(".inc", "bin \"x.bin\"")"#,
        r#"".section .rodata.w", "\x2eincbin \"x.bin\"""#,
    ] {
        s.write("a.rs", format!("core::arch::global_asm!({text}, \".text\");\n"));
        for value in [11, 22] {
            s.write("x.bin", value.to_string());
            s.write("x.s", format!(".long {value}\n"));
            s.miss(LIB);
        }
    }
}

#[test]
fn libraries_behind_a_macro() {
    let mut s = Sandbox::new();
    let body = "{ unsafe extern \"C\" { fn n() -> u32; } unsafe { n() }.to_string() }";
    let library = |s: &Sandbox, folder: &str, value: u32| {
        fs::create_dir_all(s.path(folder)).unwrap();
        s.write("n.c", format!("unsigned n(void) {{ return {value}; }}\n"));
        s.bare(&format!("gcc -shared -fPIC n.c -o {folder}/libn.so")).ok();
        s.remove("n.c");
    };
    library(&s, "n", 1);
    procedural_macro(&s, body, "d -L native=n -l dylib=n");
    s.write("a.rs", "pub const X: u32 = pm::f!();\n");
    let line = format!("{LIB} --extern pm=d/libpm.so");
    let folders = format!("{}:{}", s.path("first").display(), s.path("n").display());
    s.set("LD_LIBRARY_PATH", folders);
    s.warm(&line);
    library(&s, "n", 2);
    s.warm(&line);
    // One that is found before it.
    library(&s, "first", 3);
    s.warm(&line);
    s.remove("first/libn.so");
    s.hit(&line);
    // Where the macro says itself.
    s.set("LD_LIBRARY_PATH", "");
    procedural_macro(&s, body, "d -L native=n -l dylib=n -C link-arg=-Wl,-rpath,$ORIGIN/../n");
    for value in [4, 5] {
        library(&s, "n", value);
        s.warm(&line);
    }
}

#[test]
fn macros_read_what_cargo_says() {
    let mut s = Sandbox::new();
    let read = "format!(\"{:?}\", std::env::var(\"CARGO_PKG_DESCRIPTION\").unwrap())";
    procedural_macro(&s, read, "d");
    // Together with a variable that counts anyway.
    let out = s.path("out");
    s.set("OUT_DIR", out);
    s.write("a.rs", "pub const G: &str = env!(\"OUT_DIR\"); pub const T: &str = pm::f!();\n");
    let direct = format!("{LIB} --emit=dep-info,metadata,link --extern pm=d/libpm.so");
    for text in ["one", "two"] {
        s.set("CARGO_PKG_DESCRIPTION", text);
        s.warm(&direct);
    }
    // Passed on by another crate.
    s.write("b.rs", "pub use pm::f;\n");
    let line = "rustc --crate-name b b.rs --edition=2021 --crate-type lib -C metadata=b";
    s.bare(&format!(
        "{line} -C extra-filename=-0123456789abcdef --out-dir d --extern pm=d/libpm.so"
    ))
    .ok();
    s.write("a.rs", "pub const T: &str = b::f!();\n");
    let behind = format!("{LIB} --extern b=d/libb-0123456789abcdef.rlib -L dependency=d");
    for text in ["one", "two"] {
        s.set("CARGO_PKG_DESCRIPTION", text);
        s.warm(&behind);
    }
}

#[test]
fn crates_that_are_found_by_name() {
    let s = Sandbox::new();
    s.write("a.rs", "pub const T: u32 = pm::f!();\n");
    let line = format!("{LIB} -L d --extern pm");
    for number in ["\"1\"", "\"2\""] {
        procedural_macro(&s, number, "d");
        s.warm(&line);
    }
    let dylib = |number: u32| {
        s.write("b.rs", format!("#[inline(always)] pub fn b() -> u32 {{ {number} }}\n"));
        let line = "rustc -O --crate-name b b.rs --crate-type dylib -C prefer-dynamic --out-dir e";
        s.bare(line).ok();
    };
    s.write("a.rs", "extern crate b; #[inline] pub fn a() -> u32 { b::b() }\n");
    for number in [1, 2] {
        dylib(number);
        s.warm(&format!("{LIB} -L e"));
    }
    // A second one of that name is an error.
    s.write("b.rs", "pub fn b() -> u32 { 3 }\n");
    s.bare("rustc --crate-name b b.rs --crate-type lib -C metadata=other -C extra-filename=-x --out-dir e").ok();
    s.same(&format!("{LIB} -L e"));
}

#[test]
fn crates_behind_a_shared_one() {
    let s = Sandbox::new();
    let make = |name: &str, kind: &str, text: &str, more: &str| {
        s.write(format!("{name}.rs"), text);
        let line = format!(
            "rustc --crate-name {name} {name}.rs --edition=2021 --crate-type {kind} -C prefer-dynamic"
        );
        s.bare(&format!("{line} --out-dir d {more}")).ok();
    };
    make("c", "dylib", "pub struct S(pub u32);\n", "");
    make("b", "dylib", "pub fn b() -> c::S { c::S(1) }\n", "--extern c=d/libc.so");
    s.write("a.rs", "pub fn a() -> u32 { b::b().0 }\n");
    let line = format!("{LIB} --extern b=d/libb.so -L dependency=d");
    s.warm(&line);
    s.remove("d/libc.so");
    s.same(&line);
}

#[test]
fn static_libraries_named_in_any_way() {
    let s = Sandbox::new();
    let body = "extern \"C\" { pub fn n() -> i32; }";
    let texts = [
        format!(
            "macro_rules! l {{ ($n:literal) => {{ #[link(name = $n, kind = \"static\")] {body} }} }} l!(\"n\");\n"
        ),
        format!("#[link (name = r\"n\", kind = \"static\")] {body}\n"),
        "include!(\"b.inc\");\n".to_owned(),
    ];
    s.write("b.inc", format!("#[link(name = \"n\", kind = \"static\")] {body}\n"));
    let line = format!("{LIB} -L native=d -L native=e");
    for (nth, text) in texts.into_iter().enumerate() {
        s.write("a.rs", text);
        for value in [1, 2] {
            static_library(&s, "e", 10 * nth as u32 + value);
            s.warm(&line);
        }
        static_library(&s, "d", 30 + nth as u32);
        s.warm(&line);
        s.remove("d");
    }
    s.write("a.rs", format!("#[link(name = \"other\", kind = \"static\")] {body}\n"));
    for value in [41, 42] {
        static_library(&s, "e", value);
        s.warm(&format!("{line} -l static=other:n"));
    }
}

#[test]
fn modules_that_come_while_it_runs() {
    let s = Sandbox::new();
    let begun = s.aside("begun").join("by the macro");
    let sleeps = "std::thread::sleep(std::time::Duration::from_secs(1))";
    let slow = format!("{{ let _ = std::fs::write({begun:?}, \"\"); {sleeps}; \"1\" }}");
    procedural_macro(&s, &slow, "d");
    s.write("a.rs", "mod m; pub const X: i32 = pm::f!(); pub fn f() -> u32 { m::X }\n");
    s.write("m.rs", "pub const X: u32 = 1;\n");
    let line = format!("{LIB} --extern pm=d/libpm.so");
    let child = s.z_command(&line).spawn().unwrap();
    // By then it has read what was declared before.
    assert!(eventually(Duration::from_secs(60), || begun.exists()));
    s.write("m/mod.rs", "pub const X: u32 = 2;\n");
    finish(child).ok();
    assert!(failed(&s.same(&line).0));
}

#[test]
fn toolchains_that_lead_elsewhere() {
    let mut s = Sandbox::new();
    let Some(proxy) = proxy() else { return };
    // Another compiler, with the same libraries.
    let text =
        format!("#!/bin/sh\necho other >&2\nexec {}/bin/rustc \"$@\"\n", sysroot().display());
    let other = s.aside("other");
    fs::create_dir(other.join("bin")).unwrap();
    s.script(other.join("bin/rustc"), text);
    for folder in ["lib", "libexec"] {
        s.link(sysroot().join(folder), other.join(folder));
    }
    let home = s.aside("rustup");
    fs::create_dir(home.join("toolchains")).unwrap();
    let link = home.join("toolchains/dev");
    s.link(sysroot(), &link);
    s.set("RUSTUP_HOME", &home);
    s.set("PATH", format!("{}:{SYSTEM_PATH}", proxy.display()));
    s.write("a.rs", "pub fn a() {}\n");
    let line = LIB.replacen("rustc", "rustc +dev", 1);
    s.warm(&line);
    fs::remove_file(&link).unwrap();
    s.link(&other, &link);
    assert!(s.same(&line).0.err().contains("other"));
    // A script in front of a proxy.
    fs::remove_file(&link).unwrap();
    s.link(sysroot(), &link);
    s.link(&other, home.join("toolchains/next"));
    s.script("rustc", format!("#!/bin/sh\nexec {}/rustc \"$@\"\n", proxy.display()));
    s.write("rust-toolchain.toml", "[toolchain]\nchannel = \"dev\"\n");
    let line = LIB.replacen("rustc", "./rustc", 1);
    s.warm(&line);
    s.write("rust-toolchain.toml", "[toolchain]\nchannel = \"next\"\n");
    assert!(s.same(&line).0.err().contains("other"));
}

/// The folder of rustup's fronts, if rustc is one here.
fn proxy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).filter(|folder| folder.join("rustc").is_file());
    let folder = folders.next()?;
    let file = fs::canonicalize(folder.join("rustc")).ok()?;
    (file.file_name()? == "rustup" || folder.join("rustup").is_file()).then_some(folder)
}

#[test]
fn what_clippy_looks_at() {
    let mut s = Sandbox::new();
    s.set("CARGO_INCREMENTAL", "0");
    let folder = s.path(".");
    s.set("CARGO_MANIFEST_DIR", folder);
    let line = LIB.replacen("rustc", "clippy-driver", 1);
    s.write(
        "a.rs",
        "pub fn b(x: &str) -> &str { if x.starts_with(\"ab\") { &x[2..] } else { x } }\n",
    );
    for version in ["1.80", "1.40"] {
        s.set("CARGO_PKG_RUST_VERSION", version);
        s.warm(&line);
    }
    s.set("CARGO_PRIMARY_PACKAGE", "1");
    s.warm(&line);
    s.write("Cargo.toml", "[package]\nname = \"a\"\n");
    s.warm(&line);
    s.write("a.rs", "#![warn(clippy::cargo)]\n");
    s.same(&line);
    s.same(&line);
    assert!(s.reasons().contains("dependency_output"), "{}", s.reasons());
}

/// cargo starts dependents when it hears that a crate's metadata is there, long before its code is.
#[test]
fn what_rustc_says_midway_is_heard_at_once() {
    let s = Sandbox::new();
    let function = |n: usize| {
        format!(
            "pub fn f{n}(x: &str) -> Vec<String> {{ x.chars().map(|c| format!(\"{{c}}{n}\")).collect() }}\n"
        )
    };
    s.write("a.rs", (0..400).map(function).collect::<String>());
    let line =
        format!("{LIB} -C opt-level=1 --emit=metadata,link --error-format=json --json=artifacts");
    let mut child = s.z_command(&line).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("\"emit\":\"metadata\""), "{first}");
    assert!(s.exists("liba.rmeta") && !s.exists("liba.rlib"), "heard only when all is done");
    finish(child).ok();
    assert_eq!(s.status()["misses"], 1, "{}", s.reasons());
}

/// Dynamic libraries are dropped for a static target: rustc says so and makes the rest, and no linker runs.
#[test]
fn a_kind_that_rustc_leaves_out() {
    let s = Sandbox::new();
    s.write("a.rs", "pub fn one() -> u32 { 1 }\n");
    let dynamic = format!("{LIB} --crate-type cdylib");
    let line = format!("{dynamic} -C target-feature=+crt-static");
    for line in [&line, &format!("{line} --emit=dep-info,metadata,link --out-dir o")] {
        fs::create_dir_all(s.path("o")).unwrap();
        s.warm(line);
        assert!(!s.exists("liba.so") && !s.exists("o/liba.so"));
    }
    // One that lies there from another command is none of its making.
    s.warm(&dynamic);
    let theirs = s.read("liba.so");
    assert!(s.looked_up(&line));
    s.remove("liba.rlib");
    assert!(s.looked_up(&line));
    assert!(s.exists("liba.rlib") && s.read("liba.so") == theirs);
    s.write("a.rs", "pub fn one() -> u32 { 2 }\n");
    s.miss(&line);
    assert_eq!(s.read("liba.so"), theirs);
    s.remove("liba.so");
    s.remove("liba.rlib");
    assert!(s.looked_up(&line) && s.exists("liba.rlib") && !s.exists("liba.so"));
    // A warning, and nothing is made.
    s.warm(&line.replace("--crate-type lib ", ""));
}
