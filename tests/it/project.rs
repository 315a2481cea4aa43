use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kit::{Sandbox, ZCCACHE, each_file, finish, have};

/// Where cargo keeps the sources of a dependency.
fn sources_of(package: &str) -> PathBuf {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package).unwrap();
    Path::new(found["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

/// Lua, as its crate ships it, with a makefile that follows headers.
pub fn lua(s: &Sandbox) {
    let mut folder =
        fs::read_dir(sources_of("lua-src")).unwrap().flatten().map(|entry| entry.path());
    let is_lua = |path: &PathBuf| path.to_string_lossy().contains("/lua-5.4");
    let folder = folder.find(is_lua).unwrap();
    each_file(&folder, &mut |path, _| {
        s.write(Path::new("src").join(path.file_name().unwrap()), fs::read(path).unwrap());
    });
    s.write(
        "Makefile",
        "SOURCES := $(wildcard src/*.c)\n\
         OBJECTS := $(SOURCES:src/%.c=$(OUT)/%.o)\n\
         all: $(OBJECTS)\n\
         $(OUT)/%.o: src/%.c\n\
         \t@mkdir -p $(OUT)\n\
         \t$(CC) $(CFLAGS) -DLUA_USE_POSIX -Wall -MD -MP -c $< -o $@\n\
         -include $(OBJECTS:.o=.d)\n",
    );
}

pub fn build(s: &Sandbox, compiler: &str, flags: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    // One name for all builds, so that dependency files compare as well.
    let out = s.path("out");
    if out.exists() {
        fs::remove_dir_all(&out).unwrap();
    }
    let words = ["make", "-j4", "-s", "OUT=out"].map(str::to_owned);
    let words = [&words[..], &[format!("CC={compiler}"), format!("CFLAGS={flags}")]].concat();
    let output = finish(s.command(&words[..]).spawn().unwrap()).ok();
    assert_eq!(output.err(), "");
    let mut files = BTreeMap::new();
    each_file(&out, &mut |path, _| {
        files.insert(path.strip_prefix(&out).unwrap().to_owned(), fs::read(path).unwrap());
    });
    files
}

fn built_twice(compiler: &str, flags: &str) {
    let s = Sandbox::new();
    lua(&s);
    let cached = format!("{ZCCACHE} {compiler}");
    let truth = build(&s, compiler, flags);
    assert!(truth.len() > 60, "{} files", truth.len());
    let sources = truth.len() / 2;
    let mark = s.calls();
    assert!(build(&s, &cached, flags) == truth, "the first build differs");
    assert_eq!(s.calls() - mark, sources);
    let mark = s.calls();
    assert!(build(&s, &cached, flags) == truth, "the second build differs");
    assert_eq!(s.calls() - mark, 0, "the second build compiled; {}", s.reasons());
    s.z("stop").code(0);
    s.z("start").code(0);
    assert!(build(&s, &cached, flags) == truth, "the build by a new daemon differs");
    assert_eq!(s.calls() - mark, 0, "a new daemon's build compiled; {}", s.reasons());

    // One header that some include and some do not.
    let header = [&s.read("src/lopcodes.h")[..], b"#define ADDED 1\n"].concat();
    s.write("src/lopcodes.h", header);
    let truth = build(&s, compiler, flags);
    let mark = s.calls();
    assert!(build(&s, &cached, flags) == truth, "the build after an edit differs");
    let cost = s.calls() - mark;
    assert!(cost > 0 && cost < sources, "{cost} of {sources} compiled after one edit");
}

#[test]
fn lua_by_make_with_gcc() {
    built_twice("gcc", "-O1 -g");
}

#[test]
fn lua_by_make_with_clang() {
    if have("clang") {
        built_twice("clang", "-O0");
    }
}
