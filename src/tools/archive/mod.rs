//! Understanding `ar` and `ranlib`, GNU's and LLVM's, and the fronts for them that gcc and Emscripten have.
//!
//! - `command` reads a command line, `tool` knows the program by content.
//! - `understand` makes the key, of which the archive as it was before is a part.
//! - `action` runs a miss; `members` proves from what came out that the archive was what the
//!   key says until the tool began.

mod action;
mod command;
mod members;
mod tool;
pub(super) mod understand;

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::find::{base, plain_name};

/// Whether a program of this name works on archives: `ar`, `llvm-ranlib-14`, `gcc-ar`, `emar`.
pub fn is_archiver(called: &[u8]) -> bool {
    matches!(plain_name(called), b"ar" | b"ranlib") || is_emscriptens(called)
}

/// Whether it is Emscripten's front for one of LLVM's.
fn is_emscriptens(called: &[u8]) -> bool {
    let name = base(called);
    matches!(name.strip_suffix(b".py").unwrap_or(name), b"emar" | b"emranlib")
}

/// The archive that `argv`, given to `ar` or `ranlib` without its name, changes, or why it runs
/// plain and the argument to blame.
pub fn changes(called: &[u8], argv: &[Arg]) -> Result<Arg, (Reason, Option<Arg>)> {
    command::reader(called)(argv).map(|command| command.archive)
}
