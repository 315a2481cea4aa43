//! Inputs that are no content: whether a folder or a file has a name, which names are one file, and
//! which files are of one age.

use std::fs;
use std::os::unix::fs::symlink;

use crate::kit::{Sandbox, have};

const ONCE: &str = "#pragma once\nstruct S { int a; };\n";

#[test]
fn a_folder_where_a_header_could_be() {
    let s = Sandbox::new();
    s.write("a.c", "#include <v.h>\nint x = X;\n");
    s.write("b.c", "#if __has_include(<w.h>)\nint x;\n#endif\n");
    s.write("c.c", "__asm__(\".incbin \\\"v.h\\\"\");\n");
    s.write("i2/v.h", "#define X 1\n");
    for folder in ["i1/v.h", "i1/w.h", "v.h"] {
        fs::create_dir_all(s.path(folder)).unwrap();
    }
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        let lines = ["a.c", "b.c"].map(|source| format!("{compiler} -Ii1 -Ii2 -c {source}"));
        lines.iter().for_each(|line| s.warm(line));
        for name in ["i1/v.h", "i1/w.h"] {
            fs::remove_dir(s.path(name)).unwrap();
            s.write(name, "#define X 2\n");
        }
        lines.iter().for_each(|line| s.warm(line));
        for name in ["i1/v.h", "i1/w.h"] {
            s.remove(name);
        }
        s.warm(&lines[0]);
        s.same(&lines[1]);
        for name in ["i1/v.h", "i1/w.h"] {
            fs::create_dir(s.path(name)).unwrap();
        }
        lines.iter().for_each(|line| drop(s.hit(line)));
    }
    if have("clang") {
        s.same("clang -Ii2 -c c.c");
        s.same("clang -Ii2 -c c.c");
        fs::remove_dir(s.path("v.h")).unwrap();
        s.write("v.h", "other");
        s.same("clang -Ii2 -c c.c");
    }
}

#[test]
fn gcc_takes_files_of_one_age_for_one() {
    let s = Sandbox::new();
    for folder in ["inc", "third"] {
        s.write(format!("{folder}/x.h"), ONCE);
        s.touch(format!("{folder}/x.h"), 1_000_000_000);
    }
    s.write("a.c", "#include <x.h>\n#include \"third/x.h\"\n");
    s.warm("gcc -Iinc -c a.c");
    s.touch("third/x.h", 1_000_000_001);
    let said = s.same("gcc -Iinc -c a.c").0;
    assert!(said.err().contains("redefinition"), "{}", said.err());
    s.touch("third/x.h", 1_000_000_000);
    s.hit("gcc -Iinc -c a.c");
    // Its age is no input, only that it is the same.
    for folder in ["inc", "third"] {
        s.touch(format!("{folder}/x.h"), 1_000_000_002);
    }
    s.hit("gcc -Iinc -c a.c");
    // The other way round: apart at first.
    for (at, folder) in ["inc", "third"].into_iter().enumerate() {
        s.write(format!("{folder}/y.h"), "#pragma once\nextern int x;\n");
        s.touch(format!("{folder}/y.h"), 1_000_000_000 + at as u64);
    }
    s.write("b.c", "#include <y.h>\n#include \"third/y.h\"\nint c;\n");
    s.warm("gcc -g3 -Iinc -c b.c");
    s.touch("third/y.h", 1_000_000_000);
    s.warm("gcc -g3 -Iinc -c b.c");
    // What stands before a file that was left out counts, too.
    s.write("c.c", "#include \"third/x.h\"\n#include <x.h>\nint x = sizeof(struct S);\n");
    s.warm("gcc -Iearly -Iinc -c c.c");
    s.write("early/x.h", "#define S T\nstruct T { long a; };\n");
    s.miss("gcc -Iearly -Iinc -c c.c");
}

