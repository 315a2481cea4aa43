use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use crate::kit::{HELLO, Sandbox, ZCCACHE, eventually, have, real};

#[test]
fn c_and_cxx_with_gcc() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("a.cpp", "template<class T> T twice(T t) { return t + t; }\nint v = twice(4);\n");
    s.warm_once("gcc -c a.c -o a.o");
    s.warm_once("g++ -O2 -c a.cpp -o b.o");
    s.warm_once("cc -c a.c -o a.o");
    s.warm_once("c++ -c a.cpp -o b.o");
    let status = s.status();
    assert_eq!((&status["hits"], &status["misses"]), (&4.into(), &4.into()));
}

#[test]
fn c_and_cxx_with_clang() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("a.cpp", "template<class T> T twice(T t) { return t + t; }\nint v = twice(4);\n");
    s.warm("clang -c a.c -o a.o");
    s.warm("clang++ -O2 -g -c a.cpp -o b.o");
}

#[test]
fn another_output_name() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.miss("gcc -c a.c -o a.o");
    s.hit("gcc -c a.c -o b.o");
    s.hit("gcc -c a.c -oc.o");
    s.hit("gcc -c a.c");
    fs::create_dir(s.path("sub")).unwrap();
    s.hit("gcc -c a.c -o sub/d.o");
}

#[test]
fn another_folder_is_never_wrong() {
    let mut s = Sandbox::new();
    for folder in ["p", "q"] {
        s.write(format!("{folder}/a.c"), HELLO);
    }
    for flags in ["", "-g", "-g1", "-ggdb3", "-g -fdebug-prefix-map=/=/x"] {
        for folder in ["p", "q", "p"] {
            s.cwd = s.path(folder);
            s.same(&format!("gcc {flags} -c a.c -o a.o"));
        }
    }
    assert!(s.status()["hits"].as_u64() >= Some(5), "{}", s.status());
}

#[test]
fn an_edit_and_back() {
    let s = Sandbox::new();
    s.write("x.h", "#define X 1\n");
    s.write("a.c", "#include \"x.h\"\nint v() { return X; }\n");
    s.warm("gcc -c a.c");
    s.write("x.h", "#define X 2\n");
    s.warm("gcc -c a.c");
    s.write("x.h", "#define X 1\n");
    s.hit("gcc -c a.c");
    s.write("a.c", "#include \"x.h\"\nint v() { return X + 1; }\n");
    s.miss("gcc -c a.c");
    s.write("a.c", "#include \"x.h\"\nint v() { return X; }\n");
    s.hit("gcc -c a.c");
}

#[test]
fn touched_files_hit() {
    let s = Sandbox::new();
    s.write("x.h", "#define X 1\n");
    s.write("a.c", "#include \"x.h\"\nint v() { return X; }\n");
    s.miss("gcc -MMD -c a.c");
    for time in [1_000_000_000, 1_500_000_000] {
        s.touch("x.h", time);
        s.touch("a.c", time + 1);
        s.hit("gcc -MMD -c a.c");
    }
    s.set_mtime("x.h", SystemTime::now());
    s.hit("gcc -MMD -c a.c");
    s.write("x.h", "#define X 1\n");
    s.hit("gcc -MMD -c a.c");
}

#[test]
fn a_new_daemon_hits() {
    let s = Sandbox::new();
    s.write("x.h", "#define X 1\n");
    s.write("a.c", "#include <stdio.h>\n#include \"x.h\"\nint v() { return X; }\n");
    s.miss("gcc -MD -c a.c");
    for _ in 0..2 {
        s.z("stop").code(0);
        assert!(s.daemons().is_empty());
        s.hit("gcc -MD -c a.c");
    }
    s.z("stop").code(0);
    s.write("x.h", "#define X 2\n");
    s.warm("gcc -MD -c a.c");
}

