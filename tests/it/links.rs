use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use crate::kit::{Sandbox, eventually, finish, link_shims, real};

const LINKERS: [&str; 4] = ["bfd", "gold", "lld", "mold"];
const COMPILERS: [&str; 2] = ["gcc", "clang"];

const MAIN: &str = "int one(void);\nint main(void) { return one() - 1; }\n";
const ONE: &str = "int one(void) { return 1; }\n";

/// Objects of a small program, made without the cache.
fn objects() -> Sandbox {
    let mut s = Sandbox::new();
    s.path_first(link_shims());
    s.write("main.c", MAIN);
    s.write("one.c", ONE);
    s.bare("gcc -fPIC -c main.c one.c").ok();
    s
}

fn library(s: &Sandbox, folder: &str, value: i32) {
    s.write("lib.c", format!("int one(void) {{ return {value}; }}\n"));
    fs::create_dir_all(s.path(folder)).unwrap();
    s.bare(&format!("gcc -fPIC -c lib.c -o {folder}/lib.o")).ok();
    s.bare(&format!("gcc -shared {folder}/lib.o -o {folder}/libone.so")).ok();
}

fn archive(s: &Sandbox, folder: &str, value: i32) {
    library(s, folder, value);
    s.remove(format!("{folder}/libone.so"));
    let _ = fs::remove_file(s.path(format!("{folder}/libone.a")));
    s.bare(&format!("ar rc {folder}/libone.a {folder}/lib.o")).ok();
}

fn status_of(s: &Sandbox, program: &str) -> Option<i32> {
    s.bare(&format!("./{program}")).status.code()
}

#[test]
fn programs_by_every_linker_and_driver() {
    let s = objects();
    for compiler in COMPILERS {
        for linker in LINKERS {
            let line = format!("{compiler} -fuse-ld={linker} main.o one.o -o app-{linker}");
            s.warm_once(&line);
            assert_eq!(status_of(&s, &format!("app-{linker}")), Some(0));
            assert!(s.path(format!("app-{linker}")).metadata().unwrap().mode() & 0o111 != 0);
        }
    }
    let journal = fs::read_to_string(s.cache.join("logs/compile_journal.jsonl"));
    s.z("status").ok();
    let journal = journal.unwrap_or_default();
    let has = |outcome: &str| journal.contains(&format!("\"outcome\":\"{outcome}\""));
    assert!(has("link_hit") && has("link_miss"), "{journal}");
    assert_eq!(s.status()["by_language"]["link"]["hits"], 8);
}

#[test]
fn changed_objects_and_libraries() {
    for linker in LINKERS {
        let s = objects();
        library(&s, "l", 1);
        let line = format!("gcc -fuse-ld={linker} main.o -Ll -lone -Wl,-rpath,l -o app");
        s.warm(&line);
        assert_eq!(status_of(&s, "app"), Some(0));
        s.write("main.c", "int one(void);\nint main(void) { return one() + 4; }\n");
        s.bare("gcc -fPIC -c main.c").ok();
        s.miss(&line);
        assert_eq!(status_of(&s, "app"), Some(5));
        s.write("lib.c", "int one(void) { return 2; } int two(void) { return 2; }\n");
        s.bare("gcc -fPIC -c lib.c -o l/lib.o").ok();
        s.bare("gcc -shared l/lib.o -o l/libone.so").ok();
        s.miss(&line);
        s.hit(&line);
    }
}

#[test]
fn every_kind_of_output() {
    let s = objects();
    for (compiler, linker) in [("gcc", "bfd"), ("clang", "lld"), ("gcc", "gold"), ("gcc", "mold")] {
        let with = |rest: &str| format!("{compiler} -fuse-ld={linker} {rest}");
        s.warm(&with("-shared one.o -o libone.so -Wl,-soname,libone.so.1"));
        s.warm(&with("-static main.o one.o -o static"));
        s.warm(&with("-no-pie main.o one.o -o fixed -s"));
        s.warm(&with("-rdynamic -pthread main.o one.o -lm -Wl,--as-needed,-z,now,-O1 -o a.out"));
        s.warm(&with("-r -nostdlib main.o one.o -o both.o"));
        assert_eq!(s.path("both.o").metadata().unwrap().mode() & 0o777, 0o644);
        s.warm(&with("main.o one.o -o mapped -Wl,-Map=mapped.map"));
        s.warm(&with("main.o one.o -o listed -Wl,--dependency-file=listed.d"));
        // What mold's threads find is said in the order they find it in.
        let in_order = if linker == "mold" { "-Wl,--no-threads " } else { "" };
        s.warm(&with(&format!(
            "main.o one.o -o id {in_order}-Wl,--build-id=sha1 -Wl,--gc-sections,--print-gc-sections"
        )));
    }
    s.warm("gcc -static-pie main.o one.o -o static-pie");
    assert_eq!(status_of(&s, "static"), Some(0));
    let umask = ["sh", "-c", "umask 077; exec \"$@\"", "sh", "zccache", "gcc", "main.o", "one.o"];
    s.remove("a.out");
    s.bare(&umask.map(|word| if word == "zccache" { crate::kit::ZCCACHE } else { word })).ok();
    assert_eq!(s.path("a.out").metadata().unwrap().mode() & 0o777, 0o700);
}

