//! zccache: a compiler cache. The modules in reading order, from the command line downwards.

pub mod cli;
pub mod report;
pub mod settings;
pub mod wrapper;

pub mod daemon;
pub mod download;
pub mod server;

pub mod files;
pub mod fp;
pub mod ino;
pub mod inputs;
pub mod protocol;
pub mod session;
pub mod store;
pub mod sys;
pub mod tools;
pub mod tracer;
pub mod watch;
