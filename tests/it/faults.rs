//! The program hurts itself at a given point (`src/sys/fault.rs`): every point, and every kind of
//! end. The build must not notice, and nothing wrong may be left for later.

use std::time::Duration;

use rustix::process::Signal;
use zccache::sys::fault::Point;

use crate::kit::{HELLO, Sandbox, ZCCACHE, eventually, finish};

const COMPILE: &str = "gcc -Wall -MD -c a.c -o a.o";

/// More than a result holds by itself, so that there are blobs.
fn large(name: &str) -> String {
    format!("{HELLO}int {name}() {{ int unused; return 0; }}\nconst char {name}s[70000] = {{1}};\n")
}

/// A build as it goes: a miss, a hit, an edit, another one and back, more than the store may hold, the
/// end of the daemon. All is compared with the bare compiler.
fn build(s: &Sandbox) {
    for round in 0..2 {
        s.write("a.c", large("first"));
        s.same(COMPILE);
        s.remove("a.o");
        s.same(COMPILE);
        s.write("a.c", large(&format!("second{round}")));
        s.same(COMPILE);
        s.same(&format!("gcc -c a.c -o b{round}.o"));
        if round == 0 {
            s.z("stop");
        }
    }
    s.z("stop");
}

fn sandbox(order: &str) -> Sandbox {
    let mut s = Sandbox::new();
    // Small enough that there is something to evict each time.
    s.set("ZCCACHE_CACHE_SIZE", "100K");
    s.set("ZCCACHE_FAULT", order);
    s.write("a.c", large("first"));
    s
}

/// After a fault everything works again by itself.
fn recovers(s: &mut Sandbox, order: &str) {
    s.unset("ZCCACHE_FAULT");
    for pid in s.daemons() {
        s.signal(pid, Signal::CONT);
    }
    s.write("a.c", HELLO);
    s.same(COMPILE);
    // A daemon with the order may still have been leaving.
    s.same(COMPILE);
    let (_, cost) = s.same(COMPILE);
    assert_eq!(cost, 0, "{order}: no hit afterwards; {}", s.reasons());
}

