//! Two checkouts of one repository, in folders with names of different lengths.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kit::{Output, Sandbox, Words, eventually, have};

const SOURCE: &str = "#include \"x.h\"\n#include <assert.h>\n\
    const char *where(int x) { assert(x); return __FILE__; }\n\
    int g(void) { int unused; return X; }\n";

/// A sandbox with these checkouts of one small project.
fn checkouts(names: &[&str]) -> Sandbox {
    let mut s = Sandbox::new();
    s.set("ZCCACHE_PATH_REMAP", "auto");
    for name in names {
        s.write(format!("{name}/.git/HEAD"), "ref: refs/heads/main\n");
        s.write(format!("{name}/inc/x.h"), "#define X 1\n");
        s.write(format!("{name}/src/a.c"), SOURCE);
        s.write(format!("{name}/build/keep"), "");
    }
    s
}

/// Runs a command in a folder of a checkout. `ROOT` in a word stands for the checkout.
fn run(s: &Sandbox, checkout: &str, words: &str) -> (Output, usize) {
    let root = s.path(checkout);
    let words: Vec<String> = words.words().iter().map(|word| replaced(word, &root)).collect();
    let before = s.calls();
    let mut command = s.z_command(&words[..]);
    let cwd = root.join("build");
    let child = command.current_dir(&cwd).env("PWD", &cwd).spawn().unwrap();
    (crate::kit::finish(child), s.calls() - before)
}

/// Reasons are counted when a compile has been dealt with, a moment after its wrapper ended.
#[track_caller]
fn gives_reason(s: &Sandbox, reason: &str) {
    let given = eventually(Duration::from_secs(20), || s.reasons().contains(reason));
    assert!(given, "not {reason}: {}", s.reasons());
}

fn replaced(word: &std::ffi::OsStr, root: &Path) -> String {
    word.to_str().unwrap().replace("ROOT", root.to_str().unwrap())
}

/// The same by the bare compiler with the map; outputs get `2` behind their names.
fn truth(s: &Sandbox, checkout: &str, words: &str) -> Output {
    let root = s.path(checkout);
    let mut all: Vec<String> = words.words().iter().map(|word| replaced(word, &root)).collect();
    all.insert(1, format!("-ffile-prefix-map={}=.", root.display()));
    let cwd = root.join("build");
    let mut command = s.command(&all[..]);
    crate::kit::finish(command.current_dir(&cwd).env("PWD", &cwd).spawn().unwrap())
}

fn built(s: &Sandbox, checkout: &str, name: &str) -> Vec<u8> {
    s.read(PathBuf::from(checkout).join("build").join(name))
}

const COMPILE: &str =
    "-g -O1 -Wall -IROOT/inc -MD -MP -MF a.d -MT ROOT/build/a.o -c ROOT/src/a.c -o a.o";

#[test]
fn one_compile_serves_all_checkouts() {
    for compiler in ["gcc", "clang"] {
        if !have(compiler) {
            continue;
        }
        let s = checkouts(&["one", "the-second", "a third #$x"]);
        let compile = format!("{compiler} {COMPILE}");
        let mut cost = Vec::new();
        for checkout in ["one", "the-second", "the-second", "one"] {
            let expected = truth(&s, checkout, &compile);
            let files = [built(&s, checkout, "a.o"), built(&s, checkout, "a.d")];
            s.remove(format!("{checkout}/build/a.o"));
            s.remove(format!("{checkout}/build/a.d"));
            let (got, calls) = run(&s, checkout, &compile);
            assert_eq!(got.ok().err(), expected.ok().err());
            assert!(built(&s, checkout, "a.o") == files[0], "{compiler} in {checkout}");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(text(&built(&s, checkout, "a.d")), text(&files[1]));
            cost.push(calls);
        }
        assert_eq!(cost[1..], [0, 0, 0], "{compiler}: {}", s.reasons());
        assert_eq!(s.status()["worktree_hits"], 2);
    }
}

