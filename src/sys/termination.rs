//! SIGTERM and SIGINT as a readable descriptor, for the daemon's loop.

use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks both signals in this thread and those it starts, and gives a descriptor that
/// becomes readable when one comes. None: they end the process as usual.
pub fn descriptor() -> Option<OwnedFd> {
    // SAFETY: plain libc calls on a signal set of this frame; the new descriptor is owned
    // by nobody else.
    #[allow(unsafe_code)]
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        if libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return None;
        }
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    }
}
