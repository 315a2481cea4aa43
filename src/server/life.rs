//! A daemon's own life, whatever it serves: detach from whoever started it, take the lock,
//! listen, leave.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::place::about;
use super::root::{Holder, Root};
use crate::session::crash;
use crate::sys::detach;

/// Clients that may wait to be accepted; the kernel may allow fewer.
const QUEUE: i32 = 4096;
/// How long to wait for a daemon that is leaving.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Starts the daemon in the background and returns once it listens.
pub fn spawn_detached(root: &Root, args: &[std::ffi::OsString]) -> io::Result<()> {
    let mut command = root.server();
    command.args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut pipe = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let mut ready = [0; 1];
    if io::Read::read(&mut pipe, &mut ready)? == 1 && ready == [detach::READY] {
        return Ok(());
    }
    let mut why = Vec::new();
    io::Read::read_to_end(&mut pipe, &mut why)?;
    if ready == [0] || why.is_empty() {
        let log = root.log();
        let text = format!("the daemon ended before it listened; see {}", log.display());
        return Err(io::Error::other(text));
    }
    Err(io::Error::other(String::from_utf8_lossy(&why).into_owned()))
}

/// Makes this process the daemon, for as long as `serve` takes. `detached`: it lets go of its
/// starter, and `serve` has to call `detach::say_ready` once it listens.
pub fn live(
    root: &Root,
    level: Option<log::LevelFilter>,
    detached: bool,
    serve: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let result = (|| {
        root.make()?;
        root.check_socket()?;
        if detached {
            detach::from_starter()?;
        }
        detach::from_limits();
        crate::session::log::to_file(&root.log(), level);
        live_locked(root, serve)
    })();
    if let Err(error) = &result {
        log::error!("the daemon ends: {error}");
        if detached {
            detach::say_why_not(&error.to_string());
        }
    }
    result
}

/// Makes us the only daemon of a root, waiting for one that is just leaving.
pub fn take_lock(root: &Root) -> io::Result<File> {
    let lock = root.lock()?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(taken(root));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// The error that says that another process has the root.
pub fn taken(root: &Root) -> io::Error {
    let path = root.path().display();
    let text = match root.holder() {
        Some(Holder { pid, socket }) => {
            format!("daemon {pid} serves {path} already, at {}", socket.display())
        }
        None => format!("another process is at work in {path}"),
    };
    io::Error::new(io::ErrorKind::AddrInUse, text)
}

fn live_locked(root: &Root, serve: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let lock = take_lock(root)?;
    crash::report_panics(root.path());
    // A daemon that ends in order leaves its lock file empty.
    let left = std::fs::read(root.lock_path()).unwrap_or_default();
    let left = String::from_utf8_lossy(&left);
    if let Some(pid) = left.lines().next().map(str::trim).filter(|pid| !pid.is_empty()) {
        crash::report_vanished(root.path(), pid);
    }
    let written =
        lock.set_len(0).and_then(|()| io::Write::write_all(&mut &lock, &Holder::note(root)));
    written.map_err(|error| about(&root.lock_path(), error))?;
    let result = serve();
    let _ = lock.set_len(0);
    // Released by the end of the process at the latest; the file stays, since removing a
    // lock file lets two owners hold two files of one name.
    drop(lock);
    result
}

/// Listens at the root's socket. Only for who holds the lock.
pub fn listen(root: &Root) -> io::Result<UnixListener> {
    // Gone already unless a daemon died here; the lock says that nobody serves it now.
    root.check_socket()?;
    let _ = std::fs::remove_file(root.socket());
    let listener = root.with_address(|address| UnixListener::bind(address));
    let listener = listener.map_err(|error| about(root.socket(), error))?;
    // The library's own queue is short for a build of hundreds of jobs.
    rustix::net::listen(&listener, QUEUE)?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(root.socket(), std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
