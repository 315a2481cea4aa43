//! `zccache stop`.

use std::process::ExitCode;

use super::given::Given;
use super::{print, say, settings};
use crate::daemon::start;
use crate::server::root::Root;

/// Ends the daemon, whatever its version, and waits until it has left.
pub fn run(_: &Given) -> ExitCode {
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
