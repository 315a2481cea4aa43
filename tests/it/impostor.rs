//! Something else listens where the daemon should: it answers nonsense, half an answer, none, or
//! one of another time.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use zccache::protocol::frame::{self, Build, HEADER_BYTES, Header, Verb};
use zccache::protocol::message::{Answer, Reply};
use zccache::session::reason::Reason;

use crate::kit::{HELLO, Sandbox, finish_within};

const COMPILE: &str = "gcc -c a.c -o a.o";

/// What comes of one connection.
type Behaviour = fn(UnixStream, usize);

/// Answers everybody so, for as long as the test lives.
fn impostor(s: &Sandbox, behave: Behaviour) {
    std::fs::create_dir_all(&s.cache).unwrap();
    let listener = UnixListener::bind(s.cache.join("daemon.sock")).unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            thread::spawn(move || behave(stream, number));
        }
    });
}

fn hear(stream: &mut UnixStream) {
    let _ = stream.read(&mut [0; 1 << 17]);
}

fn header(verb: Verb, length: usize, build: Build) -> [u8; HEADER_BYTES] {
    Header { verb, length, build, quick: false, viewed: false }.encode()
}

fn older() -> Build {
    Build { version: 1, id: 1 }
}

fn newer() -> Build {
    Build { version: u64::MAX, id: 1 }
}

fn stay(stream: UnixStream) {
    thread::sleep(Duration::from_secs(60));
    drop(stream);
}

fn withstands(behave: Behaviour) {
    let mut s = Sandbox::new();
    // Only without it is the short form asked for; the ordinary way comes second.
    let idle = s.get("ZCCACHE_IDLE_TIMEOUT");
    s.unset("ZCCACHE_IDLE_TIMEOUT");
    s.write("a.c", HELLO);
    s.write("b.c", "int b() { return missing; }\n");
    impostor(&s, behave);
    let output = s.miss(COMPILE);
    assert_eq!(output.err(), "");
    s.set("ZCCACHE_IDLE_TIMEOUT", idle);
    // A failing compile stays one.
    s.miss("gcc -c b.c");
    // Gone again: the cache works.
    std::fs::remove_file(s.cache.join("daemon.sock")).unwrap();
    s.same(COMPILE);
    s.hit(COMPILE);
}

/// A daemon that is being killed accepts nobody any more, but can still be connected to.
#[test]
fn start_does_not_take_one_that_is_dying_for_a_daemon() {
    let s = Sandbox::new();
    std::fs::create_dir_all(&s.cache).unwrap();
    let listener = UnixListener::bind(s.cache.join("daemon.sock")).unwrap();
    let dying = thread::spawn(move || drop(listener.accept()));
    s.z("start").ok();
    dying.join().unwrap();
    s.daemon();
}

/// Whoever asks it is heard by the next one.
#[test]
fn a_compile_does_not_give_up_over_a_daemon_that_is_dying() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.warm(COMPILE);
    s.z("stop").ok();
    let listener = UnixListener::bind(s.cache.join("daemon.sock")).unwrap();
    let dying = thread::spawn(move || {
        let mut asked = [PollFd::new(&listener, PollFlags::IN)];
        rustix::event::poll(&mut asked, None).unwrap();
    });
    s.hit(COMPILE);
    dying.join().unwrap();
}

#[test]
fn silence() {
    withstands(|stream, _| stay(stream));
}

#[test]
fn an_end_at_once() {
    withstands(|_, _| {});
}

#[test]
fn noise() {
    withstands(|mut stream, number| {
        hear(&mut stream);
        let _ = stream.write_all(&vec![number as u8 ^ 0xa5; 100_000]);
    });
}

#[test]
fn half_a_frame() {
    withstands(|mut stream, _| {
        hear(&mut stream);
        let whole =
            frame::message(&Reply::Answer(Answer::Plain(Reason::Link, None, None))).unwrap();
        let _ = stream.write_all(&whole[..HEADER_BYTES / 2]);
        stay(stream);
    });
}

#[test]
fn a_header_and_no_more() {
    withstands(|mut stream, _| {
        hear(&mut stream);
        let _ = stream.write_all(&header(Verb::Message, 1000, Build::own()));
        stay(stream);
    });
}

#[test]
fn a_byte_at_a_time() {
    withstands(|mut stream, _| {
        hear(&mut stream);
        for byte in header(Verb::QuickHit, 40_000, Build::own()).into_iter().cycle() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(300));
        }
    });
}

#[test]
fn a_huge_length() {
    withstands(|mut stream, _| {
        hear(&mut stream);
        let mut bytes = header(Verb::QuickHit, 0, Build::own());
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let _ = stream.write_all(&bytes);
        stay(stream);
    });
}

#[test]
fn other_versions() {
    for build in [older, newer] as [fn() -> Build; 2] {
        if build() == older() {
            withstands(|mut stream, _| {
                hear(&mut stream);
                let _ = stream.write_all(&header(Verb::OtherBuild, 0, older()));
                stay(stream);
            });
        } else {
            withstands(|mut stream, _| {
                hear(&mut stream);
                let _ = stream.write_all(&header(Verb::OtherBuild, 0, newer()));
                stay(stream);
            });
        }
    }
}

/// It says a byte of its answer each time before anybody would lose patience over that byte.
#[test]
fn one_of_another_version_that_takes_long_to_say_that_it_leaves() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    impostor(&s, |mut stream, _| {
        let mut heard = [0; HEADER_BYTES];
        let _ = stream.read_exact(&mut heard);
        let asked = Header::decode(&heard).map(|header| header.verb);
        if asked != Some(Verb::Retire) {
            let _ = stream.write_all(&header(Verb::OtherBuild, 0, older()));
            return stay(stream);
        }
        for byte in header(Verb::Leaving, 0, older()) {
            let _ = stream.write_all(&[byte]);
            thread::sleep(Duration::from_secs(3));
        }
    });
    // All of that would take longer than this.
    finish_within(s.z_command(COMPILE).spawn().unwrap(), Duration::from_secs(60)).ok();
    assert!(s.exists("a.o"));
}

#[test]
fn a_message_that_does_not_decode() {
    withstands(|mut stream, number| {
        hear(&mut stream);
        let payload = vec![number as u8; 500];
        let _ = stream.write_all(&frame::around(Verb::Message, &payload));
    });
}

#[test]
fn an_answer_to_another_question() {
    withstands(|mut stream, _| {
        hear(&mut stream);
        let _ = stream.write_all(&frame::message(&Reply::Done).unwrap());
    });
}

/// The short form is read before there is anybody to catch a fault.
#[test]
fn short_hits_that_are_none() {
    withstands(|mut stream, number| {
        hear(&mut stream);
        let payload: Vec<u8> = match number % 4 {
            0 => vec![0xff; 2000],
            // One output whose name and text reach far beyond the end.
            1 => [&[0, 1, 0, 4, 0xff, 0xff][..], &[b'x'; 200]].concat(),
            2 => [&[0, 1, 0, 4, 2, 0, b'x', 0][..], &u32::MAX.to_le_bytes()].concat(),
            // Text for a stream that is none, and too much of it.
            _ => [&[0, 0, 1, 77][..], &u32::MAX.to_le_bytes()].concat(),
        };
        let _ = stream.write_all(&frame::around(Verb::QuickHit, &payload));
    });
}
