//! Emscripten: compiles, links with all their siblings, archives, and what the toolchain is made of.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::kit::{Sandbox, ZCCACHE, eventually, real, shim};

const ROOT: &str = "/usr/share/emscripten";
/// What emcc starts of LLVM's, as Debian names it.
const COUNTED: &[&str] = &["clang-14", "clang++-14", "wasm-ld-14"];
const MAIN: &str =
    "#include <stdio.h>\n#include \"say.h\"\nint main(void) { puts(SAY); return 0; }\n";

/// A sandbox whose emcc runs a clang and a wasm-ld that count.
fn sandbox() -> Sandbox {
    let installed = Path::new(ROOT).join("emcc.py").exists();
    assert!(installed, "no emcc: scripts/setup installs it");
    let mut s = Sandbox::new();
    let llvm = s.aside("llvm");
    for entry in fs::read_dir("/usr/bin").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        if name.ends_with("-14") && !COUNTED.contains(&&name[..]) {
            symlink(entry.path(), llvm.join(&name)).unwrap();
        }
    }
    let shims = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emscripten-shims-1");
    for name in COUNTED {
        if !shims.join(name).exists() {
            shim(&shims, name, &real(name), "0");
        }
        symlink(shims.join(name), llvm.join(name)).unwrap();
    }
    configure(&mut s, "");
    // Debian's node looks for packages there by itself, others do not.
    s.set("NODE_PATH", "/usr/share/nodejs");
    s.write("main.c", MAIN);
    s.write("say.h", "#define SAY \"one\"\n");
    s.write("add.c", "int add(int a, int b) { return a + b; }\n");
    // The questions to a toolchain that nobody has met take long on a busy machine.
    s.write("warm.c", "int warm;\n");
    let known = eventually(Duration::from_secs(60), || {
        s.z("emcc -c warm.c").ok();
        s.z("emcc warm.o -sSIDE_MODULE -o warm.wasm").ok();
        s.status()["hits"].as_u64() >= Some(2)
    });
    assert!(known, "{}", s.reasons());
    for name in ["warm.c", "warm.o", "warm.wasm"] {
        s.remove(name);
    }
    s
}

/// Gives the sandbox a configuration of its own.
fn configure(s: &mut Sandbox, more: &str) {
    let text = fs::read_to_string(Path::new(ROOT).join(".emscripten")).unwrap();
    let llvm = s.aside("llvm");
    let own = format!("{text}\nLLVM_ROOT = '{}'\n{more}\n", llvm.display());
    let path = s.aside("config").join("emscripten");
    fs::write(&path, own).unwrap();
    s.set("EM_CONFIG", path);
}

/// Served from the cache, and right each time until then. A busy machine gives up asking about a toolchain
/// that it has not met, and what may have changed during a long link (all of it, when somebody mounts
/// something) is not kept: then the next one is.
#[track_caller]
fn hit(s: &Sandbox, line: &str) {
    let served = eventually(Duration::from_secs(90), || s.same(line).1 == 0);
    assert!(served, "{line} is no hit; {}", s.reasons());
}

/// Run once, and then served from the cache.
#[track_caller]
fn warm(s: &Sandbox, line: &str) {
    s.miss(line);
    hit(s, line);
}

/// The same for a command that need not have zccache in front.
#[track_caller]
fn settles(s: &Sandbox, line: &str) {
    let served = eventually(Duration::from_secs(90), || {
        let before = s.calls();
        s.bare(line).ok();
        s.calls() == before
    });
    assert!(served, "{line} is no hit; {}", s.reasons());
}

/// What the program says under node.
fn run(s: &Sandbox, program: &str) -> String {
    // Newer nodes have a `fetch` that does not open files, as this emcc takes it to.
    let output = s.bare(&format!("node --no-experimental-fetch {program}"));
    assert!(output.status.success(), "{}", output.err());
    output.out()
}

