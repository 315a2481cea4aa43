//! What an action read, and what it looked for and did not find.
//!
//! Pure logic: files are seen only through [`resolve::World`].

pub mod depfile;
pub mod dialect;
pub mod resolve;
pub mod scan;
pub mod search;
