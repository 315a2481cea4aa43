//! Understanding rustc and clippy-driver.
//!
//! - `args` splits the command line into options, `parse` says what they mean together.
//! - `outputs` names the files a command makes.
//! - `tool` knows the compiler (behind rustup's proxies) and the linker, by content.
//! - `understand` makes the key, `compile` runs a miss and finds its inputs with the help of
//!   `native` (static libraries, crates behind crates) and `linked` (what a linker read).
//! - `fold` takes the names of output files out of texts, so that they fit another folder.

mod args;
mod compile;
mod fold;
mod linked;
mod native;
mod outputs;
mod parse;
mod tool;
pub(super) mod understand;

/// Whether a program of this name is one of this family.
pub fn is_rust(called: &[u8]) -> bool {
    matches!(called, b"rustc" | b"clippy-driver")
}
