//! A gcc or clang command: who answers to it, what it says, and the keys of its actions.

use super::compile::Compile;
use crate::files::PathId;
use crate::files::Seen;
use crate::session::reason::Reason;
use crate::store::key::ActionKey;
use crate::tools::command::{Command, Parsed};
use crate::tools::environment::{Environment, REFUSED_VARIABLES, RESULT_VARIABLES, TEXT_VARIABLES};
use crate::tools::find::absolute;
use crate::tools::toolchain::{Caller, Toolchain, Toolchains, field};
use crate::tools::understand::{Actions, Refusal, Typed};

/// Understands a command of this family; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    if REFUSED_VARIABLES.iter().any(|name| caller.env.get(name.as_bytes()).is_some()) {
        return Err(Reason::Environment.into());
    }
    let driver = toolchains.driver(caller, typed.program)?;
    let cxx = typed.called.windows(2).any(|pair| pair == b"++");
    let mut read = |path: &[u8]| {
        let id = caller.table.intern(&absolute(caller.cwd, path));
        depends.push(id);
        match caller.table.look(id, true) {
            Seen::File { hash: Some(hash), .. } => caller.table.text(id, &hash),
            _ => None,
        }
    };
    let command = match super::parse(driver.flavor, cxx, typed.args, &mut read) {
        Parsed::Compile(command) => *command,
        Parsed::Plain(reason, argument) => return Err(Refusal { reason, argument }),
    };
    // Each language may have its own programs and folders.
    let mut toolchain_of = Vec::new();
    for source in &command.sources {
        let toolchain =
            toolchains.toolchain(caller, &driver, typed.called, &command, source.language)?;
        depends.extend_from_slice(&toolchain.depends);
        toolchain_of.push(toolchain);
    }
    let units = toolchain_of.iter().enumerate();
    let units =
        units.map(|(unit, toolchain)| action_key(&command, unit, toolchain, caller)).collect();
    let text_context = text_context(&command, typed.terminal, caller.env);
    let scripted = toolchain_of[0].scripted;
    let meaning = Box::new(Compile { command, toolchains: toolchain_of });
    Ok(Actions { units, meaning, places: Vec::new(), scripted, text_context })
}

/// Everything that is known before an input is read, in one hash.
fn action_key(
    command: &Command,
    unit: usize,
    toolchain: &Toolchain,
    caller: Caller<'_>,
) -> ActionKey {
    let mut key = blake3::Hasher::new();
    field(&mut key, b"action 1");
    field(&mut key, &toolchain.identity);
    let source = &command.sources[unit];
    field(&mut key, format!("{:?} {:?}", command.mode, source.language).as_bytes());
    field(&mut key, &source.path);
    key.update(&(command.key_args.len() as u64).to_le_bytes());
    for arg in &command.key_args {
        field(&mut key, arg);
    }
    for name in RESULT_VARIABLES {
        field(&mut key, caller.env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
    if command.records_cwd {
        field(&mut key, b"cwd");
        field(&mut key, caller.cwd);
        // Compilers record $PWD in place of the cwd when both are one folder.
        field(&mut key, caller.env.get(b"PWD").unwrap_or_default());
    }
    if command.records_output {
        field(&mut key, b"outputs");
        for output in &command.outputs[unit] {
            field(&mut key, &output.path);
        }
    }
    if command.records_command {
        field(&mut key, b"command");
        for arg in &command.args {
            field(&mut key, arg);
        }
    }
    ActionKey(*key.finalize().as_bytes())
}

/// What messages look like depends on the terminal and a few variables; when a command wrote
/// no message, nothing of this matters.
fn text_context(command: &Command, terminal: Option<u16>, env: Environment<'_>) -> u64 {
    if terminal.is_none() && command.colour_is_automatic && !env.is_set(b"CLICOLOR_FORCE") {
        return 0;
    }
    let mut text = format!("{terminal:?}").into_bytes();
    for name in TEXT_VARIABLES {
        text.extend_from_slice(env.get(name.as_bytes()).unwrap_or(b"\0"));
        text.push(0);
    }
    // 0 stands for the plain situation above.
    xxhash_rust::xxh3::xxh3_64(&text).max(1)
}
