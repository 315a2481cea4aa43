//! Telling why the cache could not help with a call that it should have helped with.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ask;
use crate::daemon::line;
use crate::protocol::message::{Invocation, Request};
use crate::session::reason::Reason;
use crate::session::writer;
use crate::settings::Settings;

/// No daemon could be asked: the line is written from here. Where no daemon ever was, there
/// is no journal either, and nothing is made.
pub fn without_daemon(settings: &Settings, invocation: &Invocation, error: &std::io::Error) {
    let Some(root) = &settings.cache_root else { return };
    let reason = match error.kind() {
        std::io::ErrorKind::Unsupported => Reason::DaemonNewer,
        _ => Reason::NoDaemon,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = line::fallback(invocation, now.as_micros() as u64, Duration::ZERO, reason);
    if let Ok(mut bytes) = serde_json::to_vec(&line) {
        bytes.push(b'\n');
        writer::add_one(Path::new(OsStr::from_bytes(root)), &bytes);
    }
}

/// The daemon gave an answer that could not be followed.
pub fn undelivered(stream: &UnixStream) {
    ask::tell(stream, &Request::FellBack(Reason::NotDelivered));
}