#[test]
fn what_is_random_is_as_it_was_made() {
    let mut s = objects();
    s.volatile = vec!["app"];
    let line = "gcc main.o one.o -o app -Wl,--build-id=uuid";
    s.miss(line);
    let first = s.read("app");
    s.remove("app");
    assert_eq!(s.counted(line).1, 0);
    assert_eq!(s.read("app"), first);
}

#[test]
fn link_time_optimisation() {
    let s = objects();
    s.bare("gcc -O2 -flto -g -c main.c -o gm.o").ok();
    s.bare("gcc -O2 -flto -g -c one.c -o go.o").ok();
    s.bare("clang -O2 -flto -c main.c -o cm.o").ok();
    s.bare("clang -O2 -flto=thin -c one.c -o co.o").ok();
    s.warm("gcc -O2 -flto -g gm.o go.o -o app");
    s.warm("gcc -O2 -flto -fuse-ld=gold gm.o go.o -o app");
    // Nothing on the command line says that there is something to compile.
    s.warm("gcc gm.o go.o -o app");
    s.warm("clang -O2 -flto -fuse-ld=lld cm.o co.o -o app");
    s.write("one.c", "int one(void) { return 7; }\n");
    s.bare("gcc -O2 -flto -g -c one.c -o go.o").ok();
    s.miss("gcc -O2 -flto -g gm.o go.o -o app");
    assert_eq!(status_of(&s, "app"), Some(6));
}

/// gcc makes files then that nobody named, but only if objects are to be compiled now.
#[test]
fn side_files_of_link_time_optimisation() {
    let s = objects();
    s.warm("gcc -g -gsplit-dwarf -fstack-usage main.o one.o -o app");
    s.bare("gcc -flto -c main.c one.c").ok();
    s.same("gcc -g -gsplit-dwarf -fstack-usage main.o one.o -o app");
    s.miss("gcc -g -gsplit-dwarf -fstack-usage main.o one.o -o app");
    assert!(s.exists("app.ltrans0.ltrans.su"));
    assert!(s.reasons().contains("side_files"), "{}", s.reasons());
}

#[test]
fn a_library_appears_in_an_earlier_folder() {
    for linker in LINKERS {
        let s = objects();
        archive(&s, "last", 1);
        let line = format!(
            "gcc -fuse-ld={linker} main.o -Lgone -Lfirst -Llast -lone -Wl,-rpath,first -o app"
        );
        fs::create_dir(s.path("first")).unwrap();
        s.warm(&line);
        assert_eq!(status_of(&s, "app"), Some(0));
        archive(&s, "first", 3);
        s.miss(&line);
        assert_eq!(status_of(&s, "app"), Some(2), "{linker}");
        // A shared library goes before the archive beside it.
        library(&s, "first", 4);
        s.miss(&line);
        s.hit(&line);
        assert_eq!(status_of(&s, "app"), Some(3), "{linker}");
        // A whole folder that was not there.
        archive(&s, "gone", 5);
        s.miss(&line);
        assert_eq!(status_of(&s, "app"), Some(4), "{linker}");
        s.remove("gone");
        s.hit(&line);
    }
}

#[test]
fn an_unfit_library_is_passed_over_until_it_fits() {
    let s = objects();
    archive(&s, "last", 1);
    fs::create_dir(s.path("first")).unwrap();
    s.bare("gcc -m32 -c -x assembler /dev/null -o first/lib.o").ok();
    s.bare("ar rc first/libone.a first/lib.o").ok();
    let line = "gcc main.o -Lfirst -Llast -lone -o app";
    s.miss(line);
    s.hit(line);
    archive(&s, "first", 3);
    s.miss(line);
    assert_eq!(status_of(&s, "app"), Some(2));
}

#[test]
fn exact_names_and_variables() {
    let mut s = objects();
    archive(&s, "last", 1);
    let line = "gcc main.o -Lfirst -Llast -l:libone.a -o app";
    s.warm(line);
    archive(&s, "first", 3);
    s.miss(line);
    assert_eq!(status_of(&s, "app"), Some(2));
    s.set("LIBRARY_PATH", s.path("last"));
    let line = "gcc main.o -lone -o app";
    s.warm(line);
    assert_eq!(status_of(&s, "app"), Some(0));
    s.set("LIBRARY_PATH", s.path("first"));
    s.miss(line);
    assert_eq!(status_of(&s, "app"), Some(2));
    library(&s, "shared", 1);
    s.set("LIBRARY_PATH", s.path("shared"));
    s.warm(line);
    s.set("LD_RUN_PATH", s.path("shared"));
    s.miss(line);
    assert_eq!(status_of(&s, "app"), Some(0));
}

