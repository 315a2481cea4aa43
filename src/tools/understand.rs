//! From a raw invocation to actions: find the tool, know it, parse the command, make the
//! keys. Runs in a worker; what it looked at is kept in `depends`, so that the same
//! invocation need not be understood again while none of that changed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::command::{Arg, Command, Parsed};
use super::environment::{Environment, REFUSED_VARIABLES, RESULT_VARIABLES, TEXT_VARIABLES};
use super::gcc;
use super::toolchain::{Caller, Toolchain, Toolchains, absolute, field};
use crate::files::{FileTable, PathId, Seen};
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
    pub command: Command,
    pub toolchain: Arc<Toolchain>,
    /// One for each source, in order.
    pub units: Vec<ActionKey>,
    /// Every path whose change makes this understanding void.
    pub depends: Vec<PathId>,
    /// The situation that messages were made for (terminal, colours).
    pub text_context: u64,
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
    if REFUSED_VARIABLES.iter().any(|name| env.get(name.as_bytes()).is_some()) {
        return Err(Reason::Environment.into());
    }
    let caller = Caller { table, env, cwd: &invocation.cwd };
    let mut argv = invocation.argv.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let typed = argv.next().unwrap_or_default();
    let mut args: Vec<Arg> = argv.collect();
    // The block ends with a NUL, so the last piece is empty and no argument.
    args.pop();

    let mut depends = Vec::new();
    let found = find_tool(caller, &typed, own_program, &mut depends);
    let Found { program, behind_us } = found.ok_or(Reason::UnknownCompiler)?;
    let driver = toolchains.driver(caller, &program)?;
    let called = typed.rsplit(|byte| *byte == b'/').next().unwrap_or(&typed);
    let cxx = called.windows(2).any(|pair| pair == b"++");

    let mut read = |path: &[u8]| {
        let id = table.intern(&absolute(&invocation.cwd, path));
        depends.push(id);
        match table.look(id, true) {
            Seen::File { hash: Some(hash), .. } => table.text(id, &hash),
            _ => None,
        }
    };
    let command = match gcc::parse(driver.flavor, cxx, &args, &mut read) {
        Parsed::Compile(command) => *command,
        Parsed::Plain(reason, argument) => return Err(Refusal { reason, argument }),
    };
    let language = command.sources[0].language;
    let toolchain = toolchains.toolchain(caller, &driver, called, &command, language)?;
    depends.extend_from_slice(&toolchain.depends);
    for source in &command.sources[1..] {
        // Each language may have its own programs; they all are part of the command.
        if source.language != language {
            let other = toolchains.toolchain(caller, &driver, called, &command, source.language)?;
            depends.extend_from_slice(&other.depends);
        }
    }
    depends.sort();
    depends.dedup();
    let units = (0..command.sources.len())
        .map(|unit| {
            let language = command.sources[unit].language;
            let toolchain = toolchains.toolchain(caller, &driver, called, &command, language)?;
            Ok(action_key(&command, unit, &toolchain, caller))
        })
        .collect::<Result<_, Reason>>()?;
    // gcc looks itself up on PATH by its argv[0]; it must not find us there.
    let argv0 = if invocation.masquerade || behind_us { program.clone() } else { typed };
    let text_context = text_context(&command, invocation.terminal, env);
    Ok(Understood {
        program,
        argv0,
        cwd: invocation.cwd.clone(),
        command,
        toolchain,
        units,
        depends,
        text_context,
    })
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

/// The file a typed name means.
struct Found {
    program: Vec<u8>,
    /// One of our own symlinks comes first on PATH.
    behind_us: bool,
}

/// A name with a folder is that file; another is looked up along PATH, past ourselves.
fn find_tool(
    caller: Caller<'_>,
    typed: &[u8],
    own_program: Option<u64>,
    depends: &mut Vec<PathId>,
) -> Option<Found> {
    if typed.contains(&b'/') {
        let program = absolute(caller.cwd, typed);
        depends.push(caller.table.intern(&program));
        let usable =
            is_executable(caller.table, &program) && !is_us(caller.table, &program, own_program);
        return usable.then_some(Found { program, behind_us: false });
    }
    let path = caller.env.get(b"PATH")?;
    let mut behind_us = false;
    for folder in path.split(|byte| *byte == b':') {
        let candidate = absolute(caller.cwd, &[folder, b"/", typed].concat());
        depends.push(caller.table.intern(&candidate));
        if !is_executable(caller.table, &candidate) {
            continue;
        }
        if is_us(caller.table, &candidate, own_program) {
            behind_us = true;
            continue;
        }
        return Some(Found { program: candidate, behind_us });
    }
    None
}

fn is_executable(table: &FileTable, path: &[u8]) -> bool {
    matches!(table.look(table.intern(path), false), Seen::File { .. })
        && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Our own file, or another copy or version of zccache under a compiler's name.
fn is_us(table: &FileTable, path: &[u8], own_program: Option<u64>) -> bool {
    if table.look(table.intern(path), false).identity() == own_program {
        return true;
    }
    let real = std::fs::canonicalize(Path::new(std::ffi::OsStr::from_bytes(path)));
    real.is_ok_and(|real| {
        real.file_name().is_some_and(|name| name.as_bytes().starts_with(b"zccache"))
    })
}
