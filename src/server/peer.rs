//! Who connected: another user is refused; a process that sees other files (container,
//! chroot) is told to help itself.

use std::os::fd::AsFd;

use super::connection::Peer;

/// What this process sees: its mount namespace and its root.
pub struct View {
    namespace: Option<Vec<u8>>,
    root: Option<(u64, u64)>,
}

impl View {
    fn of(process: &str) -> View {
        let namespace = rustix::fs::readlink(format!("/proc/{process}/ns/mnt"), Vec::new());
        let root = rustix::fs::stat(format!("/proc/{process}/root"));
        View {
            namespace: namespace.ok().map(|link| link.into_bytes()),
            root: root.ok().map(|stat| (stat.st_dev, stat.st_ino)),
        }
    }

    /// This process's own. Without /proc it knows nothing, and nobody is foreign.
    pub fn own() -> View {
        View::of("self")
    }

    /// None for another user.
    pub fn judge(&self, stream: &impl AsFd) -> Option<Peer> {
        let credentials = rustix::net::sockopt::socket_peercred(stream).ok()?;
        if credentials.uid != rustix::process::geteuid() {
            return None;
        }
        if self.namespace.is_none() {
            return Some(Peer::Same);
        }
        let theirs = View::of(&credentials.pid.as_raw_nonzero().to_string());
        let same = theirs.namespace == self.namespace && theirs.root == self.root;
        Some(if same { Peer::Same } else { Peer::Foreign })
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
