//! What a command line means.

pub mod command;
pub mod gcc;
