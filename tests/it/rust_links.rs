use std::fs;

use crate::kit::{Sandbox, have, rustc};

const MAIN: &str = "fn main() {}\n";
const CALLS: &str = "extern \"C\" { fn one() -> i32; }\n\
    fn main() { std::process::exit(unsafe { one() }) }\n";

/// A program, and the command that makes it, to which link arguments are added.
fn program(text: &str) -> Option<(Sandbox, impl Fn(&str) -> String)> {
    let rustc = rustc()?;
    let s = Sandbox::new();
    s.write("m.rs", text);
    let line = move |args: &str| {
        let args = args.split_whitespace().map(|arg| format!(" -C link-arg={arg}"));
        let args: String = args.collect();
        format!("{rustc} --crate-name m m.rs --edition=2021 --crate-type bin{args}")
    };
    Some((s, line))
}

fn object(s: &Sandbox, path: &str, value: i32) {
    s.write("one.c", format!("int one(void) {{ return {value}; }}\n"));
    fs::create_dir_all(s.path(path).parent().unwrap()).unwrap();
    s.bare(&format!("gcc -fPIC -c one.c -o {path}")).ok();
}

fn archive(s: &Sandbox, folder: &str, value: i32) {
    object(s, &format!("{folder}/one.o"), value);
    let _ = fs::remove_file(s.path(format!("{folder}/libone.a")));
    s.bare(&format!("ar rcD {folder}/libone.a {folder}/one.o")).ok();
}

#[track_caller]
fn gives(s: &Sandbox, value: i32) {
    assert_eq!(s.bare("./m").status.code(), Some(value));
}

#[test]
fn what_cargo_builds_pass_is_cached() {
    let Some((s, line)) = program(MAIN) else { return };
    for args in [
        "",
        "-Wl,-rpath,$ORIGIN -Wl,--as-needed -Wl,-z,relro -no-pie",
        "-fuse-ld=lld -Wl,--build-id=sha1",
        "-fuse-ld=bfd -Wl,-u,main -rdynamic",
    ] {
        s.warm(&line(args));
    }
    s.write("start.rs", "#![no_std]\n#![no_main]\n#[panic_handler]\nfn p(_: &core::panic::PanicInfo) -> ! { loop {} }\n#[no_mangle] extern \"C\" fn _start() {}\n");
    let bare = line("-nostartfiles -static -nostdlib").replace("m m.rs", "start start.rs");
    s.warm(&format!("{bare} -C panic=abort"));
}

#[test]
fn files_that_link_arguments_name_are_outputs() {
    let Some((mut s, line)) = program(MAIN) else { return };
    s.volatile = vec![".map", ".list"];
    for (arg, name) in
        [("-Wl,-Map=out.map", "out.map"), ("-Wl,--dependency-file=out.list", "out.list")]
    {
        s.miss(&line(arg));
        s.remove(name);
        s.hit(&line(arg));
        s.remove(name);
    }
}

#[test]
fn link_arguments_that_cannot_be_followed() {
    let Some((s, line)) = program(MAIN) else { return };
    for arg in [
        "--reproduce=file",
        "--time-trace=file",
        "--why-extract=file",
        "--print-archive-stats=file",
    ] {
        for _ in 0..2 {
            s.z(&line(&format!("-Wl,{arg}"))).ok();
            assert!(s.exists("file"), "{arg}");
            s.remove("file");
        }
    }
    s.write("r", "-s\n");
    s.write("specs", "*link:\n+ --build-id\n\n");
    fs::create_dir(s.path("B")).unwrap();
    let lines = ["-Wl,--gc-sections,@r", "--specs=specs", "--prefix=B/", "--library-directory=B"];
    for args in lines {
        s.z(&line(args)).ok();
    }
    s.write("r", "--build-id\n");
    s.write("specs", "*link:\n+ -s\n\n");
    s.write("B/specs", "*link:\n+ -s\n\n");
    for args in lines {
        s.same(&line(args));
    }
    let plugin = line("-fuse-ld=bfd -Wl,-plugin,./plugin.so");
    for (status, works) in [(0, true), (2, false)] {
        s.write("plugin.c", format!("int onload(void *x) {{ return {status}; }}\n"));
        s.bare("gcc -shared -fPIC plugin.c -o plugin.so").ok();
        assert_eq!(s.z(&plugin).status.success(), works);
    }
    // The linker's list would be that of one of the two.
    let both = line("").replace("type bin", "type cdylib,dylib");
    s.z(&both).ok();
    assert!(s.reasons().contains("\"link\":"), "{}", s.reasons());
}

#[test]
fn folders_that_link_arguments_name() {
    let text = format!("#[link(name = \"one\")] {CALLS}");
    for way in ["-Wl,-L?", "-L ?", "-Wl,--library-path=?", "-Xlinker -L?"] {
        let Some((s, line)) = program(&text) else { return };
        archive(&s, "last", 1);
        let line = line(&format!("{} {}", way.replace('?', "first"), way.replace('?', "last")));
        s.warm(&line);
        gives(&s, 1);
        archive(&s, "first", 3);
        s.miss(&line);
        gives(&s, 3);
        s.hit(&line);
    }
}

