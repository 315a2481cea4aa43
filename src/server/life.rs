//! A daemon's own life, whatever it serves: detach from whoever started it, take the lock,
//! listen, leave.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::root::Root;
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
    let mut ready = [0; 1];
    let mut pipe = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    match io::Read::read(&mut pipe, &mut ready)? {
        1 => Ok(()),
        _ => Err(io::Error::other("the daemon ended before it listened; see its log")),
    }
}

/// Makes this process the daemon, for as long as `serve` takes. `detached`: it lets go of its
/// starter, and `serve` has to call `detach::say_ready` once it listens.
pub fn live(
    root: &Root,
    level: Option<log::LevelFilter>,
    detached: bool,
    serve: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    root.make()?;
    if detached {
        detach::from_starter()?;
    }
    crate::session::log::to_file(&root.log(), level);
    let result = live_locked(root, serve);
    if let Err(error) = &result {
        log::error!("the daemon ends: {error}");
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
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another daemon serves this root",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn live_locked(root: &Root, serve: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let lock = take_lock(root)?;
    crash::report_panics(root.path());
    // A daemon that ends in order leaves its lock file empty.
    let left = std::fs::read_to_string(root.lock_path()).unwrap_or_default();
    if !left.trim().is_empty() {
        crash::report_vanished(root.path(), left.trim());
    }
    lock.set_len(0)?;
    io::Write::write_all(&mut &lock, format!("{}\n", std::process::id()).as_bytes())?;
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
    let _ = std::fs::remove_file(root.socket());
    let listener = root.with_address(|address| UnixListener::bind(address))?;
    // The library's own queue is short for a build of hundreds of jobs.
    rustix::net::listen(&listener, QUEUE)?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(root.socket(), std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
