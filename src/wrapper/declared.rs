//! What is different for a command of `zccache exec`: it was said what it makes.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::gather::Call;
use super::{run, text};
use crate::protocol::message::Exit;
use crate::sys::process::Strings;
use crate::sys::signals::StandIn;

/// The status when the command succeeded and something it was to make is not there.
const NOT_MADE: i32 = 125;

/// How the call ends: as the command did, if that made what was declared.
pub(super) fn checked(call: &Call<'_>, exit: Exit) -> Exit {
    let Some(declared) = call.declared.as_ref().filter(|_| exit == Exit::Status(0)) else {
        return exit;
    };
    let is_missing = |path: &&Vec<u8>| std::fs::metadata(OsStr::from_bytes(path)).is_err();
    let Some(missing) = declared.outputs.iter().find(is_missing) else { return exit };
    let line = [
        b"zccache: exec: the command succeeded, but there is no ",
        &missing[..],
        b", which --output names\n",
    ];
    let _ = text::write_all(rustix::stdio::stderr(), &line.concat());
    Exit::Status(NOT_MADE)
}

/// Runs it without the cache: as a child, since there is something to look at afterwards.
pub(super) fn run_plainly(
    call: &Call<'_>,
    program: &CStr,
    argv: &Strings,
    env: &Strings,
) -> io::Result<i32> {
    let stand_in = StandIn::begin();
    let streams = (rustix::stdio::stdout(), rustix::stdio::stderr());
    let exit = run::run_through(program, argv, env, streams, &stand_in)?;
    drop(stand_in);
    Ok(super::finish(checked(call, exit)))
}
