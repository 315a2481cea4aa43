//! Fingerprints: what a selection of files contains, and whether a step has already run on it.
//! Nothing here talks to the daemon or to the user.
//!
//! * `selection`: which files, by gitignore-style globs;
//! * `set`: the files found and what each contains; digest and differences;
//! * `scan`: walks a folder and fills a set;
//! * `tree`: a set that the kernel keeps us informed about, as the daemon holds it;
//! * `state`: what was checked, what succeeded, what failed: the decision itself;
//! * `cache_file`: that state on disk: form, lock, replacement;
//! * `owner`: which script a check belongs to;
//! * `check`: the four verbs, on top of all these.

pub mod cache_file;
pub mod check;
mod owner;
pub mod scan;
pub mod selection;
pub mod set;
pub mod state;
pub mod tree;
