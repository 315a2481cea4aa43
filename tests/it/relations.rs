//! Inputs that are no content: whether a folder or a file has a name, which names are one file, and
//! which files are of one age.

use std::fs;

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
