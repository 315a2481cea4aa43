//! `zccache top`: what is compiling, hitting and missing, as it happens.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::given::Given;
use super::style::{Columns, Style};
use super::{say, settings};
use crate::daemon::start;
use crate::protocol::message::{Reply, Request};
use crate::protocol::told::{Picture, State};
use crate::session::journal::Outcome;
use crate::session::stats::hit_rate;
use crate::settings::Settings;
use crate::sys::process::die_by;
use crate::sys::terminal::{Event, Screen};

/// Between two pictures, milliseconds, where nothing else was asked for.
const INTERVAL_MS: u64 = 500;
/// The least: more often only heats the room.
const INTERVAL_MS_MIN: u64 = 50;
/// A daemon that takes longer to answer is told of, and asked again: keys must not wait for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Recent commands in a picture that is printed.
const RECENT_PRINTED: usize = 20;

/// Shows pictures until told to stop, or prints one where stdout is no terminal.
pub fn run(given: &Given) -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let interval = given.number("interval").unwrap_or(INTERVAL_MS).max(INTERVAL_MS_MIN);
    let interval = Duration::from_millis(interval);
    let (once, json) = (given.has("once"), given.has("json"));
    if once || json || !rustix::termios::isatty(rustix::stdio::stdout()) {
        // Whoever does not look at them has use for one only.
        return print_pictures(&settings, once || !json, json, interval);
    }
    match watch(&settings, interval) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(signal)) => {
            die_by(signal);
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("top: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// None: no daemon runs.
fn ask(settings: &Settings) -> io::Result<Option<Picture>> {
    match start::ask_within(settings, &Request::Picture, PATIENCE) {
        Ok(Some(Reply::Picture(picture))) => Ok(Some(*picture)),
        Ok(None) => Ok(None),
        Ok(Some(_)) => Err(io::Error::other("the daemon gave another answer")),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            Err(io::Error::other("the daemon does not answer"))
        }
        Err(error) => Err(error),
    }
}

fn print_pictures(settings: &Settings, once: bool, json: bool, interval: Duration) -> ExitCode {
    let mut rates = Rates::default();
    loop {
        let picture = match ask(settings) {
            Ok(picture) => picture,
            Err(error) => {
                say(&format!("top: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let text = match (&picture, json) {
            (Some(picture), true) => format!("{}\n", machine(picture)),
            (Some(picture), false) => {
                rates.note(picture);
                let lines = lines(picture, &rates, Style::of_stdout(), RECENT_PRINTED);
                format!("{}\n", lines.join("\n"))
            }
            (None, true) => format!("{}\n", json!({ "running": false })),
            (None, false) => "no daemon runs\n".to_owned(),
        };
        // Nobody reads any more.
        if io::Write::write_all(&mut io::stdout(), text.as_bytes()).is_err() {
            return ExitCode::SUCCESS;
        }
        if once {
            return if picture.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        std::thread::sleep(interval);
    }
}

/// Draws until `q`, Ctrl-C, or a signal, which is given back once the terminal is as it was.
fn watch(settings: &Settings, interval: Duration) -> io::Result<Option<i32>> {
    let screen = Screen::enter()?;
    let style = Style::of_stdout();
    let mut rates = Rates::default();
    loop {
        let (width, height) = screen.size();
        let text = match ask(settings) {
            Ok(Some(picture)) => {
                rates.note(&picture);
                lines(&picture, &rates, style, height)
            }
            Ok(None) => vec!["no daemon runs; waiting for one".to_owned()],
            Err(error) => vec![format!("top: {error}")],
        };
        let mut frame = String::from("\x1b[H");
        for line in text.iter().take(height.saturating_sub(1)) {
            let _ = writeln!(frame, "{}\x1b[K", cut(line, width));
        }
        let _ = write!(frame, "{}\x1b[J", style.faint(&cut("q ends", width)));
        screen.write(frame.as_bytes())?;
        let until = Instant::now() + interval;
        loop {
            match screen.wait(until)? {
                Event::Time => break,
                Event::Key(b'q' | b'Q' | 0x03 | 0x1b) => return Ok(None),
                Event::Key(_) => {}
                Event::Signal(signal) => return Ok(Some(signal)),
            }
        }
    }
}

/// How many commands ended in the last interval.
#[derive(Default)]
struct Rates {
    last: Option<(Instant, [u64; 3])>,
    /// Hits, misses and the rest, by the second.
    by_second: [f64; 3],
}

impl Rates {
    fn note(&mut self, picture: &Picture) {
        let counters = &picture.counters;
        let now = [counters.hits, counters.misses, counters.uncacheable];
        if let Some((at, before)) = self.last {
            let seconds = at.elapsed().as_secs_f64().max(1e-3);
            // Another daemon may have begun anew.
            self.by_second =
                std::array::from_fn(|n| now[n].saturating_sub(before[n]) as f64 / seconds);
        }
        self.last = Some((Instant::now(), now));
    }
}

/// A picture, as at most so many lines.
fn lines(picture: &Picture, rates: &Rates, style: Style, most: usize) -> Vec<String> {
    let counters = &picture.counters;
    let [hits, misses, rest] = rates.by_second;
    let mut lines = vec![
        format!(
            "{}   daemon {}, up {}",
            style.bold("zccache top"),
            picture.pid,
            time(picture.uptime_s * 1000)
        ),
        format!(
            "{} commands   {}   {}   {} not cached   {}   {:.1}% hits   {} saved",
            counters.compilations(),
            style.good(&format!("{} hits", counters.hits)),
            style.slow(&format!("{} misses", counters.misses)),
            counters.uncacheable,
            style.bad(&format!("{} failed", counters.errors)),
            hit_rate(counters.hits, counters.misses),
            time(counters.saved_ns / 1_000_000),
        ),
        format!(
            "now {} hits/s, {} misses/s, {} others/s",
            style.good(&format!("{hits:.1}")),
            style.slow(&format!("{misses:.1}")),
            style.faint(&format!("{rest:.1}"))
        ),
        String::new(),
    ];
    let mut moving = Columns::new(["lane", "state", "for", "under way"]).right(&[0, 2]);
    for command in &picture.under_way {
        let state = match command.state {
            State::Asked => style.faint("asked"),
            State::Hit => style.good("hit"),
            State::Compiling => style.slow("compiling"),
            State::Plain => style.faint("not cached"),
        };
        let name = plain(&command.name);
        moving.row([command.lane.to_string(), state, time(command.for_ms), name]);
    }
    lines.extend(moving.text(&style).lines().map(str::to_owned));
    if picture.more > 0 {
        lines.push(format!("and {} more", picture.more));
    }
    if picture.under_way.is_empty() {
        lines.push(style.faint("nothing under way"));
    }
    let mut recent = Columns::new(["lane", "outcome", "took", "ended"]).right(&[0, 2]);
    for command in &picture.recent {
        let outcome = command.outcome.name();
        let outcome = match command.outcome {
            Outcome::Hit | Outcome::LinkHit => style.good(outcome),
            Outcome::Miss | Outcome::LinkMiss => style.slow(outcome),
            Outcome::Error => style.bad(outcome),
            Outcome::Uncacheable => style.faint(outcome),
        };
        let mut name = plain(&command.name);
        if let Some(reason) = command.reason {
            let _ = write!(name, "  {}", style.faint(&reason.to_string()));
        }
        recent.row([command.lane.to_string(), outcome, time(command.latency_ns / 1_000_000), name]);
    }
    let recent = recent.text(&style);
    if !recent.is_empty() {
        lines.push(String::new());
        lines.extend(recent.lines().take(RECENT_PRINTED.max(most)).map(str::to_owned));
    }
    lines
}

fn machine(picture: &Picture) -> serde_json::Value {
    let counters = &picture.counters;
    let under_way: Vec<_> = picture
        .under_way
        .iter()
        .map(|command| {
            json!({
                "lane": command.lane,
                "state": command.state.name(),
                "name": command.name,
                "for_ms": command.for_ms,
            })
        })
        .collect();
    let recent: Vec<_> = picture
        .recent
        .iter()
        .map(|command| {
            json!({
                "lane": command.lane,
                "outcome": command.outcome,
                "name": command.name,
                "latency_ns": command.latency_ns,
                "saved_ns": command.saved_ns,
                "reason": command.reason,
            })
        })
        .collect();
    json!({
        "running": true,
        "pid": picture.pid,
        "uptime_s": picture.uptime_s,
        "compilations": counters.compilations(),
        "hits": counters.hits,
        "misses": counters.misses,
        "non_cacheable": counters.uncacheable,
        "errors": counters.errors,
        "time_saved_ns": counters.saved_ns,
        "under_way": under_way,
        "under_way_more": picture.more,
        "recent": recent,
    })
}

fn time(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
        _ => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    }
}

/// A name that can't move the cursor.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The beginning of a line, colours not counted and ended.
fn cut(line: &str, width: usize) -> String {
    let mut kept = String::new();
    let mut column = 0;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            kept.push(c);
            for c in chars.by_ref() {
                kept.push(c);
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if column < width {
            kept.push(c);
            column += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_their_colours_are_not() {
        assert_eq!(cut("abcdef", 3), "abc");
        assert_eq!(cut("\x1b[32mabcdef\x1b[0m", 3), "\x1b[32mabc\x1b[0m");
        assert_eq!(plain("a\x1b[2Jb"), "a?[2Jb");
    }

    #[test]
    fn times() {
        for (ms, text) in
            [(7, "7 ms"), (1500, "1.5 s"), (61_000, "1 min 1 s"), (3_660_000, "1 h 1 min")]
        {
            assert_eq!(time(ms), text);
        }
    }
}
