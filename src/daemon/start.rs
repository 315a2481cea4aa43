//! How commands and the wrapper reach the daemon of compiles: by settings, and only where
//! those allow to start one.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::protocol::message::{Reply, Request};
use crate::server::root::Root;
use crate::server::start;
pub use crate::server::start::soon;
use crate::settings::Settings;

/// Connects, starting a daemon if none answers; until the deadline.
pub fn connect(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    start::connect(&Root::of(settings)?, deadline)
}

/// Connects for a compile: starts a daemon only where environment and file allow it. The
/// file is read only then.
pub fn connect_if_allowed(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    match Root::of(settings)?.reach(deadline) {
        Err(error) if start::nobody_listens(&error) => {
            let settings = settings.clone().over(&settings.file());
            if settings.no_spawn || settings.disable {
                return Err(error);
            }
            connect(&settings, deadline)
        }
        connected => connected,
    }
}

/// Asks a daemon of another build to leave, and starts our own. Refused when it is newer.
pub fn replace(settings: &Settings, deadline: Instant) -> io::Result<UnixStream> {
    start::replace(&Root::of(settings)?, deadline)
}

/// Asks a running daemon. None when there is none.
pub fn ask_running(settings: &Settings, request: &Request) -> io::Result<Option<Reply>> {
    // A clear may have much to remove.
    ask_within(settings, request, Duration::from_secs(120))
}

/// The same, with an end: a daemon that takes longer is an error.
pub fn ask_within(
    settings: &Settings,
    request: &Request,
    patience: Duration,
) -> io::Result<Option<Reply>> {
    start::ask_running(&Root::of(settings)?, request, patience)
}

/// Ends a running daemon and waits until it is gone. False when none ran.
pub fn stop(settings: &Settings) -> io::Result<bool> {
    start::stop(&Root::of(settings)?, &Request::Stop)
}

/// Asks a daemon of our build, starting one, or replacing an older one, where that is allowed.
/// `patience` is for each part of the answer.
pub fn ask(
    settings: &Settings,
    request: &Request,
    patience: Duration,
) -> io::Result<(UnixStream, Reply)> {
    let stream = connect_if_allowed(settings, soon())?;
    start::ask(&Root::of(settings)?, stream, request, patience)
}
