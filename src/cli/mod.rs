//! What a command line asks of us: which personality, which subcommand, or which tool.

mod clear;
pub mod commands;
mod completions;
mod config;
mod crashes;
mod daemon;
mod doctor;
mod download;
mod downloader;
pub mod exec;
mod explain;
mod fp;
mod given;
mod help;
mod ino;
mod inspect;
mod link;
mod man;
mod progress;
mod report;
mod session;
mod start;
mod status;
mod stop;
mod style;
pub mod table;
mod top;
mod watch;
mod why;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use commands::PERSONALITIES;
use given::{Asked, Given};
use table::Command;

use crate::settings::Settings;
use crate::tools::find::base;
use crate::tools::gcc::strict_paths::StrictPaths;
use crate::tracer;
use crate::wrapper::names::is_known;

/// The status for a command line that makes no sense.
pub const USAGE: u8 = 2;

/// What we were called for.
#[derive(Debug)]
pub enum Call<'a> {
    /// A subcommand and what follows it.
    Command(&'static Command, &'a [OsString]),
    /// The program's own `--help`.
    Help,
    /// A tool with its arguments, never empty.
    Tool { argv: &'a [OsString], masquerade: bool, strict: Option<StrictPaths> },
    /// What the wrapper has to say to the tracer.
    Trace(&'a [OsString]),
    /// Neither: a line that says why.
    Unclear(String),
}

/// Understands the whole command line, our own name first.
pub fn classify(args: &[OsString]) -> Call<'_> {
    let Some((own, mut words)) = args.split_first() else {
        return Call::Unclear("no arguments, not even a name".to_string());
    };
    let own = base(own.as_bytes());
    let personality = PERSONALITIES.iter().find(|(name, _)| name.as_bytes() == own);
    if let Some(command) = personality.and_then(|(_, command)| commands::find(command.as_bytes())) {
        return Call::Command(command, words);
    }
    // A name like `zccache-1.0` is ours too: there is no such tool to stand for.
    if !own.starts_with(b"zccache") && stands_for_a_tool(own) {
        return Call::Tool { argv: args, masquerade: true, strict: None };
    }
    let mut strict = None;
    loop {
        let Some((first, rest)) = words.split_first() else {
            return Call::Unclear(
                "a command or a compiler is needed, see zccache --help".to_string(),
            );
        };
        let bytes = first.as_bytes();
        if bytes == tracer::WORD.as_bytes() {
            return Call::Trace(rest);
        } else if base(bytes) == b"zccache" {
            // `zccache zccache gcc`: a launcher set twice.
            words = rest;
        } else if let Some(mode) = strict_mode(bytes) {
            match mode {
                Some(mode) => strict = Some(mode),
                None => {
                    return Call::Unclear(format!(
                        "{}: the mode is off, consistent or absolute",
                        first.display()
                    ));
                }
            }
            words = rest;
        } else if bytes == b"wrap" {
            let argv = match rest.split_first() {
                Some((dashes, rest)) if dashes == "--" => rest,
                _ => rest,
            };
            if argv.is_empty() {
                return Call::Unclear("wrap: a compiler is needed".to_string());
            }
            return Call::Tool { argv, masquerade: false, strict };
        } else if matches!(bytes, b"--help" | b"-h") {
            return Call::Help;
        } else if let Some(command) = commands::find(bytes) {
            return Call::Command(command, rest);
        } else if bytes.starts_with(b"-") {
            return Call::Unclear(format!("{}: no such option", first.display()));
        } else {
            return Call::Tool { argv: words, masquerade: false, strict };
        }
    }
}

/// A name that is not ours stands for the tool of that name when it is a tool's that we know, or a
/// symlink's; a renamed copy of the program is the program.
fn stands_for_a_tool(name: &[u8]) -> bool {
    let file = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    is_known(name) || base(file.as_os_str().as_bytes()) != name
}

/// None: another word. Some(None): a mode that does not exist.
fn strict_mode(word: &[u8]) -> Option<Option<StrictPaths>> {
    let rest = word.strip_prefix(b"--strict-paths")?;
    match rest.strip_prefix(b"=") {
        None if rest.is_empty() => Some(Some(StrictPaths::Absolute)),
        None => None,
        Some(b"") => Some(None),
        Some(mode) => Some(StrictPaths::parse(mode)),
    }
}

/// Prints the program's own `--help`.
pub fn help() -> ExitCode {
    print(&help::overview());
    ExitCode::SUCCESS
}

