//! Letting go of whoever started a daemon: a build must not wait for it, nor lend it its
//! descriptors, terminal, folder or limits.
#![allow(unsafe_code)]

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit};

/// Called first thing in a detached daemon. Only stdout stays, for `say_ready`.
pub fn from_starter() -> io::Result<()> {
    // SAFETY: nothing in this process has opened anything beyond the standard streams yet,
    // so no owned descriptor is closed under its owner.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
    }
    // Fails only for a group leader, which a spawned process is not.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/")?;
    Ok(())
}

/// Called in every daemon: what a shell limits its commands to is not meant for who serves all, and what a
/// daemon makes is for its owner alone.
pub fn from_limits() {
    let all = [
        Resource::Nofile,
        Resource::Fsize,
        Resource::Cpu,
        Resource::Stack,
        Resource::As,
        Resource::Data,
    ];
    for resource in all {
        let maximum = rustix::process::getrlimit(resource).maximum;
        // Refused: the old limit is what there is.
        let _ = rustix::process::setrlimit(resource, Rlimit { current: maximum, maximum });
    }
    super::signals::survive_large_files();
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// What a daemon that listens says first.
pub const READY: u8 = b'+';

/// Tells the starter, by one byte on stdout, then lets go of stdout too.
pub fn say_ready() {
    // A starter that is gone does not need to know.
    let _ = rustix::io::write(rustix::stdio::stdout(), &[READY]);
    if let Ok(null) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

/// Tells the starter why nobody will listen. After `say_ready` nobody hears it.
pub fn say_why_not(why: &str) {
    let text = [b"-", why.as_bytes()].concat();
    // Less than a pipe holds, so it is written whole.
    let _ = rustix::io::write(rustix::stdio::stdout(), &text[..text.len().min(4096)]);
}
