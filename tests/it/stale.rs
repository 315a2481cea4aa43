use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::hits::contains;
use crate::kit::{HELLO, Sandbox, finish, have, real, shim};

const USES_X: &str = "#include <x.h>\nint v() { return X; }\n";
const QUOTES_X: &str = "#include \"x.h\"\nint v() { return X; }\n";

// What was not there, and appears.

#[test]
fn a_header_in_an_earlier_folder() {
    let s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("i2/x.h", "#define X 1\n");
    fs::create_dir(s.path("i1")).unwrap();
    s.warm("gcc -Ii1 -Ii2 -c a.c");
    s.write("i1/x.h", "#define X 2\n");
    s.warm("gcc -Ii1 -Ii2 -c a.c");
    s.remove("i1/x.h");
    s.hit("gcc -Ii1 -Ii2 -c a.c");
}

#[test]
fn a_folder_that_did_not_exist() {
    let s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("i2/x.h", "#define X 1\n");
    for flags in ["-Ideep/er/i1 -Ii2", "-isystem deep/er/i1 -isystem i2", "-idirafter i2"] {
        s.warm(&format!("gcc {flags} -c a.c"));
    }
    s.write("other/er/i1/x.h", "#define X 2\n");
    fs::rename(s.path("other"), s.path("deep")).unwrap();
    for flags in ["-Ideep/er/i1 -Ii2", "-isystem deep/er/i1 -isystem i2"] {
        s.miss(&format!("gcc {flags} -c a.c"));
    }
}

#[test]
fn a_header_beside_the_includer() {
    let s = Sandbox::new();
    s.write("src/a.c", "#include \"y.h\"\nint v() { return X; }\n");
    s.write("inc/y.h", "#include \"x.h\"\n");
    s.write("last/x.h", "#define X 1\n");
    s.warm("gcc -Iinc -Ilast -c src/a.c");
    s.write("inc/x.h", "#define X 2\n");
    s.warm("gcc -Iinc -Ilast -c src/a.c");
    s.write("src/y.h", "#define X 3\n");
    s.warm("gcc -Iinc -Ilast -c src/a.c");
}

#[test]
fn has_include_both_ways() {
    let s = Sandbox::new();
    s.write("a.c", "#if __has_include(\"opt.h\")\n#include \"opt.h\"\n#else\nint v = 2;\n#endif\n");
    s.write(
        "b.c",
        "#ifdef __has_include\n#if !__has_include(<sub/opt.h>)\nint v;\n#endif\n#endif\n",
    );
    s.write("c.c", "#if __has_include(\"opt.h\")\nint v = 1;\n#else\nint v = 2;\n#endif\n");
    let lines = ["-c a.c", "-Iinc -c b.c", "-c c.c"];
    for compiler in ["gcc", "clang"] {
        if !have(compiler) {
            continue;
        }
        let all =
            |step: &dyn Fn(&str)| lines.iter().for_each(|line| step(&format!("{compiler} {line}")));
        all(&|line| s.warm(line));
        s.write("opt.h", "int v = 1;\n");
        s.write("inc/sub/opt.h", "");
        all(&|line| s.warm(line));
        s.remove("opt.h");
        s.remove("inc");
        all(&|line| drop(s.hit(line)));
    }
}

#[test]
fn include_next() {
    let s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("i1/x.h", "#include_next <x.h>\n");
    s.write("i3/x.h", "#define X 1\n");
    s.warm("gcc -Ii1 -Ii2 -Ii3 -c a.c");
    s.write("i2/x.h", "#define X 2\n");
    s.warm("gcc -Ii1 -Ii2 -Ii3 -c a.c");
}

#[test]
fn a_computed_include() {
    let s = Sandbox::new();
    s.write("a.c", "#define Q(x) <x.h>\n#define N Q(x)\n#include N\nint v() { return X; }\n");
    s.write("i2/x.h", "#define X 1\n");
    s.same("gcc -Ii1 -Ii2 -c a.c");
    s.same("gcc -Ii1 -Ii2 -c a.c");
    s.write("i1/x.h", "#define X 2\n");
    s.miss("gcc -Ii1 -Ii2 -c a.c");
    s.write("b.c", "#include H\nint v() { return X; }\n");
    s.write("i2/y.h", "#define X 3\n");
    let words = ["gcc", "-Ii1", "-Ii2", "-DH=<y.h>", "-c", "b.c"];
    s.same(&words);
    s.same(&words);
    s.write("i1/y.h", "#define X 4\n");
    s.miss(&words);
}

