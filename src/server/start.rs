//! The client's side of a daemon's life: reach it, start it when there is none, replace it
//! when it is older than we are. Everything here is bounded in time.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::life::taken;
use super::peer::{Process, is_stopped};
pub use super::root::nobody_listens;
use super::root::{Root, peer_pid};
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
    match root.reach(deadline) {
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
    if let Ok(stream) = root.reach(deadline)
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

/// Asks a running daemon. None when there is none, or it dies meanwhile. One that does not even acknowledge within
/// four seconds is an error, and so is one that did and takes longer than `patience` then.
pub fn ask_running<R: DeserializeOwned>(
    root: &Root,
    request: &impl Serialize,
    patience: Duration,
) -> io::Result<Option<R>> {
    let mut stream = match root.reach(soon()) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(None),
        Err(error) => return Err(unanswered(root, None, error)),
    };
    let daemon = Process::of(&stream);
    match exchange_slowly(&mut stream, request, patience) {
        Ok((header, payload)) => decode(&header, &payload).map(Some),
        Err(error) if is_end(&error) && daemon.is_some_and(|it| it.wait(soon()).is_ok()) => {
            Ok(None)
        }
        Err(error) => Err(unanswered(root, Some(&stream), error)),
    }
}

/// The error for the user where it is one of waiting in vain: which process that is, and what helps.
fn unanswered(root: &Root, stream: Option<&UnixStream>, error: io::Error) -> io::Error {
    if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return error;
    }
    let of_lock = || root.holder().map(|holder| holder.pid);
    let Some(pid) = stream.and_then(peer_pid).or_else(of_lock).filter(|pid| *pid > 0) else {
        let text = format!("the daemon at {} does not answer", root.socket().display());
        return io::Error::new(io::ErrorKind::TimedOut, text);
    };
    let advice = match stream.is_some_and(is_stopped) {
        true => format!("it is stopped; kill -CONT {pid} lets it go on, kill -9 {pid} ends it"),
        false => format!("kill {pid} ends it, or kill -9 {pid}"),
    };
    io::Error::new(io::ErrorKind::TimedOut, format!("daemon {pid} does not answer: {advice}"))
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

/// The same of a daemon that says soon whether it is at work on it, and then may take long.
fn exchange_slowly(
    stream: &mut UnixStream,
    request: &impl Serialize,
    patience: Duration,
) -> io::Result<(Header, Vec<u8>)> {
    let mut reply = exchange(stream, request, patience.min(PATIENCE))?;
    stream.set_read_timeout(Some(patience))?;
    while reply.0.verb == Verb::Wait {
        reply = frame::read(stream)?;
    }
    Ok(reply)
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
    let mut stream = match root.reach(soon()) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(false),
        Err(error) => return Err(unanswered(root, None, error)),
    };
    let daemon = Process::of(&stream);
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = frame::question(request)?;
    let is_other = match stream.write_all(&question).and_then(|()| frame::read(&mut stream)) {
        Ok((header, _)) => header.verb == Verb::OtherBuild,
        // It ends already.
        Err(error) if is_end(&error) => false,
        Err(error) => return Err(unanswered(root, Some(&stream), error)),
    };
    if is_other && !retire(root.reach(soon())?, soon())? {
        return Err(io::Error::other("it is of a newer version: use that version's stop"));
    }
    // It waits for those that are still there.
    let _ = stream.shutdown(Shutdown::Both);
    let deadline = Instant::now() + STOP_PATIENCE;
    let gone = match daemon {
        // The lock may be the next daemon's at once, which a build has started.
        Some(daemon) => daemon.wait(deadline),
        None => wait_for_lock(&root.lock()?, deadline, || None::<()>).map(drop),
    };
    gone.map_err(|error| unanswered(root, Some(&stream), error))?;
    Ok(true)
}

/// One starter at a time, under a lock; the others find its daemon when they get the lock.
fn start(root: &Root, deadline: Instant) -> io::Result<UnixStream> {
    root.make()?;
    root.check_socket()?;
    let lock = root.start_lock()?;
    // One that was started with another socket serves this root all the same.
    let connect = || root.reach(Instant::now()).ok();
    if let Some(stream) = wait_for_lock(&lock, deadline, connect)?.or_else(connect) {
        return Ok(stream);
    }
    // One whose starter was killed comes up all the same, and one that leaves keeps the next waiting.
    let daemons = root.lock()?;
    let waited =
        wait_for_lock(&daemons, deadline, connect).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => taken(root),
            _ => error,
        })?;
    if let Some(stream) = waited {
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
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(why_not(&mut child, status))),
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

/// What a starter that failed has said of it, in one line.
fn why_not(child: &mut Child, status: ExitStatus) -> String {
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // It has ended, and the daemon does not have this stream.
        let _ = stderr.take(4096).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().last().unwrap_or_default();
    let line = line.strip_prefix("zccache: ").unwrap_or(line);
    let words = ["daemon: ", "the daemon can't be started: "];
    let why = words.iter().find_map(|words| line.strip_prefix(words)).unwrap_or(line);
    match why {
        "" => format!("the daemon did not start ({status})"),
        why => why.to_owned(),
    }
}
