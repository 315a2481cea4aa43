//! A gcc or clang command: who answers to it, what it says, and the keys of its actions.

use std::sync::Arc;

use super::compile::Compile;
use super::portable::{Portable, portable};
use super::specs;
use crate::files::PathId;
use crate::inputs::dialect::{Flavor, Language};
use crate::session::kind::{self, Kind, Tool};
use crate::session::reason::Reason;
use crate::tools::caller::Caller;
use crate::tools::command::{Command, Parsed};
use crate::tools::driver::Driver;
use crate::tools::environment::{REFUSED_VARIABLES, RESULT_VARIABLES, text_context};
use crate::tools::find::{absolute, folder_of};
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::link;
use crate::tools::places::Places;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::{Toolchain, Toolchains};
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::{Sharing, Worktree};

/// Newer clangs append to what the file of `-MJ` held before (measured on 14, 15, 16 and 19).
const LAST_TO_WRITE_ENTRIES_ANEW: u32 = 14;

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
    let mut read = |path: &[u8]| super::response_file(caller, path, depends);
    let parsed = super::parse(driver.flavor, cxx, typed.args, &mut read);
    let chosen = match &parsed {
        Parsed::Compile(command) => &command.query_args[..],
        Parsed::Link(line) => &line.choosing,
        Parsed::Plain(..) => &[],
    };
    for arg in chosen {
        let named =
            [&b"-specs="[..], b"--specs="].into_iter().find_map(|flag| arg.strip_prefix(flag));
        let Some(path) = named else { continue };
        let text = super::response_file(caller, path, depends);
        if !text.is_some_and(|text| specs::is_plain(&text)) {
            return Err(Refusal {
                reason: Reason::UncacheableArgument,
                argument: Some(arg.clone()),
            });
        }
    }
    let command = match parsed {
        Parsed::Compile(command) => *command,
        Parsed::Link(line) => {
            return link::driver::understand(caller, toolchains, typed, &driver, *line, depends);
        }
        Parsed::Plain(reason, argument) => return Err((reason, argument).into()),
    };
    compile(caller, toolchains, typed, &driver, command, None, depends)
}

/// A script that stands before a compiler and adds flags of its own.
pub(in crate::tools) struct Front<'a> {
    pub(in crate::tools) tool: Tool,
    /// Hash of everything it is made of.
    pub(in crate::tools) identity: &'a [u8],
    /// Variables that only it looks at.
    pub(in crate::tools) variables: &'a [&'a str],
}

/// The actions of a compile whose command line has been read.
pub(in crate::tools) fn compile(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    driver: &Driver,
    command: Command,
    front: Option<&Front<'_>>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    // Each language may have its own programs and folders.
    let toolchain_of = toolchains_of(caller, toolchains, driver, typed.called, &command, depends)?;
    let major = toolchain_of.iter().map(|toolchain| toolchain.major).min().unwrap_or(0);
    if command.lists_command && major > LAST_TO_WRITE_ENTRIES_ANEW {
        return Err(Refusal {
            reason: Reason::UncacheableArgument,
            argument: Some(b"-MJ".to_vec()),
        });
    }
    let result = command.outputs.iter().flatten().next();
    let results = result.map(|output| folder_of(&absolute(caller.cwd, &output.path)).to_vec());
    let mut sharing = Worktree::of(caller, results.as_deref(), depends);
    let mut places = Places::default();
    let mut shared = Portable { key_args: command.key_args.clone(), added: Vec::new() };
    if let Sharing::In(tree) = &sharing {
        let in_tree = Places::new(Vec::new(), tree.names());
        match portable(&command, major, caller.env, &in_tree) {
            Ok(portable) => (shared, places) = (portable, in_tree),
            Err(refusal) => sharing = Sharing::Refused(refusal),
        }
    }
    let key = |(unit, toolchain)| {
        let mut parts = key_parts(&command, unit, toolchain, caller, &shared, &places);
        if let Some(front) = front {
            parts.add(Part::Tool, front.identity);
            for name in front.variables {
                parts.add_variable(name, caller.env.get(name.as_bytes()));
            }
        }
        parts
    };
    let units = toolchain_of.iter().map(|toolchain| &**toolchain).enumerate().map(key).collect();
    let added = shared.added;
    let mut kind = kind(driver.flavor, &command);
    if let Some(front) = front {
        kind.tool = front.tool;
    }
    let text_context = text_context(typed.terminal, command.colour_is_automatic, caller.env);
    let scripted = toolchain_of[0].scripted;
    let compile = Compile {
        command,
        toolchains: toolchain_of,
        added,
        places: places.clone(),
        is_front: front.is_some(),
    };
    let meaning = Box::new(compile);
    let before = Vec::new();
    Ok(Actions { units, kind, meaning, places, sharing, before, scripted, text_context })
}