#[test]
fn forced_includes() {
    let s = Sandbox::new();
    s.write("a.c", "int v() { return X; }\n");
    s.write("i2/f.h", "#define X 1\n");
    for flag in ["-include ", "-imacros ", "--include=", "--imacros "] {
        let line = format!("gcc -Ii1 --include-directory=i2 {flag}f.h -c a.c");
        s.warm(&line);
        s.write("i2/f.h", "#define X 2\n");
        s.warm(&line);
        s.write("i1/f.h", "#define X 3\n");
        s.warm(&line);
        s.write("f.h", "#define X 4\n");
        s.warm(&line);
        s.remove("f.h");
        s.remove("i1");
        s.write("i2/f.h", "#define X 1\n");
        s.hit(&line);
    }
}

#[test]
fn include_folders_from_the_environment() {
    let mut s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("i1/x.h", "#define X 1\n");
    s.write("i2/x.h", "#define X 2\n");
    for name in ["CPATH", "C_INCLUDE_PATH"] {
        for folder in ["i1", "i2", "i3:i2"] {
            s.set(name, folder);
            s.same("gcc -c a.c");
        }
        s.hit("gcc -c a.c");
        s.write("i3/x.h", "#define X 3\n");
        s.miss("gcc -c a.c");
        s.remove("i3");
        s.unset(name);
    }
}

// Files that are reached in other ways.

#[test]
fn a_symlink_retargeted() {
    let s = Sandbox::new();
    s.write("a.c", QUOTES_X);
    s.write("one/x.h", "#define X 1\n");
    s.write("two/x.h", "#define X 2\n");
    s.link("one/x.h", "x.h");
    s.warm("gcc -c a.c");
    s.remove("x.h");
    s.link("two/x.h", "x.h");
    s.warm("gcc -c a.c");
    // A hop further away.
    s.remove("x.h");
    s.link("hop/x.h", "x.h");
    s.link("one", "hop");
    s.same("gcc -c a.c");
    s.hit("gcc -c a.c");
    s.remove("hop");
    s.link("two", "hop");
    s.same("gcc -c a.c");
    s.write("two/x.h", "#define X 3\n");
    s.miss("gcc -c a.c");
}

#[test]
fn folders_renamed() {
    let s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("top/mid/inc/x.h", "#define X 1\n");
    s.write("new/mid/inc/x.h", "#define X 2\n");
    s.warm("gcc -Itop/mid/inc -c a.c");
    fs::rename(s.path("top"), s.path("old")).unwrap();
    fs::rename(s.path("new"), s.path("top")).unwrap();
    s.warm("gcc -Itop/mid/inc -c a.c");
    // Edited where it now is: the folder was watched under another name.
    s.write("top/mid/inc/x.h", "#define X 3\n");
    s.warm("gcc -Itop/mid/inc -c a.c");
    fs::rename(s.path("top/mid"), s.path("top/away")).unwrap();
    s.same("gcc -Itop/mid/inc -c a.c");
}

#[test]
fn a_header_replaced_by_rename() {
    let s = Sandbox::new();
    s.write("a.c", QUOTES_X);
    s.write("x.h", "#define X 1\n");
    s.warm("gcc -c a.c");
    let before = fs::metadata(s.path("x.h")).unwrap().modified().unwrap();
    for value in 2..6 {
        s.write("new.h", format!("#define X {value}\n"));
        s.set_mtime("new.h", before);
        fs::rename(s.path("new.h"), s.path("x.h")).unwrap();
        s.warm("gcc -c a.c");
    }
}

#[test]
fn a_hard_linked_header() {
    let s = Sandbox::new();
    s.write("a.c", QUOTES_X);
    let elsewhere = s.aside("elsewhere");
    fs::write(elsewhere.join("x.h"), "#define X 1\n").unwrap();
    fs::hard_link(elsewhere.join("x.h"), s.path("x.h")).unwrap();
    s.warm("gcc -c a.c");
    for value in 2..6 {
        fs::write(elsewhere.join("x.h"), format!("#define X {value}\n")).unwrap();
        s.miss("gcc -c a.c");
    }
}

#[test]
fn same_size_and_mtime() {
    let s = Sandbox::new();
    s.write("a.c", QUOTES_X);
    s.write("x.h", "#define X 1\n");
    s.touch("x.h", 1_500_000_000);
    s.warm("gcc -c a.c");
    s.write("x.h", "#define X 2\n");
    s.touch("x.h", 1_500_000_000);
    s.warm("gcc -c a.c");
    // While no daemon looks.
    s.z("stop").code(0);
    s.write("x.h", "#define X 3\n");
    s.touch("x.h", 1_500_000_000);
    s.warm("gcc -c a.c");
}

