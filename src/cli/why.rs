//! `zccache why`.

use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use super::given::Given;
use super::{print, say, settings};
use crate::daemon::start;
use crate::protocol::message::Request;
use crate::server::root::Root;
use crate::session::journal::{Line, Outcome};
use crate::session::reader;
use crate::session::record::{self, SessionId};
use crate::session::rollup::RollUp;
use crate::settings::Settings;

/// Which commands are asked about.
enum About {
    /// The last one that was no hit.
    LastMiss,
    /// The last so many.
    Last(usize),
    Session(SessionId),
    /// A source or an output.
    Path(PathBuf),
}

/// Causes told of many commands, in text; JSON has all.
const CAUSES_SHOWN: usize = 25;

/// Tells why commands were not hits, in words.
pub fn run(given: &Given) -> ExitCode {
    let about = match wanted(given) {
        Ok(about) => about,
        Err(why) => return super::unclear(&format!("why: {why}")),
    };
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match tell(&settings, about, given.has("json")) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&format!("why: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn wanted(given: &Given) -> Result<About, String> {
    let session = match given.value("session") {
        Some(word) => {
            Some(SessionId::parse(word.as_bytes()).map(About::Session).ok_or_else(|| {
                format!("--session {}: not a session id, which is a UUID", word.display())
            })?)
        }
        None => None,
    };
    let last = given.number("last").map(|count| About::Last(count as usize));
    let path = given.words.first().map(|path| About::Path(path.into()));
    let mut all = [session, last, path].into_iter().flatten();
    let about = all.next();
    if all.next().is_some() {
        return Err("one file, --last N or --session ID at a time".to_owned());
    }
    // In a session its own commands are meant.
    let joined = || {
        let id = std::env::var_os("ZCCACHE_SESSION_ID")?;
        SessionId::parse(id.as_bytes()).map(About::Session)
    };
    Ok(about.or_else(joined).unwrap_or(About::LastMiss))
}

fn tell(settings: &Settings, about: About, json: bool) -> Result<String, String> {
    let root = Root::of(settings).map_err(|error| error.to_string())?;
    // What was just compiled counts, too. Without a daemon all is written already.
    let _ = start::ask_running(settings, &Request::Flush);
    let (lines, skipped) = match &about {
        About::LastMiss => newest(root.path(), 1, |line| !line.outcome.is_hit()),
        About::Last(count) => newest(root.path(), *count, |_| true),
        About::Session(id) => of_session(root.path(), *id)?,
        About::Path(path) => {
            let path = plain_path(path);
            let mut found = newest(root.path(), 1, |line| is_about(line, &path));
            // A hit has nothing to explain; what was before it may have.
            if found.0.first().is_some_and(|line| line.outcome.is_hit()) {
                let missed = |line: &Line| !line.outcome.is_hit() && is_about(line, &path);
                found.0.extend(newest(root.path(), 1, missed).0);
            }
            if found.0.is_empty() {
                return Err(format!("{}: nothing is known of it", path.display()));
            }
            found
        }
    };
    if skipped > 0 {
        say(&format!("why: {skipped} journal lines made no sense and were left out"));
    }
    let sum = RollUp::of(&lines);
    if json {
        let missed: Vec<&Line> = lines.iter().filter(|line| !line.outcome.is_hit()).collect();
        let value = serde_json::json!({ "summary": sum, "lines": missed, "skipped": skipped });
        return Ok(format!("{value}\n"));
    }
    Ok(match about {
        About::LastMiss if lines.is_empty() => "no misses so far\n".to_owned(),
        About::LastMiss | About::Path(_) => lines.iter().map(in_words).collect(),
        About::Last(_) if lines.len() < 2 => lines.iter().map(in_words).collect(),
        About::Last(_) => lines.iter().map(in_words).collect::<String>() + &summary(&sum),
        About::Session(_) => summary(&sum),
    })
}

/// The last lines that `wanted` takes, the latest first.
fn newest(root: &Path, count: usize, wanted: impl Fn(&Line) -> bool) -> (Vec<Line>, u64) {
    let mut found = Vec::new();
    let skipped = reader::global_latest_first(root, |line| {
        if found.len() < count && wanted(&line) {
            found.push(line);
        }
        if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    (found, skipped)
}

/// All lines of a session: from its own journal, if it has one.
fn of_session(root: &Path, id: SessionId) -> Result<(Vec<Line>, u64), String> {
    let session =
        record::load(root, id).ok_or_else(|| format!("--session {id}: no such session here"))?;
    let name = id.to_string();
    let mut lines = Vec::new();
    let mut take = |line: Line| {
        if line.session_id.as_ref() == Some(&name) {
            lines.push(line);
        }
        ControlFlow::Continue(())
    };
    let own = session.journal_path.as_deref();
    let own = own.and_then(|path| reader::latest_first(path, &mut take).ok());
    let skipped = match own {
        Some((skipped, _)) => skipped,
        None => reader::global_latest_first(root, &mut take),
    };
    Ok((lines, skipped))
}

/// Absolute, without `.` and `..`.
fn plain_path(path: &Path) -> PathBuf {
    let mut plain = std::env::current_dir().unwrap_or_default();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn is_about(line: &Line, path: &Path) -> bool {
    let folder = Path::new(&line.cwd);
    let same = |name: &String| {
        // As spelled by the command, which may go through `..`.
        let full = folder.join(name);
        full == path || plain_path(&full) == path
    };
    let named = || line.args.iter().filter(|arg| !arg.starts_with('-')).any(same);
    line.sources.iter().chain(&line.outputs).any(same)
        || (line.outcome == Outcome::Uncacheable && named())
}

/// One command: what it was, what became of it, and every cause.
fn in_words(line: &Line) -> String {
    let mut text = format!(
        "{}  {}  {:.3} ms  {} {}\n  in {}\n",
        line.ts,
        line.outcome.name(),
        line.latency_ns as f64 / 1e6,
        line.compiler,
        line.args.join(" "),
        line.cwd
    );
    for cause in &line.causes {
        let unit = if cause.unit.is_empty() { String::new() } else { format!("{}: ", cause.unit) };
        text.push_str(&format!("  {unit}{} [{}]\n", cause.reason.words(), cause.reason));
        for difference in &cause.differences {
            text.push_str(&format!("    {}\n", difference.words()));
        }
        if cause.more > 0 {
            text.push_str(&format!("    and {} more\n", cause.more));
        }
    }
    text.extend(line.key.as_ref().map(|key| format!("  stored as {key}\n")));
    text
}

/// What many commands have in common.
fn summary(sum: &RollUp) -> String {
    let mut text = format!(
        "{} commands: {} hits, {} misses ({} failed), {} non-cacheable\n",
        sum.commands, sum.hits, sum.misses, sum.errors, sum.non_cacheable
    );
    for shared in sum.causes.iter().take(CAUSES_SHOWN) {
        text.push_str(&format!("  {}\n", shared.words()));
    }
    if let Some(more @ 1..) = sum.causes.len().checked_sub(CAUSES_SHOWN) {
        text.push_str(&format!("  and {more} causes more, see --json\n"));
    }
    text
}
