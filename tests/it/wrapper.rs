use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::kit::{HELLO, Sandbox, ZCCACHE, finish, have, real, shims};

#[test]
fn other_tools_just_run() {
    let s = Sandbox::new();
    assert_eq!(s.z("echo hello world").code(0).out(), "hello world\n");
    s.z("true").code(0);
    s.z("false").code(1);
    let output = s.z(&["sh", "-c", "echo out; echo err >&2; exit 42"]).code(42);
    assert_eq!((output.out(), output.err()), ("out\n".into(), "err\n".into()));
    assert!(s.daemons().is_empty());
}

#[test]
fn tools_that_can_not_run() {
    let s = Sandbox::new();
    s.write("plain-gcc", "not a program");
    fs::create_dir(s.path("folder")).unwrap();
    for (line, status) in [
        ("no-such-tool-anywhere", 127),
        ("no-such-gcc -c a.c", 127),
        ("./no-such-gcc -c a.c", 127),
        ("./plain-gcc -c a.c", 126),
        ("./folder", 126),
    ] {
        let output = s.z(line).code(status);
        assert_eq!(output.err().lines().count(), 1, "{}", output.err());
    }
    s.z(&["", "-c"]).code(127);
}

#[test]
fn without_a_path_the_tool_is_on_its_own() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let cache = format!("ZCCACHE_CACHE_DIR={}", s.cache.display());
    let run = |words: &[&str]| {
        let words = [&["env", "-i", &cache][..], words, &["-c", "a.c"]].concat();
        let output = s.bare(&words[..]);
        (output.status.code(), output.err().replace("zccache: ", ""))
    };
    let gcc = real("gcc");
    let whole = [ZCCACHE, gcc.to_str().unwrap()];
    assert_eq!((run(&whole).0, run(&whole).0), (Some(0), Some(0)));
    assert_eq!(run(&[ZCCACHE, "gcc"]), run(&["gcc"]));
}

#[test]
fn signals_end_us_too() {
    let s = Sandbox::new();
    // Not SIGINT: a caller in the background has it ignored, and so have we then.
    for signal in [9, 15, 10, 6] {
        let output = s.z(&["sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(output.status.signal(), Some(signal));
    }
    s.script(
        "dying-gcc",
        format!(
            "#!/bin/sh\ncase \"$*\" in *a.c*) kill -9 $$;; esac\nexec {} \"$@\"\n",
            real("gcc").display()
        ),
    );
    s.write("a.c", HELLO);
    let output = s.z("./dying-gcc -c a.c -o a.o");
    assert_eq!(output.status.signal(), Some(9), "{}", output.err());
}

#[test]
fn standard_input_passes() {
    let s = Sandbox::new();
    for line in ["cat", "gcc -E -"] {
        let mut child = s.z_command(line).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"some input\n").unwrap();
        assert!(finish(child).out().contains("some input\n"));
    }
}

#[test]
fn closed_standard_streams() {
    let s = Sandbox::new();
    s.write("a.c", "int v() { int unused; return 0; }\n");
    for redirect in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let mut seen = Vec::new();
        for zccache in [ZCCACHE, ZCCACHE, ""] {
            let line = format!("{zccache} gcc -Wall -c a.c -o a.o {redirect}; echo $? > status");
            let _ = fs::remove_file(s.path("a.o"));
            let output = s.bare(&["sh", "-c", &line]);
            let object = s.exists("a.o").then(|| s.read("a.o"));
            seen.push((output.out(), output.err(), s.read("status"), object));
        }
        assert!(seen[0] == seen[2] && seen[1] == seen[2], "{redirect}: {seen:?}");
    }
}

