//! Any command, by what its caller says of it: `zccache exec`.
//!
//! `globs` finds the files that are meant, `understand` makes the key and says what a run made.

pub mod globs;
pub(super) mod understand;