#[test]
fn edits_while_no_daemon_runs() {
    let s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("i2/x.h", "#define X 1\n");
    s.warm("gcc -Ii1 -Ii2 -c a.c");
    s.z("stop").code(0);
    s.write("i1/x.h", "#define X 2\n");
    s.warm("gcc -Ii1 -Ii2 -c a.c");
    s.z("stop").code(0);
    s.remove("i1");
    s.hit("gcc -Ii1 -Ii2 -c a.c");
    s.z("stop").code(0);
    s.write("i2/x.h", "#define X 3\n");
    s.miss("gcc -Ii1 -Ii2 -c a.c");
}

#[test]
fn equal_sources_in_two_folders() {
    let mut s = Sandbox::new();
    for (folder, value) in [("p", 1), ("q", 2)] {
        s.write(format!("{folder}/a.c"), QUOTES_X);
        s.write(format!("{folder}/x.h"), format!("#define X {value}\n"));
    }
    s.warm("gcc -c p/a.c");
    s.warm("gcc -c q/a.c");
    for folder in ["p", "q", "p"] {
        s.cwd = s.path(folder);
        s.same("gcc -c a.c");
    }
}

#[test]
fn a_symlinked_source_finds_headers_beside_the_link() {
    let s = Sandbox::new();
    s.write("real/a.c", QUOTES_X);
    s.write("real/x.h", "#define X 1\n");
    fs::create_dir(s.path("links")).unwrap();
    s.link("../real/a.c", "links/a.c");
    s.write("links/x.h", "#define X 2\n");
    s.warm("gcc -c links/a.c");
    s.same("gcc -c real/a.c");
    s.write("links/x.h", "#define X 3\n");
    s.miss("gcc -c links/a.c");
}

#[test]
fn what_the_assembler_reads() {
    let s = Sandbox::new();
    s.write("a.c", "__asm__(\"b: .incbin \\\"data.bin\\\"\\n\");\n");
    s.write(
        "b.c",
        "#define S(x) #x\n#define T(x) S(x)\n__asm__(\".inc\" \"bin \" T(\"data.bin\"));\n",
    );
    s.write("c.s", ".include \"more.inc\"\n");
    s.write("d.S", "v: .incbin \"data.bin\"\n");
    s.write("e.s", ".macro get name\n.incbin \"\\name\"\n.endm\nget data.bin\n");
    for file in ["a.c", "b.c", "c.s", "d.S", "e.s"] {
        let line = format!("gcc -c {file} -o a.o");
        s.write("data.bin", "AAAA");
        s.write("more.inc", ".long 1\n");
        s.same(&line);
        s.same(&line);
        s.write("data.bin", "BBBB");
        s.write("more.inc", ".long 2\n");
        s.miss(&line);
    }
}

#[test]
fn a_precompiled_header_of_gcc() {
    let mut s = Sandbox::new();
    s.volatile = vec![".gch"];
    s.write("a.c", "#include \"p.h\"\nint v() { return X; }\n");
    s.write("p.h", "#define X 1\n");
    s.same("gcc -c a.c");
    s.same("gcc -c a.c");
    for value in [2, 3] {
        // The header and what was made of it tell apart who was read.
        s.write("p.h", format!("#define X {value}\n"));
        s.same("gcc -x c-header p.h -o p.h.gch");
        s.write("p.h", "#define X 9\n");
        s.miss("gcc -Winvalid-pch -c a.c");
        s.same("gcc -Winvalid-pch -c a.c");
    }
    s.remove("p.h.gch");
    s.miss("gcc -Winvalid-pch -c a.c");
}

/// Each run of gcc gives other bytes: only a hit leaves what was compiled with the header before good.
#[test]
fn a_precompiled_header_of_gcc_is_a_result() {
    let mut s = Sandbox::new();
    s.volatile = vec![".gch"];
    s.write("a.c", "int v() { return X; }\n");
    s.write("p.c", "");
    s.write("p.h", "#include <stdio.h>\n#define X 1\n");
    // The second as cmake has it made.
    for line in ["gcc -x c-header p.h -o p.h.gch", "gcc -x c-header -include p.h -o p.h.gch -c p.c"]
    {
        s.miss(line);
        let made = s.read("p.h.gch");
        s.miss("gcc -Winvalid-pch -include p.h -c a.c");
        for remove in [true, false] {
            if remove {
                s.remove("p.h.gch");
            }
            s.hit(line);
            assert_eq!(s.read("p.h.gch"), made);
            s.hit("gcc -Winvalid-pch -include p.h -c a.c");
        }
    }
}

#[test]
fn a_precompiled_header_of_clang() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", "int v() { return X; }\n");
    for value in [1, 2] {
        s.write("p.h", format!("#define X {value}\n"));
        s.bare("clang -x c-header p.h -o p.pch").ok();
        s.miss("clang -include-pch p.pch -c a.c");
        s.same("clang -include-pch p.pch -c a.c");
    }
}

