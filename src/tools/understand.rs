//! From a raw invocation to actions: find the tool, know it, parse the command, make the
//! keys. Runs in a worker; what it looked at is kept in `depends`, so that the same
//! invocation need not be understood again while none of that changed.

use super::command::Arg;
use super::environment::Environment;
use super::find::{Found, find_tool};
use super::gcc;
use super::meaning::Meaning;
use super::toolchain::{Caller, Toolchains};
use crate::files::{FileTable, PathId};
use crate::protocol::message::Invocation;
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
    pub meaning: Box<dyn Meaning>,
    /// Every path whose change makes this understanding void.
    pub depends: Vec<PathId>,
    /// It also depends on variables that only this tool knows of.
    pub scripted: bool,
    /// The situation that messages were made for (terminal, colours).
    pub text_context: u64,
}

/// What one family of tools makes of a command.
pub(super) struct Actions {
    pub(super) units: Vec<ActionKey>,
    pub(super) meaning: Box<dyn Meaning>,
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
    /// The width of the caller's terminal, if its stderr is one.
    pub(super) terminal: Option<u16>,
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

/// Understands one invocation. `own_program` is the identity of zccache's own file, which is
/// never taken for a compiler.
pub fn understand(
    invocation: &Invocation,
    table: &FileTable,
    toolchains: &Toolchains,
    own_program: Option<u64>,
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

    let mut depends = Vec::new();
    let found = find_tool(caller, &name, own_program, &mut depends);
    let Found { program, behind_us } = found.ok_or(Reason::UnknownCompiler)?;
    let called = name.rsplit(|byte| *byte == b'/').next().unwrap_or(&name);
    let typed = Typed { program: &program, called, args: &args, terminal: invocation.terminal };
    let actions = gcc::understand::understand(caller, toolchains, &typed, &mut depends)?;
    depends.sort();
    depends.dedup();
    // gcc looks itself up on PATH by its argv[0]; it must not find us there.
    let argv0 = if invocation.masquerade || behind_us { program.clone() } else { name };
    let Actions { units, meaning, scripted, text_context } = actions;
    let cwd = invocation.cwd.clone();
    Ok(Understood { program, argv0, cwd, units, meaning, depends, scripted, text_context })
}
