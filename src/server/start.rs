//! The client's side of a daemon's life: reach it, start it when there is none, replace it
//! when it is older than we are. Everything here is bounded in time.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::peer::Process;
use super::root::Root;
use crate::protocol::frame::{self, Build, Header, Verb};

/// What a command may wait for a daemon to come up, or to answer at all.
const PATIENCE: Duration = Duration::from_secs(4);
/// A stopping daemon first writes down what it knows.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// The deadline of a command for its next step.
pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Connects, starting a daemon if none answers; until the deadline.
pub fn connect(root: &Root, deadline: Instant) -> io::Result<UnixStream> {
    match root.connect(deadline) {
        Err(error) if nobody_listens(&error) => start(root, deadline),
        connected => connected,
    }
}

/// Makes sure that a daemon runs, which this request is asked to see. One that was killed still listens
/// for a moment: that is waited out.
pub fn make_sure(root: &Root, request: &impl Serialize) -> io::Result<()> {
    let deadline = soon();
    loop {
        let mut stream = connect(root, deadline)?;
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match exchange(&mut stream, request, left) {
            Err(error) if is_end(&error) && Instant::now() < deadline => {}
            // One that is slow is there.
            _ => return Ok(()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The other end went away instead of answering, as one that is killed does.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// Asks a daemon of another build to leave, and starts our own. Refused when it is newer.
pub fn replace(root: &Root, deadline: Instant) -> io::Result<UnixStream> {
    if let Ok(stream) = root.connect(deadline)
        && !retire(stream, deadline)?
    {
        return Err(io::Error::other("the running daemon is newer"));
    }
    start(root, deadline)
}

/// Asks a daemon to leave for one of our build. False where it is newer.
fn retire(mut stream: UnixStream, deadline: Instant) -> io::Result<bool> {
    stream.write_all(&frame::bare(Verb::Retire))?;
    let (header, _) = frame::read(&mut Until { stream: &stream, deadline })?;
    Ok(header.verb == Verb::Leaving)
}

/// Reads until a deadline, however little comes at a time.
struct Until<'a> {
    stream: &'a UnixStream,
    deadline: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        // To the system that would mean: for ever.
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// Asks a running daemon. None when there is none, or it dies meanwhile; one that takes longer than `patience` is an
/// error.
pub fn ask_running<R: DeserializeOwned>(
    root: &Root,
    request: &impl Serialize,
    patience: Duration,
) -> io::Result<Option<R>> {
    let mut stream = match root.connect(soon()) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let daemon = Process::of(&stream);
    match exchange(&mut stream, request, patience) {
        Ok((header, payload)) => decode(&header, &payload).map(Some),
        Err(error) if is_end(&error) && daemon.is_some_and(|it| it.wait(soon()).is_ok()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Asks the daemon at the other end, or one of our build in its place where it is older.
/// `patience` is for each part of the answer.
pub fn ask<R: DeserializeOwned>(
    root: &Root,
    mut stream: UnixStream,
    request: &impl Serialize,
    patience: Duration,
) -> io::Result<(UnixStream, R)> {
    let (mut header, mut payload) = exchange(&mut stream, request, patience)?;
    if header.verb == Verb::OtherBuild && Build::own().version >= header.build.version {
        stream = replace(root, soon())?;
        (header, payload) = exchange(&mut stream, request, patience)?;
    }
    Ok((stream, decode(&header, &payload)?))
}

fn exchange(
    stream: &mut UnixStream,
    request: &impl Serialize,
    patience: Duration,
) -> io::Result<(Header, Vec<u8>)> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(&frame::question(request)?)?;
    frame::read(stream)
}

/// A reply of a daemon of our own build.
pub fn decode<R: DeserializeOwned>(header: &Header, payload: &[u8]) -> io::Result<R> {
    if header.verb != Verb::Message || header.build != Build::own() {
        return Err(io::Error::other("the running daemon is of another build: stop it first"));
    }
    postcard::from_bytes(payload).map_err(io::Error::other)
}

/// Ends a running daemon, by this request of its own, and waits until it is gone. False when
/// none ran.
pub fn stop(root: &Root, request: &impl Serialize) -> io::Result<bool> {
    let mut stream = match root.connect(soon()) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    let daemon = Process::of(&stream);
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = frame::question(request)?;
    let is_other = match stream.write_all(&question).and_then(|()| frame::read(&mut stream)) {
        Ok((header, _)) => header.verb == Verb::OtherBuild,
        // It ends already.
        Err(error) if is_end(&error) => false,
        Err(error) => return Err(error),
    };
    if is_other && !retire(root.connect(soon())?, soon())? {
        return Err(io::Error::other("it is of a newer version: use that version's stop"));
    }
    drop(stream);
    let deadline = Instant::now() + STOP_PATIENCE;
    match daemon {
        // The lock may be the next daemon's at once, which a build has started.
        Some(daemon) => daemon.wait(deadline)?,
        None => drop(wait_for_lock(&root.lock()?, deadline, || None::<()>)?),
    }
    Ok(true)
}

/// The error that says that there is no daemon.
pub fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// One starter at a time, under a lock; the others find its daemon when they get the lock.
fn start(root: &Root, deadline: Instant) -> io::Result<UnixStream> {
    root.make()?;
    let lock = root.start_lock()?;
    let connect = || root.connect(Instant::now()).ok();
    if let Some(stream) = wait_for_lock(&lock, deadline, connect)?.or_else(connect) {
        return Ok(stream);
    }
    // One whose starter was killed comes up all the same, and one that leaves keeps the next waiting.
    let daemons = root.lock()?;
    if let Some(stream) = wait_for_lock(&daemons, deadline, connect)? {
        return Ok(stream);
    }
    drop(daemons);
    launch(root, deadline)?;
    root.connect(deadline)
}

/// Waits for the lock; ends early when `meanwhile` finds what the lock was wanted for.
fn wait_for_lock<T>(
    lock: &File,
    deadline: Instant,
    meanwhile: impl Fn() -> Option<T>,
) -> io::Result<Option<T>> {
    let mut pause = Duration::from_millis(1);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if Instant::now() >= deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "another process is starting the daemon",
            ));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(40));
        if let Some(found) = meanwhile() {
            return Ok(Some(found));
        }
    }
}

/// Runs what detaches a daemon and ends once that listens.
fn launch(root: &Root, deadline: Instant) -> io::Result<()> {
    let mut command = root.starter();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                return Err(io::Error::other(format!("the daemon did not start ({status})")));
            }
            None if Instant::now() >= deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the daemon takes too long to start",
                ));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
