//! What is beside the plain compile of a source: outputs that are no files or can't be written, messages and the
//! terminal they are for, and files that nobody names on the command line.

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::kit::{HELLO, Sandbox, eventually, finish, have};

#[test]
fn a_dependency_file_that_is_a_pipe() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.bare("mkfifo pipe").ok();
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| have(compiler)) {
        for _ in 0..3 {
            let reader = s.command("cat pipe").spawn().unwrap();
            s.z(&format!("{compiler} -MD -MF pipe -c a.c -o a.o")).ok();
            assert!(finish(reader).ok().out().starts_with("a.o: a.c"));
            assert!(fs::symlink_metadata(s.path("pipe")).unwrap().file_type().is_fifo());
            s.remove("a.o");
        }
    }
    // Known from a file before.
    s.warm("gcc -MD -MF a.d -c a.c -o a.o");
    s.remove("a.d");
    s.link("pipe", "a.d");
    let reader = s.command("cat pipe").spawn().unwrap();
    s.z("gcc -MD -MF a.d -c a.c -o a.o").ok();
    assert!(finish(reader).ok().out().starts_with("a.o: a.c"));
}

#[test]
fn a_signal_ends_who_waits_for_a_reader() {
    let s = Sandbox::new();
    let script = "head -c 300000 /dev/zero >&2; sleep 60";
    let words = ["exec", "--output", "x", "--", "sh", "-c", script];
    let mut child = s.z_command(&words).stderr(Stdio::piped()).spawn().unwrap();
    // As far as the pipes take it, nobody reads on.
    let mut first = [0; 1];
    child.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(eventually(Duration::from_secs(10), || child.try_wait().unwrap().is_some()));
}

#[test]
fn nothing_is_delivered_where_the_dependency_file_can_not_be() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    fs::create_dir(s.path("deps")).unwrap();
    let line = "gcc -MD -MF deps/a.d -c a.c -o a.o";
    s.warm(line);
    s.hit(line);
    s.remove("a.o");
    s.remove("deps");
    let (output, _) = s.same(line);
    assert!(output.code(1).err().contains("deps/a.d") && !s.exists("a.o"));
    // Nor is what an earlier compile made replaced.
    s.write("a.o", "old");
    s.same(line);
    fs::create_dir_all(s.path("deps/a.d")).unwrap();
    s.same(line);
}
