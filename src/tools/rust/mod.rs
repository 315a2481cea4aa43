//! Understanding rustc and clippy-driver.
//!
//! - `args` splits the command line into options, `parse` says what they mean together.
//! - `outputs` names the files a command makes.
//! - `rustup` knows what is behind its proxies, `tool` the compiler and the linker, by content.
//! - `understand` makes the key, `compile` runs a miss and finds its inputs with the help of
//!   `native` (static libraries, crates behind crates) and `text` (what sources say that rustc does not list).
//! - `link_args` reads what the user says to the linker; `linked` finds, by the help of the `link` room,
//!   what it read and where it looked.
//! - `fold` takes the names of output files out of texts, so that they fit another folder.

mod args;
mod assembler;
mod compile;
mod fold;
mod link_args;
mod linked;
mod loaded;
mod made;
mod native;
mod outputs;
mod parse;
pub(super) mod rustup;
mod text;
mod tool;
pub(super) mod understand;

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;

/// The files that `argv`, given without the compiler's name, makes, but for those that link arguments
/// name, or why it runs plain and the argument to blame. `read` reads a response file, or says that it can't.
pub fn outputs_of(
    argv: &[Arg],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Output>, (Reason, Option<Arg>)> {
    parse::parse(argv, read).map(|command| command.outputs)
}

/// Whether a program of this name is one of this family.
pub fn is_rust(called: &[u8]) -> bool {
    matches!(called, b"rustc" | b"clippy-driver")
}
