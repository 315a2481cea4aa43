//! `zccache session-start`, `session-stats`, `session-end`.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;

use super::given::Given;
use super::{human_bytes, print, say, settings};
use crate::daemon::{serve, start};
use crate::protocol::message::{Reply, Request};
use crate::protocol::told::Json;
use crate::server::root::Root;
use crate::session::record::{self, SessionId, SessionRecord, open_for_lines};
use crate::session::stats::hit_rate;
use crate::session::time::iso;
use crate::settings::Settings;
use crate::terms::now::now_s;

/// How `session-start` says what it made.
enum Format {
    Json,
    /// A line for `eval`.
    Shell,
}

/// Makes a session and says how to join it.
pub fn start(given: &Given) -> ExitCode {
    let mut settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match begin(&mut settings, given) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&format!("session-start: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn begin(settings: &mut Settings, given: &Given) -> Result<String, String> {
    let here = std::env::current_dir().map_err(|error| format!("the working folder: {error}"))?;
    let cwd = given.value("cwd").map_or(here.clone(), |cwd| here.join(cwd));
    if !cwd.is_dir() {
        return Err(format!("--cwd {}: no such folder", cwd.display()));
    }
    if let Some(endpoint) = given.value("endpoint") {
        let endpoint = here.join(endpoint).into_os_string();
        settings.endpoint = Some(endpoint.into_vec());
    }
    let journal = given.value("journal").map(|path| cwd.join(path));
    if let Some(path) = &journal
        && path.extension().is_none_or(|end| end != "jsonl")
    {
        return Err(format!("--journal {}: the name must end in .jsonl", path.display()));
    }
    let log = given.value("log").map(|path| cwd.join(path));
    for (option, path) in [("--journal", &journal), ("--log", &log)] {
        if let Some(path) = path {
            open_for_lines(path)
                .map_err(|error| format!("{option} {}: {error}", path.display()))?;
        }
    }
    let root = Root::of(settings).map_err(|error| error.to_string())?;
    root.make().map_err(|error| error.to_string())?;
    let session = SessionRecord {
        session_id: SessionId::new(),
        started_at: now_s(),
        cwd,
        journal_path: journal,
        log_path: log,
        ..SessionRecord::default()
    };
    record::save(root.path(), &session)
        .map_err(|error| format!("{}: {error}", root.path().display()))?;
    // The build would start one, too; whoever names a socket expects somebody there. Without a
    // daemon the build works as well, so this is no reason to fail.
    if let Err(error) = start::connect_if_allowed(settings, start::soon())
        && !settings.no_spawn
    {
        say(&format!("session-start: no daemon yet: {error}"));
    }
    let shell = given.has("stats") && session.journal_path.is_none();
    let format = match given.value("format").map(OsStr::as_bytes) {
        Some(b"shell") => Format::Shell,
        Some(_) => Format::Json,
        None if shell => Format::Shell,
        None => Format::Json,
    };
    match format {
        Format::Json => Ok(format!(
            "{}\n",
            serde_json::json!({
                "session_id": session.session_id,
                "started_at": session.started_at,
                "journal_path": session.journal_path,
            })
        )),
        Format::Shell => {
            let mut text = format!("export ZCCACHE_SESSION_ID={}\n", session.session_id);
            if let (Some(_), Some(endpoint)) = (given.value("endpoint"), &settings.endpoint) {
                let _ = writeln!(text, "export ZCCACHE_ENDPOINT={}", quoted(endpoint));
            }
            Ok(text)
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &[u8]) -> String {
    format!("'{}'", String::from_utf8_lossy(word).replace('\'', "'\\''"))
}

/// Tells what a session came to so far.
pub fn stats(given: &Given) -> ExitCode {
    tell(given, false)
}

/// Ends a session, and tells what it came to.
pub fn end(given: &Given) -> ExitCode {
    tell(given, true)
}

fn tell(given: &Given, end: bool) -> ExitCode {
    let (command, json) = (given.command.name, given.has("json"));
    // The table says that there is one.
    let word = given.words.first().cloned().unwrap_or_default();
    let Some(id) = SessionId::parse(word.as_bytes()) else {
        say(&format!("{command}: {}: not a session id, which is a UUID", word.display()));
        return ExitCode::FAILURE;
    };
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match find(&settings, id, end) {
        Ok(Some(session)) => {
            print(&if json { machine(&session) } else { table(&session) });
            ExitCode::SUCCESS
        }
        Ok(None) => {
            if json {
                let value = serde_json::json!({ "session_id": id, "known": false });
                print(&format!("{value}\n"));
            }
            say(&format!("{command}: {id}: no such session here"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{command}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What is known of a session, by the daemon if one runs.
pub(super) fn find(
    settings: &Settings,
    id: SessionId,
    end: bool,
) -> std::io::Result<Option<SessionRecord>> {
    match start::ask_running(settings, &Request::Session { id, end })? {
        Some(Reply::Session(record)) => Ok(record.map(|record| {
            let Json(record) = *record;
            record
        })),
        None => serve::session_offline(settings, id, end),
        Some(_) => Err(std::io::Error::other("the daemon gave another answer")),
    }
}

fn lasted_s(session: &SessionRecord) -> u64 {
    session.ended_at.unwrap_or_else(now_s).saturating_sub(session.started_at)
}

fn machine(session: &SessionRecord) -> String {
    let counters = &session.counters;
    let value = serde_json::json!({
        "session_id": session.session_id,
        "known": true,
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "duration_s": lasted_s(session),
        "cwd": session.cwd,
        "journal_path": session.journal_path,
        "log_path": session.log_path,
        "compilations": counters.compilations(),
        "hits": counters.hits,
        "misses": counters.misses,
        "non_cacheable": counters.uncacheable,
        "errors": counters.errors,
        "hit_rate": hit_rate(counters.hits, counters.misses),
        "time_saved_ns": counters.saved_ns,
        "compile_ns": session.compile_ns,
        "bytes": session.bytes,
        "journal_lines_lost": session.lines_lost,
        "reasons": super::status::reasons_object(counters),
        "by_tool": super::status::kinds_object(counters, |kind| kind.tool.name()),
        "by_language": super::status::kinds_object(counters, |kind| kind.language.name()),
    });
    format!("{value}\n")
}

fn table(session: &SessionRecord) -> String {
    let counters = &session.counters;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<18}{value}");
    };
    let moment = |seconds: u64| iso(seconds.saturating_mul(1_000_000));
    let shown = |path: &Path| path.display().to_string();
    row("session", session.session_id.to_string());
    row("started", moment(session.started_at));
    match session.ended_at {
        Some(ended) => row("ended", format!("{} ({} s)", moment(ended), lasted_s(session))),
        None => row("running for", format!("{} s", lasted_s(session))),
    }
    row("compilations", counters.compilations().to_string());
    row("hits", counters.hits.to_string());
    row("misses", counters.misses.to_string());
    row("non-cacheable", counters.uncacheable.to_string());
    row("errors", counters.errors.to_string());
    row("hit rate", format!("{:.1}%", hit_rate(counters.hits, counters.misses)));
    row("time saved", format!("{:.1} s", counters.saved_ns as f64 / 1e9));
    row("compile time", format!("{:.1} s", session.compile_ns as f64 / 1e9));
    row("bytes", human_bytes(session.bytes));
    if let Some(path) = &session.journal_path {
        row("journal", shown(path));
    }
    if let Some(path) = &session.log_path {
        row("log", shown(path));
    }
    if session.lines_lost > 0 {
        row("lines lost", session.lines_lost.to_string());
    }
    for (reason, count) in super::status::by_count(counters) {
        row("", format!("{count} × {reason}: {}", reason.words()));
    }
    text
}