#[test]
fn dependency_files() {
    let s = Sandbox::new();
    s.write("x.h", "#define X 1\n");
    s.write("a.c", "#include <stddef.h>\n#include \"x.h\"\nint v() { return X; }\n");
    for flags in [
        "-MD",
        "-MMD",
        "-MMD -MF other.d",
        "-MD -MFglued.d -MT target",
        "-MMD -MP -MQ a$b -MF third.d",
        "-Wp,-MD,wp.d",
        "-Wp,-MMD,wpm.d",
    ] {
        s.miss(&format!("gcc {flags} -c a.c -o a.o"));
        for file in fs::read_dir(&s.dir).unwrap().flatten() {
            if file.path().extension().is_some_and(|end| end == "d" || end == "o") {
                fs::remove_file(file.path()).unwrap();
            }
        }
        s.hit(&format!("gcc {flags} -c a.c -o a.o"));
        s.same(&format!("gcc {flags} -c a.c -o b.o"));
        s.same(&format!("gcc {flags} -c a.c -o b.o"));
    }
    s.same("gcc -Wp,-MD,a.d,-MT,target -c a.c -o a.o");
}

#[test]
fn dependency_files_of_clang() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("x.h", "#define X 1\n");
    s.write("a.c", "#include <stddef.h>\n#include \"x.h\"\nint v() { return X; }\n");
    for flags in ["-MD", "-MMD -MP", "-MD -MF a.dep -MT target", "-Wp,-MD,wp.d"] {
        s.warm(&format!("clang {flags} -c a.c -o a.o"));
        s.same(&format!("clang {flags} -c a.c -o b.o"));
    }
}

#[test]
fn several_sources_are_one_run() {
    let s = Sandbox::new();
    for name in ["a", "b", "c", "d"] {
        s.write(format!("{name}.c"), format!("int {name}() {{ return 1; }}\n"));
    }
    let (_, cost) = s.same("gcc -O1 -c a.c b.c c.c d.c");
    assert_eq!(cost, 1);
    s.hit("gcc -O1 -c a.c b.c c.c d.c");
    s.hit("gcc -O1 -c d.c b.c");
    s.write("b.c", "int b() { return 2; }\n");
    s.write("d.c", "int d() { return 2; }\n");
    let (_, cost) = s.same("gcc -O1 -c a.c b.c c.c d.c");
    assert_eq!(cost, 1);
    s.hit("gcc -O1 -c a.c b.c c.c d.c");
}

#[test]
fn several_sources_with_messages() {
    let s = Sandbox::new();
    for name in ["a", "b"] {
        s.write(format!("{name}.c"), format!("int {name}() {{ int unused; return 1; }}\n"));
    }
    for _ in 0..4 {
        s.same("gcc -Wall -c a.c b.c");
    }
    s.hit("gcc -Wall -c a.c b.c");
}

#[test]
fn response_files() {
    let s = Sandbox::new();
    s.write("a.c", "const char *s = S;\nint v() { return X; }\n");
    s.write("inner.rsp", "'-DS=\"a b\"'\n-O1\t\n");
    s.write("args.rsp", "-DX=1 @inner.rsp\n-c a.c");
    s.warm("gcc @args.rsp -o a.o");
    s.warm("gcc @args.rsp -DX=1 -o a.o");
    s.write("in ner.rsp", "-DX=2 \\\n-DS=0");
    s.write("quoted.rsp", "\"@in ner.rsp\" -c a.c");
    s.same("gcc @quoted.rsp -o a.o");
    s.same("gcc @quoted.rsp -o a.o");
    s.same("gcc @missing.rsp -c a.c -o a.o");
}

#[test]
fn a_source_without_an_extension() {
    let s = Sandbox::new();
    s.write("source", HELLO);
    s.write("a.c.", HELLO);
    s.write("x.c.c", HELLO);
    s.warm("gcc -x c -c source -o a.o");
    s.hit("gcc -x c -c source");
    s.warm("gcc -x c -c a.c.");
    s.warm("gcc -c x.c.c");
    s.same("gcc -x c++ -c source -o a.o");
    s.same("gcc -x c -c source -x none -o a.o");
    s.same("gcc -c source -o a.o");
}