#[test]
fn scripts_and_lists() {
    for linker in LINKERS {
        let s = objects();
        archive(&s, "a", 1);
        archive(&s, "b", 3);
        s.write("libs/libone.so", format!("INPUT({}/libone.a)\n", s.path("a").display()));
        let line = format!("gcc -fuse-ld={linker} main.o -Llibs -lone -o app");
        s.warm(&line);
        assert_eq!(status_of(&s, "app"), Some(0));
        s.write("libs/libone.so", format!("/* */ GROUP({}/libone.a)\n", s.path("b").display()));
        s.miss(&line);
        assert_eq!(status_of(&s, "app"), Some(2), "{linker}");
        s.write("version", "V1 { global: one; local: *; };\n");
        s.write("dynamic", "{ one; };\n");
        let line = format!(
            "gcc -fuse-ld={linker} -shared one.o -o libx.so -Wl,--version-script=version,--dynamic-list=dynamic"
        );
        s.warm(&line);
        s.write("version", "V2 { global: one; local: *; };\n");
        s.miss(&line);
        s.write("dynamic", "{ one; main; };\n");
        s.miss(&line);
        s.hit(&line);
    }
    let s = objects();
    archive(&s, "a", 1);
    s.write("extra.ld", "PROVIDE(some = 1);\n");
    s.write("whole.ld", "INCLUDE extra.ld\nSECTIONS { .text : { *(.text*) } some_end = some; }\n");
    let line = "gcc -r -nostdlib main.o one.o -Wl,-T,whole.ld -o both.o";
    s.warm(line);
    s.write("extra.ld", "PROVIDE(some = 2);\n");
    s.miss(line);
    s.hit(line);
    // A library named by a script in its short form, which is searched for.
    s.write("libs/libmany.so", "INPUT(-lone)\n");
    let line = "gcc main.o -Lb -La -Llibs -lmany -o app";
    s.warm(line);
    archive(&s, "b", 3);
    s.miss(line);
    assert_eq!(status_of(&s, "app"), Some(2));
}

#[test]
fn libraries_that_libraries_need() {
    let s = objects();
    library(&s, "deep", 1);
    s.write("front.c", "int one(void);\nint front(void) { return one(); }\n");
    fs::create_dir(s.path("front")).unwrap();
    s.bare("gcc -fPIC -shared front.c -Ldeep -lone -o front/libfront.so").ok();
    s.write("main.c", "int front(void);\nint main(void) { return front() - 1; }\n");
    s.bare("gcc -c main.c").ok();
    let line = "gcc main.o -Lfront -lfront -Wl,-rpath-link,early:deep -o app";
    s.warm(line);
    // The linker looks into it for symbols: one that lacks them is an error, and stays one.
    fs::create_dir(s.path("early")).unwrap();
    s.write("lib.c", "int nothing;\n");
    s.bare("gcc -fPIC -shared lib.c -o early/libone.so").ok();
    let (output, _) = s.same(line);
    assert!(!output.status.success());
    // Not to be found at all: a warning, until it is there.
    s.remove("early");
    let line =
        "gcc main.o -Lfront -lfront -Wl,--warn-unresolved-symbols -Wl,-rpath-link,late -o app";
    s.miss(line);
    let warned = s.hit(line).err();
    assert!(warned.contains("libone.so"), "{warned}");
    fs::create_dir(s.path("late")).unwrap();
    fs::copy(s.path("deep/libone.so"), s.path("late/libone.so")).unwrap();
    assert_eq!(s.miss(line).err(), "");
}

#[test]
fn start_files_and_linkers_of_ones_own() {
    let s = objects();
    fs::create_dir(s.path("own")).unwrap();
    let line = "gcc -Bown -no-pie main.o one.o -o app";
    s.warm(line);
    let crt = s.bare("gcc -print-file-name=crt1.o").out();
    fs::copy(crt.trim(), s.path("own/crt1.o")).unwrap();
    s.miss(line);
    s.hit(line);
    // Another linker, where gcc looks first.
    crate::kit::shim(&s.path("own"), "ld", &real("ld.gold"), "own");
    s.miss(line);
    s.hit(line);
    crate::kit::shim(&s.path("own"), "ld", &real("ld.bfd"), "own");
    s.miss(line);
}

/// A program that calls a real linker with one argument more.
fn linker_with(s: &Sandbox, file: &str, argument: &str) {
    let text = format!(
        "#include <string.h>\n#include <unistd.h>\nint main(int n, char **v) {{ char *a[n + 2]; \
         memcpy(a, v, n * sizeof *v); a[0] = \"{}\"; a[n] = \"{argument}\"; a[n + 1] = 0; \
         execv(a[0], a); return 1; }}\n",
        real("ld.bfd").display()
    );
    s.write("linker.c", text);
    s.bare(&format!("gcc linker.c -o {file}")).ok();
    s.remove("linker.c");
}

