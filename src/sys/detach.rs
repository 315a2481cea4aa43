//! Letting go of whoever started a daemon: a build must not wait for it, nor lend it its
//! descriptors, terminal, folder or limits.

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit};

/// Called first thing in a detached daemon. Only stdout stays, for `say_ready`.
pub fn from_starter() -> io::Result<()> {
    // SAFETY: nothing in this process has opened anything beyond the standard streams yet,
    // so no owned descriptor is closed under its owner.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
    }
    // Fails only for a group leader, which a spawned process is not.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/")?;
    raise_descriptor_limit();
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    Ok(())
}

/// As many descriptors as the system allows us.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Refused: the old limit is what there is.
    let _ = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit { current: limit.maximum, maximum: limit.maximum },
    );
}

/// Tells the starter, by one byte on stdout, then lets go of stdout too.
pub fn say_ready() {
    // A starter that is gone does not need to know.
    let _ = rustix::io::write(rustix::stdio::stdout(), b"+");
    if let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}
