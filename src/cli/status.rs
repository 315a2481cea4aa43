//! `zccache status`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Map, Value};

use super::given::Given;
use super::{human_bytes, print, say, settings};
use crate::daemon::{serve, start};
use crate::protocol::message::{Reply, Request};
use crate::session::kind::{Kind, Language};
use crate::session::reason::Reason;
use crate::session::record::{self, SessionRecord};
use crate::session::stats::{Counters, Status, Tally, hit_rate};

/// Shows what the daemon knows; without one, what the disk says, and exit 1.
pub fn run(given: &Given) -> ExitCode {
    let json = given.has("json");
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let (status, running) = match start::ask_running(&settings, &Request::Status) {
        Ok(Some(Reply::Status(status))) => (Ok(*status), true),
        Ok(None) => (serve::status_offline(&settings), false),
        Ok(Some(_)) => (Err(std::io::Error::other("the daemon gave another answer")), false),
        Err(error) => (Err(error), false),
    };
    match status {
        Ok(status) => {
            let folder = std::path::Path::new(&status.cache_dir);
            let open = |session: &SessionRecord| session.ended_at.is_none();
            let sessions = record::list(folder).into_iter().filter(open).count();
            let tell = if json { machine } else { table };
            print(&tell(&status, running, sessions));
            if running { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("status: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Reasons with their counts, the most frequent first.
pub(super) fn by_count(counters: &Counters) -> Vec<(Reason, u64)> {
    let mut all = counters.reasons.clone();
    all.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    all
}

pub(super) fn reasons_object(counters: &Counters) -> Map<String, Value> {
    let all = counters.reasons.iter();
    all.map(|(reason, count)| (reason.to_string(), (*count).into())).collect()
}

/// A property of kinds, by name.
type NameOf = fn(&Kind) -> &'static str;

/// Counts by some property of the kinds.
fn by_kind(counters: &Counters, name: NameOf) -> BTreeMap<&'static str, Tally> {
    let mut sums: BTreeMap<&str, Tally> = BTreeMap::new();
    for (kind, tally) in &counters.kinds {
        sums.entry(name(kind)).or_default().add(tally);
    }
    sums
}

pub(super) fn kinds_object(counters: &Counters, name: NameOf) -> Map<String, Value> {
    let object = |tally: Tally| {
        serde_json::json!({
            "hits": tally.hits,
            "misses": tally.misses,
            "non_cacheable": tally.uncacheable,
            "hit_rate": hit_rate(tally.hits, tally.misses),
            "time_saved_ns": tally.saved_ns,
        })
    };
    by_kind(counters, name)
        .into_iter()
        .map(|(name, tally)| (name.to_owned(), object(tally)))
        .collect()
}

/// Links that the cache could help with.
fn links(counters: &Counters) -> Tally {
    let mut sum = Tally::default();
    let links = counters.kinds.iter().filter(|(kind, _)| kind.language == Language::Link);
    links.for_each(|(_, tally)| sum.add(tally));
    sum
}

fn machine(status: &Status, running: bool, sessions: usize) -> String {
    let counters = &status.counters;
    let value = serde_json::json!({
        "running": running,
        "version": status.version,
        "socket": status.socket,
        "pid": status.pid,
        "uptime_s": status.uptime_s,
        "cache_dir": status.cache_dir,
        "compilations": counters.compilations(),
        "hits": counters.hits,
        "misses": counters.misses,
        "non_cacheable": counters.uncacheable,
        "worktree_hits": counters.worktree_hits,
        "errors": counters.errors,
        "hit_rate": hit_rate(counters.hits, counters.misses),
        "time_saved_ns": counters.saved_ns,
        "by_language": kinds_object(counters, |kind| kind.language.name()),
        "by_tool": kinds_object(counters, |kind| kind.tool.name()),
        "artifacts": status.artifacts,
        "artifact_bytes": status.artifact_bytes,
        "artifact_limit": status.artifact_limit,
        "dep_graph": status.dep_graph,
        "metadata": status.metadata,
        "watched_folders": status.watched_folders,
        "watched_trees": status.watched_trees,
        "links": links(counters).hits + links(counters).misses,
        "sessions": sessions,
        "journal_lines_lost": status.journal_lines_lost,
        "reasons": reasons_object(counters),
    });
    format!("{value}\n")
}

fn table(status: &Status, running: bool, sessions: usize) -> String {
    let counters = &status.counters;
    let total = counters.compilations();
    let seconds = counters.saved_ns as f64 / 1e9;
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<18}{value}");
    };
    row("version", status.version.clone());
    row(
        "daemon",
        if running { format!("running, pid {}", status.pid) } else { "not running".to_owned() },
    );
    row("socket", status.socket.clone());
    if running {
        row("uptime", format!("{} s", status.uptime_s));
    }
    row("cache dir", status.cache_dir.clone());
    row(
        "compilations",
        format!(
            "{total} ({} cached, {} cold, {} non-cacheable)",
            counters.hits, counters.misses, counters.uncacheable
        ),
    );
    row("hit rate", format!("{:.1}%", hit_rate(counters.hits, counters.misses)));
    let same_root = counters.hits.saturating_sub(counters.worktree_hits);
    row(
        "hits by root",
        format!("{same_root} same-root, {} worktree-equivalent", counters.worktree_hits),
    );
    row("time saved", format!("{seconds:.1} s"));
    if counters.errors > 0 {
        row("errors", counters.errors.to_string());
    }
    let size =
        format!("{} of {}", human_bytes(status.artifact_bytes), human_bytes(status.artifact_limit));
    row("artifacts", format!("{} ({size})", status.artifacts));
    row("dep graph", format!("{} entries", status.dep_graph));
    row(
        "metadata",
        format!("{} files, {} folders watched", status.metadata, status.watched_folders),
    );
    let links = links(counters);
    row(
        "links",
        format!("{} ({} cached, {} cold)", links.hits + links.misses, links.hits, links.misses),
    );
    row("sessions", format!("{sessions} open"));
    if status.journal_lines_lost > 0 {
        row("journal", format!("{} lines lost", status.journal_lines_lost));
    }
    let kinds: [(&str, NameOf); 2] =
        [("by language", |kind| kind.language.name()), ("by tool", |kind| kind.tool.name())];
    for (title, name) in kinds {
        for (n, (name, tally)) in by_kind(counters, name).into_iter().enumerate() {
            let words = format!(
                "{name:<14} {:>8} cached {:>8} cold {:>8} non-cacheable {:>6.1}% {:>9.1} s saved",
                tally.hits,
                tally.misses,
                tally.uncacheable,
                hit_rate(tally.hits, tally.misses),
                tally.saved_ns as f64 / 1e9
            );
            row(if n == 0 { title } else { "" }, words);
        }
    }
    for (n, (reason, count)) in by_count(counters).into_iter().enumerate() {
        let words = format!("{count:>8} × {:<22} {}", reason.to_string(), reason.words());
        row(if n == 0 { "reasons" } else { "" }, words);
    }
    text
}