#[test]
fn links_that_become_files() {
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        let s = Sandbox::new();
        s.write("third/x.h", ONCE);
        s.touch("third/x.h", 1_000_000_000);
        fs::create_dir(s.path("inc")).unwrap();
        s.link("../third/x.h", "inc/x.h");
        s.write("a.c", "#include <x.h>\n#include \"third/x.h\"\n");
        let line = format!("{compiler} -Iinc -c a.c");
        s.warm(&line);
        s.remove("inc/x.h");
        s.write("inc/x.h", ONCE);
        let said = s.same(&line).0;
        assert!(said.err().contains("redefinition"), "{compiler}: {}", said.err());
        s.remove("inc/x.h");
        s.link("../third/x.h", "inc/x.h");
        s.hit(&line);
        // It leads elsewhere now.
        s.write("third/y.h", "#define Y\n");
        s.remove("inc/x.h");
        s.link("../third/y.h", "inc/x.h");
        s.miss(&line);
        // The folder is a link, and a hard link.
        s.remove("inc/x.h");
        fs::remove_dir(s.path("inc")).unwrap();
        s.link("third", "inc");
        s.same(&line);
        s.hit(&line);
        s.remove("inc");
        s.write("inc/x.h", ONCE);
        let said = s.same(&line).0;
        assert!(said.err().contains("redefinition"), "{compiler}: {}", said.err());
        s.remove("inc/x.h");
        fs::hard_link(s.path("third/x.h"), s.path("inc/x.h")).unwrap();
        s.same(&line);
        s.hit(&line);
    }
}

#[test]
fn a_search_folder_of_two_names() {
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        let s = Sandbox::new();
        let text = "static int f() { int u; return 0; }\n";
        s.write("a/h.h", text);
        s.link("a", "b");
        s.write("a.c", "#include <h.h>\n");
        let line = format!("{compiler} -Wall -Wno-unused-function -Ib -isystem a -c a.c");
        s.warm(&line);
        s.remove("b");
        s.write("b/h.h", text);
        let said = s.same(&line).0;
        assert!(said.err().contains("unused"), "{compiler}: {}", said.err());
        s.same(&line);
        s.remove("b/h.h");
        fs::remove_dir(s.path("b")).unwrap();
        s.link("a", "b");
        let said = s.same(&line).0;
        assert!(!said.err().contains("unused"), "{compiler}: {}", said.err());
    }
}

#[test]
fn search_folders_that_come_and_go() {
    let s = Sandbox::new();
    s.write("a.c", "int x;\n");
    s.warm("gcc -Inone -c a.c");
    // Nothing in it.
    fs::create_dir(s.path("none")).unwrap();
    s.hit("gcc -Inone -c a.c");
    fs::remove_dir(s.path("none")).unwrap();
    s.write("none", "");
    let said = s.same("gcc -Inone -c a.c").0;
    assert!(said.err().contains("not a directory"), "{}", said.err());
}

#[test]
fn a_source_that_is_missing_among_others() {
    let s = Sandbox::new();
    s.write("a.c", "int a;\n");
    s.write("b.c", "int b;\n");
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        s.warm(&format!("{compiler} -c a.c b.c"));
        s.remove("a.o");
        s.remove("b.o");
        s.same(&format!("{compiler} -c a.c none.c b.c"));
    }
}

#[test]
fn missing_search_folders_are_told_of() {
    let s = Sandbox::new();
    s.write("a.c", "int x;\n");
    let lines = [
        "gcc -Wmissing-include-dirs -Inope -c a.c",
        "gcc -Werror=missing-include-dirs -isystem gone -c a.c",
        "gcc -Wmissing-include-dirs -iquote quotes -c a.c",
        "gcc -Wmissing-include-dirs -idirafter after -c a.c",
    ];
    for line in lines {
        s.same(line);
        s.same(line);
    }
    for folder in ["nope", "gone", "quotes", "after"] {
        fs::create_dir(s.path(folder)).unwrap();
    }
    lines.iter().for_each(|line| s.warm(*line));
}

#[test]
fn folders_of_the_assembler() {
    let lines = [
        "gcc -Xassembler -Ii1 -Xassembler -Ii2 -c",
        "gcc -Wa,-Ii1 -Xassembler -I -Xassembler i2 -c",
        "clang -Wa,-Ii1 -Wa,-Ii2 -c",
    ];
    for line in lines.into_iter().filter(|line| have(line.split(' ').next().unwrap())) {
        let s = Sandbox::new();
        s.write("a.s", ".incbin \"d\"\n.include \"e\"\n");
        s.write("b.S", ".incbin \"d\"\n.include \"e\"\n");
        s.write("i2/d", "A");
        s.write("i2/e", ".byte 1\n");
        fs::create_dir(s.path("i1")).unwrap();
        let lines = ["a.s", "b.S"].map(|source| format!("{line} {source}"));
        for file in ["", "i2/d", "i2/e", "i1/d", "i1/e"] {
            if !file.is_empty() {
                s.write(file, if file.ends_with('d') { file } else { ".byte 2, 3\n" });
            }
            lines.iter().for_each(|line| drop(s.miss(line)));
            lines.iter().for_each(|line| drop(s.same(line)));
        }
    }
}

