//! A command on an archive, and its key.

use super::action::Archive;
use super::command::{self, Operation, Stamps};
use super::tool::{Maker, tool};
use crate::files::{PathId, Seen};
use crate::session::kind::{self, Kind};
use crate::session::reason::Reason;
use crate::tools::caller::Caller;
use crate::tools::environment::{RESULT_VARIABLES, text_context};
use crate::tools::find::absolute;
use crate::tools::gcc::expand_responses;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::places::Places;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::Sharing;

/// Understands a command of this family; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    let args = expand_responses(caller, typed.args, depends)?;
    let command = command::reader(typed.called)(&args)?;
    let tool = tool(caller, toolchains, typed.program, &command.plugins)?;
    depends.extend_from_slice(&tool.answer.depends);
    if command.stamps == Stamps::AsBuilt && !tool.is_deterministic {
        return Err(Reason::UncacheableArgument.into());
    }
    let id = caller.table.intern(&absolute(caller.cwd, &command.archive));
    let before = match caller.table.look(id, true) {
        Seen::File { hash: Some(hash), .. } => Some(hash),
        Seen::Absent => None,
        _ => return Err(Reason::UnusualOutput.into()),
    };
    // Which of the two is newer, the key does not know.
    if command.newer_only && before.is_some()
        || before.is_none() && command.operation == Operation::Index
    {
        return Err(Reason::UncacheableArgument.into());
    }
    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"archive 1");
    parts.add(Part::Called, typed.called);
    parts.add(Part::Tool, &tool.answer.identity);
    for arg in &args {
        parts.add(Part::Flag, arg);
    }
    for name in RESULT_VARIABLES {
        parts.add_variable(name, caller.env.get(name.as_bytes()));
    }
    if command.thin {
        parts.add(Part::Folder, caller.cwd);
    }
    parts.add(Part::Before, before.as_ref().map_or(&b""[..], |hash| &hash.0));
    let is_llvm = tool.maker == Maker::Llvm;
    let meaning = Archive::new(command, args, before, is_llvm, caller.cwd);
    Ok(Actions {
        units: vec![parts],
        kind: Kind { tool: kind::Tool::Archiver, language: kind::Language::Archive },
        meaning: Box::new(meaning),
        places: Places::default(),
        sharing: Sharing::never(caller),
        before: vec![id],
        scripted: false,
        text_context: text_context(typed.terminal, true, caller.env),
    })
}
