//! The client's side of the daemon's life: reach it, start it when there is none, replace
//! it when it is older than we are. Everything here is bounded in time.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::root::{Root, open_lock, own_program};
use crate::protocol::frame::{self, Build, Header, Verb};
use crate::protocol::message::{Reply, Request};
use crate::settings::Settings;

/// What a command may wait for a daemon to come up, or to answer at all.
const PATIENCE: Duration = Duration::from_secs(4);
/// A stopping daemon first writes down what it knows.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Connects, starting a daemon if none answers; until the deadline.
pub fn connect(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    let root = Root::of(settings)?;
    match root.connect(deadline) {
        Err(error) if nobody_listens(&error) => start(settings, &root, deadline),
        connected => connected,
    }
}

/// Connects to a daemon that runs.
fn connect_only(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    Root::of(settings)?.connect(deadline)
}

/// Connects for a compile: starts a daemon only where environment and file allow it. The
/// file is read only then.
pub fn connect_if_allowed(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    match connect_only(settings, deadline) {
        Err(error) if nobody_listens(&error) => {
            let settings = settings.clone().over(&settings.file());
            if settings.no_spawn || settings.disable {
                return Err(error);
            }
            connect(&settings, deadline)
        }
        connected => connected,
    }
}

/// Asks a daemon of another build to leave, and starts our own. Refused when it is newer.
pub fn replace(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    let root = Root::of(settings)?;
    if let Ok(mut stream) = root.connect(deadline) {
        let left = deadline.saturating_duration_since(Instant::now());
        // None at all would mean: for ever.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        stream.write_all(&frame::bare(Verb::Retire))?;
        let (header, _) = frame::read(&mut stream)?;
        if header.verb != Verb::Leaving {
            return Err(io::Error::other("the running daemon is newer"));
        }
    }
    start(settings, &root, deadline)
}

/// Asks a running daemon. None when there is none.
pub fn ask_running(settings: &Settings, request: &Request) -> io::Result<Option<Reply>> {
    // A clear may have much to remove.
    ask_within(settings, request, Duration::from_secs(120))
}

/// The same, with an end: a daemon that takes longer is an error.
pub fn ask_within(
    settings: &Settings,
    request: &Request,
    patience: Duration,
) -> io::Result<Option<Reply>> {
    let mut stream = match connect_only(settings, soon()) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (header, payload) = exchange(&mut stream, request, patience)?;
    decode(&header, &payload).map(Some)
}

/// Ends a running daemon and waits until it is gone. False when none ran.
pub fn stop(settings: &Settings) -> io::Result<bool> {
    let root = Root::of(settings)?;
    let mut stream = match root.connect(soon()) {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&frame::message(&Request::Stop)?)?;
    let (header, _) = frame::read(&mut stream)?;
    if header.verb == Verb::OtherBuild {
        let mut stream = root.connect(soon())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&frame::bare(Verb::Retire))?;
        let (header, _) = frame::read(&mut stream)?;
        if header.verb != Verb::Leaving {
            return Err(io::Error::other("it is of a newer version: use that version's stop"));
        }
    }
    drop(stream);
    let lock = open_lock(&root.file("daemon.lock"))?;
    wait_for_lock(&lock, Instant::now() + STOP_PATIENCE, || None::<()>)?;
    Ok(true)
}

/// The deadline of a command for its next step.
pub fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Asks a daemon of our build, starting one, or replacing an older one, where that is allowed.
/// `patience` is for each part of the answer.
pub fn ask(
    settings: &Settings,
    request: &Request,
    patience: Duration,
) -> io::Result<(UnixStream, Reply)> {
    let mut stream = connect_if_allowed(settings, soon())?;
    let (mut header, mut payload) = exchange(&mut stream, request, patience)?;
    if header.verb == Verb::OtherBuild && Build::own().version >= header.build.version {
        stream = replace(settings, soon())?;
        (header, payload) = exchange(&mut stream, request, patience)?;
    }
    Ok((stream, decode(&header, &payload)?))
}

fn exchange(
    stream: &mut UnixStream,
    request: &Request,
    patience: Duration,
) -> io::Result<(Header, Vec<u8>)> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(&frame::message(request)?)?;
    frame::read(stream)
}

fn decode(header: &Header, payload: &[u8]) -> io::Result<Reply> {
    if header.verb != Verb::Message || header.build != Build::own() {
        return Err(io::Error::other("the running daemon is of another build: stop it first"));
    }
    postcard::from_bytes(payload).map_err(io::Error::other)
}

fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// One starter at a time, under a lock; the others find its daemon when they get the lock.
fn start(settings: &Settings, root: &Root, deadline: Instant) -> io::Result<UnixStream> {
    root.make()?;
    let lock = open_lock(&root.file("start.lock"))?;
    let connect = || root.connect(Instant::now());
    wait_for_lock(&lock, deadline, || connect().ok())?.map_or_else(
        || {
            if let Ok(stream) = connect() {
                return Ok(stream);
            }
            launch(settings, deadline)?;
            root.connect(deadline)
        },
        Ok,
    )
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

/// Runs `zccache daemon`, which detaches and ends once the daemon listens.
fn launch(settings: &Settings, deadline: Instant) -> io::Result<()> {
    let mut command = own_program();
    command.arg("daemon");
    if let Some(endpoint) = &settings.endpoint {
        command.arg("--endpoint").arg(std::ffi::OsStr::from_bytes(endpoint));
    }
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