#[test]
fn compiles_of_every_kind() {
    let s = sandbox();
    s.write(
        "more.cpp",
        "#include <vector>\nint more() { return std::vector<int>{1, 2}.size(); }\n",
    );
    s.write(
        "low.s",
        ".text\n.globl low\n.type low,@function\nlow:\n.functype low () -> ()\nend_function\n",
    );
    warm(&s, "emcc -c main.c");
    warm(&s, "emcc -c main.c -o out.o -MD -MF out.d -O2 -g -Wall");
    warm(&s, "emcc -MMD -c main.c add.c");
    warm(&s, "emcc -S main.c -o main.s");
    warm(&s, "emcc -S -emit-llvm main.c");
    warm(&s, "em++ -c more.cpp -std=c++17 -fexceptions -pthread");
    warm(&s, "emcc -c more.cpp -flto -s USE_PTHREADS=1 -sSTRICT");
    warm(&s, "emcc -c low.s");
    warm(&s, "emcc -c main.c -gsource-map -g2 --profiling");
    let by_tool = &s.status()["by_tool"]["emscripten"];
    assert_eq!(by_tool["non_cacheable"], 0, "{by_tool}");
    // Messages, and emcc's own among them.
    s.write("bad.c", "int f(void) { int unused; return 1; }\n");
    warm(&s, "emcc -Wall -c bad.c --js-library say.h -sASSERTIONS");
    s.write("wrong.c", "int f(void) { return g(); }\n");
    s.same("emcc -c wrong.c");
    assert_eq!(s.z("emcc -c wrong.c").status.code(), Some(1));
}

#[test]
fn a_changed_header_is_seen() {
    let s = sandbox();
    warm(&s, "emcc -Iinc -c main.c");
    s.write("say.h", "#define SAY \"two\"\n");
    warm(&s, "emcc -Iinc -c main.c");
    // One that is found before the system's.
    s.write("inc/stdio.h", "int puts(const char *);\n");
    warm(&s, "emcc -Iinc -c main.c");
    s.remove("inc/stdio.h");
    hit(&s, "emcc -Iinc -c main.c");
}

#[test]
fn called_in_other_ways() {
    let mut s = sandbox();
    warm(&s, "emcc -c main.c -o a.o");
    hit(&s, "/usr/bin/emcc -c main.c -o a.o");
    s.write("args", "-c main.c\n-o 'a.o'\n");
    hit(&s, "emcc @args");
    // emcc and clang would read this one each in its own way.
    s.write("args", "-c main.c -DX=\\\"x\\\" -o a.o\n");
    s.same("emcc @args");
    assert!(s.reasons().contains("response_file"), "{}", s.reasons());
    // By a link that stands for it, alone and as the compiler that a configuration names.
    let farm = s.aside("farm");
    symlink(ZCCACHE, farm.join("emcc")).unwrap();
    s.path_first(&farm);
    settles(&s, "emcc -c main.c -o a.o");
    s.set("EM_COMPILER_WRAPPER", ZCCACHE);
    settles(&s, "emcc -c main.c -o b.o");
    assert_eq!(s.read("a.o"), s.read("b.o"));
    s.set("EM_COMPILER_WRAPPER", "/usr/bin/env");
    s.bare("emcc -c main.c -o c.o").ok();
    assert!(s.reasons().contains("environment"), "{}", s.reasons());
    s.unset("EM_COMPILER_WRAPPER");
    for flags in ["-DMORE -O1", "-DMORE -O2"] {
        s.set("EMCC_CFLAGS", flags);
        let before = s.calls();
        s.bare("emcc -c main.c -o a.o").ok();
        assert_eq!(s.calls(), before + 1, "{flags}");
        settles(&s, "emcc -c main.c -o a.o");
    }
}

#[test]
fn what_runs_as_it_is() {
    let mut s = sandbox();
    let misses = |s: &Sandbox| s.status()["by_tool"]["emscripten"]["misses"].as_u64();
    let before = misses(&s);
    s.same("emcc --version");
    s.same("emcc -v");
    s.same("emcc -E main.c");
    s.same("emcc -M main.c");
    s.same("emcc -c main.c --default-obj-ext=.obj");
    s.same("emcc -c main.c -sNO_SUCH_SETTING=1");
    assert!(s.reasons().contains("uncacheable_argument"), "{}", s.reasons());
    s.set("EMCC_DEBUG", "1");
    s.z("emcc -c main.c").ok();
    assert!(s.reasons().contains("environment"), "{}", s.reasons());
    assert_eq!(misses(&s), before, "{}", s.reasons());
}

