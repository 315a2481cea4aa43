//! Whole answers, done without a daemon.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Mutex;

use super::gather::Call;
use super::run::{Ran, Surroundings, run};
use super::steps::{Outcome, perform};
use super::text::Held;
use crate::protocol::message::*;
use crate::settings::Settings;
use crate::store::blob::BlobDir;
use crate::terms::blob::BlobId;
use crate::terms::output::LinkMode;
use crate::terms::output::{Output, Role, WriteStyle};

/// Signal actions belong to the whole process: one run at a time.
static ONE: Mutex<()> = Mutex::new(());

fn shell(script: &str) -> Run {
    let argv = ["sh", "-c", script].map(|word| word.as_bytes().to_vec()).to_vec();
    Run { program: b"/bin/sh".to_vec(), argv, answers: vec![0], ..Run::default() }
}

fn do_run(step: &Run, held: &mut Held) -> Ran {
    let _one = ONE.lock().unwrap_or_else(|error| error.into_inner());
    let argv = [OsString::from("gcc")];
    let call = Call {
        argv: &argv,
        masquerade: true,
        env: b"A=1\0PATH=/bin:/usr/bin\0".to_vec(),
        strict: None,
        declared: None,
    };
    let blobs = BlobDir::new(b"/nonexistent");
    run(
        step,
        &Surroundings {
            call: &call,
            blobs: &blobs,
            umask: 0o22,
            broken_pipe: None,
            stand_in: None,
        },
        held,
    )
}

