//! Limits of the system: descriptors, connections, watches, lengths, times.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::Signal;

use crate::kit::{HELLO, Sandbox, ZCCACHE};

const COMPILE: &str = "gcc -c a.c -o a.o";

#[test]
fn a_frozen_daemon_whose_queue_is_full() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    // The quick path connects as well.
    s.unset("ZCCACHE_IDLE_TIMEOUT");
    s.signal(s.daemon(), Signal::STOP);
    let address = SocketAddrUnix::new(s.cache.join("daemon.sock")).unwrap();
    let mut held = Vec::new();
    loop {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        // Where descriptors are few, the queue stays open; the rest of the test still holds.
        let Ok(socket) = socket else { break };
        match rustix::net::connect(&socket, &address) {
            Ok(()) => held.push(socket),
            Err(Errno::AGAIN) => break,
            Err(error) => panic!("{error}"),
        }
    }
    s.remove("a.o");
    assert_eq!(s.z(COMPILE).ok().err(), "");
    assert!(s.exists("a.o"));
    s.signal(s.daemon(), Signal::CONT);
    drop(held);
    s.same(COMPILE);
    s.hit(COMPILE);
}

/// A shell line with a limit set, here and in the daemon that it may start.
fn limited(s: &Sandbox, limit: u32, line: &str) {
    let script = format!("ulimit -n {limit}; exec {ZCCACHE} {line}");
    assert_eq!(s.bare(&["sh", "-c", &script]).ok().err(), "", "{limit}");
}

#[test]
fn few_descriptors() {
    for limit in [8, 12, 16, 20, 24, 32] {
        let s = Sandbox::new();
        s.write("a.c", HELLO);
        s.bare("gcc -c a.c -o truth.o").ok();
        s.warm("gcc -g -c a.c -o known.o");
        s.z("stop").code(0);
        for _ in 0..3 {
            limited(&s, limit, COMPILE);
            assert!(s.read("a.o") == s.read("truth.o"), "{limit}");
            s.remove("a.o");
        }
        s.z("stop").code(0);
        s.same(COMPILE);
        s.hit(COMPILE);
        // What was known before is not lost over it.
        s.hit("gcc -g -c a.c -o known.o");
    }
}

/// What a shell limits its commands to is not meant for a daemon that serves everybody.
#[test]
fn a_daemon_does_not_keep_its_starters_limits() {
    for (limit, name) in [
        ("-f 16", "Max file size"),
        ("-s 256", "Max stack size"),
        ("-t 1", "Max cpu time"),
        ("-d 400000", "Max data size"),
    ] {
        let s = Sandbox::new();
        s.write("a.c", HELLO);
        let script = format!("ulimit -S {limit}; exec {ZCCACHE} {COMPILE}");
        assert_eq!(s.bare(&["sh", "-c", &script]).ok().err(), "", "{limit}");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", s.daemon())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[0], words[1], "{limit}: {line}");
        s.hit(COMPILE);
        // Its files grow beyond that.
        for number in 0..20 {
            s.z(&format!("gcc -DNUMBER={number} -c a.c -o b.o")).ok();
        }
        s.hit(COMPILE);
        assert_eq!(s.daemons().len(), 1, "{limit}");
    }
}

/// A hard limit can't be raised: what can't be written is lost, and the daemon lives.
#[test]
fn a_limit_of_file_sizes_is_no_end() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let script = format!("ulimit -f 16; exec {ZCCACHE} {COMPILE}");
    assert_eq!(s.bare(&["sh", "-c", &script]).ok().err(), "");
    let daemon = s.daemon();
    for number in 0..60 {
        s.z(&format!("gcc -DNUMBER={number} -c a.c -o b.o")).ok();
    }
    s.same(COMPILE);
    assert_eq!(s.daemon(), daemon);
}

#[test]
fn clients_that_hold_every_descriptor_of_the_daemon() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    limited(&s, 64, "start");
    s.warm(COMPILE);
    let silent: Vec<_> =
        (0..200).map(|_| UnixStream::connect(s.cache.join("daemon.sock")).unwrap()).collect();
    // Those that are silent make way.
    std::thread::sleep(Duration::from_millis(600));
    s.same(COMPILE);
    s.hit(COMPILE);
    drop(silent);
    s.hit(COMPILE);
}

/// Runs a script where nothing can be watched; None where that can't be had.
fn unwatched(s: &Sandbox, limit: &str, script: &str) -> Option<crate::kit::Output> {
    let script = format!("set -e; echo {limit} || exit 99; {script}; {ZCCACHE} stop");
    let words = ["unshare", "--user", "--map-root-user", "sh", "-c", &script];
    let output = s.bare(&words);
    if !output.status.success() && output.err().contains("unshare") {
        eprintln!("skipped: no user namespace can be made here");
        return None;
    }
    Some(output)
}