#[test]
fn links_with_their_siblings() {
    let mut s = sandbox();
    s.bare("emcc -c main.c add.c").ok();
    s.write("assets/a.txt", "text\n");
    s.write("assets/deep/b.bin", [0, 1, 2, 255]);
    for line in [
        "emcc main.o -o plain.js",
        "emcc main.o add.o -O2 -gsource-map -o mapped.html",
        "emcc main.o -O3 -o small.js --emit-symbol-map",
        "emcc main.o -o module.mjs -sMODULARIZE",
        "emcc main.o -o alone.wasm -sSTANDALONE_WASM",
        "emcc main.o -o old.js -sWASM=0",
        "emcc main.o -o both.js -sWASM=2",
        "emcc main.o -o one.html -sSINGLE_FILE",
        "emcc main.o -o split.js -gseparate-dwarf",
        "emcc main.o -o sub.js --proxy-to-worker -Wno-experimental",
        "emcc add.o -o side.wasm -sSIDE_MODULE",
        "emcc main.o add.o -r -o both.o",
        "emcc main.o",
        "em++ main.o add.o -o bare",
    ] {
        warm(&s, line);
    }
    assert_eq!(run(&s, "plain.js"), "one\n");
    assert_eq!(run(&s, "small.js"), "one\n");
    // Each package gets a random name in the script, which is as it was made once.
    s.volatile = vec!["packed.js"];
    let line = "emcc main.o -o packed.html --preload-file assets --embed-file say.h@/inc/say.h";
    s.miss(line);
    let first = s.read("packed.js");
    for name in ["packed.js", "packed.html", "packed.data", "packed.wasm"] {
        s.remove(name);
    }
    hit(&s, line);
    assert!(s.read("packed.js") == first);
    assert_eq!(run(&s, "packed.js"), "one\n");
    s.bare("emcc -pthread -c main.c -o threads.o").ok();
    warm(&s, "emcc -pthread threads.o -o threads.html");
    for name in ["mapped.wasm.map", "small.js.symbols", "packed.data", "threads.worker.js"] {
        assert!(s.exists(name), "{name}");
    }
    assert_eq!(s.status()["by_tool"]["emscripten"]["non_cacheable"], 0, "{}", s.reasons());
}

/// Some links remove the file of that name that another one left.
#[test]
fn what_was_left_there() {
    let s = sandbox();
    s.bare("emcc -c main.c").ok();
    let line = "emcc main.o -o app.js -sSINGLE_FILE";
    warm(&s, line);
    s.bare("emcc main.o -o app.js").ok();
    s.miss(line);
    assert!(!s.exists("app.wasm"));
    hit(&s, line);
    // And some would write over what they read.
    s.bare("emcc -r main.o -o app.wasm").ok();
    s.same("emcc app.wasm -o app.js");
    assert!(s.reasons().contains("unusual_output"), "{}", s.reasons());
}

