//! clang-tidy and include-what-you-use: alone, as CMake calls them, and by a compile database.

use std::fs;
use std::path::Path;

use crate::kit::{Sandbox, Tool, ZCCACHE, real, shim};

const CHECKS: &str = "--checks=-*,modernize-use-nullptr,readability-identifier-naming";

/// A sandbox in which the tools count as compilers do.
fn sandbox() -> Sandbox {
    for tool in ["clang-tidy", "include-what-you-use"] {
        assert!(real_is_there(tool), "no {tool}: scripts/setup installs it");
    }
    let mut s = Sandbox::new();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tidy-shims-1");
    for tool in ["clang-tidy", "include-what-you-use"] {
        if !folder.join(tool).exists() {
            shim(&folder, tool, &real(tool), "1");
        }
    }
    s.path_first(&folder);
    s.set("USER", "somebody");
    s.write("inc/x.h", "#pragma once\ninline int *found() { int *P = 0; return P; }\n");
    s.write("a.cpp", "#include \"x.h\"\nint main() { int *p = 0; return p == found(); }\n");
    s
}

fn real_is_there(tool: &str) -> bool {
    Path::new("/usr/bin").join(tool).exists()
}

/// As `Sandbox::same`, with whether the tool looked at the source (and did not only say where it
/// looks for headers).
#[track_caller]
fn same(s: &Sandbox, line: &str) -> (String, bool) {
    let looked = |s: &Sandbox| {
        let log = s.path("../shim.log");
        let log = fs::read_to_string(log).unwrap_or_default();
        log.lines().filter(|line| !line.contains("/dev/null")).count()
    };
    let before = looked(s);
    let (output, _) = s.same(line);
    // The bare run is written down, too.
    let count = looked(s) - before - 1;
    (output.out() + &output.err(), count > 0)
}

const TOOL: Tool = Tool { same };

#[test]
fn what_it_says_comes_back() {
    let s = sandbox();
    let line = format!("clang-tidy {CHECKS} --header-filter=.* a.cpp -- -Iinc");
    let text = TOOL.warm(&s, &line);
    assert!(text.contains("use nullptr") && text.contains("x.h"), "{text}");
    let line = format!("clang-tidy {CHECKS} --quiet --use-color a.cpp -- -Iinc");
    assert!(TOOL.warm(&s, &line).contains("\u{1b}["), "colours");
    s.write("clean.cpp", "int main() { return 0; }\n");
    TOOL.warm(&s, &format!("clang-tidy {CHECKS} clean.cpp -- -std=c++17"));
    // A tool of another name, by its whole path.
    let status = s.status();
    assert!(status["hits"].as_u64() >= Some(3), "{status}");
}

#[test]
fn on_a_terminal_it_is_coloured() {
    let mut s = sandbox();
    s.set("TERM", "xterm");
    // A terminal of its own for the command, and what was written there.
    let on_terminal = |command: &str| {
        let log = s.path("../typescript");
        let words = ["script", "-q", "-e", "-c", command, log.to_str().unwrap()];
        s.bare(&words[..]).ok().out()
    };
    let line = format!("clang-tidy '{CHECKS}' a.cpp -- -Iinc");
    let bare = on_terminal(&line);
    assert!(bare.contains("\u{1b}["), "{bare}");
    let ours = format!("{ZCCACHE} {line}");
    assert_eq!(on_terminal(&ours), bare);
    let misses = s.status()["misses"].clone();
    assert_eq!(on_terminal(&ours), bare);
    assert_eq!(s.status()["misses"], misses, "{}", s.reasons());
    // Into a pipe it has none.
    let piped = TOOL.warm(&s, &format!("clang-tidy {CHECKS} a.cpp -- -Iinc"));
    assert!(!piped.contains("\u{1b}["), "{piped}");
}

#[test]
fn run_clang_tidy_calls_it() {
    let s = sandbox();
    s.write("b.cpp", "const char *x = X;\nint main() { int *q = 0; return q == nullptr; }\n");
    s.write("build/compile_commands.json", database(&s, "-DONE"));
    let farm = s.aside("farm");
    s.z(&["link", farm.to_str().unwrap(), "clang-tidy"][..]).ok();
    let run = |binary: &str| {
        let words =
            ["run-clang-tidy", "-clang-tidy-binary", binary, "-p", "build", "-j1", "-quiet"];
        let more = ["-checks=-*,modernize-use-nullptr", "-export-fixes", "fixes.yaml"];
        let output = s.bare(&[&words[..], &more[..]].concat()[..]);
        // Put together in the order of names of its own.
        let fixes = String::from_utf8(s.read("fixes.yaml")).unwrap();
        let mut fixes: Vec<String> = fixes.lines().map(str::to_owned).collect();
        fixes.sort();
        s.remove("fixes.yaml");
        // It tells the command, with names of its own.
        let said = |line: &&str| !line.contains("-export-fixes");
        // It takes the sources in any order.
        let mut lines: Vec<_> = output.out().lines().filter(said).map(str::to_owned).collect();
        lines.sort();
        (lines, fixes)
    };
    let bare = run("clang-tidy");
    assert!(!bare.0.is_empty());
    let link = farm.join("clang-tidy").display().to_string();
    assert_eq!(run(&link), bare);
    let misses = s.status()["misses"].as_u64();
    assert_eq!(misses, Some(2), "{}", s.reasons());
    assert_eq!(run(&link), bare);
    assert_eq!(s.status()["misses"].as_u64(), misses, "{}", s.reasons());
}