#[test]
fn wrap_and_repeated_names() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm("wrap gcc -c a.c -o a.o".strip_prefix("wrap ").unwrap());
    let ways = ["wrap gcc", "wrap -- gcc", "zccache gcc", "zccache wrap gcc"];
    for way in ways {
        let (output, cost) = s.counted(&format!("{way} -c a.c -o a.o"));
        output.ok();
        assert_eq!(cost, 0, "{way}");
    }
    let (_, cost) = s.counted(&[ZCCACHE, "gcc", "-c", "a.c"]);
    assert_eq!(cost, 0);
    // A tool that is called like a command.
    s.script("bin/status", "#!/bin/sh\necho my own status\n");
    let mut s = s;
    s.path_first(&s.path("bin"));
    assert_eq!(s.z("wrap status").code(0).out(), "my own status\n");
    assert_eq!(s.z("./bin/status").code(0).out(), "my own status\n");
    assert!(s.z("status").code(0).out().contains("version"));
    s.z("wrap").code(2);
    s.z("wrap --").code(2);
}

#[test]
fn words_like_commands() {
    let s = Sandbox::new();
    s.z("statuss").code(127);
    s.z("Start").code(127);
    s.z("--no-such-option").code(2);
    assert_eq!(s.bare("zccache").code(2).err().lines().count(), 1);
    for word in ["--version", "-V"] {
        let output = s.z(word).code(0);
        assert_eq!(output.out(), format!("zccache {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(output.err(), "");
    }
    assert!(s.z("--help").code(0).out().contains("status"));
    assert!(s.daemons().is_empty());
}

#[test]
fn bad_variables() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    for (name, value) in [
        ("ZCCACHE_CACHE_SIZE", "much"),
        ("ZCCACHE_LINK_MODE", "always\nor never"),
        ("ZCCACHE_IDLE_TIMEOUT", "soon"),
        ("ZCCACHE_NO_SPAWN", "perhaps"),
        ("ZCCACHE_LOG", "loud"),
    ] {
        let old = s.get("ZCCACHE_IDLE_TIMEOUT");
        s.set(name, value);
        for command in ["start", "status", "clear", "stop", "daemon"] {
            let output = s.z(command).code(2);
            assert_eq!(output.err().lines().count(), 1, "{}", output.err());
            assert!(output.err().contains(name) && output.out().is_empty());
        }
        assert_eq!(s.z("gcc -c a.c").code(0).err(), "", "{name}");
        s.unset(name);
        s.set("ZCCACHE_IDLE_TIMEOUT", old);
    }
    s.set("ZCCACHE_STRICT_PATHS", "often");
    let output = s.z("gcc -c a.c").code(2);
    assert_eq!(output.err().lines().count(), 1);
}

#[test]
fn disabled() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_DISABLE", "1");
    s.miss("gcc -c a.c");
    s.miss("gcc -c a.c");
    assert!(s.daemons().is_empty() && !s.cache.exists());
    s.unset("ZCCACHE_DISABLE");
    s.warm("gcc -c a.c");
    s.set("ZCCACHE_DISABLE", "1");
    s.miss("gcc -c a.c");
}

#[test]
fn a_session_that_is_none() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_SESSION_ID", "not a session");
    s.warm("gcc -c a.c");
}

#[test]
fn a_symlink_named_like_a_compiler() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let farm = s.aside("farm");
    for name in ["gcc", "clang", "x86_64-linux-gnu-gcc"] {
        symlink(ZCCACHE, farm.join(name)).unwrap();
    }
    let names = s.aside("names");
    symlink(shims().join("gcc"), names.join("x86_64-linux-gnu-gcc")).unwrap();
    s.path_first(&names);
    s.path_first(&farm);
    masquerade(&s, "gcc");
    masquerade(&s, "x86_64-linux-gnu-gcc");
    if have("clang") {
        masquerade(&s, "clang");
    }
    // By its path, it still is the next one that is meant.
    masquerade(&s, farm.join("gcc").to_str().unwrap());
    // Twice, and under another name in between.
    let second = s.aside("second");
    fs::hard_link(ZCCACHE, second.join("zccache-9.9"))
        .or_else(|_| fs::copy(ZCCACHE, second.join("zccache-9.9")).map(|_| ()))
        .unwrap();
    symlink("zccache-9.9", second.join("gcc")).unwrap();
    s.path_first(&second);
    s.path_first(&farm);
    masquerade(&s, "gcc");
    // A launcher before one of ours.
    let (output, cost) = s.counted("gcc -O1 -c a.c -o a.o");
    output.ok();
    assert_eq!(cost, 1);
    let (_, cost) = s.counted("gcc -O1 -c a.c -o a.o");
    assert_eq!(cost, 0);
}