#[test]
fn a_checkout_that_differs_gets_its_own() {
    let s = checkouts(&["one", "two"]);
    let compile = format!("gcc {COMPILE}");
    run(&s, "one", &compile).0.ok();
    s.write("two/inc/x.h", "#define X 2\n");
    assert_eq!(run(&s, "two", &compile).1, 1);
    assert_ne!(built(&s, "one", "a.o"), built(&s, "two", "a.o"));
    gives_reason(&s, "content_hash_mismatch");
    // A header that shadows, in one of them.
    s.write("two/inc/x.h", "#define X 1\n");
    assert_eq!(run(&s, "two", &compile).1, 0);
    s.write("two/src/x.h", "#define X 3\n");
    assert_eq!(run(&s, "two", &compile).1, 1);
    assert_eq!(run(&s, "one", &compile).1, 0);
}

/// Paths from the working folder on are other files in each checkout.
/// A build script of a package that cargo fetched compiles C there, for the checkout that its
/// results go to.
#[test]
fn c_of_fetched_packages_is_compiled_once() {
    let mut s = checkouts(&["one", "the-second"]);
    s.set("CARGO_HOME", s.path("cargo").to_str().unwrap());
    s.write(
        "cargo/registry/src/lib-1.0/lib.c",
        "#include \"made.h\"\nint f(void) { return MADE; }\n",
    );
    for (checkout, is_first) in [("one", true), ("the-second", false)] {
        let root = s.path(checkout);
        s.write(format!("{checkout}/build/out/made.h"), "#define MADE 4\n");
        let out = root.join("build/out");
        let compile = |compiler: &str, object: &str| -> Vec<String> {
            let (out, root) = (out.display(), root.display());
            let line = format!("{compiler} -g -I{out} -c lib.c -o {out}/{object}");
            let map = format!("-ffile-prefix-map={root}=.");
            let mapped = object.starts_with("bare").then_some(map);
            line.split(' ').map(String::from).chain(mapped).collect()
        };
        let cwd = s.path("cargo/registry/src/lib-1.0");
        let bare = s.command(&compile("gcc", "bare.o")[..]).current_dir(&cwd).spawn().unwrap();
        crate::kit::finish(bare).ok();
        let before = s.calls();
        let cached = s.z_command(&compile("gcc", "lib.o")[..]).current_dir(&cwd).spawn().unwrap();
        crate::kit::finish(cached).ok();
        assert_eq!(s.calls() - before, usize::from(is_first), "{}", s.reasons());
        assert!(built(&s, checkout, "out/lib.o") == built(&s, checkout, "out/bare.o"));
    }
}

/// clang 14 writes them anew, and later ones add to what is there: those run bare.
#[test]
fn database_entries_follow_the_checkout() {
    let s = checkouts(&["one", "the-second", "wörks"]);
    if !s.bare("clang -dumpversion").ok().out().starts_with("14.") {
        eprintln!("skipped: this clang adds to what is there");
        return;
    }
    let compile = "clang -g --include-directory=ROOT/inc -MJ ROOT/build/a.json -MMD -c ROOT/src/a.c -o ROOT/build/a.o";
    let mut cost = Vec::new();
    for checkout in ["one", "the-second", "one", "wörks", "wörks"] {
        truth(&s, checkout, compile).ok();
        let expected = built(&s, checkout, "a.json");
        s.remove(format!("{checkout}/build/a.json"));
        let (got, calls) = run(&s, checkout, compile);
        got.ok();
        // The bare compiler got the map only where one is added.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let map = format!(" \"-ffile-prefix-map={}=.\",", s.path(checkout).display());
        let expected = match checkout {
            "wörks" => text(&expected).replace(&map.replace('ö', "\\xF6"), ""),
            _ => text(&expected),
        };
        assert_eq!(text(&built(&s, checkout, "a.json")), expected);
        cost.push(calls);
    }
    assert_eq!(cost, [1, 0, 0, 1, 0], "{}", s.reasons());
    gives_reason(&s, "path_sensitive_arg");

    let moved = "clang -DX2=ROOT/x -MJ ROOT/build/a.json -c ROOT/src/a.c -o ROOT/build/a.o";
    assert_eq!(run(&s, "one", moved).1, 1);
    assert_eq!(run(&s, "the-second", moved).1, 1);
    assert!(built(&s, "the-second", "a.json").windows(11).any(|name| name == b"the-second/"));
}

#[test]
fn a_difference_behind_relative_paths_is_told() {
    let s = checkouts(&["one", "two"]);
    let words = "gcc -g -I../inc -c ../src/a.c -o a.o";
    run(&s, "one", words).0.ok();
    s.write("two/inc/x.h", "#define X 2\n");
    assert_eq!(run(&s, "two", words).1, 1);
    gives_reason(&s, "content_hash_mismatch");
}

