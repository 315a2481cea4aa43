//! `zccache start`.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{print, say, settings};
use crate::daemon::root::Root;
use crate::daemon::start;

/// Makes sure that a daemon runs; fine when one does already.
pub fn run(args: &[OsString]) -> ExitCode {
    if let Some(code) = super::no_arguments("start", args) {
        return code;
    }
    let mut settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    settings.no_spawn = false;
    match start::connect(&settings, start::soon()).and_then(|_| Root::of(&settings)) {
        Ok(root) => {
            print(&format!("daemon running at {}\n", root.socket().display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("the daemon can't be started: {error}"));
            ExitCode::FAILURE
        }
    }
}