#[test]
fn linkers_that_collect2_prefers() {
    let mut s = objects();
    fs::create_dir(s.path("own")).unwrap();
    for line in ["gcc -Bown/ main.o one.o -o app", "gcc main.o one.o -o app -fuse-ld=gold"] {
        if !line.contains("-B") {
            s.set("COMPILER_PATH", s.path("own"));
        }
        s.warm(line);
        for (name, argument) in [("real-ld", "-s"), ("collect-ld", "-s"), ("collect-ld", "-S")] {
            linker_with(&s, &format!("own/{name}"), argument);
            s.miss(line);
            s.hit(line);
            s.remove(format!("own/{name}"));
            s.hit(line);
        }
    }
}

#[test]
fn spec_files_for_links() {
    let mut s = objects();
    fs::create_dir(s.path("own")).unwrap();
    let line = "gcc -Bown/ -fopenmp main.o one.o -o app";
    s.warm(line);
    s.write("own/libgomp.spec", "*link_gomp: -lgomp --strip-all\n");
    s.miss(line);
    s.hit(line);
    let line = "gcc main.o one.o -o app";
    s.set("LIBRARY_PATH", s.path("own"));
    s.warm(line);
    s.write("own/specs", "*link:\n+ --strip-all\n\n");
    s.miss(line);
    s.hit(line);
    s.remove("own/specs");
    s.hit(line);
}

#[test]
fn start_files_of_clang() {
    let mut s = objects();
    fs::create_dir(s.path("own")).unwrap();
    let crt = s.bare("gcc -print-file-name=Scrt1.o").ok().out();
    s.write("extra.c", "__attribute__((constructor)) static void extra(void) {}\n");
    s.bare("gcc -c extra.c").ok();
    for line in [
        "clang -Bown/ main.o one.o -o app",
        "clang++ -Bown main.o one.o -o app",
        "clang main.o one.o -o app",
    ] {
        if !line.contains("-B") {
            s.set("COMPILER_PATH", s.path("own"));
        }
        s.warm(line);
        s.bare(&format!("ld -r -o own/Scrt1.o {} extra.o", crt.trim())).ok();
        s.miss(line);
        s.hit(line);
        s.remove("own/Scrt1.o");
        s.hit(line);
    }
}

#[test]
fn a_plugin_that_the_user_names() {
    let s = objects();
    let plugin = |status: i32| {
        s.write("p.c", format!("int onload(void *x) {{ return {status}; }}\n"));
        s.bare("gcc -shared -fPIC p.c -o p.so").ok();
    };
    plugin(0);
    let line = "gcc -fuse-ld=bfd main.o one.o -o app -Wl,-plugin,./p.so";
    s.warm(line);
    plugin(2);
    assert!(!s.same(line).0.status.success());
    plugin(0);
    s.hit(line);
}

#[test]
fn thin_archives() {
    for linker in LINKERS {
        let s = objects();
        fs::create_dir(s.path("l")).unwrap();
        fs::copy(s.path("one.o"), s.path("l/one.o")).unwrap();
        s.bare("ar rcT l/libone.a l/one.o").ok();
        let line = format!("gcc -fuse-ld={linker} main.o l/libone.a -o app");
        s.warm(&line);
        s.write("one.c", "int one(void) { return 5; }\n");
        s.bare("gcc -fPIC -c one.c -o l/one.o").ok();
        s.miss(&line);
        assert_eq!(status_of(&s, "app"), Some(4), "{linker}");
    }
}

#[test]
fn compile_and_link_in_one_command() {
    let s = objects();
    s.write("one.h", "#define VALUE 1\n");
    s.write("one.c", "#include \"one.h\"\nint one(void) { return VALUE; }\n");
    archive(&s, "l", 9);
    s.write("asm.s", ".globl symbol\nsymbol: .long 1\n.section .note.GNU-stack,\"\",@progbits\n");
    for compiler in COMPILERS {
        let lines = [
            format!("{compiler} -g main.c one.c -lm -o app"),
            format!(
                "{compiler} -O2 asm.s main.c one.o one.c -Wl,--allow-multiple-definition -o app"
            ),
            format!("{compiler} -MMD -g one.c main.o -o dep.out"),
            format!("{compiler} -MD -MF some.d one.c main.o -o app"),
            format!("{compiler} main.c one.c -o a.out"),
            format!("{compiler} -shared -fPIC one.c -o libone.so"),
            format!("{compiler} -flto -O2 main.c one.c -fuse-ld=lld -o app"),
        ];
        // clang objects for lld only: gcc's link-time optimisation is bfd's and gold's.
        let lines = &lines[..if compiler == "gcc" { 6 } else { 7 }];
        s.write("one.h", "#define VALUE 1\n");
        lines.iter().for_each(|line| s.warm(line));
        s.write("one.h", "#define VALUE 3\n");
        for line in lines {
            s.miss(line);
            s.hit(line);
        }
        assert_eq!(status_of(&s, "app"), Some(2));
    }
    // What is found earlier later.
    s.write("main.c", "#include <late.h>\n#include \"one.h\"\nint main(void) { return LATE; }\n");
    s.write("second/late.h", "#define LATE 4\n");
    let line = "gcc -Ifirst -Isecond main.c -o app";
    s.warm(line);
    s.write("first/late.h", "#define LATE 6\n");
    s.miss(line);
    assert_eq!(status_of(&s, "app"), Some(6));
    // Another program, from the same sources, elsewhere.
    s.warm("gcc -Isecond main.c -o other");
}