/// Runs a subcommand with what follows its name.
pub fn run(command: &'static Command, args: &[OsString]) -> ExitCode {
    let Some(run) = command.run else {
        say(&format!("{} is not built yet", command.name));
        return ExitCode::from(USAGE);
    };
    match given::read(command, args) {
        Ok(Asked::Run(given)) => run(&given),
        Ok(Asked::Help(sub)) => {
            print(&help::of(command, sub));
            ExitCode::SUCCESS
        }
        Err(misuse) => unclear(&misuse.to_string()),
    }
}

/// `zccache --version`.
fn version(_: &Given) -> ExitCode {
    print(concat!("zccache ", env!("CARGO_PKG_VERSION"), "\n"));
    ExitCode::SUCCESS
}

/// A command line that makes no sense.
pub fn unclear(why: &str) -> ExitCode {
    say(why);
    ExitCode::from(USAGE)
}

/// The settings; a bad variable is told and ends the command, a bad line in the file is told.
fn settings() -> Result<Settings, ExitCode> {
    match Settings::from_process() {
        Ok((settings, file)) => {
            for fault in &file.faults {
                say(&fault.to_string());
            }
            Ok(settings)
        }
        Err(bad) => Err(unclear(&bad.to_string())),
    }
}

/// A size as people read it.
fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A result, on stdout. Nobody reading it is no fault of ours.
pub fn print(text: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    let _ = std::io::Write::flush(&mut std::io::stdout());
}

/// A line for the user, on stderr.
pub fn say(words: &str) {
    let line = format!("zccache: {words}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// A name as the user can read it.
fn shown(name: &[u8]) -> std::ffi::os_str::Display<'_> {
    OsStr::from_bytes(name).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn command(line: &str) -> Option<&'static str> {
        match classify(&args(line)) {
            Call::Command(command, _) => Some(command.name),
            Call::Help => Some("--help"),
            _ => None,
        }
    }

    fn tool(line: &str) -> Option<(String, bool, Option<StrictPaths>)> {
        match classify(&args(line)) {
            Call::Tool { argv, masquerade, strict } => {
                let words: Vec<_> = argv.iter().map(|arg| arg.to_str().unwrap()).collect();
                Some((words.join(" "), masquerade, strict))
            }
            _ => None,
        }
    }

    #[test]
    fn personalities() {
        assert_eq!(command("/usr/bin/zccache-daemon --foreground"), Some("daemon"));
        assert_eq!(command("zccache-fp check"), Some("fp-alone"));
        assert_eq!(command("zccache-download status"), Some("downloader"));
        assert_eq!(tool("/f/clang++ status"), Some(("/f/clang++ status".into(), true, None)));
        assert_eq!(command("zccache-1.2 status"), Some("status"));
    }

    #[test]
    fn subcommands() {
        for (line, expected) in [
            ("zccache start", "start"),
            ("zccache kill", "stop"),
            ("zccache --show-stats", "status"),
            ("zccache --clear", "clear"),
            ("zccache -V", "--version"),
            ("zccache -h", "--help"),
            ("zccache zccache doctor", "doctor"),
        ] {
            assert_eq!(command(line), Some(expected), "{line}");
        }
        let line = args("zccache link a b");
        assert!(matches!(classify(&line), Call::Command(_, rest) if rest == args("a b")));
    }

    #[test]
    fn tools() {
        use StrictPaths::{Absolute, Consistent, Off};
        for (line, rest, strict) in [
            ("zccache gcc -c a.c", "gcc -c a.c", None),
            ("zccache ./start", "./start", None),
            ("zccache wrap gcc -V", "gcc -V", None),
            ("zccache wrap -- gcc", "gcc", None),
            ("zccache wrap status", "status", None),
            ("zccache zccache /x/zccache gcc", "gcc", None),
            ("zccache --strict-paths gcc", "gcc", Some(Absolute)),
            ("zccache --strict-paths=off gcc", "gcc", Some(Off)),
            ("zccache --strict-paths=consistent wrap gcc", "gcc", Some(Consistent)),
        ] {
            assert_eq!(tool(line), Some((rest.to_string(), false, strict)), "{line}");
        }
    }

    #[test]
    fn nonsense() {
        for line in [
            "zccache",
            "zccache wrap",
            "zccache wrap --",
            "zccache zccache",
            "zccache --strict-paths",
            "zccache --strict-paths= gcc",
            "zccache --strict-paths=some gcc",
            "zccache --strict-pathsx gcc",
            "zccache --unknown",
        ] {
            assert!(matches!(classify(&args(line)), Call::Unclear(_)), "{line}");
        }
        assert!(matches!(classify(&[]), Call::Unclear(_)));
    }
}
