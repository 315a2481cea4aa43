//! What differs between operating systems, and nothing else.

pub mod detach;
pub mod fs;
pub mod process;
pub mod signals;
pub mod terminal;
pub mod termination;