#[test]
fn names_with_spaces_and_worse() {
    let s = Sandbox::new();
    let strange = OsStr::from_bytes(b"sp ace/n\xff\xc3\xbc$'#.c");
    s.write(strange, HELLO);
    let words = ["gcc", "-MD", "-g", "-c"].map(OsString::from);
    let words = [&words[..], &[strange.into(), "-o".into(), "o ut.o".into()]].concat();
    s.miss(&words[..]);
    s.remove("o ut.o");
    s.hit(&words[..]);
}

#[test]
fn defines_are_taken_exactly() {
    let s = Sandbox::new();
    s.write("a.c", "const char *s = S;\n");
    s.warm(&["gcc", "-DS=\"a b\"", "-c", "a.c"]);
    s.miss(&["gcc", "-DS=\"a  b\"", "-c", "a.c"]);
    s.miss(&["gcc", "-DS=\"\"", "-c", "a.c"]);
    s.hit(&["gcc", "-DS=\"a b\"", "-c", "a.c"]);
}

#[test]
fn a_compiler_by_relative_path() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    crate::kit::shim(&s.path("tools"), "gcc", &real("gcc"), "relative");
    s.warm("tools/gcc -c a.c -o a.o");
    s.hit("./tools/../tools/gcc -c a.c -o a.o");
    // The file that was named, not one on PATH.
    let output = s.z("./gcc -c a.c -o a.o");
    assert_eq!(output.status.code(), Some(127));
}

#[test]
fn versioned_and_prefixed_names() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let farm = s.aside("names");
    for name in ["gcc-12", "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-gcc-12.2.0", "my_gcc"] {
        std::os::unix::fs::symlink(crate::kit::shims().join("gcc"), farm.join(name)).unwrap();
    }
    s.path_first(&farm);
    for name in ["gcc-12", "x86_64-linux-gnu-gcc", "x86_64-linux-gnu-gcc-12.2.0", "my_gcc"] {
        s.warm(&format!("{name} -c a.c -o a.o"));
    }
}

#[test]
fn a_script_as_compiler() {
    let mut s = Sandbox::new();
    s.write("a.c", "int v() { return X; }\n");
    s.set("FLAVOUR", "1");
    let text = |extra: &str| format!("#!/bin/sh\nexec gcc {extra} -DX=\"$FLAVOUR\" \"$@\"\n");
    s.script("wrapped-gcc", text(""));
    s.warm("./wrapped-gcc -c a.c -o a.o");
    s.set("FLAVOUR", "2");
    s.miss("./wrapped-gcc -c a.c -o a.o");
    s.hit("./wrapped-gcc -c a.c -o a.o");
    s.script("wrapped-gcc", text("-O2 -g"));
    s.miss("./wrapped-gcc -c a.c -o a.o");
    s.hit("./wrapped-gcc -c a.c -o a.o");
    s.set("FLAVOUR", "1");
    s.miss("./wrapped-gcc -c a.c -o a.o");
}

#[test]
fn messages_are_replayed() {
    let s = Sandbox::new();
    s.write("a.c", "int v() { int unused; return 0; }\n");
    s.warm("gcc -Wall -c a.c");
    s.warm("gcc -Wall -fdiagnostics-color=always -c a.c");
    s.write("b.c", "// moved down\nint v() { int unused; return 0; }\n");
    s.warm("gcc -Wall -c b.c -o a.o");
    if have("clang") {
        s.warm("clang -Wall -c a.c");
    }
}

