//! What a command line means.

pub mod command;