#[test]
fn warnings_as_errors_keep_their_status() {
    let s = sandbox();
    for quiet in ["", "--quiet"] {
        let line = format!("clang-tidy {quiet} {CHECKS} --warnings-as-errors=* a.cpp -- -Iinc");
        TOOL.warm(&s, &line);
        s.z(&line).code(1);
    }
    // What does not compile is looked at each time: the missing header may come.
    s.write("b.cpp", "#include \"missing.h\"\nint *p = 0;\n");
    let line = format!("clang-tidy {CHECKS} --warnings-as-errors=* b.cpp -- -Iinc");
    TOOL.miss(&s, &line);
    TOOL.miss(&s, &line);
    s.write("inc/missing.h", "");
    TOOL.warm(&s, &line);
}

#[test]
fn headers_settings_and_what_is_not_there() {
    let s = sandbox();
    s.write("src/a.cpp", s.read("a.cpp"));
    fs::create_dir_all(s.path("early")).unwrap();
    let line = format!("clang-tidy {CHECKS} --header-filter=.* src/a.cpp -- -Iearly -Iinc -Inone");
    TOOL.warm(&s, &line);
    s.write("inc/x.h", "#pragma once\ninline int *found() { return 0; }\n");
    TOOL.warm(&s, &line);
    // A header that is found earlier, in a folder that was there or was not.
    s.write("early/x.h", "inline int *found() { int *Early = 0; return Early; }\n");
    TOOL.warm(&s, &line);
    s.remove("early/x.h");
    TOOL.hit(&s, &line);
    // A configuration that appears above the source, and above a header.
    let naming = |case: &str| {
        format!(
            "CheckOptions:\n  - key: readability-identifier-naming.VariableCase\n    value: {case}\n"
        )
    };
    s.write(".clang-tidy", naming("UPPER_CASE"));
    let loud = TOOL.warm(&s, &line);
    s.write(".clang-tidy", naming("lower_case"));
    assert_ne!(TOOL.warm(&s, &line), loud);
    s.write("src/.clang-tidy", "InheritParentConfig: true\n");
    TOOL.warm(&s, &line);
    s.write("inc/.clang-tidy", naming("UPPER_CASE"));
    TOOL.warm(&s, &line);
    s.remove("inc/.clang-tidy");
    TOOL.hit(&s, &line);
    // One that adds arguments to the compile is not followed.
    s.write("src/.clang-tidy", "ExtraArgs: ['-Iearly']\n");
    TOOL.miss(&s, &line);
    TOOL.miss(&s, &line);
}

#[test]
fn a_settings_file_that_is_named() {
    let s = sandbox();
    s.write("tidy.yaml", "Checks: '-*,modernize-use-nullptr'\n");
    let line = "clang-tidy --config-file=tidy.yaml a.cpp -- -Iinc";
    assert!(TOOL.warm(&s, line).contains("nullptr"));
    s.write("tidy.yaml", "Checks: '-*,llvm-twine-local'\n");
    assert!(!TOOL.warm(&s, line).contains("nullptr"));
    TOOL.warm(&s, "clang-tidy --config={\"Checks\":\"-*,modernize-use-nullptr\"} a.cpp -- -Iinc");
}

#[test]
fn variables_that_checks_read() {
    let mut s = sandbox();
    s.write("t.cpp", "// TODO: later\nint v;\n");
    let line = "clang-tidy --checks=-*,google-readability-todo t.cpp --";
    assert!(TOOL.warm(&s, line).contains("somebody"));
    s.set("USER", "another");
    assert!(TOOL.warm(&s, line).contains("another"));
}

