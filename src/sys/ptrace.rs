//! Following a program and all that it starts, by ptrace: each system call stops its process twice, on
//! the way in and on the way out. When the follower ends, the kernel lets everybody go on alone.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_long, c_uint, c_void};
use std::io;
use std::ptr;

use super::process::{self, Strings};
use super::signals;

/// What the kernel says of a stop (`struct ptrace_syscall_info`, Linux 5.3).
#[repr(C)]
#[derive(Default)]
struct SyscallInfo {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction: u64,
    stack: u64,
    /// Entry: the number and six arguments. Exit: the result.
    words: [u64; 8],
}

const GET_SYSCALL_INFO: c_uint = 0x420e;
const OP_ENTRY: u8 = 1;
const OP_EXIT: u8 = 2;
/// The numbers mean what `libc` says (AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64).
#[cfg(target_arch = "x86_64")]
const OWN_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OWN_ARCH: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OWN_ARCH: u32 = 0;

const EVENT_EXEC: c_int = 4;
const EVENT_STOP: c_int = 128;

/// Why a process stopped, or that it ended.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// It is about to make a call of our own system-call table.
    Entry { call: c_long, args: [u64; 6] },
    /// It is about to make one of another table.
    ForeignEntry,
    /// The call ended; an error is negative.
    Exit(i64),
    /// It is another program now.
    Exec,
    /// A signal is on the way to it.
    Signal(c_int),
    /// It was stopped, as a terminal does.
    Halt,
    /// It has just been made, or interrupted by us.
    Begin,
    /// It is gone.
    Ended(Ended),
    /// The kernel does not tell what it is about.
    Unknown,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    With(c_int),
    By(c_int),
}

/// How a stopped process goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GoOn {
    /// To its next stop, and with this signal unless 0.
    With(c_int),
    /// It stays halted until somebody continues it.
    StayHalted,
    /// On its own, never stopping for us again.
    Alone,
}

/// Statuses of a child that did not become the program, as a shell has them.
pub const NOT_FOUND: c_int = 127;
pub const NOT_STARTED: c_int = 126;

/// Starts a program with our own streams and follows it. Gives its number, and whether it is followed:
/// where that is forbidden it runs all the same. Signals in `reset` start at their default action.
/// Only for a process of one thread.
pub fn start(
    program: &CStr,
    argv: &Strings,
    env: &Strings,
    reset: &[c_int],
) -> io::Result<(c_int, bool)> {
    let mut gate = [0; 2];
    // SAFETY: plain system calls on our own memory. The child of a process with one thread may do what
    // it likes; it only waits for the gate to close, and then becomes the program.
    unsafe {
        if libc::pipe2(gate.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return Err(io::Error::last_os_error());
        }
        let [enter, open] = gate;
        let child = libc::fork();
        if child < 0 {
            return Err(io::Error::last_os_error());
        }
        if child == 0 {
            libc::close(open);
            let mut byte = 0u8;
            while libc::read(enter, (&raw mut byte).cast(), 1) < 0 {}
            signals::set_default(reset);
            let error = process::exec(program, argv, env);
            libc::_exit(if error.kind() == io::ErrorKind::NotFound {
                NOT_FOUND
            } else {
                NOT_STARTED
            });
        }
        libc::close(enter);
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC;
        let none = ptr::null_mut::<c_void>();
        let followed = libc::ptrace(libc::PTRACE_SEIZE, child, none, options as usize) == 0
            && libc::ptrace(libc::PTRACE_INTERRUPT, child, none, none) == 0;
        if followed {
            // The stop just asked for: from here on each call stops it.
            let mut status = 0;
            while libc::waitpid(child, &mut status, libc::__WALL) < 0
                && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
            {}
            go_on(child, GoOn::With(0));
        }
        libc::close(open);
        Ok((child, followed))
    }
}

/// Waits until somebody stops or ends; None when nobody is left.
pub fn next() -> Option<(c_int, Event)> {
    let mut status = 0;
    let pid = loop {
        // SAFETY: the status is ours to write to.
        match unsafe { libc::waitpid(-1, &mut status, libc::__WALL) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return None,
            pid => break pid,
        }
    };
    if libc::WIFEXITED(status) {
        return Some((pid, Event::Ended(Ended::With(libc::WEXITSTATUS(status)))));
    }
    if libc::WIFSIGNALED(status) {
        return Some((pid, Event::Ended(Ended::By(libc::WTERMSIG(status)))));
    }
    let signal = libc::WSTOPSIG(status);
    let event = match status >> 16 {
        0 if signal == libc::SIGTRAP | 0x80 => about(pid),
        0 => Event::Signal(signal),
        EVENT_EXEC => Event::Exec,
        EVENT_STOP if signal != libc::SIGTRAP => Event::Halt,
        _ => Event::Begin,
    };
    Some((pid, event))
}

/// What a stop at a system call is about.
fn about(pid: c_int) -> Event {
    let mut info = SyscallInfo::default();
    let size = size_of::<SyscallInfo>();
    // SAFETY: the kernel writes at most `size` bytes to a structure of that size.
    let told = unsafe { libc::ptrace(GET_SYSCALL_INFO, pid, size, &raw mut info) };
    match info.op {
        _ if told <= 0 => Event::Unknown,
        OP_ENTRY if info.arch != OWN_ARCH => Event::ForeignEntry,
        OP_ENTRY => {
            let [call, args @ .., _] = info.words;
            Event::Entry { call: call as c_long, args }
        }
        OP_EXIT => Event::Exit(info.words[0] as i64),
        _ => Event::Unknown,
    }
}

/// Lets a stopped process go on. One that was killed meanwhile does not mind.
pub fn go_on(pid: c_int, how: GoOn) {
    let none = ptr::null_mut::<c_void>();
    // SAFETY: plain system calls without memory of ours.
    unsafe {
        match how {
            GoOn::With(signal) => libc::ptrace(libc::PTRACE_SYSCALL, pid, none, signal as usize),
            GoOn::StayHalted => libc::ptrace(libc::PTRACE_LISTEN, pid, none, none),
            GoOn::Alone => libc::ptrace(libc::PTRACE_DETACH, pid, none, none),
        }
    };
}
