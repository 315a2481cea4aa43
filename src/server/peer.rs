//! Who connected: another user is refused; a process that sees other files (container,
//! chroot) is told to help itself.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, StatxFlags};

use super::connection::Peer;

/// What a process sees.
#[derive(PartialEq)]
struct View {
    /// Device and inode of its root folder.
    root: (u32, u32, u64),
    /// Number of the mount that its root is on. A mount belongs to one mount namespace, and its number is
    /// not given to another while it is anybody's root: one look tells both.
    mount: Option<u64>,
    /// Its mount namespace, where the kernel tells no mount numbers (before Linux 5.8).
    namespace: Option<Vec<u8>>,
}

impl View {
    fn of(process: &str) -> Option<View> {
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let root =
            rustix::fs::statx(CWD, format!("/proc/{process}/root"), AtFlags::empty(), wanted)
                .ok()?;
        let told = StatxFlags::from_bits_retain(root.stx_mask).contains(StatxFlags::MNT_ID);
        let namespace = match told {
            true => None,
            false => {
                let link = rustix::fs::readlink(format!("/proc/{process}/ns/mnt"), Vec::new());
                Some(link.ok()?.into_bytes())
            }
        };
        Some(View {
            root: (root.stx_dev_major, root.stx_dev_minor, root.stx_ino),
            mount: told.then_some(root.stx_mnt_id),
            namespace,
        })
    }
}

/// Tells who a client is.
pub struct Doorkeeper {
    user: rustix::process::Uid,
    /// Without /proc we know nothing of ourselves, and nobody is foreign.
    view: Option<View>,
}

impl Doorkeeper {
    pub fn of_this_process() -> Doorkeeper {
        Doorkeeper { user: rustix::process::geteuid(), view: View::of("self") }
    }

    /// None for another user.
    pub fn judge(&self, stream: &impl AsFd) -> Option<Peer> {
        let credentials = rustix::net::sockopt::socket_peercred(stream).ok()?;
        if credentials.uid != self.user {
            return None;
        }
        if self.view.is_none() {
            return Some(Peer::Same);
        }
        let same = View::of(&credentials.pid.as_raw_nonzero().to_string()) == self.view;
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
