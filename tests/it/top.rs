use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::kit::{HELLO, Sandbox, ZCCACHE, eventually, finish};
use crate::look::{is_as_documented, json_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// `zccache top` on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    other_end: OwnedFd,
    before: Termios,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(s: &Sandbox) -> Terminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
        tcsetwinsize(&theirs, Winsize { ws_row: 30, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        let before = tcgetattr(&theirs).unwrap();
        // As a terminal starts it, however these tests were started (`nohup`).
        let words = ["env", "--default-signal=HUP,INT", ZCCACHE, "top", "--interval", "50"];
        let mut command = s.command(&words[..]);
        let end = || Stdio::from(theirs.try_clone().unwrap());
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        let mut reader = File::from(ours.try_clone().unwrap());
        let shown = Arc::new(Mutex::new(Vec::new()));
        let into = shown.clone();
        // Ends when the last holder of the other end is gone.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = reader.read(&mut bytes) {
                into.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Terminal { child, keys: File::from(ours), other_end: theirs, before, shown }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn shows(&self, words: &str) {
        assert!(eventually(PATIENCE, || self.text().contains(words)), "{words}: {}", self.text());
    }

    fn modes(&self) -> Termios {
        tcgetattr(&self.other_end).unwrap()
    }

    /// Waits for its end; the terminal must be as it was.
    #[track_caller]
    fn ended(self) -> std::process::ExitStatus {
        let Terminal { child, keys: _keys, other_end, before, shown } = self;
        let status = finish(child).status;
        let after = tcgetattr(&other_end).unwrap();
        assert_eq!(after.local_modes, before.local_modes);
        assert_eq!(after.input_modes, before.input_modes);
        assert_eq!(after.output_modes, before.output_modes);
        // The cursor is back, and what was on the screen before.
        let back = || shown.lock().unwrap().ends_with(b"\x1b[?25h\x1b[?1049l");
        assert!(eventually(PATIENCE, back));
        status
    }
}

#[test]
fn it_shows_what_happens_and_leaves_the_terminal_as_it_was() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("slow.c", HELLO);
    s.z("gcc -c a.c").ok();
    s.z("gcc -c a.c").ok();
    // Longer than this test takes on any machine.
    let mut compile = s.start_slow("gcc -DSLOW -c slow.c", 600_000);
    let mut top = Terminal::start(&s);
    top.shows("zccache top");
    top.shows("compiling");
    top.shows("slow.c");
    top.shows("1 hits");
    top.shows("a.c");
    assert!(!top.modes().local_modes.intersects(LocalModes::ECHO | LocalModes::ICANON));
    // No line is longer than the terminal is wide.
    let text = top.text();
    for line in text.split("\r\n").filter(|line| line.contains(".c")) {
        let mut inside = false;
        let seen = line.chars().filter(|c| {
            let counts = !inside && *c != '\x1b';
            inside = *c == '\x1b' || (inside && !c.is_ascii_alphabetic());
            counts
        });
        assert!(seen.count() <= 60, "{line:?}");
    }
    top.keys.write_all(b"xq").unwrap();
    assert_eq!(top.ended().code(), Some(0));
    let group = rustix::process::Pid::from_child(&compile);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    compile.wait().unwrap();
}

#[test]
fn ctrl_c_and_signals_end_it_cleanly() {
    let s = Sandbox::new();
    let mut top = Terminal::start(&s);
    top.shows("no daemon runs");
    top.keys.write_all(b"\x03").unwrap();
    assert_eq!(top.ended().code(), Some(0));
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let top = Terminal::start(&s);
        top.shows("no daemon runs");
        s.signal(top.child.id() as i32, signal);
        assert_eq!(top.ended().signal(), Some(signal.as_raw()));
    }
    // It watches; it starts nothing.
    assert!(s.daemons().is_empty());
    // Keys do not wait for a daemon that hangs.
    s.z("start").ok();
    s.signal(s.daemon(), rustix::process::Signal::STOP);
    let mut top = Terminal::start(&s);
    top.shows("the daemon does not answer");
    top.keys.write_all(b"q").unwrap();
    assert_eq!(top.ended().code(), Some(0));
}

#[test]
fn without_a_terminal_pictures_are_printed() {
    let s = Sandbox::new();
    assert_eq!(s.z("top --once").code(1).out(), "no daemon runs\n");
    let none: serde_json::Value = serde_json::from_slice(&s.z("top --once --json").stdout).unwrap();
    assert_eq!(none, serde_json::json!({ "running": false }));
    s.write("a.c", HELLO);
    s.z("gcc -c a.c").ok();
    s.z("gcc -c a.c").ok();
    s.z("why").ok();
    let output = s.z("top --once --json").code(0);
    let picture: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    is_as_documented(json_of("top"), &picture);
    assert_eq!((&picture["hits"], &picture["misses"]), (&1.into(), &1.into()));
    let outcomes: Vec<&str> = picture["recent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| command["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["hit", "miss"]);
    let words = s.z("top --once").code(0).out();
    assert!(
        words.contains("1 hits") && words.contains("a.c") && !words.contains('\x1b'),
        "{words}"
    );
    s.z("top --interval soon").code(2);
    // Nobody looks at a second one.
    let words = s.z("top").code(0).out();
    assert_eq!(words.matches("1 hits").count(), 1, "{words}");
    // A reader that goes away ends it.
    let mut child = s.z_command("top --json --interval 50").spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    drop(child.stdout.take());
    finish(child).ok();
}
