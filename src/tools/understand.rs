//! From a raw invocation to actions: find the tool, know it, parse the command, make the
//! keys. Runs in a worker; what it looked at is kept in `depends`, so that the same
//! invocation need not be understood again while none of that changed.

use super::archive;
use super::caller::Caller;
use super::environment::Environment;
use super::link;
use super::refusal::Refusal;
use super::rust;
use super::toolchain::Toolchains;
use super::understood::{Typed, Understood};
use super::{declared, emscripten, gcc, rustfmt, tidy};
use crate::files::FileTable;
use crate::protocol::message::{Invocation, StdoutIs, Terminal};
use crate::session::reason::Reason;
use crate::terms::Arg;

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

/// What a driver that was understood means when it is called by this name and with these arguments instead. None: that
/// runs as it is.
pub fn compile_of(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    driver: &Understood,
    called: &[u8],
    terminal: Option<Terminal>,
    args: &[Arg],
) -> Option<Understood> {
    let stdout = StdoutIs::Apart;
    let typed = Typed { program: &driver.program, called, args, terminal, stdout };
    let mut depends = driver.depends.clone();
    let actions = gcc::understand::understand(caller, toolchains, &typed, &mut depends).ok()?;
    let (program, argv0) = (driver.program.clone(), driver.argv0.clone());
    Some(Understood::of(actions, program, argv0, driver.cwd.clone(), depends))
}
