//! Who connected: another user is refused; a process that sees other files (container,
//! chroot) is told to help itself.

use std::os::fd::AsFd;

use super::connection::Peer;
use crate::sys::view::View;

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

/// True when the process at the other end is stopped (Ctrl-Z, a debugger).
pub fn is_stopped(stream: &impl AsFd) -> bool {
    let Ok(credentials) = rustix::net::sockopt::socket_peercred(stream) else { return false };
    let stat = std::fs::read(format!("/proc/{}/stat", credentials.pid.as_raw_nonzero()));
    let stat = stat.unwrap_or_default();
    // `PID (NAME) STATE …`, and the name may hold anything.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 2));
    matches!(state, Some(b'T' | b't'))
}
