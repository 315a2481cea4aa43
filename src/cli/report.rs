//! `zccache report JOURNAL` and `zccache analyze JOURNAL`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use super::given::Given;
use super::style::{Columns, Style};
use super::{human_bytes, print, say};
use crate::report::{self, Build, page, trace};
use crate::session::rollup::RollUp;
use crate::session::stats::hit_rate;

/// What is written where nothing is said.
const PAGE_NAME: &str = "zccache-report.html";
/// How much of each list `analyze` tells people.
const LIST: usize = 10;

/// Makes the page, the trace, or both.
pub fn run(given: &Given) -> ExitCode {
    let (journal, build) = match read(given) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let trace_file = given.value("trace");
    let page_file = match (given.value("output"), trace_file) {
        (None, Some(_)) => None,
        (None, None) => Some(OsStr::new(PAGE_NAME)),
        (named, _) => named,
    };
    let title = Path::new(&journal).file_name().unwrap_or(&journal).to_string_lossy();
    let page = || page::html(&build, &title).into_bytes();
    let trace = || trace::json(&build).to_string().into_bytes();
    let wanted: [(_, &dyn Fn() -> Vec<u8>); 2] = [(page_file, &page), (trace_file, &trace)];
    for (file, make) in wanted {
        let Some(file) = file else { continue };
        if let Err(error) = write(file, &journal, &make()) {
            say(&format!("report: {}: {error}", file.display()));
            return ExitCode::FAILURE;
        }
        if file != "-" {
            print(&format!("{}\n", file.display()));
        }
    }
    ExitCode::SUCCESS
}

/// Sums a journal up in words.
pub fn analyze(given: &Given) -> ExitCode {
    let (_, build) = match read(given) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let sum = RollUp::of(build.lines());
    print(&if given.has("json") { machine(&build, &sum) } else { words(&build, &sum) });
    ExitCode::SUCCESS
}

/// The journal that was named, with at least one command in it.
fn read(given: &Given) -> Result<(OsString, Build), ExitCode> {
    let command = given.command.name;
    // The table says that there is one.
    let journal = given.words.first().cloned().unwrap_or_default();
    let failed = |words: String| {
        say(&format!("{command}: {}: {words}", journal.display()));
        Err(ExitCode::FAILURE)
    };
    // A pipe would be waited for, and a device read without end.
    let is_file = std::fs::metadata(&journal).map(|meta| meta.is_file());
    let build = match is_file {
        Ok(true) => Build::read(Path::new(&journal)),
        Ok(false) => Err(io::Error::other("not a file")),
        Err(error) => Err(error),
    };
    match build {
        Ok(build) if build.commands.is_empty() => {
            failed(format!("no command in it, and {} lines that make no sense", build.skipped))
        }
        Ok(build) => {
            if build.skipped > 0 {
                let skipped = build.skipped;
                say(&format!("{command}: {skipped} lines made no sense and were left out"));
            }
            Ok((journal, build))
        }
        Err(error) => failed(error.to_string()),
    }
}

/// Writes a file, or stdout for `-`; never the journal itself.
fn write(file: &OsStr, journal: &OsStr, bytes: &[u8]) -> io::Result<()> {
    if file == "-" {
        return io::Write::write_all(&mut io::stdout(), bytes);
    }
    let key = |path: &OsStr| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if key(file).is_some() && key(file) == key(journal) {
        return Err(io::Error::other("is the journal itself"));
    }
    std::fs::write(file, bytes)
}

/// Time that compilers took for misses, and that hits did not.
fn times(build: &Build) -> (u64, u64, u64) {
    let sum = |field: fn(&crate::session::journal::Line) -> u64| build.lines().map(field).sum();
    let first = build.lines().map(|line| line.start_us).min().unwrap_or_default();
    let last = build.lines().map(report::end_us).max().unwrap_or_default();
    (sum(|line| line.compile_ns), sum(|line| line.saved_ns), (last - first) * 1000)
}

fn machine(build: &Build, sum: &RollUp) -> String {
    let (compile_ns, saved_ns, wall_ns) = times(build);
    let slow: Vec<_> = build
        .slowest_misses(LIST)
        .into_iter()
        .map(|number| {
            let line = &build.commands[number].line;
            serde_json::json!({
                "name": line.name(),
                "latency_ns": line.latency_ns,
                "reason": line.reason,
            })
        })
        .collect();
    let value = serde_json::json!({
        "commands": sum.commands,
        "hits": sum.hits,
        "misses": sum.misses,
        "non_cacheable": sum.non_cacheable,
        "errors": sum.errors,
        "hit_rate": hit_rate(sum.hits, sum.misses),
        "compile_ns": compile_ns,
        "time_saved_ns": saved_ns,
        "wall_ns": wall_ns,
        "bytes": build.lines().map(|line| line.bytes).sum::<u64>(),
        "builds": build.starts().len(),
        "causes": sum.causes,
        "slowest_misses": slow,
        "skipped": build.skipped,
    });
    format!("{value}\n")
}

fn words(build: &Build, sum: &RollUp) -> String {
    let style = Style::of_stdout();
    let (compile_ns, saved_ns, wall_ns) = times(build);
    let seconds = |ns: u64| format!("{:.1} s", ns as f64 / 1e9);
    let mut text = String::new();
    for (name, value) in [
        ("commands", sum.commands.to_string()),
        ("hits", style.good(&sum.hits.to_string())),
        ("misses", style.slow(&sum.misses.to_string())),
        ("failed", style.bad(&sum.errors.to_string())),
        ("not cached", sum.non_cacheable.to_string()),
        ("hit rate", format!("{:.1}%", hit_rate(sum.hits, sum.misses))),
        ("time saved", seconds(saved_ns)),
        ("spent compiling", seconds(compile_ns)),
        ("start to end", format!("{}, in {} builds", seconds(wall_ns), build.starts().len())),
        ("outputs", human_bytes(build.lines().map(|line| line.bytes).sum())),
    ] {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<18}{value}");
    }
    if !sum.causes.is_empty() {
        let _ = writeln!(text, "\n{}", style.bold("Why it was not a hit"));
        for cause in sum.causes.iter().take(LIST) {
            let _ = writeln!(text, "{}", cause.words());
        }
    }
    let mut slow = Columns::new(["took", "reason", "slowest misses"]).right(&[0]);
    for number in build.slowest_misses(LIST) {
        let line = &build.commands[number].line;
        let reason = line.reason.map_or(String::new(), |reason| reason.to_string());
        slow.row([seconds(line.latency_ns), reason, line.name()]);
    }
    let slow = slow.text(&style);
    if !slow.is_empty() {
        let _ = write!(text, "\n{slow}");
    }
    text
}
