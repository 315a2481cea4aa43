//! Who connected: another user is refused; a process that sees other files (container,
//! chroot) is told to help itself.

use std::os::fd::AsFd;

use super::connection::Peer;

/// What this process sees: its mount namespace and its root.
pub(super) struct View {
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
    pub(super) fn own() -> View {
        View::of("self")
    }

    /// None for another user.
    pub(super) fn judge(&self, stream: &impl AsFd) -> Option<Peer> {
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
