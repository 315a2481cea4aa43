use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::kit::{HELLO, Output, Sandbox, finish};

const COMPILE: &str = "gcc -c a.c";

/// Starts a compile that takes this long. The daemon knows the compiler by then.
fn start(s: &Sandbox, sleep_ms: u32) -> Child {
    s.write("other.c", HELLO);
    s.z("gcc -c other.c").ok();
    s.start_slow(COMPILE, sleep_ms)
}

/// Starts one compile, and others of the same when it runs.
fn crowd(s: &Sandbox, others: usize) -> (Child, Vec<Child>) {
    let first = start(s, 3000);
    let others = (0..others).map(|_| s.z_command(COMPILE).spawn().unwrap()).collect();
    (first, others)
}

fn finished(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(finish).collect()
}

#[test]
fn one_compile_serves_all_who_ask_meanwhile() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let (first, others) = crowd(&s, 5);
    let calls = s.calls();
    for output in finished([vec![first], others].into_iter().flatten().collect()) {
        assert_eq!(output.ok().err(), "");
    }
    assert_eq!(s.calls(), calls);
    let status = s.status();
    assert_eq!((&status["misses"], &status["hits"]), (&2.into(), &5.into()), "{status}");
    s.hit(COMPILE);
}

#[test]
fn a_result_that_is_never_stored_is_not_waited_for() {
    let mut s = Sandbox::new();
    s.write("a.c", HELLO);
    // Of the second compile, which is the one that the others wait for.
    s.set("ZCCACHE_FAULT", "daemon.store:sleep=3600000:2");
    let (first, others) = crowd(&s, 2);
    for output in finished([vec![first], others].into_iter().flatten().collect()) {
        assert_eq!(output.ok().err(), "");
    }
    let daemon = s.daemon();
    s.signal(daemon, Signal::KILL);
    s.unset("ZCCACHE_FAULT");
    s.same(COMPILE);
    s.hit(COMPILE);
}

#[test]
fn a_compile_that_fails_fails_for_each() {
    let s = Sandbox::new();
    s.write("a.c", "int f(void) { return }\n");
    let (first, others) = crowd(&s, 3);
    let calls = s.calls();
    let outputs = finished([vec![first], others].into_iter().flatten().collect());
    let said = outputs[0].err();
    assert!(said.contains("a.c:1"), "{said}");
    for output in outputs {
        assert_eq!(output.code(1).err(), said);
    }
    assert_eq!(s.calls(), calls + 3);
}

#[test]
fn a_compile_that_is_killed_or_stopped_is_not_waited_for() {
    for signal in [Signal::KILL, Signal::STOP] {
        let s = Sandbox::new();
        s.write("a.c", HELLO);
        let mut first = start(&s, 600_000);
        let before = s.calls();
        let other = s.z_command(COMPILE).spawn().unwrap();
        // Long enough for its question to arrive.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(s.calls(), before);
        s.signal(first.id() as i32, signal);
        finish(other).ok();
        assert_eq!(s.calls(), before + 1);
        let group = Pid::from_child(&first);
        rustix::process::kill_process_group(group, Signal::KILL).unwrap();
        first.wait().unwrap();
    }
}
