//! Who connected: another user is refused; a process that sees other files (container,
//! chroot) is told to help itself.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{PidfdFlags, pidfd_open};

use super::connection::Peer;
use crate::protocol::view::View;

/// Tells who a client is.
pub struct Doorkeeper {
    user: rustix::process::Uid,
    view: Option<View>,
}

impl Doorkeeper {
    pub fn of_this_process() -> Doorkeeper {
        Doorkeeper { user: rustix::process::geteuid(), view: View::own() }
    }

    /// False for another user.
    pub fn admits(&self, stream: &impl AsFd) -> bool {
        let credentials = rustix::net::sockopt::socket_peercred(stream);
        credentials.is_ok_and(|credentials| credentials.uid == self.user)
    }

    /// Who sees this. (One of our own user could say anything, and could do anything without us.)
    pub fn judge(&self, view: View) -> Peer {
        if self.view == Some(view) { Peer::Same } else { Peer::Foreign }
    }
}

/// The process at the other end, whatever else gets its number. None where the system has no such thing (before
/// Linux 5.3), or the process can't be seen from here.
pub struct Process(OwnedFd);

impl Process {
    pub fn of(stream: &impl AsFd) -> Option<Process> {
        let pid = rustix::net::sockopt::socket_peercred(stream).ok()?.pid;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Process)
    }

    /// Waits until it has ended; past the deadline that is an error.
    pub fn wait(&self, deadline: Instant) -> io::Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or_default();
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// True when the process at the other end is stopped (Ctrl-Z, a debugger).
pub fn is_stopped(stream: &impl AsFd) -> bool {
    let Ok(credentials) = rustix::net::sockopt::socket_peercred(stream) else { return false };
    let stat = std::fs::read(format!("/proc/{}/stat", credentials.pid.as_raw_nonzero()));
    let stat = stat.unwrap_or_default();
    // `PID (NAME) STATE …`, and the name may hold anything.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 2));
    matches!(state, Some(b'T' | b't'))
}
