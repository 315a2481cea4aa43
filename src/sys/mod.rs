//! What needs the operating system's own words; the only place with unsafe code.

pub mod process;
pub mod signals;
pub mod terminal;
