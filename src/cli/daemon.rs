//! `zccache daemon`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::given::Given;
use super::{say, settings};
use crate::daemon::serve;
use crate::server::life;
use crate::server::root::Root;

/// Serves in the foreground, or starts a daemon in the background and returns.
pub fn run(given: &Given) -> ExitCode {
    let mut settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Some(endpoint) = given.value("endpoint") {
        settings.endpoint = Some(endpoint.as_bytes().to_vec());
    }
    let over = [("idle-timeout", "ZCCACHE_IDLE_TIMEOUT"), ("log-level", "ZCCACHE_LOG")];
    for (flag, variable) in over {
        if let Some(value) = given.value(flag)
            && let Err(bad) = settings.give(variable, value.as_bytes())
        {
            return super::unclear(&bad.to_string());
        }
    }
    let result = if given.has("foreground") {
        serve::serve(&settings, given.has("detached"))
    } else {
        Root::of(&settings).and_then(|root| life::spawn_detached(&root, &given.as_args()))
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("daemon: {error}"));
            ExitCode::FAILURE
        }
    }
}
