//! A gcc or clang command that links.

use super::action::{Link, Through, outputs};
use super::options;
use super::tool::{Tool, behind};
use crate::files::PathId;
use crate::session::kind::{self, Kind};
use crate::session::reason::Reason;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::caller::Caller;
use crate::tools::command::LinkLine;
use crate::tools::driver::Driver;
use crate::tools::environment::{LINK_REFUSED, LINK_VARIABLES, RESULT_VARIABLES, text_context};
use crate::tools::find::folder_of;
use crate::tools::gcc;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::places::Places;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::Sharing;

/// Understands a driver's link; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    driver: &Driver,
    line: LinkLine,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    if caller.env.has_any(LINK_REFUSED) {
        return Err(Reason::Environment.into());
    }
    let said = options::read(&line.words)?;
    let answer = behind(caller, toolchains, typed.program, &line.choosing, &said.plugins)?;
    let tool = Tool::of(&answer).ok_or(Reason::Link)?;
    depends.extend_from_slice(&tool.depends);
    let compiles = match line.compiles {
        None => None,
        Some(command) if command.records_command => {
            return Err(Reason::UncacheableArgument.into());
        }
        Some(command) => Some(gcc::understand::compiles(
            caller,
            toolchains,
            driver,
            typed.called,
            command,
            depends,
        )?),
    };

    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"link 2");
    parts.add(Part::Called, typed.called);
    parts.add(Part::Tool, &tool.identity);
    parts.add(Part::Tool, &driver.mark());
    for toolchain in compiles.iter().flat_map(|compile| &compile.toolchains) {
        parts.add(Part::Tool, &toolchain.identity);
    }
    for arg in &line.args {
        parts.add(Part::Flag, arg);
    }
    for name in RESULT_VARIABLES.iter().chain(LINK_VARIABLES).chain(&["LD_LIBRARY_PATH"]) {
        parts.add_variable(name, caller.env.get(name.as_bytes()));
    }
    // What is compiled while linking records it, and relative names mean other files elsewhere.
    parts.add(Part::Folder, caller.cwd);
    parts.add(Part::Folder, caller.env.get(b"PWD").unwrap_or_default());

    let mut outputs = outputs(&said, compiles.as_ref()).ok_or(Reason::UnusualOutput)?;
    if driver.is_script {
        outputs.push(Output {
            role: Role::Siblings,
            path: folder_of(&outputs[0].path).to_vec(),
            style: WriteStyle::Among,
            required: false,
        });
    }
    let meaning = Link {
        through: Through::Driver,
        args: line.args,
        said,
        linker: tool.linker,
        folders: tool.folders,
        compiles,
        option_inputs: line.option_inputs,
        makes_side_files: line.side_files.is_some(),
        parts: line.parts,
        called: typed.called.to_vec(),
        is_scripted: driver.is_script,
        outputs,
        cwd: caller.cwd.to_vec(),
    };
    Ok(Actions {
        units: vec![parts],
        kind: Kind { tool: driver.flavor.into(), language: kind::Language::Link },
        meaning: Box::new(meaning),
        places: Places::default(),
        sharing: Sharing::never(caller),
        before: Vec::new(),
        scripted: driver.is_scripted(),
        text_context: text_context(typed.terminal, line.colour_is_automatic, caller.env),
    })
}
