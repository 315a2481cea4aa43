//! Bugs that were found and fixed: each of these failed first.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::kit::{HELLO, Sandbox, ZCCACHE, have, real};

#[test]
fn has_include_of_a_macro() {
    let s = Sandbox::new();
    s.write(
        "a.c",
        "#define N \"opt.h\"\n#if __has_include(N)\nint v = 1;\n#else\nint v = 2;\n#endif\n",
    );
    s.same("gcc -c a.c");
    s.same("gcc -c a.c");
    s.write("opt.h", "");
    s.miss("gcc -c a.c");
    s.remove("opt.h");
    s.same("gcc -c a.c");
}

#[test]
fn a_precompiled_header_that_a_macro_names() {
    // Found by random edits: the daemon looked at it again for ever.
    let s = Sandbox::new();
    s.write("a.c", "#define NAME \"h.h\"\n#include NAME\nint v = H;\n");
    s.write("h.h", "#define H 1\n");
    s.bare("gcc -x c-header h.h -o h.h.gch").ok();
    s.warm("gcc -c a.c");
}

#[test]
fn what_a_part_of_a_link_complains_of_in_colour() {
    // clang has no use for the assembler's flags in a link of objects, and the whole command has.
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", "int a(void) { return 1; }\n");
    for colour in ["always", "never"] {
        let line = format!(
            "clang -fdiagnostics-color={colour} -Wa,--noexecstack -shared -fPIC a.c -o a.so"
        );
        s.warm(&line);
    }
}

#[test]
fn a_link_of_nothing() {
    let s = Sandbox::new();
    for tool in ["clang", "gcc"].into_iter().filter(|tool| have(tool)) {
        for line in ["missing.o -o x", "missing.c -shared -o x"] {
            s.same(&format!("{tool} {line}"));
        }
    }
    // Nothing but libraries is something.
    s.write("own.c", "int own(void) { return 1; }\n");
    s.bare("gcc -c own.c").ok();
    s.bare("ar rcs libown.a own.o").ok();
    s.warm("gcc -shared -L. -Wl,--whole-archive -lown -Wl,--no-whole-archive -o x.so");
}

#[test]
fn folders_of_clangs_own_assembler() {
    // They are searched for headers as well.
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", "#if __has_include(\"x.h\")\n#include \"x.h\"\n#endif\nint v = 1\n#ifdef X\n+ X\n#endif\n;\n");
    s.write("inc/other.h", "");
    for line in
        ["clang -Wa,-Iinc -c a.c -o a.o", "clang -Xassembler -Iinc -shared -fPIC a.c -o a.so"]
    {
        s.same(line);
        s.same(line);
        s.write("inc/x.h", "#define X 2\n");
        s.miss(line);
        s.remove("inc/x.h");
    }
    s.warm("clang -fno-integrated-as -Wa,-Iinc -c a.c -o a.o");
    s.write("s.S", ".include \"x.inc\"\n");
    s.write("inc/x.inc", ".long 1\n");
    s.warm("clang -Wa,-Iinc -c s.S -o s.o");
    s.write("inc/x.inc", ".long 2\n");
    s.miss("clang -Wa,-Iinc -c s.S -o s.o");
}

#[test]
fn a_header_hard_linked_after_it_was_seen() {
    let s = Sandbox::new();
    let elsewhere = s.aside("elsewhere");
    // Linked only after it was first seen.
    s.write("y.h", "#define X 1\n");
    s.write("b.c", "#include \"y.h\"\nint v() { return X; }\n");
    s.warm("gcc -c b.c");
    fs::hard_link(s.path("y.h"), elsewhere.join("y.h")).unwrap();
    s.same("gcc -c b.c");
    fs::write(elsewhere.join("y.h"), "#define X 2\n").unwrap();
    s.miss("gcc -c b.c");
}

#[test]
fn a_file_for_incbin_in_an_earlier_folder() {
    let s = Sandbox::new();
    s.write("a.c", "__asm__(\"b: .incbin \\\"data.bin\\\"\\n\");\n");
    s.write("data.bin", "AAAA");
    s.write("i1/data.bin", "CCCC");
    s.write("i0/keep", "");
    s.remove("data.bin");
    s.same("gcc -Wa,-Ii0,-Ii1 -c a.c -o a.o");
    s.same("gcc -Wa,-Ii0,-Ii1 -c a.c -o a.o");
    s.write("i0/data.bin", "DDDD");
    s.miss("gcc -Wa,-Ii0,-Ii1 -c a.c -o a.o");
}

