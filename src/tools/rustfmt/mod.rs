//! Understanding rustfmt.
//!
//! - `args` reads the command line.
//! - `modules` finds the modules that a text declares, `tree` the files of all modules below a
//!   root file, and the places where they might be.
//! - `settings` says where `rustfmt.toml` and what else it reads may lie.
//! - `understand` makes the keys, `format` runs a miss and makes sure of what was written.

mod args;
mod format;
mod modules;
mod settings;
mod tree;
pub(super) mod understand;

use std::collections::BTreeSet;

use crate::terms::Arg;
use crate::tools::refusal::Refusal;

/// The files that rustfmt's `argv`, given without its name, is to format, or why it runs plain.
pub fn files_of(argv: &[Arg]) -> Result<Vec<Arg>, Refusal> {
    args::parse(argv).map(|command| command.files)
}

/// The places where the modules that a Rust file (absolute) leaves to others may be. None: too many.
pub fn files_of_modules(file: &[u8], text: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    tree::candidates(file, text)
}

/// Whether a program of this name is one of this family.
pub fn is_rustfmt(called: &[u8]) -> bool {
    called == b"rustfmt"
}