/// The lines are CMake's.
#[test]
fn a_precompiled_header_of_clang_is_a_result() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", "int v() { return X; }\n");
    s.write("p.h.c", "");
    s.write("p.h", "#define X 1\n");
    let make = "clang -Winvalid-pch -Xclang -emit-pch -Xclang -include -Xclang p.h -x c-header -o p.h.pch -c p.h.c";
    let take = "clang -Winvalid-pch -Xclang -include-pch -Xclang p.h.pch -Xclang -include -Xclang p.h -c a.c";
    s.miss(make);
    s.miss(take);
    s.hit(make);
    s.hit(take);
    s.remove("p.h.pch");
    s.hit(make);
    s.hit(take);
    s.write("p.h", "#define X 2\n");
    s.miss(make);
    s.miss(take);
    s.hit(make);
    s.hit(take);
    // It holds the header's time, and is refused where that is another.
    s.bare("touch -d @1700000000 p.h").ok();
    assert!(!s.bare(take).status.success());
    s.miss(make);
    s.miss(take);
    s.hit(make);
    s.hit(take);
    let timeless = |line: &str| line.replacen(" ", " -Xclang -fno-pch-timestamp ", 1);
    s.miss(&timeless(make));
    s.miss(&timeless(take));
    s.bare("touch -d @1700009999 p.h").ok();
    s.hit(&timeless(make));
    s.hit(&timeless(take));
}

#[test]
fn files_that_options_name() {
    let s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v(int *p) { return p[X]; }\n");
    s.write("s.specs", "*cpp:\n+ -DX=1\n\n");
    s.miss("gcc -specs=s.specs -c a.c");
    s.write("s.specs", "*cpp:\n+ -DX=2\n\n");
    s.miss("gcc -specs=s.specs -c a.c");
    s.write("r.rsp", "-DX=1\n");
    s.warm("gcc @r.rsp -c a.c");
    s.write("r.rsp", "-DX=2\n");
    s.warm("gcc @r.rsp -c a.c");
    if have("clang") {
        for flag in ["-fsanitize-ignorelist", "-fsanitize-blacklist"] {
            let line = format!("clang -fsanitize=address {flag}=list.txt -c a.c");
            s.write("list.txt", "# none\n");
            s.same(&line);
            s.same(&line);
            s.write("list.txt", "fun:v\n");
            s.miss(&line);
        }
        s.write("c.cfg", "-DX=1\n");
        s.same("clang --config ./c.cfg -c a.c");
        s.same("clang --config ./c.cfg -c a.c");
        s.write("c.cfg", "-DX=2\n");
        s.miss("clang --config ./c.cfg -c a.c");
    }
}

#[test]
fn a_profile_beside_the_object() {
    let s = Sandbox::new();
    s.write(
        "a.c",
        "int v(int n) { int s = 0; for (int i = 0; i < n; i++) s += i % 3 ? i : n; return s; }\n",
    );
    s.write("main.c", "int v(int);\nint main(int n, char **w) { return v(n * n * 9) == 0; }\n");
    s.bare("gcc -O2 -fprofile-generate -fprofile-update=single -c a.c -o out.o").ok();
    s.bare("gcc -fprofile-generate out.o main.c -o app").ok();
    for build in [
        "gcc -O2 -fprofile-use -c a.c -o out.o",
        "gcc -O2 -fprofile-use=prof -c a.c -o out.o",
        "gcc -O2 -fbranch-probabilities -fprofile-dir=prof -c a.c -o out.o",
    ] {
        s.warm(build);
        fs::create_dir_all(s.path("prof")).unwrap();
        let inside = format!("prof/{}#out.gcda", s.dir.display().to_string().replace('/', "#"));
        for runs in [1, 60] {
            for _ in 0..runs {
                s.bare("./app a b c d e f g").ok();
            }
            fs::copy(s.path("out.gcda"), s.path(&inside)).unwrap();
            s.warm(build);
        }
        fs::remove_file(s.path("out.gcda")).unwrap();
        fs::remove_dir_all(s.path("prof")).unwrap();
        s.hit(build);
    }
}

