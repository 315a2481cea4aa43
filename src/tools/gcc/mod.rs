//! Understanding gcc and clang command lines.
//!
//! Pure logic: `parse` turns an argv into a `Command`, or says why the call runs plain. What is
//! not known for certain is refused with the argument to blame; nothing is guessed.
//!
//! - `response` expands `@FILE`.
//! - `table` and `switches` say what each flag is.
//! - `parse` walks over the arguments with them; `passed` reads what goes through to the
//!   preprocessor, the assembler and clang's inner compiler; `debug` reads `-g…`.
//! - `strict_paths` checks how paths are spelled, when asked to.
//! - `language` and `outputs` tell what is compiled and which files come of it.
//! - `plan` and `compile` are what the daemon runs and asks of it; `listed` reads what a run says it read.

pub(in crate::tools) mod compile;
mod debug;
mod driver_text;
mod language;
mod layout;
mod listed;
mod outputs;
mod parse;
mod passed;
mod plan;
mod portable;
pub(super) mod profile;
pub(in crate::tools) mod response;
mod sanitizers;
mod specs;
pub mod strict_paths;
mod switches;
pub(super) mod table;
#[cfg(test)]
mod tests;
pub(in crate::tools) mod understand;

pub(super) use driver_text::without_colours;
pub(super) use plan::{args_for, is_preprocessed_here, language_behind};

use crate::files::{PathId, Seen};
use crate::inputs::dialect::Flavor;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::command::Parsed;
use crate::tools::find::absolute;
use crate::tools::refusal::Refusal;

/// Replaces every `@FILE` among the arguments by what it holds, as gcc, clang and GNU's tools
/// do; the files are added to `depends`.
pub(super) fn expand_responses(
    caller: Caller<'_>,
    args: &[Arg],
    depends: &mut Vec<PathId>,
) -> Result<Vec<Arg>, Refusal> {
    let expanded = response::expand(args, &mut |path| response_file(caller, path, depends));
    expanded.map_err(|arg| Refusal { reason: Reason::ResponseFile, argument: Some(arg) })
}

/// The text of a response file, which is added to `depends`.
pub(super) fn response_file(
    caller: Caller<'_>,
    path: &[u8],
    depends: &mut Vec<PathId>,
) -> Option<Vec<u8>> {
    let id = caller.table.intern(&absolute(caller.cwd, path));
    depends.push(id);
    match caller.table.look(id, true) {
        Seen::File { hash: Some(hash), .. } => caller.table.text(id, &hash),
        _ => None,
    }
}

/// What `argv`, given without the compiler's name, means to a gcc or clang driver.
///
/// `cxx_driver` says that it was called as `g++` or `clang++`, where C is compiled as C++.
/// `read` reads a response file, whose path it gets as spelled, or says that it can't; it is
/// asked in the order in which the compiler would read them.
pub fn parse(
    flavor: Flavor,
    cxx_driver: bool,
    argv: &[Arg],
    read: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Parsed {
    let args = match response::expand(argv, read) {
        Ok(args) => args,
        Err(arg) => return Parsed::Plain(Reason::ResponseFile, Some(arg)),
    };
    match parse::command(flavor, cxx_driver, args) {
        Ok(parsed) => parsed,
        Err((reason, arg)) => Parsed::Plain(reason, arg),
    }
}
