//! `zccache daemon`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::Duration;

use super::{USAGE, say, settings};
use crate::daemon::serve;

/// Serves in the foreground, or starts a daemon in the background and returns.
pub fn run(args: &[OsString]) -> ExitCode {
    let mut settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let mut foreground = false;
    let mut detached = false;
    let parsed = (|| -> Result<(), lexopt::Error> {
        use lexopt::prelude::*;
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next()? {
            match arg {
                Long("foreground") => foreground = true,
                // Ours: says when it listens, and lets go of its starter.
                Long("detached") => detached = true,
                Long("idle-timeout") => {
                    settings.idle_timeout = Some(Duration::from_secs(parser.value()?.parse()?));
                }
                Long("endpoint") => settings.endpoint = Some(parser.value()?.into_vec()),
                Long("log-level") => settings.log_level = Some(parser.value()?.parse()?),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(())
    })();
    if let Err(error) = parsed {
        say(&format!("daemon: {error}"));
        return ExitCode::from(USAGE);
    }
    let result =
        if foreground { serve::serve(&settings, detached) } else { serve::spawn_detached(args) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("daemon: {error}"));
            ExitCode::FAILURE
        }
    }
}