/// Of a command that compiles and links, what did not change is not compiled again.
#[test]
fn compiles_on_the_way_to_a_link_are_results_of_their_own() {
    for (compiler, flags, sources) in [
        ("gcc", "", "main.c libtwo.a -lm one.c more.s"),
        ("gcc", "-g -O2 -Wall -I. -pthread -s", "main.c -ltwo one.c two.o more.s"),
        ("gcc", "-g3 -pipe -fno-pie -no-pie", "main.c -xc++ one.c -x assembler more.s -x none"),
        ("gcc", "-fPIC -shared -nostartfiles -Wl,-soname,x.so", "main.c one.c more.s"),
        ("gcc", "-fuse-ld=gold -static -DX=a", "main.c one.c more.s"),
        ("clang", "", "main.c libtwo.a -lm one.c two.c"),
        ("clang", "-g -O2 -Wall -I. -s -rdynamic", "main.c -ltwo one.c two.o more.s"),
        ("clang", "-g -pthread", "main.c libtwo.a one.c two.c"),
        ("clang", "-static -no-integrated-as", "main.c one.c two.c"),
        ("clang", "-fuse-ld=lld -fPIC -shared -Wl,-soname,x.so", "main.c one.c two.c"),
        ("clang", "-fuse-ld=mold -g3", "main.c one.c two.c"),
        ("clang++", "-std=c++17", "-x c++ main.c one.c two.c -x none two.o"),
        ("g++", "-O1", "main.c one.c more.s"),
    ] {
        let s = Sandbox::new();
        let main = |value: &str| {
            let cxx = "#ifdef __cplusplus\nextern \"C\"\n#endif\n";
            s.write(
                "main.c",
                format!("{cxx}int one(void);\nint main(void) {{ return one() + {value}; }}\n"),
            );
            s.write("one.c", format!("{cxx}int one(void) {{ return 1; }}\n"));
        };
        main("1");
        let library = |value: i32| {
            s.write("two.c", format!("int two(void) {{ return {value}; }}\n"));
            s.bare("gcc -fPIC -c two.c").ok();
            s.bare("ar rcs libtwo.a two.o").ok();
        };
        library(2);
        s.write("more.s", ".globl more\nmore: .long 1\n.section .note.GNU-stack,\"\",@progbits\n");
        let line = format!("{compiler} {flags} -L. {sources} -o app");
        let (_, cost) = s.same(&line);
        assert_eq!(cost, 4, "{line}");
        s.hit(&line);
        main("3");
        let (_, cost) = s.same(&line);
        assert_eq!(cost, 2, "{line}");
        s.hit(&line);
        // Only what it is linked with.
        if sources.contains("two") && !sources.contains("two.c") {
            library(3);
            let (_, cost) = s.same(&line);
            assert_eq!(cost, 1, "{line}");
        }
    }
}

/// They serve compiles that stop there, and are served by them.
#[test]
fn a_compile_serves_a_link_of_the_same_source() {
    for compiler in COMPILERS {
        let s = Sandbox::new();
        s.write("main.c", MAIN);
        s.write("one.c", "#warning one\nint one(void) { return 1; }\n");
        s.warm(&format!("{compiler} -O2 -g -c one.c -o some.o"));
        // One compile, one link; the message comes from the cache.
        let (_, cost) = s.same(&format!("{compiler} -O2 -g main.c one.c -o app"));
        assert_eq!(cost, 2);
        s.hit(&format!("{compiler} -O2 -g -c main.c"));
        let (_, cost) = s.same(&format!("{compiler} -O2 -g main.c one.c -o other"));
        assert_eq!(cost, 1);
        s.hit(&format!("{compiler} -O2 -g main.c one.c -o other"));
        // The same sources in another order.
        let (_, cost) = s.same(&format!("{compiler} -O2 -g one.c main.c -o other"));
        assert_eq!(cost, 1);
        // An object like that is not what these make.
        let (_, cost) = s.same(&format!("{compiler} -O2 -g -fPIC -shared one.c -o libone.so"));
        assert_eq!(cost, 2);
    }
}

/// A command that can't be taken apart is one action, and its result is right.
#[test]
fn commands_that_stay_whole() {
    let s = Sandbox::new();
    s.write("main.c", MAIN);
    s.write("one.c", ONE);
    s.write("more.s", ".globl more\nmore: .long 1\n.section .note.GNU-stack,\"\",@progbits\n");
    // clang's assembler relaxes otherwise in a command that only assembles, and is told of a flag that
    // is of no use to it where nothing else makes use of it.
    for flags in ["more.s", "-O2 -pthread more.s"] {
        let (_, cost) = s.same(&format!("clang {flags} main.c one.c -o app"));
        assert_eq!(cost, 1, "{flags}");
    }
    for flags in ["-flto", "-frecord-gcc-switches", "-MMD"] {
        for compiler in COMPILERS {
            let line = format!("{compiler} {flags} main.c one.c -o app -fuse-ld=lld");
            let (_, cost) = s.same(&line);
            assert_eq!(cost, 1, "{line}");
        }
    }
}

