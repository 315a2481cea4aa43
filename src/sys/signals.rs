//! What the wrapper does with signals while a tool runs in its place.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The child that signals are passed on to; 0 when there is none.
static CHILD: AtomicI32 = AtomicI32::new(0);
/// The last signal that arrived while there was no child to pass it on to.
static PENDING: AtomicI32 = AtomicI32::new(0);
/// One was passed on to a child.
static PASSED_ON: AtomicBool = AtomicBool::new(false);

/// What is sent to us and meant for the tool. The first two also come from terminals, which send them to the whole
/// foreground group: then the tool gets its own.
const FOR_THE_TOOL: [c_int; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP];

/// A set of these signals.
pub(super) fn set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before anything reads it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

/// A signal's action before we changed it; put back by `restore`.
pub struct Before {
    signal: c_int,
    action: libc::sigaction,
}

impl Before {
    /// Whether the signal had its default action.
    pub fn was_default(&self) -> bool {
        self.action.sa_sigaction == libc::SIG_DFL
    }

    /// Puts the action back.
    pub fn restore(&self) {
        // SAFETY: the action is one that the kernel gave us.
        unsafe { libc::sigaction(self.signal, &self.action, std::ptr::null_mut()) };
    }
}

fn change(signal: c_int, handler: libc::sighandler_t) -> Before {
    change_with(signal, handler, 0)
}

fn change_with(signal: c_int, handler: libc::sighandler_t, flags: c_int) -> Before {
    // SAFETY: both structures are initialised; a handler is one of this file's, which are
    // async-signal-safe and take what the flags say.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        let mut before = Before { signal, action: std::mem::zeroed() };
        libc::sigaction(signal, &action, &mut before.action);
        before
    }
}

/// Ignores SIGPIPE: a daemon that goes away must not take the wrapper with it.
pub fn ignore_broken_pipe() -> Before {
    change(libc::SIGPIPE, libc::SIG_IGN)
}

/// A file that grows beyond the limit becomes an error instead of the end. It is caught and not ignored: what we
/// start finds it as it is by default.
pub fn survive_large_files() {
    extern "C" fn nothing(_: c_int) {}
    change(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t);
}

/// SIGPIPE's number.
pub const BROKEN_PIPE: c_int = libc::SIGPIPE;

/// Gives these signals their default action, for a program about to be started.
pub(super) fn set_default(signals: &[c_int]) {
    for &signal in signals {
        change(signal, libc::SIG_DFL);
    }
}

extern "C" fn hear(signal: c_int, from: *const libc::siginfo_t, _: *const libc::c_void) {
    // SAFETY: the kernel gives a handler that was installed with SA_SIGINFO a valid one.
    let by_kernel = unsafe { (*from).si_code } == libc::SI_KERNEL;
    let is_typed = by_kernel && matches!(signal, libc::SIGINT | libc::SIGQUIT);
    // A tool that is not started yet gets nothing of its own.
    if !(is_typed && CHILD.load(Ordering::Relaxed) > 0) {
        pass_on(signal);
    }
}

fn pass_on(signal: c_int) {
    let child = CHILD.load(Ordering::Relaxed);
    if child > 0 {
        PASSED_ON.store(true, Ordering::Relaxed);
        // SAFETY: kill is async-signal-safe, and the child has not been reaped yet.
        unsafe { libc::kill(child, signal) };
    } else {
        PENDING.store(signal, Ordering::Relaxed);
    }
}

/// Whether somebody wants the tool to end: what waits for a third party has waited long enough.
pub fn are_passed_on() -> bool {
    PASSED_ON.load(Ordering::Relaxed)
}

/// Stands for a tool while it runs: what the terminal sends is left to the tool, what is sent
/// to the wrapper alone is passed on to it. Ends with the value.
pub struct StandIn {
    before: Vec<Before>,
}

impl StandIn {
    /// To be called before the tool is started. What was ignored stays ignored.
    pub fn begin() -> StandIn {
        CHILD.store(0, Ordering::Relaxed);
        PENDING.store(0, Ordering::Relaxed);
        PASSED_ON.store(false, Ordering::Relaxed);
        let mut before = Vec::new();
        for signal in FOR_THE_TOOL {
            let handler = hear as *const () as libc::sighandler_t;
            let old = change_with(signal, handler, libc::SA_SIGINFO);
            if old.action.sa_sigaction == libc::SIG_IGN {
                old.restore();
            } else {
                before.push(old);
            }
        }
        StandIn { before }
    }

    /// The ignored signals that the tool must find at their default. (Caught ones become
    /// default by themselves when a program is started.)
    pub fn to_reset(&self) -> impl Iterator<Item = c_int> {
        self.before.iter().filter(|old| old.was_default()).map(|old| old.signal)
    }

    /// The tool runs.
    pub fn started(&self, child: c_int) {
        CHILD.store(child, Ordering::Relaxed);
        let missed = PENDING.swap(0, Ordering::Relaxed);
        if missed != 0 {
            pass_on(missed);
        }
    }

    /// The tool is about to be reaped: its number may soon be someone else's.
    pub fn ended(&self) {
        CHILD.store(0, Ordering::Relaxed);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        for old in &self.before {
            old.restore();
        }
        PASSED_ON.store(false, Ordering::Relaxed);
        let missed = PENDING.swap(0, Ordering::Relaxed);
        if missed != 0 {
            // SAFETY: a plain system call. The signal came too late for the tool and is ours.
            unsafe { libc::raise(missed) };
        }
    }
}
