//! rustfmt: what it checks, what it writes, and all that it looks at on the way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::kit::{Sandbox, Tool, shim};

/// The program behind rustup's proxy.
fn rustfmt() -> PathBuf {
    let said = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = String::from_utf8(said.stdout).unwrap();
    let path = PathBuf::from(sysroot.trim()).join("bin/rustfmt");
    assert!(path.exists(), "no rustfmt: scripts/setup installs it");
    path
}

/// A sandbox with a small crate and a rustfmt that counts.
fn sandbox() -> Sandbox {
    let mut s = Sandbox::new();
    let folder = s.aside("tools");
    shim(&folder, "rustfmt", &rustfmt(), "1");
    s.path_first(&folder);
    s.write("src/main.rs", "mod a;\nmod b;\nfn main() {}\n");
    s.write("src/a.rs", "pub fn a() {}\n");
    s.write("src/b/mod.rs", "mod inner;\n#[path = \"odd name.rs\"]\nmod odd;\n");
    s.write("src/b/inner.rs", "pub fn inner() {}\n");
    s.write("src/b/odd name.rs", "pub fn odd() {}\n");
    s
}

fn ran(s: &Sandbox) -> usize {
    let log = fs::read_to_string(s.path("../shim.log")).unwrap_or_default();
    // Without files it is our own look at a text.
    log.lines().filter(|line| line.contains(".rs\x1f") || line.ends_with(".rs\x1f")).count()
}

#[track_caller]
fn same(s: &Sandbox, line: &str) -> (String, bool) {
    let before = ran(s);
    let (output, _) = s.same(line);
    (output.out() + &output.err(), ran(s) - before > 1)
}

const TOOL: Tool = Tool { same };

const CHECK: &str = "rustfmt --edition 2021 --check src/main.rs";

#[test]
fn a_check_and_its_status() {
    let s = sandbox();
    assert_eq!(TOOL.warm(&s, CHECK), "");
    s.z(CHECK).ok();
    // Every module that is reached counts, however deep.
    for file in ["src/a.rs", "src/b/inner.rs", "src/b/odd name.rs", "src/main.rs"] {
        let before = s.read(file);
        s.write(file, [&before[..], b"fn  more( ) {}\n"].concat());
        let text = TOOL.warm(&s, CHECK);
        assert!(text.contains("fn more() {}"), "{file}: {text}");
        s.z(CHECK).code(1);
        TOOL.warm(&s, &format!("{CHECK} -l"));
        s.write(file, before);
        assert_eq!(TOOL.hit(&s, CHECK), "");
    }
    TOOL.warm(&s, "rustfmt --edition 2021 --check --color always src/main.rs");
    TOOL.warm(&s, "rustfmt --edition 2021 --emit stdout src/main.rs");
}

#[test]
fn modules_that_may_come() {
    let s = sandbox();
    TOOL.warm(&s, CHECK);
    // Both forms of one module are an error.
    s.write("src/a/mod.rs", "pub fn a() {}\n");
    let text = TOOL.miss(&s, CHECK);
    assert!(text.contains("found at both"), "{text}");
    s.remove("src/a.rs");
    TOOL.warm(&s, CHECK);
    s.remove("src/a/mod.rs");
    assert!(TOOL.miss(&s, CHECK).contains("resolve"));
    s.write("src/a.rs", "pub fn a() {}\n");
    // The folder that was left is another one for rustfmt.
    s.remove("src/a");
    TOOL.hit(&s, CHECK);
    s.write("src/main.rs", "mod a;\nmod b;\nmod c {\n    mod d;\n}\nfn main() {}\n");
    s.write("src/c/d.rs", "fn  d() {}\n");
    assert!(TOOL.warm(&s, CHECK).contains("d.rs"));
    s.write("src/c/d.rs", "fn d() {}\n");
    assert_eq!(TOOL.warm(&s, CHECK), "");
}

#[test]
fn settings_up_the_tree() {
    let mut s = sandbox();
    s.write("src/a.rs", "pub fn a() {\n    b();\n}\n");
    TOOL.warm(&s, CHECK);
    for place in ["rustfmt.toml", ".rustfmt.toml", "src/rustfmt.toml"] {
        s.write(place, "tab_spaces = 2\n");
        assert!(TOOL.warm(&s, CHECK).contains("+  b();"), "{place}");
        s.write(place, "tab_spaces = 4\n");
        assert_eq!(TOOL.warm(&s, CHECK), "", "{place}");
        s.remove(place);
        TOOL.hit(&s, CHECK);
    }
    // The user's own.
    let home = s.aside("other-home");
    s.set("HOME", &home);
    TOOL.warm(&s, CHECK);
    fs::create_dir_all(home.join(".config/rustfmt")).unwrap();
    fs::write(home.join(".config/rustfmt/rustfmt.toml"), "tab_spaces = 3\n").unwrap();
    assert!(TOOL.warm(&s, CHECK).contains("+   b();"));
    let config = s.aside("config");
    s.set("XDG_CONFIG_HOME", &config);
    assert_eq!(TOOL.warm(&s, CHECK), "");
    fs::create_dir_all(config.join("rustfmt")).unwrap();
    fs::write(config.join("rustfmt/.rustfmt.toml"), "tab_spaces = 5\n").unwrap();
    assert!(TOOL.warm(&s, CHECK).contains("+     b();"));
    // On the command line.
    TOOL.warm(&s, &format!("{CHECK} --config tab_spaces=4"));
    s.write("cfg/rustfmt.toml", "tab_spaces = 4\n");
    TOOL.warm(&s, &format!("{CHECK} --config-path cfg"));
    s.write("cfg/rustfmt.toml", "tab_spaces = 2\n");
    TOOL.warm(&s, &format!("{CHECK} --config-path cfg"));
    TOOL.warm(&s, &CHECK.replace("2021", "2018"));
}

