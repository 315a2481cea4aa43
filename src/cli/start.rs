//! `zccache start`.

use std::process::ExitCode;

use super::given::Given;
use super::{print, say, settings};
use crate::daemon::start;
use crate::server::root::Root;

/// Makes sure that a daemon runs; fine when one does already.
pub fn run(_: &Given) -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
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
