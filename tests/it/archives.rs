use std::fs;
use std::time::{Duration, SystemTime};

use crate::kit::{Sandbox, link_shims};

/// Three objects, made without the cache.
fn objects() -> Sandbox {
    let mut s = Sandbox::new();
    s.path_first(link_shims());
    for name in ["a", "b", "c"] {
        s.write(format!("{name}.c"), format!("int {name}(void) {{ return 1; }}\n"));
    }
    s.bare("gcc -c a.c b.c c.c").ok();
    s
}

fn change(s: &Sandbox, name: &str) {
    s.write(format!("{name}.c"), format!("int {name}(void) {{ return 2; }}\n"));
    s.bare(&format!("gcc -c {name}.c")).ok();
}

#[test]
fn made_anew_by_every_tool() {
    for tool in ["ar", "gcc-ar", "llvm-ar"] {
        let s = objects();
        for letters in ["rc", "qc", "rcs", "-rcs", "crD", "rcS", "rcT", "rcv", "rcu"] {
            let line = format!("{tool} {letters} l.a a.o b.o");
            s.miss(&line);
            s.remove("l.a");
            s.hit(&line);
            s.remove("l.a");
        }
        let line = format!("{tool} rcs l.a a.o b.o");
        change(&s, "b");
        s.miss(&line);
        s.remove("l.a");
        s.hit(&line);
        assert_eq!(s.status()["by_tool"]["archiver"]["non_cacheable"], 0, "{}", s.reasons());
    }
}

#[test]
fn what_was_there_counts() {
    for tool in ["ar", "gcc-ar", "llvm-ar"] {
        let s = objects();
        s.bare(&format!("{tool} rc base.a a.o b.o")).ok();
        let begin = |base: &str| {
            let _ = fs::copy(s.path(base), s.path("l.a")).unwrap();
        };
        for line in [
            "r l.a b.o c.o",
            "q l.a c.o a.o",
            "rs l.a c.o",
            "rb b.o l.a c.o",
            "ra a.o l.a c.o",
            "s l.a",
        ] {
            let line = format!("{tool} {line}");
            begin("base.a");
            s.miss(&line);
            begin("base.a");
            s.hit(&line);
            let members = s.bare("ar t l.a").out();
            assert!(members.starts_with("a.o\n"), "{members}");
        }
        let line = format!("{tool} r l.a c.o");
        change(&s, "a");
        s.bare(&format!("{tool} rc other.a a.o b.o")).ok();
        begin("other.a");
        s.miss(&line);
        begin("other.a");
        s.hit(&line);
        // As builds do it that never remove: what came out goes in.
        s.same(&line);
        s.same(&line);
        s.hit(&line);
        // Members of a time of their own are kept.
        s.bare("ar rcU stamped.a a.o b.o").ok();
        begin("stamped.a");
        s.miss(&line);
        begin("stamped.a");
        s.hit(&line);
    }
}

#[test]
fn members_of_one_name() {
    let s = objects();
    fs::create_dir(s.path("d")).unwrap();
    fs::copy(s.path("b.o"), s.path("d/a.o")).unwrap();
    for archiver in ["ar", "llvm-ar"] {
        let line = format!("{archiver} rc l.a a.o d/a.o");
        for _ in 0..2 {
            let _ = fs::remove_file(s.path("l.a"));
            s.same(&line);
        }
        s.remove("l.a");
        s.hit(&line);
        // Each takes its own one's place.
        s.same(&line);
        s.same(&line);
        s.hit(&line);
    }
}

#[test]
fn ranlib() {
    for (tool, archiver) in [("ranlib", "ar"), ("gcc-ranlib", "gcc-ar"), ("llvm-ranlib", "llvm-ar")]
    {
        let s = objects();
        s.bare(&format!("{archiver} rcS base.a a.o b.o")).ok();
        let line = format!("{tool} l.a");
        for _ in 0..2 {
            fs::copy(s.path("base.a"), s.path("l.a")).unwrap();
            s.same(&line);
        }
        fs::copy(s.path("base.a"), s.path("l.a")).unwrap();
        s.hit(&line);
        change(&s, "a");
        s.bare(&format!("{archiver} rcS base.a a.o b.o")).ok();
        fs::copy(s.path("base.a"), s.path("l.a")).unwrap();
        s.miss(&line);
        // Once more: there is an index now, and LLVM's does not touch the archive then.
        s.same(&line);
        s.touch("l.a", 1_000_000_000);
        s.hit(&line);
        let time = s.path("l.a").metadata().unwrap().modified().unwrap();
        let is_old = time == SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(is_old, tool == "llvm-ranlib", "{time:?}");
        s.same(&format!("{tool} -D l.a"));
        s.same(&format!("{tool} missing.a"));
    }
}