fn ended(script: &str) -> RunReport {
    match do_run(&shell(script), &mut Held::default()) {
        Ran::Ended(report) => report,
        other => panic!("{other:?}"),
    }
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("zcc-wrapper-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn the_end_is_the_tools() {
    assert_eq!(ended("exit 0").exit, Exit::Status(0));
    assert_eq!(ended("exit 7").exit, Exit::Status(7));
    assert_eq!(ended("kill -9 $$").exit, Exit::Signal(9));
    // Not INT: whoever runs the tests in the background has it ignored.
    assert_eq!(ended("kill -USR1 $$").exit, Exit::Signal(10));
    assert_eq!(ended("kill -TERM $PPID; while :; do :; done").exit, Exit::Signal(15));
}

#[test]
fn the_environment_is_the_callers_and_the_runs() {
    let mut step = shell("echo $A $B $ZCCACHE_MASQUERADE_DEPTH; exec ls /proc/self/fd");
    step.env = vec![(b"B".to_vec(), b"2".to_vec())];
    let Ran::Ended(report) = do_run(&step, &mut Held::default()) else { panic!() };
    let text = String::from_utf8(report.text[0].bytes.clone()).unwrap();
    assert!(text.starts_with("1 2 1\n"), "{text}");
    step.env = vec![(b"A".to_vec(), b"3".to_vec())];
    let Ran::Ended(report) = do_run(&step, &mut Held::default()) else { panic!() };
    assert!(report.text[0].bytes.starts_with(b"3 1\n"));
}

#[test]
fn what_a_run_made_is_taken_in_and_ours_is_removed() {
    let folder = folder("made");
    let file = |name: &str| folder.join(name).as_os_str().as_bytes().to_vec();
    let mut step = shell("echo out > $0; echo dep > $1; echo note >&2");
    step.argv.extend([file("o"), file("d")]);
    let output = |role, path| Output { role, path, style: WriteStyle::Replace, required: true };
    let outputs = vec![output(Role::Main, file("o")), output(Role::SplitDwarf, file("absent"))];
    step.units = vec![RunUnit { unit: 3, outputs }];
    let read = ReadBack { path: file("d"), remove: true };
    step.read_back = vec![read];
    let Ran::Ended(report) = do_run(&step, &mut Held::default()) else { panic!() };
    assert_eq!(report.dependencies[0].as_slice(), b"dep\n");
    assert!(!folder.join("d").exists());
    let content = Some(Content::Inline(b"out\n".to_vec()));
    let taken = Taken { role: Role::Main, executable: false, content };
    assert_eq!(report.units, [TakenUnit { unit: 3, outputs: vec![taken] }]);
    assert_eq!(report.text, [Chunk { stream: Stream::Stderr, bytes: b"note\n".to_vec() }]);

    // A failure over our own file is not the user's.
    let failing = Run { argv: shell("echo x > $0; echo \"$0: bad\" >&2; exit 1").argv, ..step };
    let mut failing = failing;
    failing.argv.push(file("d"));
    assert!(matches!(do_run(&failing, &mut Held::default()), Ran::Plain));
    assert!(!folder.join("d").exists());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_missing_program_is_left_to_the_plain_run() {
    let mut step = shell("");
    step.program = b"/nonexistent/gcc".to_vec();
    assert!(matches!(do_run(&step, &mut Held::default()), Ran::Plain));
    step.program = b"/bin/s\0h".to_vec();
    assert!(matches!(do_run(&step, &mut Held::default()), Ran::Plain));
}

#[test]
fn steps_are_done_in_order_and_the_first_failure_counts() {
    let _one = ONE.lock().unwrap_or_else(|error| error.into_inner());
    let folder = folder("steps");
    let argv = [OsString::from("gcc")];
    let call = Call { argv: &argv, masquerade: false, env: vec![], strict: None, declared: None };
    let env = [b"ZCCACHE_CACHE_DIR=", folder.as_os_str().as_bytes()].concat();
    let (settings, _) = Settings::from_block(&env, None);
    let deliver = |content| {
        let path = folder.join("o").into_os_string().into_encoded_bytes();
        let style = WriteStyle::Replace;
        let delivered = Delivered { path, style, executable: false, content };
        let text = vec![Chunk { stream: Stream::Stderr, bytes: vec![] }];
        Step::Deliver(Delivery { outputs: vec![delivered], text, status: 0 })
    };
    let good = || deliver(Content::Inline(b"object".to_vec()));
    let work = |steps| Work {
        scratch: Vec::new(),
        ticket: 5,
        steps,
        fine_times: false,
        link_mode: LinkMode::Auto,
        niceness: None,
        stays: false,
    };
    let does = |steps| perform(&work(steps), &call, &settings, None, &mut Held::default());

    let Outcome::Done { exit, report: None } = does(vec![good()]) else { panic!() };
    assert_eq!(exit, Exit::Status(0));
    assert_eq!(fs::read(folder.join("o")).unwrap(), b"object");

    let steps = vec![good(), Step::Run(shell("exit 3")), Step::Run(shell("exit 4")), good()];
    let Outcome::Done { exit, report: Some(report) } = does(steps) else { panic!() };
    assert_eq!((exit, report.ticket, report.runs.len()), (Exit::Status(3), 5, 2));

    let gone = deliver(Content::Blob { id: BlobId([1; 32]), size: 2000, seen: None });
    assert!(matches!(does(vec![good(), gone]), Outcome::Damaged(ids) if ids == [BlobId([1; 32])]));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_terminal_hands_bytes_through() {
    let size = rustix::termios::Winsize { ws_row: 5, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
    let pair = crate::sys::terminal::open(size).unwrap();
    let seen = rustix::termios::tcgetwinsize(&pair.theirs).unwrap();
    assert_eq!((seen.ws_row, seen.ws_col), (5, 77));
    let (out, out_end) = rustix::pipe::pipe().unwrap();
    drop(out_end);
    let mut child = std::process::Command::new("sh")
        .args(["-c", "test -t 2 && printf 'a\\nb\\tc\\r\\n' >&2"])
        .stderr(pair.theirs)
        .spawn()
        .unwrap();
    let streams = vec![(Stream::Stdout, out), (Stream::Stderr, pair.ours)];
    let captured = super::capture::capture(streams, None, &mut Held::default(), 100, false);
    assert!(child.wait().unwrap().success());
    assert_eq!(captured.text[0].bytes, b"a\nb\tc\r\n");
    assert!(!captured.lost);
}
