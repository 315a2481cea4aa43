//! The program. It has C's `main`, not Rust's: Rust's start-up makes eighteen system calls
//! (it reads /proc/self/maps, sets up signal stacks) that every hit would pay for, and it
//! ignores SIGPIPE before anyone can ask what our caller had set, which the compiler inherits.
#![cfg_attr(not(test), no_main)]
// `main` must have its name for the C library to find it.
#![cfg_attr(not(test), allow(unsafe_code))]

use std::ffi::OsString;
use std::process::ExitCode;

use zccache::cli::{self, Call};
use zccache::wrapper;

// SAFETY: nothing else in the program is called `main`.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_count: i32, _words: *const *const u8) -> i32 {
    std::panic::catch_unwind(enter).unwrap_or(101)
}

/// The whole program; gives the status to exit with.
#[cfg_attr(test, allow(dead_code))]
fn enter() -> i32 {
    let args: Vec<OsString> = std::env::args_os().collect();
    let fault = zccache::sys::fault::arm();
    let code = match cli::classify(&args) {
        Call::Tool { argv, masquerade, strict } => return wrapper::run(argv, masquerade, strict),
        Call::Command(command, rest) => {
            if let Err(why) = fault {
                cli::say(&why);
                return i32::from(cli::USAGE);
            }
            // As Rust's own start-up has it: commands and the daemon get an error instead. What `exec`
            // runs is to find it as our caller set it.
            if command.name != "exec" {
                zccache::sys::signals::ignore_broken_pipe();
            }
            cli::run(command, rest)
        }
        Call::Trace(words) => return zccache::tracer::run(words),
        Call::Help => cli::help(),
        Call::Unclear(why) => cli::unclear(&why),
    };
    // An `ExitCode` does not give its number away, but it can be compared.
    (0..=u8::MAX).find(|&status| ExitCode::from(status) == code).map_or(1, i32::from)
}
