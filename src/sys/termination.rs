//! SIGTERM, SIGINT and SIGHUP as a readable descriptor.

use std::os::fd::{FromRawFd, OwnedFd};

/// Blocks these signals in this thread and those it starts, and gives a descriptor that
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
        // Whoever started us with it ignored (`nohup`) wants us to outlive the terminal.
        let mut hangup: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut hangup);
        if hangup.sa_sigaction != libc::SIG_IGN {
            libc::sigaddset(&mut set, libc::SIGHUP);
        }
        if libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return None;
        }
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    }
}

/// The signal that came, if one did. Does not wait.
pub fn read(descriptor: &OwnedFd) -> Option<i32> {
    // A `signalfd_siginfo`, which begins with the signal's number.
    let mut info = [0u8; 128];
    match rustix::io::read(descriptor, &mut info) {
        Ok(128) => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
        _ => None,
    }
}