#[test]
fn what_names_its_folder_stays_there() {
    for (words, added) in [
        ("gcc -DWHERE=\"ROOT\" -IROOT/inc -c ROOT/src/a.c -o a.o", false),
        ("gcc --coverage -IROOT/inc -c ROOT/src/a.c -o a.o", false),
        ("gcc -g -gz -IROOT/inc -c ROOT/src/a.c -o a.o", false),
        ("gcc -g -fdebug-prefix-map=x=ROOT/y -IROOT/inc -c ROOT/src/a.c -o a.o", false),
        // Seen in the result only.
        ("gcc -g -IROOT/inc -include ROOT/named.h -c ROOT/src/a.c -o a.o", true),
    ] {
        let s = checkouts(&["one", "two"]);
        for checkout in ["one", "two"] {
            let path = s.path(checkout);
            s.write(format!("{checkout}/named.h"), "");
            if added {
                let text =
                    format!("static const char *const p = \"{}\";\n", s.path("one").display());
                s.write(
                    format!("{checkout}/named.h"),
                    text + "const char *q(void) { return p; }\n",
                );
            }
            let (got, calls) = run(&s, checkout, words);
            got.ok();
            let expected_calls = usize::from(checkout == "one" || !added || path != s.path("one"));
            assert_eq!(calls, expected_calls, "{words}: {}", s.reasons());
            let got = built(&s, checkout, "a.o");
            let root = s.path(checkout);
            let words: Vec<String> =
                words.words().iter().map(|word| replaced(word, &root)).collect();
            // Coverage stamps its files with the time.
            if !added && !words.contains(&"--coverage".to_owned()) {
                let cwd = root.join("build");
                let mut bare = s.command(&words[..]);
                crate::kit::finish(bare.current_dir(&cwd).env("PWD", &cwd).spawn().unwrap()).ok();
                let is_same = built(&s, checkout, "a.o") == got;
                assert!(is_same, "an argument was added: {words:?}");
            }
            assert_eq!(run(&s, checkout, &words.join(" ")).1, 0, "a hit in its own folder");
        }
        gives_reason(&s, "path_sensitive_arg");
    }
}

#[test]
fn the_users_own_maps_stand() {
    let s = checkouts(&["one", "two"]);
    let words = "gcc -g -ffile-prefix-map=ROOT=/src -IROOT/inc -c ROOT/src/a.c -o a.o";
    run(&s, "one", words).0.ok();
    assert!(memchr::memmem::find(&built(&s, "one", "a.o"), b"/src/src/a.c").is_some());
    assert_eq!(run(&s, "two", words).1, 0, "{}", s.reasons());
    // A narrower one wins over ours.
    let words = "gcc -g -ffile-prefix-map=ROOT/src=/sources -IROOT/inc -c ROOT/src/a.c -o b.o";
    run(&s, "one", words).0.ok();
    assert!(memchr::memmem::find(&built(&s, "one", "b.o"), b"/sources/a.c").is_some());
    assert_eq!(run(&s, "two", words).1, 0, "{}", s.reasons());
}

#[test]
fn roots_of_all_kinds() {
    // No checkout, no sharing.
    let s = checkouts(&["one", "two"]);
    for checkout in ["one", "two"] {
        s.remove(format!("{checkout}/.git/HEAD"));
        std::fs::remove_dir(s.path(format!("{checkout}/.git"))).unwrap();
        assert_eq!(run(&s, checkout, "gcc -g -c ROOT/src/a.c -IROOT/inc -o a.o").1, 1);
    }
    gives_reason(&s, "git_root_unavailable");
    // A root that can't be one: said in the log, and nothing is shared.
    for (root, why) in
        [("/", "root of all"), ("relative", "absolute"), ("/does/not/exist", "exist")]
    {
        let mut s = checkouts(&["one"]);
        s.set("ZCCACHE_WORKTREE_ROOT", root);
        run(&s, "one", "gcc -c ROOT/src/a.c -IROOT/inc -o a.o").0.ok();
        gives_reason(&s, "git_root_unavailable");
        let log = std::fs::read_to_string(s.cache.join("logs/daemon.log")).unwrap();
        assert_eq!(log.lines().filter(|line| line.contains(why)).count(), 1, "{log}");
    }
    // A worktree has a file there; one inside another is its own.
    let s = checkouts(&["one", "one/inner"]);
    s.remove("one/inner/.git/HEAD");
    std::fs::remove_dir(s.path("one/inner/.git")).unwrap();
    s.write("one/inner/.git", "gitdir: /somewhere\n");
    assert_eq!(run(&s, "one", &format!("gcc {COMPILE}")).1, 1);
    assert_eq!(run(&s, "one/inner", &format!("gcc {COMPILE}")).1, 0, "{}", s.reasons());
}

