//! A miss: the tool runs as our child, and what it writes is kept.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use rustix::termios::Winsize;

use super::capture::{self, Captured};
use super::gather::Call;
use super::observe::Observed;
use super::take_in::{self, Doubted, OwnFiles, take_in};
use super::text::{Held, mentions};
use crate::protocol::message::{Exit, Run, RunReport, Stage, StdoutIs, Stream};
use crate::store::blob::BlobDir;
use crate::sys::fault::{self, Point};
use crate::sys::process::{self, Strings};
use crate::sys::signals::{self, Before, StandIn};
use crate::sys::terminal;
use crate::terms::Arg;
use crate::tracer::{self, Trail};

/// What became of a run.
#[derive(Debug)]
pub enum Ran {
    /// It ended; the text in the report is yet to be written.
    Ended(RunReport),
    /// It ended, and its text went out as it came: there is nothing to report.
    Streamed(Exit),
    /// It could not be started as told, or failed by our doing: the user's own command decides.
    Plain,
}

/// What a run needs beside its own description.
pub struct Surroundings<'a, 'c> {
    pub call: &'a Call<'c>,
    pub blobs: &'a BlobDir,
    pub umask: u32,
    /// SIGPIPE as our caller set it.
    pub broken_pipe: Option<&'a Before>,
    /// Who deals with signals for several runs together.
    pub stand_in: Option<&'a StandIn>,
}

/// Nothing was added to the command that could make it fail, so it will not be run again, and
/// its text need not wait for its end: cargo starts dependents by what rustc says midway.
pub fn passes_text(step: &Run) -> bool {
    step.stage == Stage::Whole && step.read_back.iter().all(|file| !file.remove)
}

/// Runs the tool and takes in what it makes.
pub fn run(step: &Run, around: &Surroundings<'_, '_>, held: &mut Held) -> Ran {
    // In this order: our files are gone before a signal that came too late ends us.
    let own_stand_in = around.stand_in.is_none().then(StandIn::begin);
    let Some(stand_in) = around.stand_in.or(own_stand_in.as_ref()) else { return Ran::Plain };
    let _own = OwnFiles(&step.read_back);
    let observed = step.observed.as_ref().map(Observed::begin);
    let before: Vec<take_in::Before> =
        step.units.iter().map(|unit| take_in::Before::of(&unit.outputs)).collect();
    let doubted = Doubted::begin(step);
    let start = Instant::now();
    let is_traced = step.observed.as_ref().is_some_and(|observed| observed.is_traced);
    let trail = if is_traced { TrailFile::make().ok() } else { None };
    let Ok((exit, captured)) = run_captured(step, trail.as_ref(), around, stand_in, held) else {
        return Ran::Plain;
    };
    let took_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if captured.lost {
        if !passes_text(step) {
            held.hold(captured.text);
        }
        return Ran::Streamed(exit);
    }
    let trail = match trail.map(TrailFile::read) {
        None => None,
        Some(Ok(trail)) => Some(trail),
        // Nothing was run, or its end was not seen.
        Some(Err(_)) if matches!(exit, Exit::Status(_)) => return Ran::Plain,
        Some(Err(_)) => None,
    };
    let besides = observed.map(|observed| {
        let temporary = around.call.variable(b"TMPDIR").unwrap_or(b"/tmp");
        let cwd = std::env::current_dir().unwrap_or_default();
        observed.end(step, trail, cwd.as_os_str().as_bytes(), temporary)
    });
    let besides = besides.unwrap_or_default();
    let mut report = RunReport {
        exit,
        text: captured.text,
        units: vec![],
        dependencies: vec![],
        made_besides: besides.is_unclear,
        looked_at: besides.looked_at,
        took_ns,
    };
    if let Exit::Status(_) = exit {
        // Did it fail over a file that only we asked for, or complain of one?
        let mut own = step.read_back.iter().filter(|file| file.remove);
        if !held.written && own.any(|file| mentions(&report.text, &file.path)) {
            return Ran::Plain;
        }
    }
    match exit {
        Exit::Status(0) if !held.written && doubted.is_some_and(|main| main.lacks_any()) => {
            return Ran::Plain;
        }
        Exit::Status(status) if step.answers.contains(&status) => {
            // The tool has done its work: a fault of ours from here on must not repeat it.
            let taken = catch_unwind(AssertUnwindSafe(|| {
                take_results(step, &before, &besides.siblings, around, &mut report);
            }));
            if taken.is_err() {
                if !passes_text(step) {
                    held.hold(report.text);
                }
                return Ran::Streamed(exit);
            }
        }
        Exit::Status(_) | Exit::Signal(_) => {}
    }
    Ran::Ended(report)
}