#[test]
fn symlinks_modes_and_what_is_in_the_way() {
    for tool in ["ar", "llvm-ar"] {
        let s = objects();
        let line = format!("{tool} rc l.a a.o");
        s.miss(&line);
        s.remove("l.a");
        s.bare(&format!("{tool} rc base.a b.o")).ok();
        // Through a symlink.
        for _ in 0..2 {
            fs::copy(s.path("base.a"), s.path("target.a")).unwrap();
            s.link("target.a", "l.a");
            s.same(&line);
            s.remove("l.a");
            let _ = fs::remove_file(s.path("target.a"));
        }
        // One that leads nowhere yet.
        s.link("target.a", "l.a");
        s.same(&line);
        s.remove("l.a");
        let _ = fs::remove_file(s.path("target.a"));
        // Modes of a file that is there.
        for _ in 0..2 {
            fs::copy(s.path("base.a"), s.path("l.a")).unwrap();
            s.chmod("l.a", 0o600);
            s.same(&line);
        }
        // No archive at all.
        s.write("l.a", "text\n");
        let (output, _) = s.same(&line);
        assert!(!output.status.success());
        s.write("l.a", "");
        s.same(&line);
        s.remove("l.a");
        s.same(&format!("{tool} rc no/such/folder/l.a a.o"));
        s.same(&format!("{tool} rc l.a a.o missing.o"));
    }
}

#[test]
fn thin_archives_hold_names() {
    let s = objects();
    fs::create_dir(s.path("out")).unwrap();
    let line = "ar rcT out/l.a a.o b.o";
    s.miss(line);
    s.remove("out/l.a");
    s.hit(line);
    assert!(String::from_utf8_lossy(&s.read("out/l.a")).contains("../a.o"));
    change(&s, "a");
    s.remove("out/l.a");
    s.miss(line);
}

#[test]
fn objects_for_link_time_optimisation() {
    let s = objects();
    s.bare("gcc -flto -c a.c b.c").ok();
    for tool in ["ar", "gcc-ar"] {
        let line = format!("{tool} rcs {tool}.a a.o b.o");
        s.miss(&line);
        s.remove(format!("{tool}.a"));
        s.hit(&line);
    }
}

/// Somebody else changes the archive between our look and the tool's: what comes out then must
/// not be taken for what comes of the archive we saw.
#[test]
fn an_archive_that_changes_under_the_tool() {
    let mut s = objects();
    s.bare("ar rc base.a a.o").ok();
    s.bare("ar rc other.a b.o").ok();
    let own = s.aside("own");
    let real = crate::kit::real("ar");
    crate::kit::shim(&own, "ar", &real, "own");
    s.path_first(&own);
    for (before, during) in [(Some("base.a"), "other.a"), (None, "other.a")] {
        let _ = fs::remove_file(s.path("l.a"));
        if let Some(before) = before {
            fs::copy(s.path(before), s.path("l.a")).unwrap();
        }
        // A library that is loaded into the tool plays the other process.
        s.write(
            "meddle.c",
            format!(
                "#include <stdlib.h>\n__attribute__((constructor)) static void meddle(void) {{\n\
                 if (getenv(\"MEDDLE\")) {{ unsetenv(\"LD_PRELOAD\"); system(\"cp {} {}\"); }} }}\n",
                s.path(during).display(),
                s.path("l.a").display()
            ),
        );
        s.bare(&format!("gcc -shared -fPIC meddle.c -o {}", s.path("../meddle.so").display())).ok();
        s.set("LD_PRELOAD", s.path("../meddle.so"));
        // The tool is asked who it is.
        s.z("ar rc other.a b.o").ok();
        s.set("MEDDLE", "1");
        s.z("ar r l.a c.o");
        s.unset("MEDDLE");
        let _ = fs::remove_file(s.path("l.a"));
        if let Some(before) = before {
            fs::copy(s.path(before), s.path("l.a")).unwrap();
        }
        // Were it stored, this would be a hit, and wrong.
        s.same("ar r l.a c.o");
        s.unset("LD_PRELOAD");
        assert!(s.reasons().contains("changed_before"), "{}", s.reasons());
    }
}

#[test]
fn other_operations_run_plain() {
    let mut s = objects();
    s.bare("ar rc l.a a.o b.o").ok();
    for line in ["ar t l.a", "ar p l.a a.o", "ar x l.a", "ar d l.a a.o", "ar m l.a b.o", "ar"] {
        s.same(line);
        s.same(line);
    }
    // The list of symbols holds the second it was made in then.
    s.volatile = vec!["l.a"];
    s.same("ar rU l.a a.o");
    s.same("ar rU l.a a.o");
    assert_eq!(s.status()["hits"], 0);
}

#[test]
fn response_files() {
    let s = objects();
    s.write("list", "a.o b.o");
    let line = "ar rc l.a @list";
    s.miss(line);
    s.remove("l.a");
    s.hit(line);
    s.write("list", "a.o c.o");
    s.remove("l.a");
    s.miss(line);
    assert_eq!(s.bare("ar t l.a").out(), "a.o\nc.o\n");
}
