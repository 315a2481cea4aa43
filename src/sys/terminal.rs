//! A terminal of our own, for a tool whose messages would have gone to the user's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Winsize};

/// The two ends of a pseudoterminal.
pub struct Pair {
    /// Where we read what the tool wrote.
    pub ours: OwnedFd,
    /// What the tool gets.
    pub theirs: OwnedFd,
}

/// Standard error's size if it is a terminal. One system call.
pub fn stderr_size() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()
}

/// A pseudoterminal of this size that hands bytes through unchanged, so that the user's
/// terminal is the only one to turn line ends into what it needs. It does not become anyone's
/// controlling terminal.
pub fn open(size: Winsize) -> io::Result<Pair> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = rustix::termios::tcgetattr(theirs.as_fd())?;
    modes.make_raw();
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&theirs, size)?;
    Ok(Pair { ours, theirs })
}
