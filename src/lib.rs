//! zccache: a compiler cache. The rooms in reading order, floor by floor: each imports from lower floors only
//! (`tests/it/rooms.rs`).

pub mod cli;

pub mod wrapper;

pub mod daemon;
pub mod download;

pub mod server;

pub mod settings;
pub mod store;
pub mod tracer;

pub mod sys;
pub mod tools;

pub mod protocol;
pub mod watch;

pub mod fp;
pub mod ino;
pub mod inputs;
pub mod report;

pub mod files;
pub mod session;

pub mod terms;

#[cfg(test)]
mod testing;
