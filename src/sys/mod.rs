//! What differs between operating systems, and nothing else.

pub mod fs;
