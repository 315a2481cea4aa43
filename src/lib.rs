//! zccache: a compiler cache. The modules in reading order, from the command line downwards.

pub mod cli;
pub mod protocol;
pub mod session;
pub mod settings;
pub mod store;
pub mod sys;
pub mod tools;
pub mod wrapper;