#[test]
fn everything_a_link_reads() {
    let mut s = sandbox();
    // It names its package at random.
    s.volatile = vec!["app.js"];
    s.bare("emcc -c main.c add.c").ok();
    s.bare("emar rcs libadd.a add.o").ok();
    s.write("lib.js", "mergeInto(LibraryManager.library, { own: function() { return 1; } });\n");
    s.write("pre.js", "// before\n");
    s.write("exports", "_main\n");
    s.write("shell.html", "<html>{{{ SCRIPT }}}</html>\n");
    s.write("assets/a.txt", "text\n");
    let line = "emcc main.o -L. -Lnone -ladd -o app.html --js-library lib.js --pre-js pre.js \
        -sEXPORTED_FUNCTIONS=@exports --shell-file shell.html --preload-file assets";
    warm(&s, line);
    for (name, text) in [
        ("lib.js", "mergeInto(LibraryManager.library, { own: function() { return 2; } });\n"),
        ("pre.js", "// later\n"),
        ("exports", "_main\n_malloc\n"),
        ("shell.html", "<html><b></b>{{{ SCRIPT }}}</html>\n"),
        ("assets/a.txt", "other text\n"),
        // New, in what is packed whole.
        ("assets/deep/b.txt", "more\n"),
        ("say.h", "#define SAY \"two\"\n"),
    ] {
        s.write(name, text);
        s.bare("emcc -c main.c").ok();
        warm(&s, line);
    }
    s.remove("assets/a.txt");
    warm(&s, line);
    assert_eq!(run(&s, "app.js"), "two\n");
    // Another archive of that name, found first.
    s.write("add.c", "int add(int a, int b) { return b - a; }\n");
    s.bare("emcc -c add.c").ok();
    fs::create_dir(s.path("none")).unwrap();
    s.bare("emar rcs none/libadd.a add.o").ok();
    let other = line.replace("-L. -Lnone", "-Lnone -L.");
    warm(&s, &other);
    s.remove("none/libadd.a");
    s.miss(&other);
    // What the user's folders hold may stand for emcc's own libraries.
    s.bare("emar rcs none/libhtml5.a add.o").ok();
    s.miss(line);
    // Files that are run while linking may read others.
    let read = format!("{{{{{{ read('{}').length }}}}}}", s.path("say.h").display());
    s.write("lib.js", format!("mergeInto(LibraryManager.library, {{ own: {read} }});\n"));
    s.same("emcc main.o -o x.js --js-library lib.js");
    s.same("emcc main.o -o x.js --js-library lib.js");
    assert!(s.reasons().contains("computed_include"), "{}", s.reasons());
}

#[test]
fn compile_and_link_in_one() {
    let s = sandbox();
    warm(&s, "emcc main.c -o app.js");
    warm(&s, "emcc main.c add.c -O1 -o two.js");
    assert_eq!(run(&s, "two.js"), "one\n");
    s.write("say.h", "#define SAY \"two\"\n");
    warm(&s, "emcc main.c -o app.js");
    warm(&s, "emcc main.c add.c -O1 -o two.js");
    assert_eq!(run(&s, "app.js") + &run(&s, "two.js"), "two\ntwo\n");
}

#[test]
fn archives_by_emscriptens_own() {
    let s = sandbox();
    s.bare("emcc -c main.c add.c").ok();
    let archiver = |line: &str| {
        let hits = || s.status()["by_tool"]["archiver"]["hits"].as_u64().unwrap_or(0);
        let before = hits();
        let _ = fs::remove_file(s.path("lib.a"));
        s.same(line);
        let _ = fs::remove_file(s.path("lib.a"));
        s.same(line);
        hits() - before
    };
    assert_eq!(archiver("emar rcs lib.a main.o add.o"), 1);
    s.write("add.c", "int add(int a, int b) { return a - b; }\n");
    s.bare("emcc -c add.c").ok();
    assert_eq!(archiver("emar rcs lib.a main.o add.o"), 1);
    s.same("emranlib lib.a");
}

/// A toolchain of the test's own, whose parts can be changed.
#[test]
fn every_part_of_the_toolchain_counts() {
    let mut s = sandbox();
    let own = s.aside("emscripten");
    for entry in fs::read_dir(ROOT).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let copied = ["tools", "src"].contains(&&name[..]) || name.ends_with(".py");
        if copied {
            let (from, to) = (entry.path(), own.display().to_string());
            s.bare(&["cp", "-r", from.to_str().unwrap(), &to]).ok();
        } else if name != "__pycache__" {
            symlink(entry.path(), own.join(name)).unwrap();
        }
    }
    s.script(own.join("emcc"), "#!/bin/sh\nexec python3 \"$(dirname \"$0\")/emcc.py\" \"$@\"\n");
    let emcc = own.join("emcc").display().to_string();
    let compile = format!("{emcc} -c main.c");
    let link = format!("{emcc} main.o -o app.js");
    hit(&s, &compile);
    hit(&s, &link);
    for (file, both) in [
        ("emcc.py", true),
        ("tools/system_libs.py", true),
        ("src/settings.js", true),
        ("src/library.js", true),
    ] {
        let mut text = fs::read(own.join(file)).unwrap();
        text.extend_from_slice(if file.ends_with(".py") {
            b"\n# changed\n"
        } else {
            b"\n// changed\n"
        });
        fs::write(own.join(file), text).unwrap();
        s.miss(&link);
        if both {
            s.miss(&compile);
        }
        hit(&s, &compile);
        hit(&s, &link);
    }
    // Another configuration file, and another state of it.
    configure(&mut s, "# another");
    s.miss(&compile);
    s.miss(&link);
    // One of the programs.
    let llvm = s.aside("llvm");
    fs::remove_file(llvm.join("llvm-nm-14")).unwrap();
    s.script(llvm.join("llvm-nm-14"), "#!/bin/sh\nexec /usr/bin/llvm-nm-14 \"$@\"\n");
    s.miss(&link);
}