#[test]
fn a_cargo_workspace_is_compiled_once() {
    let mut s = checkouts(&[]);
    s.set("CARGO_INCREMENTAL", "0");
    s.set("RUSTC_WRAPPER", crate::kit::ZCCACHE);
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        let usual =
            format!("{}/.{}", std::env::var("HOME").unwrap_or_default(), &name[..5].to_lowercase());
        s.set(name, std::env::var(name).unwrap_or(usual.replace(".rustu", ".rustup")));
    }
    let path = format!("{}/bin:{}", s.get("CARGO_HOME"), s.get("PATH"));
    s.set("PATH", path);
    for checkout in ["one", "the-second"] {
        let file = |name: &str, text: &str| s.write(format!("{checkout}/{name}"), text);
        file(".git/HEAD", "ref: refs/heads/main\n");
        file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"app\", \"lib\", \"mac\"]\nresolver = \"2\"\n",
        );
        let package = |name: &str, rest: &str| {
            file(
                &format!("{name}/Cargo.toml"),
                &format!(
                    "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}"
                ),
            );
        };
        package(
            "app",
            "[dependencies]\nlib = { path = \"../lib\" }\nmac = { path = \"../mac\" }\n",
        );
        package("lib", "");
        package("mac", "[lib]\nproc-macro = true\n");
        file(
            "mac/src/lib.rs",
            "use proc_macro::TokenStream;\n#[proc_macro] pub fn yes(_: TokenStream) -> TokenStream { \"true\".parse().unwrap() }\n",
        );
        file(
            "lib/build.rs",
            "fn main() { let d = std::env::var(\"OUT_DIR\").unwrap(); std::fs::write(format!(\"{d}/gen.rs\"), \"pub fn made() -> u32 { 7 }\").unwrap(); }\n",
        );
        file(
            "lib/src/lib.rs",
            "include!(concat!(env!(\"OUT_DIR\"), \"/gen.rs\"));\npub fn place() -> &'static str { file!() }\n",
        );
        file(
            "app/src/main.rs",
            "fn main() { let unused = 1; if mac::yes!() { println!(\"{} {}\", lib::made(), lib::place()); } }\n",
        );
    }
    let cargo = |checkout: &str, words: &str| {
        let mut command = s.command(words);
        crate::kit::finish(command.current_dir(s.path(checkout)).spawn().unwrap()).ok()
    };
    cargo("one", "cargo build --offline -q");
    let before = s.status();
    let said = cargo("the-second", "cargo build --offline");
    assert!(said.err().contains("unused variable"), "{}", said.err());
    let after = s.status();
    assert_eq!(after["misses"], before["misses"], "{}", s.reasons());
    assert!(after["worktree_hits"].as_u64() >= Some(4), "{after}");
    let again = cargo("the-second", "cargo build --offline");
    assert!(!again.err().contains("Compiling"), "{}", again.err());
    let ran = crate::kit::finish(
        s.command(&[s.path("the-second/target/debug/app")][..]).spawn().unwrap(),
    );
    assert_eq!(ran.ok().out(), "7 lib/src/lib.rs\n");
    // An edit in one of them is the other's business not at all.
    s.write(
        "the-second/lib/src/lib.rs",
        "pub fn made() -> u32 { 8 }\npub fn place() -> &'static str { \"\" }\n",
    );
    cargo("the-second", "cargo build --offline -q");
    let ran = crate::kit::finish(
        s.command(&[s.path("the-second/target/debug/app")][..]).spawn().unwrap(),
    );
    assert_eq!(ran.ok().out(), "8 \n");
    let again = cargo("one", "cargo build --offline");
    assert!(!again.err().contains("Compiling"), "{}", again.err());
}