/// The assembler lists what `.file` names, whether that is there or not.
#[test]
fn a_file_that_is_only_named() {
    let s = Sandbox::new();
    s.write("a.s", "\t.file \"gone.asm\"\nf:\tret\n");
    s.write("b.i", "# 1 \"gone.y\"\nint x;\n");
    s.write("c.c", "__asm__(\".file \\\"d/gone.c\\\"\");\n");
    for source in ["a.s", "b.i", "c.c"] {
        s.warm(&format!("gcc -c {source} -o o.o"));
    }
    // What can be read counts.
    s.write("gone.asm", "nop\n");
    s.same("gcc -c a.s -o o.o");
}

/// A file that is read, and gone when the compiler ends, is not one that is only named.
#[test]
fn a_file_that_is_gone_by_the_end_was_there() {
    let s = Sandbox::new();
    // It is asked questions too.
    let lines = "case \"$*\" in *a.s) rm gone.bin;; esac";
    s.script("tools/as", format!("#!/bin/sh\n{} \"$@\" && {lines}\n", real("as").display()));
    s.write("a.s", ".incbin \"gone.bin\"\n");
    for _ in 0..2 {
        s.write("gone.bin", "content");
        s.z("gcc -Btools/ -c a.s -o o.o").ok();
        assert!(!s.exists("gone.bin"));
        s.remove("o.o");
        s.z("gcc -Btools/ -c a.s -o o.o").code(1);
    }
}

#[test]
fn a_name_for_the_library_before_the_source() {
    let s = Sandbox::new();
    s.write("a.c", "int f(void) { return 1; }\n");
    s.warm("gcc -c -herror_on_warning a.c -o a.o");
    s.warm("gcc -shared -fPIC -h libnamed.so a.c -o a.so");
    s.miss("gcc -shared -fPIC -hlibother.so a.c -o a.so");
}

#[test]
fn a_part_of_gcc_appearing_in_a_folder_of_dash_b() {
    let s = Sandbox::new();
    s.write("a.c", "#ifndef X\n#define X 0\n#endif\nint v() { return X; }\n");
    let cc1 = s.bare("gcc -print-prog-name=cc1").ok().out().trim().to_owned();
    fs::create_dir(s.path("b")).unwrap();
    s.warm("gcc -Bb/ -c a.c");
    s.script("b/cc1", format!("#!/bin/sh\nexec {cc1} -DX=1 \"$@\"\n"));
    s.miss("gcc -Bb/ -c a.c");
}

#[test]
fn a_masquerade_by_path_hits() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let farm = s.aside("farm");
    symlink(ZCCACHE, farm.join("gcc")).unwrap();
    s.path_first(&farm);
    let line = format!("{} -c a.c -o a.o", farm.join("gcc").display());
    s.bare(&line).ok();
    let calls = s.calls();
    s.bare(&line).ok();
    assert_eq!(s.calls(), calls);
}

#[test]
fn two_copies_lead_to_the_real_one() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let (one, two) = (s.aside("one"), s.aside("two"));
    fs::copy(ZCCACHE, one.join("gcc")).unwrap();
    fs::copy(ZCCACHE, two.join("gcc")).unwrap();
    // So that they differ, as two versions do.
    let mut file = fs::OpenOptions::new().append(true).open(two.join("gcc")).unwrap();
    file.write_all(b"another build").unwrap();
    drop(file);
    let path = s.get("PATH");
    s.set("PATH", format!("{}:{}:{path}", one.display(), two.display()));
    s.bare("gcc -c a.c -o a.o").ok();
    s.bare(&format!("{} -c a.c -o truth.o", real("gcc").display())).ok();
    assert_eq!(s.read("a.o"), s.read("truth.o"));
    s.set("PATH", format!("{}:{}", one.display(), two.display()));
    assert_eq!(s.bare("gcc -c a.c -o a.o").status.code(), Some(127));
}

#[test]
fn an_untaken_computed_include_hits() {
    let s = Sandbox::new();
    s.write("a.c", "#ifdef CONFIG\n#include CONFIG\n#endif\nint v;\n");
    s.warm("gcc -c a.c");
}

