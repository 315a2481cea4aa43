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

/// Whether a program of this name is one of this family.
pub fn is_rustfmt(called: &[u8]) -> bool {
    called == b"rustfmt"
}