/// A compile by one of our own names, twice, against the compiler behind it.
fn masquerade(s: &Sandbox, name: &str) {
    let base = name.rsplit('/').next().unwrap();
    // Others that stand for the same compiler may have been here before.
    let flags = format!("-O2 -g -DFOR_{}", s.calls());
    s.bare(&format!("{name} {flags} -c a.c -o a.o")).ok();
    let calls = s.calls();
    s.bare(&format!("{name} {flags} -c a.c -o b.o")).ok();
    assert_eq!(s.calls(), calls, "{name} compiled again");
    let behind = if base.ends_with("gcc") { "gcc" } else { base };
    let behind = real(behind);
    s.bare(&format!("{} {flags} -c a.c -o truth.o", behind.display())).ok();
    assert_eq!(s.read("a.o"), s.read("truth.o"), "{name}");
    assert_eq!(s.read("b.o"), s.read("truth.o"), "{name}");
}

#[test]
fn a_copy_named_like_a_compiler() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let farm = s.aside("farm");
    fs::copy(ZCCACHE, farm.join("gcc")).unwrap();
    s.path_first(&farm);
    s.bare("gcc -c a.c -o a.o").ok();
    let calls = s.calls();
    s.bare("gcc -c a.c -o b.o").ok();
    assert_eq!(s.calls(), calls);
    assert_eq!(s.read("a.o"), s.read("b.o"));
    // With nothing behind it there is an end, too.
    s.set("PATH", &farm);
    let output = s.bare("gcc -c a.c");
    assert_eq!(output.status.code(), Some(127), "{}", output.err());
}

#[test]
fn two_copies_do_not_run_in_circles() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let (one, two) = (s.aside("one"), s.aside("two"));
    fs::copy(ZCCACHE, one.join("gcc")).unwrap();
    fs::copy(ZCCACHE, two.join("gcc")).unwrap();
    s.set("PATH", format!("{}:{}", one.display(), two.display()));
    assert_eq!(s.bare("gcc -c a.c -o a.o").status.code(), Some(127));
}

#[test]
fn a_script_that_calls_the_cache_again() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.script("again-gcc", format!("#!/bin/sh\nexec {ZCCACHE} gcc \"$@\"\n"));
    s.same("./again-gcc -c a.c -o a.o");
    s.same("./again-gcc -c a.c -o a.o");
}

