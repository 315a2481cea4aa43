//! Understanding Emscripten's `emcc` and `em++`: Python scripts that run clang, wasm-ld, binaryen and
//! node.
//!
//! - `options` tells emcc's own options from those that it hands to clang; `settings` knows `-sNAME=VALUE`.
//! - `install` finds what an emcc is made of, and knows it by content.
//! - `understand` makes the keys: of compiles, which gcc's room understands, and of links.
//! - `link` runs a link and finds its inputs; `outputs` are the files that a link may make; `packed` are the
//!   folders it packs; `script` looks into the JavaScript it is given.

mod install;
mod link;
mod options;
mod outputs;
mod packed;
mod script;
mod settings;
pub(super) mod understand;

use std::sync::Arc;

use super::caller::Caller;
use super::find::base;
use super::refusal::Refusal;
use super::toolchain::{Answer, Toolchains};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;

/// Whether a program of this name is Emscripten's compiler.
pub fn is_emscripten(called: &[u8]) -> bool {
    let name = base(called);
    matches!(name.strip_suffix(b".py").unwrap_or(name), b"emcc" | b"em++")
}

/// The files that `argv`, given to emcc or (`cxx`) em++ without its name, may make, or why it runs plain.
/// `more` is the text of `EMCC_CFLAGS`; `read` reads a response file, or says that it can't.
pub fn outputs_of(
    cxx: bool,
    argv: &[Arg],
    more: &[u8],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Output>, Refusal> {
    understand::outputs_of(cxx, argv, more, read)
}

/// What stands behind `emar` or `emranlib`.
pub(super) struct Archiver {
    pub(super) scripts: Arc<Answer>,
    /// LLVM's program.
    pub(super) behind: Vec<u8>,
}

/// Finds what this `emar` or `emranlib` runs.
pub(super) fn archiver(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    program: &[u8],
) -> Result<Archiver, Reason> {
    understand::check_variables(caller)?;
    let install = install::Install::of(caller, toolchains, program)?;
    let name = if base(program).starts_with(b"emranlib") { "llvm-ranlib" } else { "llvm-ar" };
    Ok(Archiver { behind: install.llvm(name), scripts: install.scripts })
}