#[test]
fn fixes_are_exported() {
    let s = sandbox();
    let line = format!("clang-tidy {CHECKS} -export-fixes=fixes.yaml a.cpp -- -Iinc");
    TOOL.warm(&s, &line);
    s.remove("fixes.yaml");
    TOOL.hit(&s, &line);
    assert!(s.exists("fixes.yaml"));
    // Nothing to fix: an older file stays as it is, and is no result.
    s.write("a.cpp", "int main() { return 0; }\n");
    s.write("fixes.yaml", "old");
    TOOL.warm(&s, &line);
    s.write("fixes.yaml", "other");
    TOOL.hit(&s, &line);
    assert_eq!(s.read("fixes.yaml"), b"other");
}

#[test]
fn fixing_runs_plainly() {
    let s = sandbox();
    for _ in 0..2 {
        s.write("a.cpp", "#include \"x.h\"\nint main() { int *p = 0; return p == found(); }\n");
        TOOL.miss(&s, &format!("clang-tidy {CHECKS} --fix a.cpp -- -Iinc"));
        assert!(String::from_utf8(s.read("a.cpp")).unwrap().contains("nullptr"));
    }
    for line in ["--dump-config a.cpp --", "--list-checks", "--explain-config a.cpp --"] {
        TOOL.miss(&s, &format!("clang-tidy {CHECKS} {line}"));
    }
}

fn database(s: &Sandbox, more: &str) -> String {
    let (dir, build) = (s.dir.display(), s.path("build").display().to_string());
    let entry = |source: &str, flags: &str| {
        format!(
            r#"{{"directory": "{build}", "file": "{dir}/{source}",
                "command": "/usr/bin/c++ -DX=\\\"a\\ b\\\" {flags} -o x.o -c {dir}/{source}"}}"#
        )
    };
    format!("[{}, {}]", entry("a.cpp", "-I../inc"), entry("b.cpp", more))
}

#[test]
fn compile_databases() {
    let s = sandbox();
    s.write("b.cpp", "const char *x = X;\nint main() { int *q = 0; return q == nullptr; }\n");
    s.write("build/compile_commands.json", database(&s, "-DONE"));
    let line = |source: &str| format!("clang-tidy {CHECKS} -p build {source}");
    TOOL.warm(&s, &line("a.cpp"));
    TOOL.warm(&s, &line("b.cpp"));
    // The entry of the other source is another one.
    s.write("build/compile_commands.json", database(&s, "-DTWO"));
    TOOL.hit(&s, &line("a.cpp"));
    TOOL.warm(&s, &line("b.cpp"));
    // A header of that entry's folders.
    s.write("inc/x.h", "#pragma once\ninline int *found() { return nullptr; }\n");
    TOOL.warm(&s, &line("a.cpp"));
    // Two sources in one command.
    let both = format!("clang-tidy {CHECKS} -p build {0}/a.cpp {0}/b.cpp", s.dir.display());
    TOOL.warm(&s, &both);
    s.write("inc/x.h", "#pragma once\ninline int *found() { int *Z = 0; return Z; }\n");
    TOOL.warm(&s, &both);
    // Without an entry clang makes one up.
    s.write("c.cpp", "int c;\n");
    TOOL.miss(&s, &line("c.cpp"));
    TOOL.miss(&s, &line("c.cpp"));
}

#[test]
fn databases_up_the_tree() {
    let s = sandbox();
    s.write("deep/er/d.cpp", "int *d = 0;\n#ifdef X\nint *x = 0;\n#endif\n");
    let line = format!("clang-tidy {CHECKS} deep/er/d.cpp");
    let none = TOOL.warm(&s, &line);
    s.write("compile_flags.txt", "-DX\n");
    let flags = TOOL.warm(&s, &line);
    assert_ne!(none, flags);
    s.write("deep/compile_flags.txt", "-DY\n-Wall\n");
    TOOL.warm(&s, &line);
    s.remove("deep/compile_flags.txt");
    assert_eq!(TOOL.hit(&s, &line), flags);
    s.remove("compile_flags.txt");
    assert_eq!(TOOL.hit(&s, &line), none);
}

