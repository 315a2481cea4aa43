//! Who has a file open, as file leases tell it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// asm-generic/fcntl.h; libc does not name it.
const F_SETSIG: libc::c_int = 10;

/// Whether somebody has this regular file of ours open for writing, or mapped so, under whatever name. `file`
/// is open for reading only. An error where that can't be told.
pub fn has_writer(file: impl AsFd) -> io::Result<bool> {
    // The kernel gives out a read lease only while there is no writer (fcntl(2), F_SETLEASE). Whoever opens the
    // file for writing in the moment that we hold one waits for its end, and we are sent a signal, which
    // must be one that does nothing: SIGIO, the usual one, would end the process.
    let file = file.as_fd().as_raw_fd();
    // SAFETY: these commands take numbers only.
    let done = unsafe {
        libc::fcntl(file, F_SETSIG, libc::SIGURG) != -1
            && libc::fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) != -1
    };
    if !done {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(true) } else { Err(error) };
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(file, libc::F_SETLEASE, libc::F_UNLCK) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(false)
}