/// The toolchain of each source.
fn toolchains_of(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    driver: &Driver,
    called: &[u8],
    command: &Command,
    depends: &mut Vec<PathId>,
) -> Result<Vec<Arc<Toolchain>>, Refusal> {
    let mut found = Vec::new();
    for source in &command.sources {
        let toolchain = toolchains.toolchain(caller, driver, called, command, source.language)?;
        depends.extend_from_slice(&toolchain.depends);
        found.push(toolchain);
    }
    Ok(found)
}

/// The compiles of a command that links what it compiled.
pub(in crate::tools) fn compiles(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    driver: &Driver,
    called: &[u8],
    command: Command,
    depends: &mut Vec<PathId>,
) -> Result<Compile, Refusal> {
    let toolchains = toolchains_of(caller, toolchains, driver, called, &command, depends)?;
    Ok(Compile {
        command,
        toolchains,
        added: Vec::new(),
        places: Places::default(),
        is_front: false,
    })
}

/// Everything that is known before an input is read.
fn key_parts(
    command: &Command,
    unit: usize,
    toolchain: &Toolchain,
    caller: Caller<'_>,
    shared: &Portable,
    places: &Places,
) -> KeyParts {
    let path = |path: &[u8]| places.spell_root(path);
    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"gcc 3");
    parts.add(Part::Tool, &toolchain.identity);
    let source = &command.sources[unit];
    parts.add(Part::Mode, format!("{:?} {:?}", command.mode, source.language).as_bytes());
    parts.add(Part::Source, &path(&source.path));
    for arg in &shared.key_args {
        parts.add(Part::Flag, arg);
    }
    // The names are not part of it, but that they are mapped is.
    for arg in &shared.added {
        parts.add(Part::Added, &places.without_root(arg));
    }
    for name in RESULT_VARIABLES {
        parts.add_variable(name, caller.env.get(name.as_bytes()));
    }
    if command.records_cwd {
        parts.add(Part::Folder, &path(caller.cwd));
        // Compilers record $PWD in place of the cwd when both are one folder.
        parts.add(Part::Folder, &path(caller.env.get(b"PWD").unwrap_or_default()));
    }
    if command.records_output {
        for output in &command.outputs[unit] {
            parts.add(Part::OutputName, &path(&output.path));
        }
    }
    if command.records_command || command.lists_command {
        for arg in &command.args {
            parts.add(Part::Word, &places.mark_root(arg));
        }
    }
    parts
}

/// What statistics count it as: the language of all sources, if they have one in common.
fn kind(flavor: Flavor, command: &Command) -> Kind {
    let tool = Tool::from(flavor);
    let mut languages = command.sources.iter().map(|source| counted_as(source.language));
    let first = languages.next().unwrap_or_default();
    let language = if languages.all(|other| other == first) { first } else { Default::default() };
    Kind { tool, language }
}

pub(in crate::tools) fn counted_as(language: Language) -> kind::Language {
    match language {
        Language::C | Language::PreprocessedC | Language::CHeader => kind::Language::C,
        Language::Cxx | Language::PreprocessedCxx | Language::CxxHeader => kind::Language::Cxx,
        Language::ObjC => kind::Language::ObjC,
        Language::ObjCxx => kind::Language::ObjCxx,
        Language::Assembler | Language::AssemblerWithCpp => kind::Language::Assembler,
        Language::Ir => kind::Language::Ir,
    }
}