/// What fails on the way fails as it does without a cache: every source is compiled, nothing is
/// linked, and what was there before stays.
#[test]
fn failures_on_the_way_to_a_link() {
    for compiler in COMPILERS {
        let s = Sandbox::new();
        s.write("main.c", MAIN);
        s.write("one.c", ONE);
        s.write("bad.c", "#warning first\nint bad(void) { return wrong; }\n");
        s.write("worse.c", "#error worse\n");
        s.write("app", "old");
        for sources in [
            "main.c bad.c one.c",
            "bad.c main.c worse.c one.c",
            "main.c nothing.c one.c",
            "main.c one.c nothing.o",
            "main.c one.c -lnothing",
            "worse.c",
        ] {
            for _ in 0..2 {
                let (output, _) = s.same(&format!("{compiler} {sources} -o app"));
                assert_eq!(output.status.code(), Some(1), "{sources}");
            }
        }
        s.write("bad.c", "int bad(void) { return 0; }\n");
        let line = format!("{compiler} main.c bad.c one.c -o app");
        // The others were compiled well before.
        let (_, cost) = s.same(&line);
        assert_eq!(cost, 2);
        s.hit(&line);
        // A linker's words name the objects, each time otherwise.
        let output = s.z(&format!("{compiler} main.c -o app"));
        let name = if compiler == "gcc" { "/cc" } else { "/main-" };
        assert!(!output.status.success() && output.err().contains(name), "{}", output.err());
        assert!(!output.err().contains("zccache"), "{}", output.err());
        let left: Vec<_> = fs::read_dir(s.aside("tmp")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_link_that_fails() {
    let s = objects();
    let failed = |line: &str| {
        let (output, _) = s.same(line);
        assert!(!output.status.success());
    };
    failed("ld.bfd main.o -o app");
    failed("gcc main.o one.o nothing.o -o app");
    failed("gcc main.o one.o -lnothing -o app");
    failed("gcc main.o one.o -o no/such/folder/app");
    failed("gcc main.o one.o -Wl,--no-such-option -o app");
    s.warm("gcc main.o one.o -o app");
}

#[test]
fn linkers_called_by_their_own_names() {
    let s = objects();
    archive(&s, "l", 1);
    for linker in ["ld", "ld.bfd", "ld.gold", "ld.lld", "mold"] {
        s.write("list.rsp", "main.o one.o");
        s.warm(&format!("{linker} -r main.o one.o -o both-{linker}.o"));
        s.warm(&format!("{linker} -shared one.o -o libone.so -soname libone.so"));
        s.warm(&format!("{linker} -e main main.o -Lgone -Ll -lone -Map=app.map -o app"));
        s.warm(&format!("{linker} -e main @list.rsp -o app"));
        s.write("list.rsp", "one.o main.o");
        s.miss(&format!("{linker} -e main @list.rsp -o app"));
        let line = format!("{linker} -e main main.o -Lgone -Ll -lone -o app");
        s.warm(&line);
        archive(&s, "gone", 3);
        s.miss(&line);
        s.remove("gone");
        s.write("version", "V1 { global: one; local: *; };\n");
        let line = format!("{linker} -shared one.o --version-script version -o libv.so");
        s.warm(&line);
        s.write("version", "V2 { global: one; local: *; };\n");
        s.miss(&line);
    }
}

#[test]
fn web_assembly() {
    let s = objects();
    s.write("w.c", "int add(int a, int b);\nint twice(int a) { return add(a, a); }\n");
    s.write("add.c", "int add(int a, int b) { return a + b; }\n");
    s.bare("clang --target=wasm32 -c w.c -o w.o").ok();
    s.bare("clang --target=wasm32 -c add.c -o add.o").ok();
    fs::create_dir(s.path("l")).unwrap();
    s.bare("llvm-ar rc l/libadd.a add.o").ok();
    let line = "wasm-ld --no-entry --export=twice w.o -Lfirst -Ll -ladd -o w.wasm";
    s.warm(line);
    s.warm("clang --target=wasm32 -nostdlib -Wl,--no-entry,--export-all w.o -Ll -ladd -o d.wasm");
    s.write("add.c", "int add(int a, int b) { return b - a; }\n");
    s.bare("clang --target=wasm32 -c add.c -o add.o").ok();
    fs::create_dir(s.path("first")).unwrap();
    s.bare("llvm-ar rc first/libadd.a add.o").ok();
    s.miss(line);
    s.hit(line);
    s.bare("llvm-ar rc l/libadd.a add.o").ok();
    s.miss("clang --target=wasm32 -nostdlib -Wl,--no-entry,--export-all w.o -Ll -ladd -o d.wasm");
}

/// Large programs are delivered as hard links: what the user does to them must not reach the
/// store.
#[test]
fn a_program_that_is_changed_after_its_link() {
    let s = objects();
    s.write("big.c", format!("{MAIN}{ONE}char big[900000] = {{ 1, 2, 3 }};\n"));
    s.bare("gcc -g -c big.c").ok();
    let line = "gcc big.o -o app";
    s.warm(line);
    let made = s.read("app");
    for change in ["strip app", "sh -c echo>>app", "objcopy --add-section .x=main.c app"] {
        let words: Vec<&str> = match change.strip_prefix("sh -c ") {
            Some(script) => vec!["sh", "-c", script],
            None => change.split(' ').collect(),
        };
        s.bare(&words[..]).ok();
        assert_ne!(s.read("app"), made, "{change}");
        s.same(line);
        s.hit(line);
        assert_eq!(s.read("app"), made, "{change}");
    }
}

#[test]
fn outputs_that_are_there_already() {
    let s = objects();
    for linker in LINKERS {
        let line = format!("gcc -fuse-ld={linker} main.o one.o -o app");
        let _ = fs::remove_file(s.path("app"));
        s.warm(&line);
        // Something else, with other modes.
        s.write("app", "text");
        s.chmod("app", 0o640);
        s.hit(&line);
        // An empty file or a symlink: each linker has its own way.
        s.remove("app");
        s.write("app", "");
        s.chmod("app", 0o600);
        s.same(&line);
        s.remove("app");
        s.write("target", "text");
        s.link("target", "app");
        s.same(&line);
        s.remove("app");
        let _ = fs::remove_file(s.path("target"));
        s.hit(&line);
    }
}

#[test]
fn many_links_in_one_folder() {
    let s = objects();
    for n in 0..8 {
        s.write(format!("m{n}.c"), format!("int main(void) {{ return {n}; }}\n"));
        s.bare(&format!("gcc -c m{n}.c")).ok();
    }
    for round in 0..2 {
        let line = |n: usize| format!("gcc m{n}.o -Wl,-Map=app{n}.map -o app{n}");
        let running: Vec<_> = (0..8).map(|n| s.z_command(&line(n)).spawn().unwrap()).collect();
        running.into_iter().for_each(|child| drop(crate::kit::finish(child).ok()));
        for n in 0..8 {
            assert_eq!(status_of(&s, &format!("app{n}")), Some(n as i32), "round {round}");
            s.hit(&line(n));
            s.remove(format!("app{n}"));
        }
    }
}

#[test]
fn what_is_not_cached_says_why() {
    let s = objects();
    for (line, reason) in [
        (
            "gcc main.o one.o -o app -Wl,--print-archive-stats=x -fuse-ld=lld",
            "uncacheable_argument",
        ),
        ("gcc main.o one.o -o app -Wl,--frobnicate", "unknown_argument"),
        ("gcc main.c one.c -MMD", "unusual_output"),
        ("ld.bfd --version", "not_a_compile"),
    ] {
        s.same(line);
        assert!(s.reasons().contains(reason), "{line}: {}", s.reasons());
    }
}

/// Called by its driver, a linker that leads to us is not asked about.
#[test]
fn a_farm_with_linkers_in_it() {
    let mut s = objects();
    let farm = s.aside("farm");
    s.z(&["link", farm.to_str().unwrap(), "gcc", "ld", "ar", "gcc-ar"]).ok();
    s.path_first(&farm);
    for round in 0..2 {
        let before = s.calls();
        s.bare("gcc main.o one.o -o app").ok();
        s.bare("gcc-ar rcs l.a one.o").ok();
        assert_eq!(s.calls() > before, round == 0);
        let _ = fs::remove_file(s.path("l.a"));
    }
    assert_eq!(status_of(&s, "app"), Some(0));
    assert_eq!(s.status()["non_cacheable"], 0, "{}", s.reasons());
}

#[test]
fn a_program_stays_executable() {
    let s = objects();
    s.warm("gcc main.o one.o -o app");
    s.remove("app");
    s.z("gcc main.o one.o -o app").ok();
    assert_eq!(s.path("app").metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

/// A driver that does something of its own before it links.
fn scripted(s: &Sandbox, before: &str) {
    let gcc = link_shims().join("gcc").display().to_string();
    let text =
        format!("#!/bin/sh\ncase \"$*\" in *main.o*) : \n{before}\n;; esac\nexec {gcc} \"$@\"\n");
    s.script("tools/busy-gcc", text);
}

const SCRIPTED: &str = "tools/busy-gcc main.o one.o -o out/app";

/// Forgets all that links left.
fn empty(s: &Sandbox) {
    fs::remove_dir_all(s.path("out")).unwrap();
    fs::create_dir(s.path("out")).unwrap();
}

/// They come back, whatever they are, and depend on what they were made of.
#[test]
fn siblings_that_nobody_named() {
    let s = objects();
    s.write("rt/app.dll", "library 1");
    s.write("settings", "colour\n");
    fs::create_dir(s.path("out")).unwrap();
    scripted(
        &s,
        "cp rt/app.dll out/app.dll; chmod 755 out/app.dll; ln -sf app.dll out/link.dll
         mkdir -p out/plugins; cat settings > out/plugins/settings
         [ -e more ] && cp more out/more
         t=$(mktemp); echo temporary > $t; rm $t",
    );
    s.miss(SCRIPTED);
    for _ in 0..2 {
        s.hit(SCRIPTED);
        empty(&s);
        s.hit(SCRIPTED);
        assert_eq!(s.path("out/app.dll").metadata().unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(s.path("out/link.dll")).unwrap().to_str(), Some("app.dll"));
        assert_eq!(s.read("out/plugins/settings"), s.read("settings"));
    }
    s.write("rt/app.dll", "library 2");
    s.warm(SCRIPTED);
    s.write("settings", "none\n");
    s.warm(SCRIPTED);
    s.write("more", "more");
    s.warm(SCRIPTED);
    empty(&s);
    s.hit(SCRIPTED);
    assert!(s.exists("out/more"));
    // What lies there may be the script's to leave alone.
    scripted(&s, "[ -f out/kept ] || echo kept > out/kept");
    s.warm(SCRIPTED);
    s.write("out/kept", "mine");
    s.miss(SCRIPTED);
    assert_eq!(s.read("out/kept"), b"mine");
    empty(&s);
    s.hit(SCRIPTED);
}

/// The folder may have two names.
#[test]
fn siblings_behind_a_symlink() {
    let s = objects();
    fs::create_dir_all(s.path("far/out")).unwrap();
    std::os::unix::fs::symlink("far/out", s.path("out")).unwrap();
    scripted(&s, "echo dll > out/app.dll");
    s.warm(SCRIPTED);
    s.remove("out/app.dll");
    s.remove("out/app");
    s.hit(SCRIPTED);
    assert!(s.exists("far/out/app.dll"));
}

/// What others make meanwhile is theirs.
#[test]
fn neighbours_of_siblings() {
    let s = objects();
    fs::create_dir(s.path("out")).unwrap();
    scripted(&s, "echo begin > out/app.begin");
    for round in 0..3 {
        empty(&s);
        s.write("settings", format!("{round}"));
        scripted(&s, &format!("echo {round} > out/app.begin; cat settings > out/app.settings"));
        let child = s.start_slow(SCRIPTED, 300);
        s.write(format!("out/other{round}.map"), "other");
        s.write("out/app.settings.bak", "other");
        let output = finish(child).ok();
        assert_eq!(output.err(), "");
        empty(&s);
        s.hit(SCRIPTED);
        assert!(s.exists("out/app.begin") && s.exists("out/app.settings"));
        assert!(!s.exists(format!("out/other{round}.map")) && !s.exists("out/app.settings.bak"));
    }
}

/// Scripts whose doings can't be told from one look run each time.
#[test]
fn scripts_that_are_never_served() {
    for before in [
        "echo again >> out/log",
        "n=$(cat out/count 2>/dev/null); echo $((n + 1)) > out/count",
        "rm -f out/old; [ -e out/old2 ] && rm out/old2",
        "for f in rt/*.dll; do cp $f out; done",
    ] {
        let s = objects();
        fs::create_dir(s.path("out")).unwrap();
        s.write("rt/a.dll", "a");
        scripted(&s, before);
        for round in 0..3 {
            s.write("out/old2", "old");
            let output = s.z(SCRIPTED).ok();
            assert_eq!(output.err(), "", "{before}");
            if before.contains("count") {
                assert_eq!(s.read("out/count"), format!("{}\n", round + 1).as_bytes());
            }
            if before.contains("log") {
                assert_eq!(s.read("out/log"), "again\n".repeat(round + 1).as_bytes());
            }
            if before.contains("*.dll") {
                s.write(format!("rt/{round}.dll"), "b");
                s.z(SCRIPTED).ok();
                assert!(s.exists(format!("out/{round}.dll")));
            }
            assert_eq!(s.exists("out/old2"), !before.contains("old2"));
        }
        assert!(s.reasons().contains("side_files"), "{before}: {}", s.reasons());
    }
}

/// How a script ends, and what it is, is the same with somebody looking on.
#[test]
fn scripts_end_as_they_do() {
    let s = objects();
    fs::create_dir(s.path("out")).unwrap();
    for (before, status) in [
        ("exit 3", Some(3)),
        ("kill -TERM $$", None),
        ("kill -KILL $$", None),
        ("exit 127", Some(127)),
    ] {
        scripted(&s, before);
        let output = s.z(SCRIPTED);
        assert_eq!(output.status.code(), status, "{before}: {}", output.err());
        assert!(!s.exists("out/app"));
    }
    // One that leaves somebody behind is not waited for, and that one goes on.
    scripted(&s, "(sleep 1; echo late > out/late) >/dev/null 2>&1 &");
    s.z(SCRIPTED).ok();
    assert!(!s.exists("out/late"));
    assert!(eventually(Duration::from_secs(20), || s.exists("out/late")));
}