#[test]
fn a_computed_include_hits() {
    let s = Sandbox::new();
    s.write("c.h", "#define X 1\n");
    s.write("a.c", "#define CONFIG \"c.h\"\n#include CONFIG\nint v = X;\n");
    s.warm("gcc -c a.c");
}

#[test]
fn a_computed_include_with_mmd_hits() {
    let s = Sandbox::new();
    s.write("c.h", "#define X 1\n");
    s.write("a.c", "#ifdef CONFIG\n#include CONFIG\n#endif\nint v = X;\n");
    s.write("b.c", "#ifdef CONFIG\n#include CONFIG\n#endif\nint v;\n");
    s.warm("gcc -MD -c b.c");
    s.warm("gcc -MMD -c b.c");
    s.warm("gcc -MMD -DCONFIG=\"c.h\" -c a.c");
}

#[test]
fn a_renamed_copy_is_the_program() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let bin = s.aside("bin");
    fs::copy(ZCCACHE, bin.join("my-cache")).unwrap();
    s.path_first(&bin);
    s.bare("my-cache gcc -c a.c").ok();
    s.bare("my-cache --version").ok();
}

/// gcc lists what its sources include, and says nothing of those that no preprocessor sees: the
/// lists of the sources behind such a one were taken for each other's.
#[test]
fn sources_without_a_preprocessor_among_others() {
    let s = Sandbox::new();
    s.write("b.s", ".globl s\ns: .long 1\n");
    for name in ["a", "c", "d"] {
        s.write(format!("{name}.h"), "#define VALUE 1\n");
        s.write(format!("{name}.c"), format!("#include \"{name}.h\"\nint {name} = VALUE;\n"));
    }
    let line = "gcc -c a.c b.s c.c d.c";
    s.warm(line);
    for name in ["c", "d", "a"] {
        s.write(format!("{name}.h"), "#define VALUE 2\n");
        s.miss(line);
        s.hit(line);
    }
}

#[test]
fn flags_for_machines_that_need_another_flag() {
    let s = Sandbox::new();
    s.write("a.c", "int f(int x) { return x; }\n");
    for flags in ["-mcmodel=kernel -fno-pie", "-pg -mfentry -mnop-mcount -fno-PIE"] {
        s.warm(&format!("gcc {flags} -c a.c"));
    }
    // And nothing that gcc could list.
    for flags in ["-ffreestanding", "-nostdinc", "-ffreestanding -O2 -mcmodel=kernel -fno-pic"] {
        s.warm(&format!("gcc {flags} -c a.c"));
    }
    s.write("a.c", "#include \"h.h\"\n");
    s.write("h.h", "int f(int x);\n");
    s.warm("gcc -ffreestanding -c a.c");
    s.write("h.h", "int g;\n");
    s.miss("gcc -ffreestanding -c a.c");
    // Only some have a rule of their own then.
    s.write("b.c", "#include \"h.h\"\n");
    s.write("c.c", "#include \"i.h\"\n");
    s.write("a.c", "int a;\n");
    for text in ["int h;\n", "long h;\n", "char h;\n"] {
        s.write("h.h", text);
        s.write("i.h", text.replace("h", "i"));
        s.same("gcc -ffreestanding -c a.c b.c c.c");
        s.same("gcc -ffreestanding -c a.c b.c c.c");
    }
}

#[test]
fn a_driver_that_takes_our_question_for_another() {
    // As ccache 4.7 does.
    let s = Sandbox::new();
    let gcc = real("gcc").display().to_string();
    let text = format!("#!/bin/sh\n[ -z \"$SUNPRO_DEPENDENCIES\" ] || exit 0\nexec {gcc} \"$@\"\n");
    s.script("own-gcc", text);
    s.write("a.c", "#warning w\nint main(void) { return 0; }\n");
    for line in ["./own-gcc -c a.c", "./own-gcc a.c", "./own-gcc a.c -o app"] {
        for _ in 0..3 {
            s.same(line);
        }
    }
}

#[test]
fn flags_of_clang_as_they_are_spelled() {
    if !have("clang") {
        return;
    }
    let s = Sandbox::new();
    s.write("a.c", "int x;\n");
    for flags in ["-z now", "-znow", "--param a=3", "--param=a=3"] {
        s.same(&format!("clang {flags} -c a.c"));
        s.same(&format!("clang {flags} -c a.c"));
    }
}