#[test]
fn a_profile_of_clangs() {
    let s = Sandbox::new();
    s.write("a.c", "int v(int x) { if (x) return 1; return 2; }\n");
    let profile = |path: &str, count: u32| {
        s.write("p.txt", format!("v\n# hash\n24\n2\n{count}\n{}\n", count / 2));
        s.bare(&format!("llvm-profdata merge -o {path} p.txt")).ok();
    };
    fs::create_dir(s.path("p")).unwrap();
    for (build, path) in [
        ("clang -O2 -fprofile-instr-use=p/x -c a.c", "p/x"),
        ("clang -O2 -fprofile-use=p -c a.c", "p/default.profdata"),
        ("clang -O2 -fprofile-use -c a.c", "default.profdata"),
    ] {
        // Without data it is an error.
        s.miss(build);
        for count in [100, 9000] {
            profile(path, count);
            s.warm(build);
        }
    }
}

// The tools.

#[test]
fn a_compiler_replaced() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let folder = s.path("cc");
    shim(&folder, "gcc", &real("gcc"), "A");
    s.touch("cc/gcc", 1_500_000_000);
    let size = fs::metadata(folder.join("gcc")).unwrap().size();
    s.warm("cc/gcc -c a.c");
    shim(&folder, "gcc", &real("gcc"), "B");
    s.touch("cc/gcc", 1_500_000_000);
    assert_eq!(fs::metadata(folder.join("gcc")).unwrap().size(), size);
    s.warm("cc/gcc -c a.c");
    s.z("stop").code(0);
    shim(&folder, "gcc", &real("gcc"), "C");
    s.touch("cc/gcc", 1_500_000_000);
    s.warm("cc/gcc -c a.c");
}

/// A script that stands in for a part of gcc and adds something to what it does.
fn part(s: &Sandbox, file: &str, real: &str, extra: &str) {
    s.script(file, format!("#!/bin/sh\nexec {real} {extra} \"$@\"\n"));
}

#[test]
fn parts_of_gcc_found_elsewhere() {
    let mut s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v() { return X; }\n");
    let cc1 = s.bare("gcc -print-prog-name=cc1").ok().out().trim().to_owned();
    let assembler = real("as").display().to_string();
    part(&s, "b/cc1", &cc1, "-DX=3");
    s.miss("gcc -Bb/ -c a.c");
    part(&s, "b/cc1", &cc1, "-DX=1");
    s.miss("gcc -Bb/ -c a.c");
    part(&s, "b/cc1", &cc1, "-DX=2");
    s.miss("gcc -Bb/ -c a.c");
    s.remove("b/cc1");
    s.same("gcc -Bb/ -c a.c");
    part(&s, "b2/as", &assembler, "--defsym one=1");
    s.miss("gcc -Bb2/ -c a.c");
    part(&s, "b2/as", &assembler, "--defsym two=1");
    s.miss("gcc -Bb2/ -c a.c");

    s.warm("gcc -c a.c");
    part(&s, "c/as", &assembler, "--defsym three=1");
    s.set("COMPILER_PATH", s.path("c"));
    s.miss("gcc -c a.c");
    s.unset("COMPILER_PATH");
    s.hit("gcc -c a.c");
}

/// A spec file that has gcc's own compiler told more.
fn specs(s: &Sandbox, file: &str, value: usize) {
    s.write(file, format!("*cc1_options:\n+ -DX={value}\n\n"));
}

#[test]
fn spec_files_of_gcc() {
    let mut s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v() { return X; }\n");
    let machine = s.bare("gcc -dumpmachine").ok().out().trim().to_owned();
    let version = s.bare("gcc -dumpversion").ok().out().trim().to_owned();
    for (line, file) in [
        ("gcc -Bb/ -c a.c", "b/specs".to_owned()),
        ("gcc -Bb2 -c a.c", format!("b2/{machine}/{version}/specs")),
        // Not a folder, but what goes before a name.
        ("gcc -Bb3 -c a.c", "b3specs".to_owned()),
    ] {
        s.warm(line);
        specs(&s, &file, 1);
        s.miss(line);
        s.hit(line);
        s.remove(&file);
        s.hit(line);
    }
    for (name, value, file) in [
        ("LIBRARY_PATH", "l".to_owned(), "l/specs".to_owned()),
        ("LIBRARY_PATH", s.path("m").display().to_string(), format!("m/{machine}/{version}/specs")),
        // An empty folder is the working folder.
        ("LIBRARY_PATH", "/none:".to_owned(), "specs".to_owned()),
    ] {
        s.set(name, value);
        s.same("gcc -c a.c");
        s.hit("gcc -c a.c");
        specs(&s, &file, file.len());
        s.miss("gcc -c a.c");
        s.remove(&file);
        s.hit("gcc -c a.c");
    }
    s.unset("LIBRARY_PATH");
    s.hit("gcc -c a.c");
}