/// A script that has the compiler's name, is first on PATH, and has zccache call the compiler.
#[test]
fn a_script_in_front_that_calls_the_cache_by_its_own_name() {
    for body in ["exec zccache gcc \"$@\"", "zccache gcc \"$@\"", "exec gcc -DVIA \"$@\""] {
        let mut s = Sandbox::new();
        s.write("a.c", HELLO);
        s.script("wr/gcc", format!("#!/bin/sh\n{body}\n"));
        s.link(ZCCACHE, "wr/zccache");
        let behind = s.get("PATH");
        s.path_first(&s.path("wr"));
        if body.contains("exec gcc") {
            let farm = s.aside("farm");
            std::os::unix::fs::symlink(ZCCACHE, farm.join("gcc")).unwrap();
            s.path_first(&farm);
        }
        let path = s.get("PATH");
        s.set("PATH", &behind);
        s.bare("gcc -c a.c -o truth.o").ok();
        s.set("PATH", path);
        let object = |s: &Sandbox, line: &str| {
            let calls = s.calls();
            let output = s.bare(line).ok();
            assert_eq!(output.err(), "", "{line}");
            assert_eq!(s.read("a.o"), s.read("truth.o"), "{line}");
            s.remove("a.o");
            s.calls() - calls
        };
        for mode in ["ZCCACHE_DISABLE", "ZCCACHE_NO_SPAWN"] {
            s.set(mode, "1");
            for line in ["gcc -c a.c -o a.o", "zccache gcc -c a.c -o a.o"] {
                assert_eq!(object(&s, line), 1, "{line}, {mode}");
            }
            s.unset(mode);
        }
        // Through the daemon, which asks the script who it is, and then from its memory.
        object(&s, "gcc -c a.c -o a.o");
        assert_eq!(object(&s, "gcc -c a.c -o a.o"), 0, "{}", s.reasons());
        object(&s, "zccache gcc -DONE -c a.c -o a.o");
        assert!(object(&s, "wr/gcc -DTWO -c a.c -o a.o") > 0);
        // With nothing behind it there is an end, and one line that says so.
        let shell = s.aside("shell");
        std::os::unix::fs::symlink("/bin/sh", shell.join("sh")).unwrap();
        s.set("PATH", format!("{}:{}", s.path("wr").display(), shell.display()));
        if !body.contains("exec gcc") {
            let output = s.bare("gcc -c a.c -o a.o").code(127);
            assert!(output.err().contains("only scripts of this name"), "{}", output.err());
            assert_eq!(output.err().lines().count(), 1, "{}", output.err());
        }
    }
}

/// Calling oneself through us is no loop as long as it comes to an end.
#[test]
fn a_script_that_calls_itself_through_the_cache() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let real = real("gcc");
    s.script(
        "wr/gcc",
        format!(
            "#!/bin/sh\nif [ \"$1\" = -inner ]; then echo inner; exit 0; fi\n\
             [ \"$(zccache gcc -inner)\" = inner ] || exit 9\nexec {} \"$@\"\n",
            real.display()
        ),
    );
    s.link(ZCCACHE, "wr/zccache");
    s.path_first(&s.path("wr"));
    for line in ["gcc -c a.c -o a.o", "zccache gcc -c a.c -o a.o", "zccache gcc -c a.c -o a.o"] {
        let output = s.bare(line).ok();
        assert_eq!(output.err(), "", "{line}");
    }
}

#[test]
fn the_farm_command() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("farm/mine", "stays");
    let output = s.z("link farm gcc clang").code(0);
    assert_eq!(output.out(), format!("export PATH=\"{}:$PATH\"\n", s.path("farm").display()));
    s.z("link farm gcc").code(0);
    let path = s.get("PATH");
    s.path_first(&s.path("farm"));
    masquerade(&s, "gcc");
    s.set("PATH", &path);
    s.z("link all").code(0);
    for name in ["gcc", "g++", "cc", "c++"] {
        assert!(s.exists(format!("all/{name}")), "{name}");
    }
    s.write("farm/cc", "stays too");
    let output = s.z("link farm cc").code(1);
    assert_eq!(
        (output.out(), output.err().lines().count()),
        (String::new(), 1),
        "{}",
        output.err()
    );
    assert!(s.z("link farm cc gcc").code(1).err().contains("link: gcc in"));
    s.z("link --remove farm").code(0);
    s.z("link --remove all").code(0);
    assert!(!s.exists("farm/gcc") && !s.exists("all/gcc"));
    assert_eq!(
        (s.read("farm/mine"), s.read("farm/cc")),
        (b"stays".to_vec(), b"stays too".to_vec())
    );
    s.z("link").code(2);
    s.z("link farm ../gcc").code(2);
}