#[test]
fn pasted_times() {
    let s = Sandbox::new();
    s.write("a.c", "#define P(a) __##a##__\nconst char *t = P(TIME);\n");
    let nested = "#define U __\n#define C(a, b, c) a##b##c\n#define D(a, b, c) C(a, b, c)\n";
    s.write("b.c", format!("{nested}const char *t = D(U, TIME, U);\n"));
    s.write("c.c", "const char *t = P(TIME);\n");
    for line in ["gcc -c a.c", "gcc -c b.c", "gcc -DP(a)=__##a##__ -c c.c"] {
        let words: Vec<&str> = line.split(' ').collect();
        s.z(&words[..]).ok();
        let (_, cost) = s.counted(&words[..]);
        assert!(cost > 0, "{line}");
    }
    // What pastes and has such words does not do that yet.
    s.write(
        "d.c",
        "#include <math.h>\n#include <stdio.h>\n#include <sys/cdefs.h>\nenum { TIME, DATE };\n#define C(a, b) a##b\nint C(x, y) = TIME;\n",
    );
    s.warm("gcc -c d.c");
    let headers = "#include <algorithm>\n#include <chrono>\n#include <regex>\n#include <map>\n#include <ctime>\n#include <linux/types.h>\n#include <linux/input.h>\n#include <linux/rtc.h>\nint x;\n";
    s.write("e.cc", headers);
    s.warm("g++ -c e.cc");
}

#[test]
fn times_that_the_command_line_defines() {
    let s = Sandbox::new();
    s.write("a.c", "const char *t = __TIME__ __DATE__ __TIMESTAMP__;\n");
    let defines = ["-D__TIME__=\"r\"", "-D__DATE__=\"r\"", "-D__TIMESTAMP__=\"r\""];
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        let mut words = vec![compiler, "-Wno-builtin-macro-redefined"];
        words.extend(defines);
        words.extend(["-c", "a.c"]);
        s.warm(&words[..]);
        s.touch("a.c", 1_000_000_000);
        s.hit(&words[..]);
        // Not all of them.
        words.remove(2);
        s.z(&words[..]).ok();
        assert!(s.counted(&words[..]).1 > 0);
    }
}

#[test]
fn the_null_device() {
    let s = Sandbox::new();
    s.write("a.c", "int x;\n");
    for compiler in ["gcc", "clang"].into_iter().filter(|name| have(name)) {
        for flags in ["-include /dev/null", "-imacros /dev/null", "-I/dev/null"] {
            let line = format!("{compiler} {flags} -c a.c");
            s.warm(&line);
            fs::write("/dev/null", "x").unwrap();
            s.hit(&line);
        }
    }
}

#[test]
fn what_the_kernel_makes_up() {
    let s = Sandbox::new();
    s.write("a.s", ".incbin \"/proc/uptime\"\n");
    s.link("/proc/uptime", "now");
    s.write("b.s", ".incbin \"now\"\n");
    for line in ["gcc -c a.s", "gcc -c b.s"] {
        s.z(line).ok();
        assert!(s.counted(line).1 > 0, "{line}");
    }
}

#[test]
fn headers_of_a_precompiled_one_of_clang() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("h.h", "#include \"i.h\"\n#include <j.h>\n");
    s.write("i.h", "#define X 1\n");
    s.write("sys/j.h", "#define Y 1\n");
    s.write("a.c", "int x = X + Y;\n");
    let flags = "-isystem sys";
    s.bare(&format!("clang {flags} -x c-header h.h -o h.h.pch")).ok();
    s.bare(&format!("clang {flags} -x c-header h.h -o other")).ok();
    let uses = ["-include-pch h.h.pch", "-include-pch other", "-include h.h"];
    let lists = ["", " -MD", " -MMD"];
    let lines =
        uses.iter().flat_map(|used| lists.map(|list| format!("clang {flags}{list} {used} -c a.c")));
    let lines: Vec<String> = lines.collect();
    for header in ["i.h", "sys/j.h"] {
        lines.iter().for_each(|line| drop(s.same(line)));
        lines.iter().for_each(|line| drop(s.hit(line)));
        let was = fs::metadata(s.path(header)).unwrap().modified().unwrap();
        s.touch(header, 1_000_000_000);
        for line in &lines {
            let said = s.same(line).0;
            assert!(!said.status.success(), "{line}");
        }
        fs::File::options().write(true).open(s.path(header)).unwrap().set_modified(was).unwrap();
    }
}

