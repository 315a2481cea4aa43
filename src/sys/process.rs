//! Starting a program, becoming one, and ending as one did.
//!
//! `std::process::Command` is not used: it gives the child an empty signal mask and the
//! default SIGPIPE, where the compiler must inherit what our caller set up.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::signals;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// A list of strings in the form that `execve` takes.
pub struct Strings {
    /// The strings, each ended by NUL. Never changed once `pointers` is made.
    _bytes: Vec<u8>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// From strings without NUL; with one it is an error, as no program can be given that.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Strings> {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for item in items {
            if item.contains(&0) {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            starts.push(bytes.len());
            bytes.extend_from_slice(item);
            bytes.push(0);
        }
        let pointers = starts
            .iter()
            .map(|&start| bytes[start..].as_ptr().cast())
            .chain([ptr::null()])
            .collect();
        Ok(Strings { _bytes: bytes, pointers })
    }

    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// The environment as one block, `NAME=VALUE`, each ended by NUL.
pub fn environment() -> Vec<u8> {
    let mut block = Vec::with_capacity(8 << 10);
    // SAFETY: `environ` is null or an array of C strings that ends with null. Nothing in this
    // process changes it, and the wrapper has a single thread.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            block.extend_from_slice(CStr::from_ptr(*entry).to_bytes_with_nul());
            entry = entry.add(1);
        }
    }
    block
}

/// Becomes the program; returns only if that fails.
pub fn exec(program: &CStr, argv: &Strings, env: &Strings) -> io::Error {
    // SAFETY: the path ends with NUL, both arrays end with null, and all live through the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Starts the program with these two streams and everything else inherited. Signals in
/// `reset` start at their default action.
pub fn spawn(
    program: &CStr,
    argv: &Strings,
    env: &Strings,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    reset: &[c_int],
) -> io::Result<c_int> {
    let mut pid = 0;
    // SAFETY: both structures are initialised before use and destroyed after it (in glibc and
    // musl `init` can't fail); the strings and the borrowed descriptors live through the call.
    unsafe {
        let mut actions = std::mem::zeroed::<libc::posix_spawn_file_actions_t>();
        let mut attributes = std::mem::zeroed::<libc::posix_spawnattr_t>();
        libc::posix_spawn_file_actions_init(&mut actions);
        libc::posix_spawnattr_init(&mut attributes);
        let mut start = || {
            check(libc::posix_spawn_file_actions_adddup2(&mut actions, stdout.as_raw_fd(), 1))?;
            check(libc::posix_spawn_file_actions_adddup2(&mut actions, stderr.as_raw_fd(), 2))?;
            if !reset.is_empty() {
                check(libc::posix_spawnattr_setsigdefault(&mut attributes, &signals::set(reset)))?;
                let flags = libc::POSIX_SPAWN_SETSIGDEF as libc::c_short;
                check(libc::posix_spawnattr_setflags(&mut attributes, flags))?;
            }
            let (argv, env) = (argv.as_ptr().cast(), env.as_ptr().cast());
            check(libc::posix_spawn(&mut pid, program.as_ptr(), &actions, &attributes, argv, env))
        };
        let result = start();
        libc::posix_spawnattr_destroy(&mut attributes);
        libc::posix_spawn_file_actions_destroy(&mut actions);
        result?;
    }
    Ok(pid)
}

/// The posix_spawn family returns its error.
fn check(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Dies by the signal, as a tool we stand for did, without a core file of our own.
/// Returns only where that signal does not end a process.
pub fn die_by(signal: c_int) {
    // SAFETY: plain system calls; the structures they read are initialised.
    unsafe {
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        libc::getrlimit(libc::RLIMIT_CORE, &mut limit);
        limit.rlim_cur = 0;
        libc::setrlimit(libc::RLIMIT_CORE, &limit);
        libc::signal(signal, libc::SIG_DFL);
        let set = signals::set(&[signal]);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
        libc::raise(signal);
    }
}
