//! What a command line means.

pub mod command;
pub mod environment;
pub mod gcc;
pub mod plan;
mod program;
mod query;
pub mod toolchain;
pub mod understand;