#[test]
fn as_cmake_calls_it() {
    let s = sandbox();
    s.write(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(p CXX)\nadd_library(p a.cpp b.cpp)\n\
         target_include_directories(p PRIVATE inc)\n",
    );
    s.write("b.cpp", "#include \"x.h\"\nint *other() { return 0; }\n");
    let build = |name: &str, launch: &str| {
        let tools = [
            format!("-DCMAKE_CXX_CLANG_TIDY={launch}clang-tidy;{CHECKS};-header-filter=.*"),
            format!(
                "-DCMAKE_CXX_INCLUDE_WHAT_YOU_USE={launch}include-what-you-use;-Xiwyu;--error=3"
            ),
        ];
        let words = ["cmake", "-G", "Ninja", "-S", ".", "-B", name].map(str::to_owned);
        s.bare(&[&words[..], &tools[..]].concat()[..]).ok();
        s.bare(&["ninja", "-j1", "-C", name][..])
    };
    let steps = |text: String| -> Vec<String> {
        // Ninja writes a step's number and the folder's name.
        let lines = text.lines().map(str::to_owned);
        let mut lines: Vec<_> = lines.filter(|line| !line.starts_with("ninja:")).collect();
        lines.sort();
        lines
    };
    let launch = format!("{ZCCACHE};");
    let bare = steps(build("build", "").ok().out());
    assert!(bare.iter().any(|line| line.contains("use nullptr")), "{bare:?}");
    assert!(bare.iter().any(|line| line.contains("include-what-you-use")), "{bare:?}");
    for round in 0..2 {
        s.remove("build");
        let before = s.status();
        assert_eq!(steps(build("build", &launch).ok().out()), bare);
        let count = |status: &serde_json::Value, name: &str| status[name].as_u64().unwrap_or(0);
        let after = s.status();
        let hits = count(&after, "hits") - count(&before, "hits");
        assert_eq!(hits, if round == 0 { 0 } else { 4 }, "{after}");
    }
}

#[test]
fn include_what_you_use() {
    let s = sandbox();
    s.write("u.cpp", "#include \"x.h\"\n#include <stdio.h>\nint main() { return !found(); }\n");
    let iwyu = "include-what-you-use";
    // Of one source, and nothing to be compared.
    TOOL.warm(&s, &format!("clang-tidy {CHECKS} u.cpp -- -Iinc"));
    s.write("other.cpp", "int other;\n");
    TOOL.warm(&s, &format!("clang-tidy {CHECKS} other.cpp --"));
    let text = TOOL.warm(&s, &format!("{iwyu} -Iinc u.cpp"));
    assert!(text.contains("#include <stdio.h>"), "{text}");
    assert_eq!(s.reasons(), r#"{"new_action":3}"#);
    TOOL.warm(&s, &format!("{iwyu} -Xiwyu --error=5 -Iinc -c u.cpp -o u.o -MD -MT u.o -MF u.d"));
    s.z(&format!("{iwyu} -Xiwyu --error=5 -Iinc -c u.cpp -o u.o -MD -MT u.o -MF u.d")).code(5);
    TOOL.warm(&s, &format!("{iwyu} -Xiwyu --error -Xiwyu --no_comments -Iinc u.cpp"));
    s.write(
        "inc/x.h",
        "#pragma once\n#include <stdlib.h>\ninline void *found() { return malloc(1); }\n",
    );
    TOOL.warm(&s, &format!("{iwyu} -Iinc u.cpp"));
    s.write("bad.cpp", "#include \"nowhere.h\"\n");
    TOOL.miss(&s, &format!("{iwyu} bad.cpp"));
    TOOL.miss(&s, &format!("{iwyu} bad.cpp"));
    TOOL.miss(&s, &format!("{iwyu} --version"));
}

#[test]
fn mapping_files_and_those_they_name() {
    let s = sandbox();
    s.write("inc/private.h", "#pragma once\ninline int secret() { return 1; }\n");
    s.write("m.cpp", "#include \"x.h\"\n#include \"private.h\"\nint main() { return secret(); }\n");
    s.write("map/a.imp", "[ { ref: \"b.imp\" } ]\n");
    s.write("map/b.imp", "[]\n");
    let line = "include-what-you-use -Xiwyu --mapping_file=map/a.imp -Iinc m.cpp";
    let plain = TOOL.warm(&s, line);
    let mapped = r#"[ { include: ["\"private.h\"", "private", "\"public.h\"", "public"] } ]"#;
    s.write("map/b.imp", mapped);
    let text = TOOL.warm(&s, line);
    assert!(text != plain && text.contains("public.h"), "{text}");
    // The working folder comes before the mapping file's.
    s.write("b.imp", "[]\n");
    assert_eq!(TOOL.warm(&s, line), plain);
}

#[test]
fn absent_tools_are_told() {
    let s = Sandbox::new();
    let output = s.z("clang-tidy-99 a.cpp --").code(127);
    assert!(output.err().contains("clang-tidy-99: not found on PATH"), "{}", output.err());
}

#[test]
fn the_includers_includer() {
    let s = sandbox();
    s.write("m.cpp", "#include \"sub/a.h\"\nint *x = X;\n");
    s.write("sub/a.h", "#include \"b.h\"\n");
    s.write("inc/b.h", "#define X nullptr\n");
    for flag in ["-fms-compatibility", "--target=x86_64-pc-windows-msvc"] {
        let line = format!("clang-tidy {CHECKS} m.cpp -- -Iinc {flag}");
        same(&s, &line);
        s.write("b.h", "#define X 0\n");
        assert!(same(&s, &line).1);
        s.remove("b.h");
    }
}