#[test]
fn failures_are_the_compilers_own() {
    let s = Sandbox::new();
    s.write("bad.c", "int v( { return 0; }\n");
    s.write("warn.c", "int v() { int unused; return 0; }\n");
    s.write("bad.o", "stays or goes as the compiler has it");
    for line in [
        "gcc -c bad.c",
        "gcc -c missing.c",
        "gcc -c",
        "gcc",
        "gcc -c warn.c -no-such-option",
        "gcc -Wall -Werror -c warn.c",
        "gcc -c warn.c -o no/such/folder/a.o",
        "gcc -c warn.c -o .",
        "gcc -c warn.c bad.c",
        "gcc -c warn.c warn.c -o a.o",
    ] {
        s.same(line);
        s.same(line);
    }
}

#[test]
fn what_is_no_compile_passes() {
    let s = Sandbox::new();
    s.write("a.c", "int main(void) { return 0; }\n");
    for line in [
        "gcc -E a.c",
        "gcc -E a.c -o a.i",
        "gcc -M a.c",
        "gcc -MM a.c -MF a.d",
        "gcc -fsyntax-only a.c",
        "gcc --version",
        "gcc -dumpmachine",
        "gcc -print-search-dirs",
        "gcc a.c -o app",
        "gcc -v -c a.c -o a.o",
    ] {
        // -v names temporary files.
        if line.contains(" -v ") {
            assert!(s.z(line).ok().err().contains("cc1"));
            continue;
        }
        s.same(line);
        s.same(line);
    }
}

#[test]
fn assembly_and_preprocessed_sources() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm("gcc -S a.c -o a.s");
    s.warm("gcc -c a.s -o a.o");
    s.bare("gcc -E a.c -o a.i").ok();
    s.warm("gcc -c a.i -o a.o");
    s.write("b.S", "#include \"x.h\"\n.globl v\nv: .long X\n");
    s.write("x.h", "#define X 1\n");
    s.warm("gcc -c b.S");
    s.write("x.h", "#define X 2\n");
    s.miss("gcc -c b.S");
}

#[test]
fn side_outputs_come_back() {
    let mut s = Sandbox::new();
    // The listing names a temporary file.
    s.volatile = vec![".lst"];
    s.write("a.c", HELLO);
    for flags in [
        "-g -gsplit-dwarf",
        "-fstack-usage",
        "-fcallgraph-info",
        "--coverage -frandom-seed=1",
        "-save-temps",
        "-O2 -fdump-tree-optimized",
        "-Wa,-a=a.lst",
        "-aux-info a.aux",
        "-O2 -fopt-info=a.opt",
        "-flto -frandom-seed=1",
    ] {
        let line = format!("gcc {flags} -c a.c -o a.o");
        s.same(&line);
        for file in fs::read_dir(&s.dir).unwrap().flatten() {
            if file.file_name() != "a.c" {
                fs::remove_file(file.path()).unwrap();
            }
        }
        s.same(&line);
        s.same(&line);
    }
    assert!(s.status()["hits"].as_u64() > Some(0));
}

#[test]
fn a_source_on_standard_input() {
    use std::io::Write;
    let s = Sandbox::new();
    for value in [1, 2, 1] {
        let mut child = s
            .z_command("gcc -x c -c - -o a.o")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("const char v[] = \"value-{value}\";\n");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        crate::kit::finish(child).ok();
        assert!(contains(&s.read("a.o"), &format!("value-{value}")));
    }
}

#[test]
fn many_at_once() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let line = |number: usize| format!("gcc -c a.c -o o{number}.o");
    let children: Vec<_> =
        (0..24).map(|number| s.z_command(&line(number)).spawn().unwrap()).collect();
    for child in children {
        crate::kit::finish(child).ok();
    }
    s.bare("gcc -c a.c -o truth.o").ok();
    for number in 0..24 {
        assert_eq!(s.read(format!("o{number}.o")), s.read("truth.o"));
    }
}