#[test]
fn header_folders_of_program_folders() {
    let s = Sandbox::new();
    s.write("a.c", "#include <limits.h>\nint v = INT_MAX;\n");
    fs::create_dir(s.path("b")).unwrap();
    s.warm("gcc -Bb/ -c a.c");
    s.write("b/include/limits.h", "#define INT_MAX 7\n");
    s.miss("gcc -Bb/ -c a.c");
    s.hit("gcc -Bb/ -c a.c");
    s.remove("b/include");
    s.same("gcc -Bb/ -c a.c");
}

#[test]
fn an_assembler_named_for_its_target() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir(s.path("b")).unwrap();
    for (line, target) in [
        ("gcc -Bb/ -c a.c", s.bare("gcc -dumpmachine").ok().out()),
        // A prefix.
        ("gcc -Bb/arm- -c a.c", "arm".to_owned()),
    ] {
        s.warm(line);
        let file = format!("b/{}-as", target.trim());
        part(&s, &file, &real("as").display().to_string(), "--defsym extra=1");
        s.miss(line);
        s.hit(line);
        s.remove(file);
        s.hit(line);
    }
}

#[test]
fn configuration_files_of_clang() {
    let s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v() { return X; }\n");
    // They lie beside the program itself.
    fs::create_dir(s.path("bin")).unwrap();
    let clang = fs::canonicalize(real("clang")).unwrap();
    s.bare(&format!("cp {} bin/x86_64-linux-gnu-clang", clang.display())).ok();
    const LINE: &str = "bin/x86_64-linux-gnu-clang -c a.c";
    s.same(LINE);
    s.hit(LINE);
    for (value, name) in ["x86_64-linux-gnu", "x86_64-linux-gnu-clang"].iter().enumerate() {
        let file = format!("bin/{name}.cfg");
        s.write(&file, format!("-DX={value}1\n"));
        s.same(LINE);
        s.hit(LINE);
        s.write(&file, format!("-DX={value}2\n"));
        s.same(LINE);
    }
    // What it names is not followed.
    s.write("bin/more", "-DX=3\n");
    s.write("bin/x86_64-linux-gnu-clang.cfg", "@more\n");
    s.same(LINE);
    s.write("bin/more", "-DX=4\n");
    s.same(LINE);
}

#[test]
fn installations_of_gcc_for_clang() {
    let s = Sandbox::new();
    s.write("a.cc", "#include <value.h>\nint v() { return VALUE; }\n");
    s.write("last/value.h", "#define VALUE 0\n");
    let crt = s.bare("gcc -print-file-name=crtbegin.o").ok().out();
    let install = |version: u32| {
        let folder = format!("gcc/lib/gcc/x86_64-linux-gnu/{version}");
        s.write(format!("gcc/include/c++/{version}/value.h"), format!("#define VALUE {version}\n"));
        fs::create_dir_all(s.path(&folder)).unwrap();
        fs::copy(crt.trim(), s.path(folder).join("crtbegin.o")).unwrap();
    };
    let line = "clang++ --target=x86_64-linux-gnu --gcc-toolchain=gcc -idirafter last -c a.cc";
    s.warm(line);
    install(11);
    s.miss(line);
    s.hit(line);
    install(13);
    s.miss(line);
    s.hit(line);
}

#[test]
fn an_assembler_earlier_on_path() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir(s.path("tools")).unwrap();
    s.path_first(&s.path("tools"));
    s.warm("gcc -c a.c");
    part(&s, "tools/as", &real("as").display().to_string(), "--defsym extra=1");
    s.miss("gcc -c a.c");
    s.same("gcc -c a.c");
    s.remove("tools/as");
    s.same("gcc -c a.c");
}

#[test]
fn a_compiler_earlier_on_path() {
    let mut s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v() { return X; }\n");
    fs::create_dir(s.path("tools")).unwrap();
    s.path_first(&s.path("tools"));
    s.warm("gcc -c a.c");
    s.script("tools/gcc", format!("#!/bin/sh\nexec {} -DX=1 \"$@\"\n", real("gcc").display()));
    let before = s.read("a.o");
    s.same("gcc -c a.c");
    assert!(before != s.read("a.o"));
    s.remove("tools/gcc");
    s.hit("gcc -c a.c");
}