/// Every way an input can change, compile by compile: what is made without the watch must be what
/// the bare compiler makes, and a compile whose inputs are the same must still hit.
#[test]
fn without_a_watch_the_answers_are_the_same() {
    for limit in
        ["0 > /proc/sys/user/max_inotify_instances", "5 > /proc/sys/user/max_inotify_watches"]
    {
        let s = Sandbox::new();
        s.write("a.c", "#include \"x.h\"\n#include <y.h>\nint a[] = {X, Y};\n");
        s.write("one/y.h", "#define Y 1\n");
        s.write("two/y.h", "#define Y 2\n");
        s.write("x.h", "#define X 1\n");
        fs::create_dir(s.path("zero")).unwrap();
        let step = |number: usize, change: &str| {
            let line = "gcc -Izero -Ione -Itwo -c a.c -o";
            format!(
                "{change}\n{ZCCACHE} {line} z{number}.o; {line} t{number}.o; cmp z{number}.o t{number}.o\n\
                 {ZCCACHE} {line} z{number}.o; cmp z{number}.o t{number}.o\n"
            )
        };
        let changes = [
            ":",
            "echo '#define X 2' > x.h",
            "touch -d @1000000000 x.h",
            "echo '#define X 3' > n; mv n x.h; touch -d @1000000000 x.h",
            "echo '#define Y 9' > zero/y.h",
            "rm zero/y.h",
            "mv one three",
            "mv three one",
            "ln -s two/y.h zero/y.h",
            "ln -sf ../one/y.h zero/y.h",
            "rm -r zero; ln -s two zero",
        ];
        let script: String =
            changes.iter().enumerate().map(|(number, change)| step(number, change)).collect();
        let script = format!("{script}\n{ZCCACHE} status --json > status");
        let Some(output) = unwatched(&s, limit, &script) else { return };
        output.ok();
        let status: serde_json::Value = serde_json::from_slice(&s.read("status")).unwrap();
        // Half of all are repeats; those whose inputs are too young to be trusted are compiled.
        assert!(status["hits"].as_u64() >= Some(5), "{limit}: {status}");
    }
}

/// A header comes into an earlier folder while the daemon still writes a compile down; then, whether the
/// answer is the bare compiler's.
fn header_that_comes_late(s: &Sandbox) -> String {
    s.write("a.c", "#include <y.h>\nint a = Y;\n");
    s.write("one/y.h", "#define Y 1\n");
    fs::create_dir(s.path("zero")).unwrap();
    let line = "gcc -Izero -Ione -c a.c -o";
    format!(
        "ZCCACHE_FAULT=daemon.reported:sleep=500 {ZCCACHE} {line} z.o\n\
         echo '#define Y 9' > zero/y.h; sleep 1\n\
         {ZCCACHE} {line} z.o; {line} t.o; cmp z.o t.o"
    )
}

#[test]
fn without_a_watch_a_header_that_comes_late_is_noticed() {
    let s = Sandbox::new();
    let script = header_that_comes_late(&s);
    let limit = "0 > /proc/sys/user/max_inotify_instances";
    if let Some(output) = unwatched(&s, limit, &script) {
        output.ok();
    }
}

#[test]
fn a_header_that_comes_late_is_noticed() {
    let s = Sandbox::new();
    let script = format!("set -e; {}; {ZCCACHE} stop", header_that_comes_late(&s));
    s.bare(&["sh", "-c", &script][..]).ok();
}

#[test]
fn arguments_and_environments_up_to_the_kernels_limit() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    let mut words: Vec<OsString> = ["gcc", "-c", "a.c", "-o", "a.o"].map(OsString::from).into();
    // gcc hands all arguments to its parts in one variable, which has a limit of its own.
    words.push(format!("-DX={}", "x".repeat(90_000)).into());
    for number in 0..14 {
        s.set(&format!("LONG{number}"), "y".repeat(110_000));
    }
    s.same(&words[..]);
    s.hit(&words[..]);
    // More than fits into one write.
    s.same(COMPILE);
    s.hit(COMPILE);
}

#[test]
fn names_and_values_that_are_not_utf8() {
    let mut s = Sandbox::new();
    let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
    let folder = bytes(b"f\xfe\xff");
    s.write(std::path::Path::new(&folder).join("y.h"), "#define Y 1\n");
    s.write("a.c", "#include <y.h>\nint a = Y;\n");
    s.set("ODD", bytes(b"\x80\x81\xff"));
    s.set("CPATH", bytes(b"f\xfe\xff"));
    s.same(COMPILE);
    s.hit(COMPILE);
    s.write(std::path::Path::new(&folder).join("y.h"), "#define Y 2\n");
    s.miss(COMPILE);
    s.hit(COMPILE);
}

#[test]
fn paths_up_to_the_kernels_limit() {
    let mut s = Sandbox::new();
    let part = "d".repeat(200);
    let mut name = part.clone();
    // As long as an absolute path can be, and longer: then there is no name to ask about.
    for _ in 0..18 {
        name = format!("{name}/{part}");
    }
    let room = 4095 - s.dir.as_os_str().len() - 1 - "/a.c".len();
    let name = name[..room.min(name.len())].trim_end_matches('/').to_owned();
    s.write(format!("{name}/a.c"), HELLO);
    let line = format!("gcc -c {name}/a.c -o a.o");
    s.same(&line);
    s.hit(&line);
    s.cwd = s.path(&name);
    s.z("gcc -c a.c").ok();
    s.z("gcc -c a.c -o b.o").ok();
}

#[test]
fn files_from_the_future_and_the_past() {
    let s = Sandbox::new();
    s.write("x.h", "#define X 1\n");
    s.write("a.c", "#include \"x.h\"\nint a = X;\n");
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let times = [now + hour, now - hour, SystemTime::UNIX_EPOCH, now + 100 * hour, now];
    for (number, time) in times.into_iter().enumerate() {
        s.write("x.h", format!("#define X {}\n", number % 2));
        s.set_mtime("x.h", time);
        s.set_mtime("a.c", time);
        s.same(COMPILE);
        s.same(COMPILE);
        for blob in s.blobs() {
            fs::File::open(blob).unwrap().set_modified(time).unwrap();
        }
        s.same(COMPILE);
    }
    s.hit(COMPILE);
}
