//! The tool by content, and where it looks for headers.

use std::sync::Arc;

use super::Which;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::{add_program, field};
use crate::tools::command::Command;
use crate::tools::environment::TOOLCHAIN_VARIABLES;
use crate::tools::find::absolute;
use crate::tools::gcc::compile::option_language;
use crate::tools::program::Program;
use crate::tools::query;
use crate::tools::toolchain::{Answer, Toolchains};

/// A check that every version has: without one there is nothing to do for it, and it does nothing.
const ANY_CHECK: &str = "--checks=-*,llvm-twine-local";

/// What the tool is under the flags of a compile. As words: the folders it has of its own.
pub(super) fn ask(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    which: Which,
    program: &[u8],
    plugins: &[Arg],
    command: &Command,
) -> Result<Arc<Answer>, Reason> {
    let language = option_language(command.sources[0].language).ok_or(Reason::UnknownLanguage)?;
    let mut flags = command.query_args.clone();
    flags.extend(["-x", language].map(|word| word.as_bytes().to_vec()));
    let words =
        |list: &[&str]| list.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let args = match which {
        Which::ClangTidy => {
            let own = [ANY_CHECK, "--config={}", "--extra-arg=-v", "/dev/null", "--"];
            [words(&own), flags.clone()].concat()
        }
        Which::Iwyu => [flags.clone(), words(&["-v", "/dev/null"])].concat(),
    };
    let mut key = blake3::Hasher::new();
    for part in [&b"tidy"[..], program, caller.cwd].into_iter() {
        field(&mut key, part);
    }
    for part in plugins.iter().chain(&args) {
        field(&mut key, part);
    }
    for name in TOOLCHAIN_VARIABLES {
        field(&mut key, caller.env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
    let answer = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        // What a script would start is not known.
        if matches!(add_program(caller, program, closure)?, Program::Script { .. }) {
            return None;
        }
        for plugin in plugins {
            add_program(caller, &absolute(caller.cwd, plugin), closure)?;
        }
        let said = query::ask(program, &args, caller.env, caller.cwd)?;
        let verbose = query::verbose(&said.stderr)?;
        for path in &verbose.settings {
            closure.add(caller.table.intern(&absolute(caller.cwd, path)));
        }
        Some([verbose.missing_folders, verbose.folders].concat())
    });
    answer.ok_or(Reason::UnknownCompiler)
}