#[test]
fn a_jobserver_reaches_the_compiler() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.script(
        "asking-gcc",
        format!(
            "#!/bin/sh\ncase \"$*\" in *-c*a.c*)\n\
             fds=$(echo \"$MAKEFLAGS\" | sed -n 's/.*--jobserver-auth=\\([0-9]*\\),\\([0-9]*\\).*/\\1 \\2/p')\n\
             for fd in $fds; do [ -e /proc/self/fd/$fd ] || echo missing $fd >> trouble; done\n\
             case \"$MAKEFLAGS\" in *jobserver*) touch asked;; esac;;\nesac\n\
             exec {} \"$@\"\n",
            shims().join("gcc").display()
        ),
    );
    s.write("Makefile", ".PHONY: all\nall: a.o b.o\n%.o: a.c\n\t+$(CC) -c a.c -o $@ -D$*\n");
    let output = s.bare(&["make", "-j4", &format!("CC={ZCCACHE} ./asking-gcc")]).ok();
    assert_eq!(output.err(), "");
    assert!(s.exists("asked") && !s.exists("trouble"));
}

#[test]
fn make_with_many_jobs() {
    let s = Sandbox::new();
    for number in 0..12 {
        s.write(format!("f{number}.c"), format!("int f{number}() {{ return {number}; }}\n"));
    }
    s.write(
        "Makefile",
        "all: $(patsubst %.c,%.o,$(wildcard *.c))\n%.o: %.c\n\t$(CC) -O1 -flto=jobserver -c $< -o $@\n\
         sub:\n\t$(MAKE) all\n",
    );
    let make = ["make", "-j4", "sub", &format!("CC={ZCCACHE} gcc")];
    for round in 0..2 {
        let calls = s.calls();
        let output = s.bare(&make).ok();
        assert_eq!(output.err(), "");
        assert_eq!(s.calls() - calls, if round == 0 { 12 } else { 0 });
        s.bare(&["sh", "-c", "rm *.o"]).ok();
    }
}

#[test]
fn limits_and_niceness_reach_the_compiler() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.script(
        "asking-gcc",
        format!(
            "#!/bin/sh\ncase \"$*\" in *-c*a.c*) nice > niceness; ulimit -n >> niceness; umask >> niceness;; esac\n\
             exec {} \"$@\"\n",
            real("gcc").display()
        ),
    );
    let script = format!("umask 027; ulimit -n 200; exec nice -n 7 {ZCCACHE} ./asking-gcc -c a.c");
    s.bare(&["sh", "-c", &script]).ok();
    assert_eq!(String::from_utf8(s.read("niceness")).unwrap(), "7\n200\n0027\n");
}

#[test]
fn a_folder_that_was_removed() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let source = s.path("a.c").display().to_string();
    let object = s.path("a.o").display().to_string();
    let script =
        format!("mkdir gone; cd gone; rmdir ../gone; exec {ZCCACHE} gcc -c {source} -o {object}");
    let output = s.bare(&["sh", "-c", &script]);
    let script = script.replace(ZCCACHE, "");
    let bare = s.bare(&["sh", "-c", &script]);
    assert_eq!((output.status, output.err()), (bare.status, bare.err()));
}

#[test]
fn ninja_and_cmake_as_launcher() {
    if !have("cmake") || !have("ninja") {
        return;
    }
    let s = Sandbox::new();
    s.write(
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(p C CXX)\nadd_library(p STATIC a.c b.cpp)\n",
    );
    s.write("a.c", HELLO);
    s.write("b.cpp", "int b() { return 1; }\n");
    let launcher = |language| format!("-DCMAKE_{language}_COMPILER_LAUNCHER={ZCCACHE}");
    for round in 0..2 {
        let (c, cxx) = (launcher("C"), launcher("CXX"));
        s.bare(&["cmake", "-GNinja", "-S", ".", "-B", "build", &c, &cxx]).ok();
        let calls = s.calls();
        s.bare("cmake --build build").ok();
        assert_eq!(s.calls() - calls, if round == 0 { 2 } else { 0 });
        s.remove("build");
    }
}
