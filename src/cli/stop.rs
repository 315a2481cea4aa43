//! `zccache stop`.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{print, say, settings};
use crate::daemon::root::Root;
use crate::daemon::start;

/// Ends the daemon, whatever its version, and waits until it has left.
pub fn run(args: &[OsString]) -> ExitCode {
    if let Some(code) = super::no_arguments("stop", args) {
        return code;
    }
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let root = match Root::of(&settings) {
        Ok(root) => root,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match start::stop(&settings) {
        Ok(true) => {
            print("daemon stopped\n");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            print(&format!("daemon not running at {}\n", root.socket().display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("the daemon does not stop: {error}"));
            ExitCode::FAILURE
        }
    }
}