#[test]
fn readonly_and_recache() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_READONLY", "1");
    s.miss("gcc -c a.c");
    s.miss("gcc -c a.c");
    s.unset("ZCCACHE_READONLY");
    s.warm("gcc -c a.c");
    s.set("ZCCACHE_READONLY", "1");
    s.hit("gcc -c a.c");
    s.unset("ZCCACHE_READONLY");
    s.set("ZCCACHE_RECACHE", "1");
    s.miss("gcc -c a.c");
    s.unset("ZCCACHE_RECACHE");
    s.hit("gcc -c a.c");
}

#[test]
fn what_was_compiled_is_answered_from_memory() {
    let mut s = Sandbox::new();
    s.write("a.c", "#include \"a.h\"\n#include \"none.h\"\n");
    s.write("a.h", HELLO);
    s.write("b.c", "#warning told\nint b;\n");
    s.write("other/none.h", "");
    s.miss("gcc -Iother -c a.c");
    let is_remembered = || s.status()["dep_graph"] == 1;
    assert!(eventually(std::time::Duration::from_secs(5), is_remembered), "{}", s.status());
    s.hit("gcc -Iother -c a.c");
    // It is given up as one that was a hit would be.
    s.write("a.h", "int changed;\n");
    s.miss("gcc -Iother -c a.c");
    s.write("none.h", "int found_before;\n");
    s.miss("gcc -Iother -c a.c");
    s.hit("gcc -Iother -c a.c");
    // Several at once, and messages.
    s.miss("gcc -Iother -c a.c b.c");
    s.hit("gcc -Iother -c a.c b.c");
    s.hit("gcc -Iother -c a.c b.c");
    // To be made anew each time, whatever was stored.
    s.set("ZCCACHE_RECACHE", "1");
    s.miss("gcc -Iother -c a.c");
    s.miss("gcc -Iother -c a.c");
    s.unset("ZCCACHE_RECACHE");
    s.hit("gcc -Iother -c a.c");
}

#[test]
fn the_store_keeps_to_its_size() {
    let mut s = Sandbox::new();
    s.set("ZCCACHE_CACHE_SIZE", "200K");
    for number in 0..12 {
        let text = format!("char data_{number}[40000] = {{{number} + 1}};\n");
        s.write("a.c", text);
        s.miss("gcc -c a.c");
    }
    let fits = || s.status()["artifact_bytes"].as_u64().is_some_and(|bytes| bytes <= 200 << 10);
    assert!(eventually(std::time::Duration::from_secs(15), fits), "{}", s.status());
    s.same("gcc -c a.c");
}

#[test]
fn nothing_is_left_beside_the_outputs() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm("gcc -c a.c");
    s.z("gcc -c bad.c");
    let mut left = Vec::new();
    crate::kit::each_file(&s.aside("tmp"), &mut |path, _| left.push(path.to_owned()));
    crate::kit::each_file(&s.aside("home"), &mut |path, _| left.push(path.to_owned()));
    assert!(left.is_empty(), "{left:?}");
    assert!(ZCCACHE.ends_with("zccache"));
}

pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_probe_that_is_removed_right_after_its_compile_hits_next_time() {
    let mut s = Sandbox::new();
    // So late that whoever does not wait for it has removed the source by then.
    s.set("ZCCACHE_FAULT", "daemon.reported:sleep=10:*");
    // As `configure` does it, with a compile and with a compile and link.
    for command in ["gcc -c probe.c", "gcc -o probe probe.c"] {
        let probes = |number: usize| {
            s.write("probe.c", format!("int main(void) {{ return {number}; }}\n"));
            let (output, calls) = s.counted(command);
            s.remove("probe.c");
            output.ok();
            calls
        };
        let rounds = [(); 2].map(|()| (1..7).map(probes).filter(|calls| *calls == 0).count());
        // On a machine with too much to do some may be too late all the same.
        assert!(rounds[0] == 0 && rounds[1] > 3, "{command}: {rounds:?} hits; {}", s.reasons());
    }
}
