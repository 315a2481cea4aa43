//! What differs between operating systems, and nothing else; the only place with unsafe code
//! (but for the name of `main`).

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod board;
pub mod detach;
pub mod fault;
pub mod fs;
pub mod lease;
pub mod memory;
pub mod names;
pub mod priority;
pub mod process;
pub mod ptrace;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod quick;
pub mod signals;
pub mod terminal;
pub mod termination;