#[test]
fn a_preloaded_library() {
    let mut s = Sandbox::new();
    s.write("a.c", "#include <stdlib.h>\nconst char v[] = \"plain\";\n");
    // Makes the compiler's parts see another variable, which changes what they write.
    s.write(
        "pre.c",
        "#include <stdlib.h>\n__attribute__((constructor)) static void set(void) {\n\
         setenv(\"SOURCE_DATE_EPOCH\", \"0\", 1); setenv(\"CPATH\", INC, 1); }\n",
    );
    s.write("inc1/stdlib.h", "#define X 1\nint x1;\n");
    s.write("inc2/stdlib.h", "#define X 2\nint x2;\n");
    for folder in ["inc1", "inc2"] {
        let define = format!("-DINC=\"{}\"", s.path(folder).display());
        s.bare(&["gcc", "-shared", "-fPIC", &define, "pre.c", "-o", "new.so"]).ok();
        fs::rename(s.path("new.so"), s.path("pre.so")).unwrap();
        s.unset("LD_PRELOAD");
        s.same("gcc -c a.c");
        // Only for the compiler: everything else here would be changed, too.
        s.set("LD_PRELOAD", s.path("pre.so"));
        s.miss("gcc -c a.c");
        s.same("gcc -c a.c");
        s.unset("LD_PRELOAD");
    }
    s.hit("gcc -c a.c");
}

// Variables and the clock.

#[test]
fn the_locale() {
    let mut s = Sandbox::new();
    s.write("a.c", "int v() { int \u{fc}; return 0; }\n");
    for (value, first) in [("C", true), ("C.UTF-8", true), ("C", false)] {
        s.set("LC_ALL", value);
        if first {
            s.warm("gcc -Wall -c a.c");
        } else {
            s.hit("gcc -Wall -c a.c");
        }
    }
}

#[test]
fn the_date() {
    let mut s = Sandbox::new();
    s.write("d.h", "static const char *d = __DATE__;\n");
    s.write("a.c", "#include \"d.h\"\nconst char *v() { return d; }\n");
    s.same("gcc -c a.c");
    s.same("gcc -c a.c");
    for epoch in ["0", "1000000000"] {
        s.set("SOURCE_DATE_EPOCH", epoch);
        s.miss("gcc -c a.c");
        s.same("gcc -c a.c");
    }
    s.write("d.h", "static const char *d = \"\"  ;   \n");
    s.miss("gcc -c a.c");
}

/// Two compiles at different times give different objects.
fn knows_the_time(s: &Sandbox) {
    s.z("gcc -c a.c").ok();
    let first = s.read("a.o");
    thread::sleep(Duration::from_millis(1100));
    s.z("gcc -c a.c").ok();
    assert!(s.read("a.o") != first);
}

#[test]
fn the_time_is_never_old() {
    let s = Sandbox::new();
    s.write("a.c", "const char v[] = \"at \" __TIME__;\n");
    knows_the_time(&s);
}

#[test]
fn the_time_hidden_in_a_macro() {
    let s = Sandbox::new();
    s.write("t.h", "#define JOIN(a, b) a##b\n#define NOW JOIN(__TI, ME__)\n");
    s.write("a.c", "#include \"t.h\"\nconst char v[] = NOW;\n");
    knows_the_time(&s);
}

#[test]
fn the_timestamp_of_a_file() {
    let s = Sandbox::new();
    s.write("a.c", "#include \"x.h\"\nconst char *v = __TIMESTAMP__;\n");
    s.write("x.h", "static const char *w = __TIMESTAMP__;\n");
    s.same("gcc -c a.c");
    s.same("gcc -c a.c");
    for time in [1_000_000_000, 1_100_000_000] {
        s.touch("a.c", time);
        s.miss("gcc -c a.c");
        assert!(s.reasons().contains("input_touched"), "{}", s.reasons());
        s.touch("x.h", time + 60);
        s.same("gcc -c a.c");
    }
}

#[test]
fn output_names_that_are_recorded() {
    let s = Sandbox::new();
    s.write("a.c", "const char *v = __FILE__;\n");
    s.warm("gcc -c a.c");
    let absolute = s.path("a.c");
    s.miss(&["gcc", "-c", absolute.to_str().unwrap()]);
    s.miss("gcc -c ./a.c");
    for line in [
        "gcc -g -gsplit-dwarf -c a.c -o",
        "gcc --coverage -frandom-seed=1 -c a.c -o",
        "gcc -frecord-gcc-switches -O1 -c a.c -o",
        "gcc -frecord-gcc-switches -O1 -DY -c a.c -o",
        "gcc -g -grecord-gcc-switches -O1 -DZ -c a.c -o",
    ] {
        for name in ["one.o", "two.o", "one.o"] {
            s.same(&format!("{line} {name}"));
        }
    }
}