#[test]
fn the_includers_includer() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("m.c", "#include \"sub/a.h\"\nint x = X;\n");
    s.write("sub/a.h", "#include \"b.h\"\n");
    s.write("inc/b.h", "#define X 1\n");
    // No objects: those for Windows hold the time.
    let lines = ["clang -fms-compatibility", "clang --target=x86_64-pc-win32"]
        .map(|line| format!("{line} -Iinc -S m.c"));
    for line in &lines {
        s.miss(line);
        s.same(line);
    }
    s.write("b.h", "#define X 2\n");
    lines.iter().for_each(|line| drop(s.miss(line)));
    // Another one's rules.
    for line in ["clang -fms-extensions", "clang --target=x86_64-w64-windows-gnu"] {
        s.warm(&format!("{line} -Iinc -S m.c"));
    }
}

/// gcc calls a system header by its own path, where that is shorter, and looks beside that.
#[test]
fn system_headers_behind_links() {
    let s = Sandbox::new();
    for version in ["1", "2"] {
        s.write(format!("dep/{version}/h.h"), "#include \"sub.h\"\n");
        s.write(format!("dep/{version}/sub.h"), format!("enum {{ v = {version} }};\n"));
    }
    s.write("a.c", "#include <h.h>\nint f(void) { return v; }\nconst char *p = __FILE__;\n");
    let now = s.path("dep/the-current-one");
    let folder = now.display().to_string();
    for line in [
        format!("gcc -isystem {folder} -c a.c"),
        format!("gcc -MD -idirafter {folder} -c a.c"),
        format!("gcc -MMD -isystem {folder} -c a.c"),
        format!("g++ -isystem {folder} -c a.c"),
        format!("gcc -fno-canonical-system-headers -isystem {folder} -c a.c"),
        format!("clang -isystem {folder} -c a.c"),
    ] {
        let _ = fs::remove_file(&now);
        symlink("1", &now).unwrap();
        s.miss(&line);
        s.hit(&line);
        fs::remove_file(&now).unwrap();
        symlink("2", &now).unwrap();
        s.miss(&line);
        fs::remove_file(&now).unwrap();
        symlink("1", &now).unwrap();
        s.hit(&line);
    }
}

/// The same where the header itself is a link, and only its real neighbour is edited.
#[test]
fn a_neighbour_of_a_header_behind_a_link() {
    let s = Sandbox::new();
    let far = "a/folder/with/a/rather/long/name";
    fs::create_dir_all(s.path(far)).unwrap();
    s.write("r/h.h", "#include \"sub.h\"\n");
    symlink(s.path("r/h.h"), s.path(far).join("h.h")).unwrap();
    s.write("a.c", "#include <h.h>\nint f(void) { return v; }\n");
    let folder = s.path(far).display().to_string();
    for (at, flags) in ["-MMD", "-MD", ""].into_iter().enumerate() {
        let line = format!("gcc {flags} -isystem {folder} -c a.c -o {at}.o");
        for value in [1, 2] {
            s.write("r/sub.h", format!("enum {{ v = {value} }};\n"));
            s.miss(&line);
            s.hit(&line);
        }
    }
}

#[test]
fn files_that_hold_something_else_may_have_any_times() {
    let s = Sandbox::new();
    s.write("once.h", ONCE);
    for name in ["a", "b"] {
        s.write(format!("{name}.h"), format!("extern int {name};\n"));
        s.touch(format!("{name}.h"), 1_000_000_000);
    }
    // Each under two names.
    let source = "#include \"../a.h\"\n#include \"../b.h\"\n#include \"a.h\"\n#include \"b.h\"\n";
    s.write("d/m.c", format!("#include \"once.h\"\n{source}"));
    s.warm("gcc -I. -c d/m.c -o m.o");
    s.touch("b.h", 1_000_000_060);
    s.hit("gcc -I. -c d/m.c -o m.o");
}
