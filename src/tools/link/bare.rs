//! A linker called by its own name.

use super::action::{Link, Through, outputs};
use super::options;
use super::tool::{Tool, alone};
use crate::files::PathId;
use crate::session::kind::{self, Kind};
use crate::session::reason::Reason;
use crate::tools::caller::Caller;
use crate::tools::environment::{LINK_REFUSED, LINK_VARIABLES, RESULT_VARIABLES, text_context};
use crate::tools::gcc::expand_responses;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::places::Places;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::Sharing;

/// Understands a linker's command; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    // A driver's, whose objects have other names each time: the driver is the one to ask about.
    if caller.env.get(b"COLLECT_GCC").is_some() || caller.env.has_any(LINK_REFUSED) {
        return Err(Reason::Environment.into());
    }
    let args = expand_responses(caller, typed.args, depends)?;
    let said = options::read(&args)?;
    if said.files.is_empty() && said.names.is_empty() {
        return Err(Reason::NotACompile.into());
    }
    let answer = alone(caller, toolchains, typed.program, &said.choosing, &said.plugins)?;
    let tool = Tool::of(&answer).ok_or(Reason::Link)?;
    depends.extend_from_slice(&tool.depends);

    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"linker 1");
    parts.add(Part::Called, typed.called);
    parts.add(Part::Tool, &tool.identity);
    for arg in &args {
        parts.add(Part::Flag, arg);
    }
    for name in RESULT_VARIABLES.iter().chain(LINK_VARIABLES).chain(&["LD_LIBRARY_PATH"]) {
        parts.add_variable(name, caller.env.get(name.as_bytes()));
    }
    parts.add(Part::Folder, caller.cwd);

    let outputs = outputs(&said, None).ok_or(Reason::UnusualOutput)?;
    let meaning = Link {
        through: Through::Itself,
        args,
        said,
        linker: tool.linker,
        folders: tool.folders,
        compiles: None,
        option_inputs: Vec::new(),
        makes_side_files: false,
        parts: Vec::new(),
        called: typed.called.to_vec(),
        is_scripted: false,
        outputs,
        cwd: caller.cwd.to_vec(),
    };
    Ok(Actions {
        units: vec![parts],
        kind: Kind { tool: kind::Tool::Linker, language: kind::Language::Link },
        meaning: Box::new(meaning),
        places: Places::default(),
        sharing: Sharing::never(caller),
        before: Vec::new(),
        scripted: false,
        text_context: text_context(typed.terminal, true, caller.env),
    })
}
