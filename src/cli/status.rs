//! `zccache status`.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use super::{human_bytes, print, say, settings};
use crate::daemon::{serve, start};
use crate::protocol::message::{Reply, Request};
use crate::session::stats::Status;

/// Shows what the daemon knows; without one, what the disk says, and exit 1.
pub fn run(args: &[OsString]) -> ExitCode {
    let json = match super::only_json("status", args) {
        Ok(json) => json,
        Err(code) => return code,
    };
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
            print(&if json { machine(&status, running) } else { table(&status, running) });
            if running { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("status: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Hits per hundred cacheable compilations.
fn hit_rate(status: &Status) -> f64 {
    let counters = &status.counters;
    let cacheable = counters.hits + counters.misses;
    if cacheable == 0 { 0.0 } else { counters.hits as f64 * 100.0 / cacheable as f64 }
}

fn machine(status: &Status, running: bool) -> String {
    let counters = &status.counters;
    let reasons: serde_json::Map<String, serde_json::Value> = counters
        .reasons
        .iter()
        .map(|(reason, count)| (format!("{reason:?}"), (*count).into()))
        .collect();
    let value = serde_json::json!({
        "running": running,
        "version": status.version,
        "socket": status.socket,
        "pid": status.pid,
        "uptime_s": status.uptime_s,
        "cache_dir": status.cache_dir,
        "compilations": counters.hits + counters.misses + counters.uncacheable,
        "hits": counters.hits,
        "misses": counters.misses,
        "non_cacheable": counters.uncacheable,
        "errors": counters.errors,
        "hit_rate": hit_rate(status),
        "time_saved_ns": counters.saved_ns,
        "artifacts": status.artifacts,
        "artifact_bytes": status.artifact_bytes,
        "artifact_limit": status.artifact_limit,
        "dep_graph": status.dep_graph,
        "metadata": status.metadata,
        "watched_folders": status.watched_folders,
        "watched_trees": status.watched_trees,
        "reasons": reasons,
    });
    format!("{value}\n")
}

fn table(status: &Status, running: bool) -> String {
    let counters = &status.counters;
    let total = counters.hits + counters.misses + counters.uncacheable;
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
    row("hit rate", format!("{:.1}%", hit_rate(status)));
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
    for (reason, count) in &counters.reasons {
        row("", format!("{count} × {reason:?}"));
    }
    text
}