/// What a successful run says it read, and what it made.
fn take_results(
    step: &Run,
    before: &[take_in::Before],
    siblings: &[Arg],
    around: &Surroundings<'_, '_>,
    report: &mut RunReport,
) {
    fault::at(Point::Compiled);
    for file in &step.read_back {
        let mut bytes = Vec::new();
        let path = Path::new(OsStr::from_bytes(&file.path));
        if !take_in::open_file(path).is_ok_and(|mut file| file.read_to_end(&mut bytes).is_ok()) {
            bytes.clear();
        }
        report.dependencies.push(bytes.into());
    }
    let units = step.units.iter().zip(before);
    let take = |(unit, before)| take_in(unit, before, siblings, around.blobs, around.umask);
    report.units = units.map(take).collect();
}

/// Starts the tool, reads its text and waits for its end. An error means that it did not run.
fn run_captured(
    step: &Run,
    trail: Option<&TrailFile>,
    around: &Surroundings<'_, '_>,
    stand_in: &StandIn,
    held: &mut Held,
) -> io::Result<(Exit, Captured)> {
    let (program, argv) = match trail {
        None => (CString::new(step.program.as_slice())?, step.argv.clone()),
        Some(trail) => {
            let words =
                [b"zccache".to_vec(), tracer::WORD.into(), trail.name(), step.program.clone()];
            (c"/proc/self/exe".to_owned(), [&words[..], &step.argv].concat())
        }
    };
    let argv = Strings::new(argv.iter().map(Vec::as_slice))?;
    let env = around.call.child_env(&step.program, &step.env)?;
    let mut reset: Vec<_> = stand_in.to_reset().collect();
    if around.broken_pipe.is_some_and(Before::was_default) {
        reset.push(signals::BROKEN_PIPE);
    }
    // All our descriptors close themselves when a program is started, so the tool gets its
    // streams and what our caller passed (a make's jobserver), and nothing else.
    let (err, err_end) = pair(terminal::stderr_size())?;
    let mut streams = vec![(Stream::Stderr, err)];
    let out_end = match step.stdout {
        StdoutIs::AsStderr => err_end.try_clone()?,
        apart => {
            let size = if apart == StdoutIs::Terminal { terminal::stdout_size() } else { None };
            let (out, out_end) = pair(size)?;
            streams.insert(0, (Stream::Stdout, out));
            out_end
        }
    };
    let (stdout, stderr) = (out_end.as_fd(), err_end.as_fd());
    let child = process::spawn(&program, &argv, &env, stdout, stderr, &reset)?;
    stand_in.started(child);
    drop((out_end, err_end));
    let Some(pid) = Pid::from_raw(child) else { return Err(io::ErrorKind::NotFound.into()) };
    // Without a pidfd (Linux before 5.3) the streams' end is the tool's.
    let ended = pidfd_open(pid, PidfdFlags::empty()).ok();
    let ended = ended.as_ref().map(AsFd::as_fd);
    let live = passes_text(step);
    let captured = capture::capture(streams, ended, held, capture::TEXT_BYTES_MAX, live);
    Ok((wait(pid, stand_in), captured))
}

/// Where the tracer writes what a run did; gone with the value.
struct TrailFile(File);

impl TrailFile {
    fn make() -> io::Result<TrailFile> {
        Ok(TrailFile(File::from(memfd_create(c"trail", MemfdFlags::CLOEXEC)?)))
    }

    /// By what name another process opens it.
    fn name(&self) -> Vec<u8> {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into_bytes()
    }

    fn read(mut self) -> io::Result<Trail> {
        let mut bytes = Vec::new();
        self.0.rewind()?;
        self.0.read_to_end(&mut bytes)?;
        postcard::from_bytes(&bytes).map_err(io::Error::other)
    }
}

/// Runs a program to its end, with these two streams.
pub fn run_through(
    program: &CStr,
    argv: &Strings,
    env: &Strings,
    (stdout, stderr): (BorrowedFd<'_>, BorrowedFd<'_>),
    stand_in: &StandIn,
) -> io::Result<Exit> {
    let reset: Vec<_> = stand_in.to_reset().collect();
    let child = process::spawn(program, argv, env, stdout, stderr, &reset)?;
    stand_in.started(child);
    let pid = Pid::from_raw(child).ok_or(io::ErrorKind::NotFound)?;
    Ok(wait(pid, stand_in))
}

/// What the tool gets as one of its streams, our end first: a terminal where ours is one (of this
/// size), so that it writes what it would have written there.
fn pair(size: Option<Winsize>) -> io::Result<(OwnedFd, OwnedFd)> {
    match size {
        Some(size) => terminal::open(size).map(|pair| (pair.ours, pair.theirs)),
        None => Ok(pipe_with(PipeFlags::CLOEXEC)?),
    }
}

fn wait(pid: Pid, stand_in: &StandIn) -> Exit {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    // First wait without reaping: until then the number is still the tool's, and a signal
    // can be passed on.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
    stand_in.ended();
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(code) = status.exit_status() {
                    return Exit::Status(code);
                }
                if let Some(signal) = status.terminating_signal() {
                    return Exit::Signal(signal);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            // Our caller ignores SIGCHLD, so the kernel keeps no status for us.
            Ok(None) | Err(_) => return Exit::Status(1),
        }
    }
}