/// A cache folder of the test's own, in which a library is missing at first and then another one.
#[test]
fn libraries_built_on_demand() {
    let mut s = sandbox();
    let cache = s.aside("em-cache");
    let from = Path::new(ROOT).join("cache/sysroot");
    let folder = cache.join("sysroot/lib/wasm32-emscripten");
    fs::create_dir_all(&folder).unwrap();
    for name in ["include", "bin"] {
        symlink(from.join(name), cache.join("sysroot").join(name)).unwrap();
    }
    for entry in fs::read_dir(from.join("lib/wasm32-emscripten")).unwrap().flatten() {
        symlink(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    fs::write(cache.join("sysroot_install.stamp"), "x").unwrap();
    configure(&mut s, &format!("FROZEN_CACHE = False\nCACHE = '{}'", cache.display()));
    s.bare("emcc -c main.c").ok();
    fs::remove_file(folder.join("libhtml5.a")).unwrap();
    let line = "emcc main.o -o app.js";
    s.z(line).ok();
    assert!(folder.join("libhtml5.a").exists());
    s.z(line).ok();
    hit(&s, line);
    // Another cache folder, by variable only, with a header that is found first.
    let other = s.aside("em-other");
    s.bare(&["cp", "-r", &cache.display().to_string(), &other.display().to_string()]).ok();
    let other = other.join("em-cache");
    warm(&s, "emcc -c main.c -o main2.o");
    s.set("EM_CACHE", &other);
    warm(&s, "emcc -c main.c -o main2.o");
    let compat = other.join("sysroot/include");
    fs::remove_file(&compat).unwrap();
    s.bare(&["cp", "-r", &format!("{ROOT}/cache/sysroot/include"), &compat.display().to_string()])
        .ok();
    hit(&s, "emcc -c main.c -o main2.o");
    fs::write(compat.join("compat/stdio.h"), "int puts(const char *);\nint more;\n").unwrap();
    warm(&s, "emcc -c main.c -o main2.o");
    s.unset("EM_CACHE");
    hit(&s, "emcc -c main.c -o main2.o");
    // Another state of a library.
    fs::remove_file(folder.join("libc.a")).unwrap();
    fs::copy(from.join("lib/wasm32-emscripten/libc-debug.a"), folder.join("libc.a")).unwrap();
    s.miss(line);
}

#[test]
fn checkouts_share() {
    let mut s = sandbox();
    s.set("ZCCACHE_PATH_REMAP", "auto");
    for tree in ["one", "two"] {
        s.write(format!("{tree}/.git/HEAD"), "ref: refs/heads/main\n");
        s.write(format!("{tree}/main.c"), MAIN);
        s.write(format!("{tree}/inc/say.h"), "#define SAY __FILE__\n");
    }
    let line = |s: &Sandbox, tree: &str| {
        let root = s.path(tree).display().to_string();
        format!("emcc -g -I{root}/inc -MD -c {root}/main.c")
    };
    let mut at = |tree: &str| {
        s.cwd = s.path(tree);
        let cost = s.counted(&line(&s, tree)).1;
        (cost, s.read(format!("{tree}/main.o")), s.read(format!("{tree}/main.d")))
    };
    let (first, object, _) = at("one");
    let (second, other, deps) = at("two");
    assert_eq!((first, second), (1, 0), "{}", s.reasons());
    assert!(object == other);
    let deps = String::from_utf8(deps).unwrap();
    assert!(deps.contains("/two/main.c") && !deps.contains("/one/"), "{deps}");
    let root = s.path("two").display().to_string();
    s.bare(&format!("{} -ffile-prefix-map={root}=. -o bare.o", line(&s, "two"))).ok();
    assert_eq!(s.read("two/bare.o"), other);
}
