//! From a raw invocation to actions: find the tool, know it, parse the command, make the
//! keys. Runs in a worker; what it looked at is kept in `depends`, so that the same
//! invocation need not be understood again while none of that changed.

use super::archive;
use super::closure::Caller;
use super::command::Arg;
use super::environment::Environment;
use super::key_parts::KeyParts;
use super::link;
use super::meaning::Meaning;
use super::places::Places;
use super::rust;
use super::toolchain::Toolchains;
use super::worktree::Sharing;
use super::{declared, emscripten, gcc, rustfmt, tidy};
use crate::files::{FileTable, PathId};
use crate::protocol::message::{Invocation, StdoutIs, Terminal};
use crate::session::kind::Kind;
use crate::session::reason::Reason;
use crate::store::key::ActionKey;

/// A command whose results may be cached, understood.
#[derive(Debug)]
pub struct Understood {
    /// The program file to run on a miss.
    pub program: Vec<u8>,
    /// Its argv[0].
    pub argv0: Vec<u8>,
    pub cwd: Vec<u8>,
    /// One for each unit, in order.
    pub units: Vec<ActionKey>,
    /// What each unit's key is made of.
    pub parts: Vec<KeyParts>,
    pub kind: Kind,
    pub meaning: Box<dyn Meaning>,
    /// Folders whose names are no part of the actions.
    pub places: Places,
    /// Whether its results fit other checkouts.
    pub sharing: Sharing,
    /// Every path whose change makes this understanding void.
    pub depends: Vec<PathId>,
    /// Files that the tool itself changes: what they were before is a part of the actions.
    pub before: Vec<PathId>,
    /// It also depends on variables that only this tool knows of.
    pub scripted: bool,
    /// The situation that messages were made for (terminal, colours).
    pub text_context: u64,
}

/// What one family of tools makes of a command.
pub(super) struct Actions {
    pub(super) units: Vec<KeyParts>,
    pub(super) kind: Kind,
    pub(super) meaning: Box<dyn Meaning>,
    pub(super) places: Places,
    pub(super) sharing: Sharing,
    pub(super) before: Vec<PathId>,
    pub(super) scripted: bool,
    pub(super) text_context: u64,
}

/// A command as a family of tools gets it.
pub(super) struct Typed<'a> {
    /// The file behind the name.
    pub(super) program: &'a [u8],
    /// The name without its folder.
    pub(super) called: &'a [u8],
    pub(super) args: &'a [Arg],
    /// The caller's standard error, if it is a terminal.
    pub(super) terminal: Option<Terminal>,
    /// Where its stdout goes; only told of tools that mind it.
    pub(super) stdout: StdoutIs,
}

/// A command to be run as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub reason: Reason,
    /// The argument to blame.
    pub argument: Option<Arg>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal { reason, argument: None }
    }
}

/// Understands one invocation.
pub fn understand(
    invocation: &Invocation,
    table: &FileTable,
    toolchains: &Toolchains,
) -> Result<Understood, Refusal> {
    let env = Environment::new(&invocation.env);
    let caller = Caller { table, env, cwd: &invocation.cwd };
    let mut argv = invocation.argv.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let mut name = argv.next().unwrap_or_default();
    if invocation.masquerade {
        // The symlink's folder says where we are, not where the tool is.
        name = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
    }
    let mut args: Vec<Arg> = argv.collect();
    // The block ends with a NUL, so the last piece is empty and no argument.
    args.pop();

    // Who has no PATH gets the system's own folders from us, and not from gcc, which looks for its parts by its name.
    if !name.contains(&b'/') && env.get(b"PATH").is_none() {
        return Err(Reason::Environment.into());
    }
    let mut depends = Vec::new();
    let found = toolchains.finds.find(caller, &name, &mut depends);
    let (program, behind_us) = found.ok_or(Reason::UnknownCompiler)?;
    let called = name.rsplit(|byte| *byte == b'/').next().unwrap_or(&name);
    let typed = Typed {
        program: &program,
        called,
        args: &args,
        terminal: invocation.terminal,
        stdout: invocation.stdout,
    };
    let family = if rust::is_rust(called) {
        rust::understand::understand
    } else if rustfmt::is_rustfmt(called) {
        rustfmt::understand::understand
    } else if tidy::is_tidy(called) {
        tidy::understand::understand
    } else if emscripten::is_emscripten(called) {
        emscripten::understand::understand
    } else if link::is_linker(called) {
        link::bare::understand
    } else if archive::is_archiver(called) {
        archive::understand::understand
    } else {
        gcc::understand::understand
    };
    let actions = match &invocation.declared {
        Some(declared) => {
            declared::understand::understand(caller, toolchains, &typed, declared, &mut depends)?
        }
        None => family(caller, toolchains, &typed, &mut depends)?,
    };
    // gcc looks itself up on PATH by its argv[0]; it must not find us there.
    let argv0 = if invocation.masquerade || behind_us { program.clone() } else { name };
    let cwd = invocation.cwd.clone();
    Ok(Understood::of(actions, program, argv0, cwd, depends))
}

impl Understood {
    fn of(
        actions: Actions,
        program: Vec<u8>,
        argv0: Vec<u8>,
        cwd: Vec<u8>,
        mut depends: Vec<PathId>,
    ) -> Understood {
        depends.sort();
        depends.dedup();
        Understood {
            program,
            argv0,
            cwd,
            units: actions.units.iter().map(KeyParts::key).collect(),
            parts: actions.units,
            kind: actions.kind,
            meaning: actions.meaning,
            places: actions.places,
            sharing: actions.sharing,
            depends,
            before: actions.before,
            scripted: actions.scripted,
            text_context: actions.text_context,
        }
    }

    /// The same caller's gcc or clang, called with these arguments instead.
    pub(super) fn with_args(
        &self,
        caller: Caller<'_>,
        toolchains: &Toolchains,
        called: &[u8],
        terminal: Option<Terminal>,
        args: &[Arg],
    ) -> Option<Understood> {
        let stdout = StdoutIs::Apart;
        let typed = Typed { program: &self.program, called, args, terminal, stdout };
        let mut depends = self.depends.clone();
        let actions = gcc::understand::understand(caller, toolchains, &typed, &mut depends).ok()?;
        let (program, argv0) = (self.program.clone(), self.argv0.clone());
        Some(Understood::of(actions, program, argv0, self.cwd.clone(), depends))
    }
}
