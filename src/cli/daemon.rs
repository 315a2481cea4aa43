//! `zccache daemon`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use super::given::Given;
use super::{say, settings};
use crate::daemon::serve;

/// Serves in the foreground, or starts a daemon in the background and returns.
pub fn run(given: &Given) -> ExitCode {
    let mut settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Some(seconds) = given.number("idle-timeout") {
        settings.idle_timeout = Some(Duration::from_secs(seconds));
    }
    if let Some(endpoint) = given.value("endpoint") {
        settings.endpoint = Some(endpoint.as_bytes().to_vec());
    }
    if let Some(level) = given.text("log-level") {
        settings.log_level = level.parse().ok();
    }
    let result = if given.has("foreground") {
        serve::serve(&settings, given.has("detached"))
    } else {
        serve::spawn_detached(&given.as_args())
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("daemon: {error}"));
            ExitCode::FAILURE
        }
    }
}
