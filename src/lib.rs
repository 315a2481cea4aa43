//! zccache: a compiler cache. The modules in reading order, from the command line downwards.

pub mod inputs;
pub mod session;
pub mod tools;
