//! `zccache daemon`.

use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::given::Given;
use super::{print, say, settings};
use crate::daemon::serve;
use crate::server::root::Root;
use crate::server::{life, start};

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
    let (foreground, detached) = (given.has("foreground"), given.has("detached"));
    let result = Root::of(&settings).and_then(|root| {
        // Whoever is started by another `daemon` was looked for already.
        let is_served = !detached && root.reach(start::soon()).is_ok();
        match (foreground, is_served) {
            (true, true) => return Err(life::taken(&root)),
            (true, false) => return serve::serve(&settings, detached),
            (false, true) => {}
            (false, false) => life::spawn_detached(&root, &given.as_args())?,
        }
        print(&format!("daemon running at {}\n", root.served_at().display()));
        Ok(())
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("daemon: {error}"));
            ExitCode::FAILURE
        }
    }
}
