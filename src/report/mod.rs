//! A journal as a picture: a web page, a trace for Perfetto, and the same in words.

pub mod page;
pub mod trace;

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::session::journal::{Line, Outcome};
use crate::session::reader;

/// The commands of a journal, the earliest first.
#[derive(Debug, Default)]
pub struct Build {
    pub commands: Vec<Command>,
    /// Lines that made no sense.
    pub skipped: u64,
}

#[derive(Debug)]
pub struct Command {
    pub line: Line,
    /// The row of the timeline; no two commands of a row overlap.
    pub row: u32,
}

/// Commands further apart than this belong to different builds.
const PAUSE_US: u64 = 30_000_000;

impl Build {
    /// Reads a journal. An error where it can't be read; lines that make no sense are counted.
    pub fn read(journal: &Path) -> io::Result<Build> {
        let mut lines = Vec::new();
        let (skipped, _) = reader::latest_first(journal, &mut |line| {
            lines.push(line);
            ControlFlow::Continue(())
        })?;
        Ok(Build::of(lines, skipped))
    }

    /// From lines in any order, the latest first where they began at the same moment.
    pub fn of(mut lines: Vec<Line>, skipped: u64) -> Build {
        lines.reverse();
        lines.sort_by_key(|line| line.start_us);
        let lines = without_undelivered(lines);
        let rows = rows(&lines);
        let commands = lines.into_iter().zip(rows).map(|(line, row)| Command { line, row });
        Build { commands: commands.collect(), skipped }
    }

    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.commands.iter().map(|command| &command.line)
    }

    /// Where in `commands` each build begins: after each long pause.
    pub fn starts(&self) -> Vec<usize> {
        let mut starts = Vec::new();
        let mut busy_until = 0;
        for (number, line) in self.lines().enumerate() {
            if number == 0 || line.start_us > busy_until + PAUSE_US {
                starts.push(number);
            }
            busy_until = busy_until.max(end_us(line));
        }
        starts
    }

    /// The slowest compiles, the slowest first.
    pub fn slowest_misses(&self, most: usize) -> Vec<usize> {
        let missed = |line: &Line| {
            matches!(line.outcome, Outcome::Miss | Outcome::LinkMiss | Outcome::Error)
        };
        let mut slow: Vec<usize> =
            (0..self.commands.len()).filter(|n| missed(&self.commands[*n].line)).collect();
        slow.sort_by_key(|n| std::cmp::Reverse(self.commands[*n].line.latency_ns));
        slow.truncate(most);
        slow
    }
}

/// When a command ended, microseconds since 1970.
pub fn end_us(line: &Line) -> u64 {
    line.start_us.saturating_add(line.latency_ns / 1000)
}

/// Leaves out hits that could not be delivered: a later line tells what became of them.
fn without_undelivered(lines: Vec<Line>) -> Vec<Line> {
    let mut keep = vec![true; lines.len()];
    let mut hits: HashMap<(&str, &[String]), usize> = HashMap::new();
    for (number, line) in lines.iter().enumerate() {
        let command = (line.cwd.as_str(), line.args.as_slice());
        if line.again
            && let Some(earlier) = hits.remove(&command)
        {
            keep[earlier] = false;
        }
        if line.outcome.is_hit() {
            hits.insert(command, number);
        }
    }
    lines.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(line, _)| line).collect()
}

/// A row for each line: its lane where that is free, else the lowest that is.
fn rows(lines: &[Line]) -> Vec<u32> {
    /// No build runs more at once; what a damaged journal says must not use up memory.
    const LANES_MAX: usize = 4096;
    let mut free_from: Vec<u64> = Vec::new();
    lines
        .iter()
        .map(|line| {
            let wanted = line.lane as usize;
            let is_free =
                |row: &usize| free_from.get(*row).is_none_or(|&from| from <= line.start_us);
            let row = Some(wanted).filter(|row| *row < LANES_MAX && is_free(row));
            let row = row.unwrap_or_else(|| (0..).find(is_free).unwrap_or_default());
            if free_from.len() <= row {
                free_from.resize(row + 1, 0);
            }
            free_from[row] = end_us(line);
            row as u32
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::session::journal::Line;

    /// A line of a journal.
    pub(crate) fn line(start_us: u64, latency_us: u64, outcome: &str) -> Line {
        let value = serde_json::json!({
            "ts": "1970-01-01T00:00:00.000Z", "outcome": outcome, "compiler": "/usr/bin/gcc",
            "args": ["-c", format!("{start_us}.c")], "cwd": "/w", "env": [], "exit_code": 0,
            "session_id": null, "latency_ns": latency_us * 1000, "reason": null, "key": null,
            "start_us": start_us, "lane": 0, "tool": "gcc", "language": "c", "compile_ns": 0,
            "saved_ns": 0, "bytes": 0, "sources": [format!("/w/{start_us}.c")], "outputs": [],
            "causes": [],
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rows_do_not_overlap() {
        let lines =
            vec![line(0, 10, "miss"), line(5, 10, "hit"), line(10, 1, "hit"), line(12, 9, "hit")];
        assert_eq!(rows(&lines), [0, 1, 0, 0]);
        let far = Line { lane: u32::MAX, ..line(0, 1, "hit") };
        assert_eq!(rows(&[far]), [0]);
    }

    #[test]
    fn builds_are_apart() {
        let pause = 40_000_000;
        let lines = vec![
            line(1, 5, "hit"),
            line(2, pause, "miss"),
            line(pause, 1, "hit"),
            line(2 * pause + 1, 1, "hit"),
            line(3 * pause, 1, "error"),
        ];
        let build = Build::of(lines.into_iter().rev().collect(), 0);
        assert_eq!(build.starts(), [0, 3, 4]);
        assert_eq!(build.slowest_misses(1), [1]);
        assert_eq!(Build::default().starts(), [0; 0]);
    }

    #[test]
    fn a_hit_that_was_not_delivered_does_not_count() {
        let again = Line { args: line(1, 1, "hit").args, again: true, ..line(3, 5, "miss") };
        let build = Build::of(vec![again, line(2, 1, "hit"), line(1, 1, "hit")], 0);
        let outcomes: Vec<Outcome> = build.lines().map(|line| line.outcome).collect();
        assert_eq!(outcomes, [Outcome::Hit, Outcome::Miss]);
    }

    #[test]
    fn names_are_short() {
        let nameless = Line { sources: vec![], args: vec!["é".repeat(500)], ..line(1, 1, "hit") };
        assert_eq!(nameless.name().chars().count(), 121);
        assert_eq!(line(7, 1, "hit").name(), "/w/7.c");
    }
}