fn points(prefixes: &[&str]) -> impl Iterator<Item = &'static str> {
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    let all = Point::ALL.iter().map(|(name, _)| *name);
    all.filter(move |name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

/// What the daemon passes: its clients go on.
fn daemon_faults(action: &str, prefixes: &[&str]) {
    for point in points(prefixes) {
        let order = format!("{point}:{action}");
        let mut s = sandbox(&order);
        build(&s);
        let log = std::fs::read_to_string(s.cache.join("logs/daemon.log")).unwrap_or_default();
        let struck = log.contains("an ordered fault");
        // Blobs are written by wrappers, mostly.
        assert!(struck || point.starts_with("blob."), "{order} never struck: {log}");
        recovers(&mut s, &order);
    }
}

#[test]
fn a_daemon_killed_at_its_start() {
    daemon_faults("kill", &["start."]);
}

#[test]
fn a_daemon_killed_in_a_request() {
    daemon_faults("kill", &["daemon.", "index."]);
}

#[test]
fn a_daemon_killed_in_an_eviction_or_at_its_end() {
    daemon_faults("kill", &["evict.", "end."]);
}

#[test]
fn a_daemon_that_panics_in_a_worker() {
    // In the loop itself a panic ends the daemon as a kill does.
    daemon_faults("panic", &["daemon.lookup", "daemon.store", "index.", "evict.", "daemon.upkeep"]);
}

#[test]
fn a_daemon_that_panics_in_its_loop() {
    daemon_faults("panic", &["start.locked", "daemon.request", "daemon.reply", "end."]);
}

#[test]
fn a_slow_daemon() {
    daemon_faults("sleep=700", &["start.", "daemon.request", "daemon.lookup", "daemon.reply"]);
    daemon_faults("sleep=700", &["daemon.reported", "daemon.store", "evict.", "end."]);
}

#[test]
fn a_wrapper_that_panics_becomes_the_compiler() {
    for point in points(&["wrapper.", "blob."]) {
        // What was already reported or delivered is no longer the wrapper's to undo.
        let order = format!("{point}:panic");
        let mut s = sandbox(&order);
        build(&s);
        recovers(&mut s, &order);
    }
}

#[test]
fn a_wrapper_killed_leaves_nothing_wrong() {
    for point in points(&["wrapper.", "blob."]) {
        for action in ["kill", "abort", "exit"] {
            let order = format!("{point}:{action}");
            let mut s = sandbox(&order);
            s.unset("ZCCACHE_FAULT");
            // A hit whose delivery can be cut short, and a miss.
            s.same(COMPILE);
            s.same(COMPILE);
            s.set("ZCCACHE_FAULT", &order);
            // Such a call has failed, as the compiler does when it is killed.
            let first = s.z(COMPILE);
            s.write("b.c", large("other"));
            let second = s.z("gcc -c b.c");
            assert!(!first.status.success() || !second.status.success(), "{order} never struck");
            s.unset("ZCCACHE_FAULT");
            s.same(COMPILE);
            s.same("gcc -c b.c");
            recovers(&mut s, &order);
        }
    }
}

#[test]
fn a_daemon_stopped_in_the_middle() {
    for point in ["start.locked", "daemon.request", "daemon.lookup", "daemon.store", "end.leave"] {
        let order = format!("{point}:stop");
        let mut s = sandbox(&order);
        s.same(COMPILE);
        s.same(COMPILE);
        let stop = s.z_command("stop").spawn().unwrap();
        if point == "end.leave" {
            assert!(eventually(Duration::from_secs(20), || !s.cache.join("daemon.sock").exists()));
            s.same(COMPILE);
        }
        for pid in s.daemons() {
            s.signal(pid, Signal::CONT);
        }
        finish(stop);
        recovers(&mut s, &order);
    }
}

#[test]
fn an_index_that_hangs_keeps_nobody() {
    // The tenth call and all that follow it never come back.
    let mut s = sandbox("index.call:sleep=3600000:10");
    for round in 0..6 {
        s.write("a.c", large(&format!("round{round}")));
        s.same(COMPILE);
        s.same(COMPILE);
    }
    // It holds the root's lock no longer than it says.
    s.unset("ZCCACHE_FAULT");
    s.z("stop").code(0);
    recovers(&mut s, "a hanging index");
}

/// Compilers are scripts at times, and what one leaves running holds the streams that it was asked through.
#[test]
fn a_compiler_that_leaves_a_process_behind_keeps_nobody() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    s.script("cc", "#!/bin/sh\nsleep 60 &\necho $! >> left\nexec gcc \"$@\"\n");
    // More than there are threads to answer.
    for round in 0..8 {
        let line = format!("{ZCCACHE} ./cc -c a.c -o {round}.o > said 2>&1");
        s.bare(&["sh", "-c", &line]).code(0);
        assert!(s.exists(format!("{round}.o")));
    }
    s.warm("gcc -O1 -c a.c -o again.o");
    s.bare(&["sh", "-c", "kill $(cat left)"]).code(0);
}

/// A compaction is due where the folder is much larger than what is in it.
fn bloat(s: &Sandbox) {
    let folder = s.cache.join("index.sled/bloat");
    std::fs::create_dir(&folder).unwrap();
    std::fs::File::create(folder.join("hole")).unwrap().set_len(1 << 30).unwrap();
}

#[test]
fn a_compaction_cut_short_loses_nothing() {
    for point in points(&["compact."]) {
        for action in ["kill", "panic", "exit", "sleep=700"] {
            let order = format!("{point}:{action}");
            let mut s = sandbox(&order);
            s.unset("ZCCACHE_FAULT");
            s.same(COMPILE);
            s.z("stop").code(0);
            bloat(&s);
            s.set("ZCCACHE_FAULT", &order);
            s.same(COMPILE);
            let log = std::fs::read_to_string(s.cache.join("logs/daemon.log")).unwrap();
            assert!(log.contains("an ordered fault"), "{order} never struck: {log}");
            s.unset("ZCCACHE_FAULT");
            s.z("stop");
            s.hit(COMPILE);
            assert!(!s.cache.join("index.sled/bloat").exists(), "{order}: not compacted");
            recovers(&mut s, &order);
        }
    }
}

#[test]
fn every_point_is_passed_by_some_test() {
    let tested = ["wrapper.", "blob.", "start.", "daemon.", "index.", "evict.", "end.", "compact."];
    let all: Vec<_> = Point::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(points(&tested).collect::<Vec<_>>(), all);
}

#[test]
fn an_order_that_is_none() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    s.set("ZCCACHE_FAULT", "daemon.request:maybe");
    let output = s.z("status").code(2);
    assert!(output.err().contains("ZCCACHE_FAULT"), "{}", output.err());
    assert_eq!(output.err().lines().count(), 1);
    assert_eq!(s.z(COMPILE).ok().err(), "");
}