#[test]
fn files_are_written_and_formatted_ones_are_left_alone() {
    let s = sandbox();
    let line = "rustfmt --edition 2021 src/main.rs";
    let (ugly, formatted) = ("fn  inner( ){}\n", "fn inner() {}\n");
    TOOL.warm(&s, line);
    let stamp = |name: &str| {
        let meta = fs::metadata(s.path(name)).unwrap();
        (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec())
    };
    let others = ["src/main.rs", "src/a.rs", "src/b/mod.rs"];
    let before = others.map(stamp);
    s.write("src/b/inner.rs", ugly);
    s.chmod("src/b/inner.rs", 0o640);
    let inode = stamp("src/b/inner.rs").0;
    s.z(line).ok();
    assert_eq!(s.read("src/b/inner.rs"), formatted.as_bytes());
    // The same once more: from the cache, in place.
    s.write("src/b/inner.rs", ugly);
    let count = ran(&s);
    s.z(line).ok();
    assert_eq!(ran(&s), count, "{}", s.reasons());
    assert_eq!(s.read("src/b/inner.rs"), formatted.as_bytes());
    assert_eq!(stamp("src/b/inner.rs").0, inode);
    assert_eq!(fs::metadata(s.path("src/b/inner.rs")).unwrap().mode() & 0o777, 0o640);
    assert_eq!(others.map(stamp), before, "nobody wrote to these");
    s.z(line).ok();
    let count = ran(&s);
    let formatted = stamp("src/b/inner.rs");
    s.z(line).ok();
    assert_eq!(ran(&s), count);
    assert_eq!(stamp("src/b/inner.rs"), formatted, "formatted files stay untouched");
    // With the whole comparison.
    s.write("src/a.rs", "pub fn  a( ){}\n");
    TOOL.miss(&s, line);
    assert_eq!(s.read("src/a.rs"), b"pub fn a() {}\n");
}

#[test]
fn what_somebody_else_writes_is_not_taken_for_its_work() {
    let mut s = sandbox();
    let real = rustfmt();
    // Edits the file just before rustfmt reads it.
    let folder = s.aside("racing");
    let path = folder.join("rustfmt");
    let edit = "case \"$*\" in *main.rs*) [ -e racing ] && echo 'fn  raced( ){}' > src/a.rs;; esac";
    s.script(&path, format!("#!/bin/sh\n{edit}\nexec {} \"$@\"\n", real.display()));
    s.path_first(&folder);
    let line = "rustfmt --edition 2021 src/main.rs";
    s.write("racing", "");
    s.write("src/a.rs", "pub fn  a( ){}\n");
    s.z(line).ok();
    assert_eq!(s.read("src/a.rs"), b"fn raced() {}\n");
    s.remove("racing");
    s.write("src/a.rs", "pub fn  a( ){}\n");
    s.z(line).ok();
    assert_eq!(s.read("src/a.rs"), b"pub fn a() {}\n");
}

#[test]
fn several_roots_are_kept_apart() {
    let s = sandbox();
    s.write("src/lib.rs", "mod a;\n");
    s.write("tests/t.rs", "fn  t() {}\n");
    let line = "rustfmt --check --edition 2021 src/lib.rs src/main.rs tests/t.rs";
    let text = TOOL.warm(&s, line);
    assert!(text.contains("t.rs"));
    // Only the root that is concerned runs again.
    s.write("src/b/inner.rs", "pub fn  inner() {}\n");
    let before = ran(&s);
    s.z(line).code(1);
    assert_eq!(ran(&s) - before, 1);
    TOOL.hit(&s, line);
    // In place: a file that two roots have in common.
    let line = "rustfmt --edition 2021 src/lib.rs src/main.rs";
    TOOL.miss(&s, line);
    TOOL.warm(&s, line);
}

#[test]
fn what_runs_plainly() {
    let s = sandbox();
    for line in [
        "rustfmt --version",
        "rustfmt --check --backup src/main.rs",
        "rustfmt --print-config current src/main.rs",
    ] {
        let output = s.z(line);
        assert_eq!(output, s.bare(line), "{line}");
    }
    s.write("rustfmt.toml", "make_backup = true\n");
    TOOL.miss(&s, CHECK);
    TOOL.miss(&s, CHECK);
}

/// The walk over the modules finds every file that rustfmt says it formats.
#[test]
fn no_module_is_missed() {
    let s = sandbox();
    for root in ["/src/lib.rs", "/tests/it/main.rs"] {
        let root = [env!("CARGO_MANIFEST_DIR"), root].concat();
        let words = ["rustfmt", "--edition", "2024", "--check", "-v", &root];
        let said = s.bare(&words[..]);
        let listed: Vec<PathBuf> = said
            .out()
            .lines()
            .filter_map(|line| line.strip_prefix("Formatting "))
            .map(PathBuf::from)
            .collect();
        assert!(!listed.is_empty(), "{root}: {}", said.err());
        s.z(&["rustfmt", "--edition", "2024", "--check", &root][..]);
        let command = ["explain", "--json", "--", "rustfmt", "--edition", "2024", "--check", &root];
        let explained = s.z(&command[..]).ok().out();
        let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
        let key = explained["units"][0]["key"].as_str().expect("a hit").to_owned();
        let inspected = s.z(&["inspect", &key, "--json"][..]).ok().out();
        for path in listed {
            assert!(inspected.contains(path.to_str().unwrap()), "{root}: {}", path.display());
        }
    }
}
