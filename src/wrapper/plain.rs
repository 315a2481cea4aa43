//! Becoming the tool: what the user gets whenever the cache has nothing to add.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::declared;
use super::gather::{self, Call};
use crate::sys::process::{self, Strings};
use crate::tools::find::{self, Missing, base};

/// A shell's statuses for a tool that is not there, or can't be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Runs the tool in place of this process, or says why not and returns the status to exit with.
pub fn become_tool(call: &Call<'_>) -> i32 {
    let typed = call.tool();
    if call.runs_in_circles() {
        return complain(
            typed,
            "only copies of zccache on PATH, each leading to the next",
            NOT_FOUND,
        );
    }
    let name = if call.masquerade { base(typed) } else { typed };
    let path_env = call.variable(b"PATH");
    // Without a working folder relative names still work, as long as they stay relative.
    let cwd = gather::cwd().unwrap_or_else(|| b".".to_vec());
    let way = call.way();
    // A file that was named by its path is meant, whatever it leads to.
    let may_pass = call.is_asked_about() && !name.contains(&b'/');
    let goes_round = |file| may_pass && way.goes_round(name, file);
    let found = match find::find_beyond(name, path_env, &cwd, find::own_key(), &goes_round) {
        Ok(found) => found,
        Err(missing) => {
            let passed_over =
                |path: &Vec<u8>| find::key_of(&find::absolute(&cwd, path)).is_some_and(goes_round);
            let (words, status) = match missing.why {
                Missing::NotFound if missing.passed.iter().any(passed_over) => {
                    ("on PATH are only scripts of this name that call zccache again", NOT_FOUND)
                }
                Missing::NotFound if name.contains(&b'/') => ("no such file", NOT_FOUND),
                Missing::NotFound => ("not found on PATH", NOT_FOUND),
                Missing::NotExecutable => ("can't be executed: permission denied", NOT_EXECUTABLE),
            };
            return complain(name, words, status);
        }
    };
    let by_path = call.masquerade || found.behind_us;
    let found = found.path;
    let first = if by_path { find::absolute(&cwd, &found) } else { typed.to_vec() };
    let rest = || call.argv.iter().skip(1).map(|arg| arg.as_bytes());
    let argv = Strings::new([first.as_slice()].into_iter().chain(rest()));
    let (Ok(argv), Ok(env), Ok(program)) =
        (argv, call.child_env(&found, &[]), CString::new(found.as_slice()))
    else {
        return complain(name, "can't be executed", NOT_EXECUTABLE);
    };
    let error = match start(call, &program, &argv, &env) {
        Ok(status) => return status,
        Err(error) => error,
    };
    if error.raw_os_error() == Some(libc::ENOEXEC) {
        // A script without `#!` is the shell's, as execvp has it.
        let argv = Strings::new([&b"/bin/sh"[..], &found].into_iter().chain(rest()));
        if let Ok(argv) = argv
            && let Ok(status) = start(call, c"/bin/sh", &argv, &env)
        {
            return status;
        }
    }
    let status =
        if error.raw_os_error() == Some(libc::ENOENT) { NOT_FOUND } else { NOT_EXECUTABLE };
    complain(&found, &format!("can't be executed: {error}"), status)
}

/// Becomes the program, or runs it where its end is ours to judge.
fn start(call: &Call<'_>, program: &CStr, argv: &Strings, env: &Strings) -> io::Result<i32> {
    match call.declared {
        Some(_) => declared::run_plainly(call, program, argv, env),
        None => Err(process::exec(program, argv, env)),
    }
}

/// One line on stderr; a name is shown as it is, save for what would break the line.
fn complain(name: &[u8], words: &str, status: i32) -> i32 {
    let mut line = b"zccache: ".to_vec();
    line.extend(name.iter().map(|&byte| if byte.is_ascii_control() { b'?' } else { byte }));
    line.extend_from_slice(b": ");
    line.extend_from_slice(words.as_bytes());
    line.push(b'\n');
    let _ = super::text::write_all(rustix::stdio::stderr(), &line);
    status
}