/// rustc names its folders, the user the file.
#[test]
fn a_file_that_is_looked_for_by_its_whole_name() {
    let Some((s, line)) = program(CALLS) else { return };
    object(&s, "last/n.o", 1);
    fs::create_dir(s.path("first")).unwrap();
    let line = format!("{} -L native=first -L native=last", line("-l:n.o"));
    s.warm(&line);
    object(&s, "first/n.o", 2);
    s.miss(&line);
    gives(&s, 2);
}

#[test]
fn files_that_a_linker_reads() {
    let text = "#[no_mangle] pub extern \"C\" fn a() {}\n\
        #[no_mangle] pub extern \"C\" fn b() {}\nfn main() { a(); b(); }\n";
    for linker in ["bfd", "gold"] {
        let Some((s, line)) = program(text) else { return };
        s.write("keep", "a\n");
        let line = line(&format!("-fuse-ld={linker} -Wl,--retain-symbols-file=keep"));
        s.warm(&line);
        s.write("keep", "b\n");
        s.miss(&line);
    }
}

#[test]
fn a_library_that_a_library_needs() {
    let text = "#[link(name = \"k\")] extern \"C\" { fn k() -> i32; }\n\
        fn main() { std::process::exit(unsafe { k() }) }\n";
    let Some((mut s, line)) = program(text) else { return };
    for folder in ["first", "last", "path"] {
        fs::create_dir(s.path(folder)).unwrap();
    }
    let make = |s: &Sandbox, folder: &str, text: &str| {
        s.write("z.c", text);
        s.bare(&format!("gcc -shared -fPIC z.c -o {folder}/libz1.so -Wl,-soname,libz1.so")).ok();
    };
    make(&s, "last", "int z(void) { return 1; }\n");
    s.write("k.c", "int z(void);\nint k(void) { return z(); }\n");
    s.bare("gcc -shared -fPIC k.c -o libk.so -Llast -lz1").ok();
    let line = line("-fuse-ld=bfd -Wl,-rpath-link,first:last") + " -L native=.";
    s.warm(&line);
    make(&s, "first", "int y(void) { return 1; }\n");
    // What rustc says of a linker that fails has random names in it.
    assert!(!s.z(&line).status.success());
    // And it leaves its objects behind then.
    let left = fs::read_dir(&s.dir).unwrap().map(|entry| entry.unwrap().file_name());
    left.filter(|name| name.to_string_lossy().ends_with(".rcgu.o")).for_each(|name| s.remove(name));
    s.remove("first/libz1.so");
    s.hit(&line);
    // The variable names folders for these as well.
    s.set("LD_LIBRARY_PATH", s.path("path"));
    s.remove("last/libz1.so");
    make(&s, "path", "int z(void) { return 1; }\n");
    s.warm(&line);
}

/// rustc and the linker read what the archive only names.
#[test]
fn members_of_thin_archives() {
    let Some((s, line)) = program(CALLS) else { return };
    object(&s, "l/one.o", 1);
    s.bare("ar rcT l/libone.a l/one.o").ok();
    s.write("a.rs", "extern \"C\" { fn one() -> i32; }\npub fn x() -> i32 { unsafe { one() } }\n");
    let crates: Vec<String> = ["rlib", "staticlib"]
        .map(|kind| {
            let line =
                line("").replace("m m.rs", "a a.rs").replace("type bin", &format!("type {kind}"));
            format!("{line} -C metadata=m -L native=l -l static=one")
        })
        .into();
    let program = format!("{} -L native=l", line("-lone"));
    s.warm(&program);
    for line in &crates {
        s.same(line);
        s.same(line);
    }
    object(&s, "l/one.o", 2);
    s.miss(&program);
    gives(&s, 2);
    for line in &crates {
        s.same(line);
    }
}

#[test]
fn variables_of_linkers() {
    let Some((mut s, line)) = program(MAIN) else { return };
    s.write("q.c", "int main(void) { return 0; }\n");
    s.bare("gcc -c q.c").ok();
    let links = [line("-fuse-ld=lld"), "gcc -fuse-ld=lld q.o -o q".into()];
    for line in &links {
        s.warm(line);
    }
    s.set("LLD_VERSION", "other");
    for line in &links {
        s.miss(line);
        s.hit(line);
    }
    s.unset("LLD_VERSION");
    s.set("LLD_REPRODUCE", "rep.tar");
    for line in &links {
        s.z(line).ok();
        assert!(s.exists("rep.tar"), "{line}");
        s.remove("rep.tar");
    }
    s.unset("LLD_REPRODUCE");
    if have("mold") {
        s.set("MOLD_DEBUG", "1");
        for line in [&line("-fuse-ld=mold"), "gcc -fuse-ld=mold q.o -o m"] {
            s.z(line).ok();
            let program = s.read("m");
            let has = |text: &[u8]| program.windows(text.len()).any(|part| part == text);
            assert!(has(b"-dynamic-linker") && !has(b"--dependency-file"), "{line}");
        }
    }
}