#[test]
fn flags_and_their_order() {
    let s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v() { int unused; return X; }\n");
    for flags in [
        "-O0",
        "-O2",
        "-O2 -DX=1",
        "-O2 -DX=1 -UX",
        "-O2 -UX -DX=1",
        "-Wall",
        "-Wall -w",
        "-w -Wall",
        "-Wall -Werror",
        "-Werror -Wno-error -Wall",
        "-g0",
        "-g -g0",
        "-g0 -g",
        "-march=native",
        "-flto -frandom-seed=2",
        "-fno-lto",
        "-funsigned-char",
        "-fPIC",
        "-Wp,-DX=7",
        "-Wp,-UX",
        "-Xpreprocessor -DX=8",
        "-Wa,--defsym,q=1",
        "-std=gnu89",
    ] {
        s.same(&format!("gcc {flags} -c a.c"));
        s.same(&format!("gcc {flags} -c a.c"));
    }
    assert!(s.status()["hits"].as_u64() > Some(12), "{}", s.status());
}

#[test]
fn prefix_maps() {
    let s = Sandbox::new();
    s.write("a.c", "const char *v = __FILE__;\n");
    let source = s.path("a.c").display().to_string();
    for map in ["x", "y"] {
        for flag in ["macro", "debug", "file"] {
            let map = format!("-f{flag}-prefix-map={}={map}", s.dir.display());
            s.miss(&["gcc", "-g", &map, "-c", &source]);
            s.hit(&["gcc", "-g", &map, "-c", &source]);
        }
    }
}

// While the compiler runs.

/// The file changes after the compiler was started and before it reads; then it changes back.
fn edited_meanwhile(compile: &str, victim: &str, first: &str, second: &str) {
    let s = Sandbox::new();
    s.write("a.c", QUOTES_X);
    s.write("b.c", "int v() { return Y; }\n");
    s.write("x.h", "#define X 1\n");
    s.write(victim, first);
    let child = s.start_slow(compile, 700);
    s.write(victim, second);
    finish(child).ok();
    s.same(compile);
    s.write(victim, first);
    s.same(compile);
    s.write(victim, second);
    s.same(compile);
}

#[test]
fn a_source_edited_while_it_is_compiled() {
    edited_meanwhile("gcc -c a.c", "a.c", "int v() { return 1; }\n", "int v() { return 2; }\n");
}

#[test]
fn a_header_edited_while_it_is_compiled() {
    edited_meanwhile("gcc -c a.c", "x.h", "#define X 1\n", "#define X 2\n");
}

#[test]
fn a_response_file_edited_while_it_is_used() {
    edited_meanwhile("gcc @b.rsp -c b.c", "b.rsp", "-DY=1\n", "-DY=2\n");
}

#[test]
fn a_header_appearing_while_it_is_compiled() {
    let s = Sandbox::new();
    s.write("a.c", USES_X);
    s.write("i2/x.h", "#define X 1\n");
    s.write("i1/other", "");
    let child = s.start_slow("gcc -Ii1 -Ii2 -c a.c", 700);
    s.write("i1/x.h", "#define X 2\n");
    finish(child).ok();
    s.same("gcc -Ii1 -Ii2 -c a.c");
    s.remove("i1/x.h");
    s.same("gcc -Ii1 -Ii2 -c a.c");
}

#[test]
fn two_hundred_quick_edits() {
    let s = Sandbox::new();
    s.write("a.c", "#include \"x.h\"\nconst char v[] = \"round-\" X;\n");
    for round in 0..200 {
        // Values come back, so that a stale answer is there to be given.
        let value = if round % 3 == 2 { round % 7 } else { round };
        s.write("x.h", format!("#define X \"{value:03}\"\n"));
        s.z("gcc -c a.c").ok();
        assert!(contains(&s.read("a.o"), &format!("round-{value:03}")), "round {round}");
    }
}

#[test]
fn quick_edits_that_keep_the_mtime() {
    let s = Sandbox::new();
    let time = SystemTime::now();
    for round in 0..40 {
        s.write("a.c", format!("const char v[] = \"round-{:03}\";\n", round % 10));
        s.set_mtime("a.c", time);
        s.z("gcc -c a.c").ok();
        assert!(contains(&s.read("a.o"), &format!("round-{:03}", round % 10)), "round {round}");
    }
}

#[test]
fn a_compile_right_after_an_edit_by_another_process() {
    let s = Sandbox::new();
    s.write("a.c", QUOTES_X);
    for round in 0..40 {
        let script =
            format!("echo '#define X {}' > x.h; exec zccache gcc -c a.c -o a.o", 100 + round % 10);
        let path = std::path::Path::new(crate::kit::ZCCACHE).parent().unwrap();
        let mut command = s.command(&["sh", "-c", &script]);
        command.env("PATH", format!("{}:{}", path.display(), s.get("PATH")));
        finish(command.spawn().unwrap()).ok();
        let code = (100 + round % 10) as u8;
        // mov $X, %eax
        assert!(s.read("a.o").windows(5).any(|at| at == [0xb8, code, 0, 0, 0]), "round {round}");
    }
}
