//! What a command line asks of us: which personality, which subcommand, or which tool.

mod clear;
mod daemon;
mod fp;
mod help;
mod ino;
pub mod link;
mod start;
mod status;
mod stop;
mod watch;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use crate::settings::{Settings, StrictPaths};
use crate::tools::find::base;
use crate::wrapper::names::is_compiler;

/// The status for a command line that makes no sense.
pub const USAGE: u8 = 2;

/// Names of our own program that stand for a subcommand.
const PERSONALITIES: [(&[u8], &str); 3] = [
    (b"zccache-daemon", "daemon"),
    (b"zccache-fp", "fp-alone"),
    (b"zccache-download", "downloader"),
];

/// The first words that are subcommands, with the command each stands for. Any other word
/// is a tool to run.
const COMMANDS: [(&str, &str); 26] = [
    ("start", "start"),
    ("stop", "stop"),
    ("kill", "stop"),
    ("daemon", "daemon"),
    ("status", "status"),
    ("--show-stats", "status"),
    ("clear", "clear"),
    ("--clear", "clear"),
    ("session-start", "session-start"),
    ("session-stats", "session-stats"),
    ("session-end", "session-end"),
    ("inspect", "inspect"),
    ("link", "link"),
    ("crashes", "crashes"),
    ("fp", "fp"),
    ("download", "download"),
    ("ino", "ino"),
    ("watch", "watch"),
    ("gha-cache", "gha-cache"),
    ("cargo-registry", "cargo-registry"),
    ("warm", "warm"),
    ("snapshot-bytes", "snapshot-bytes"),
    ("config", "config"),
    ("doctor", "doctor"),
    ("--version", "--version"),
    ("-V", "--version"),
];

/// What we were called for.
#[derive(Debug, PartialEq)]
pub enum Call<'a> {
    /// A subcommand and what follows it.
    Command(&'static str, &'a [OsString]),
    /// A tool with its arguments, never empty.
    Tool { argv: &'a [OsString], masquerade: bool, strict: Option<StrictPaths> },
    /// Neither: a line that says why.
    Unclear(String),
}

/// Understands the whole command line, our own name first.
pub fn classify(args: &[OsString]) -> Call<'_> {
    let Some((own, mut words)) = args.split_first() else {
        return Call::Unclear("no arguments, not even a name".to_string());
    };
    let own = base(own.as_bytes());
    if let Some((_, command)) = PERSONALITIES.iter().find(|(name, _)| *name == own) {
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
        if base(bytes) == b"zccache" {
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
            return Call::Command("--help", rest);
        } else if let Some((_, command)) =
            COMMANDS.iter().find(|(name, _)| name.as_bytes() == bytes)
        {
            return Call::Command(command, rest);
        } else if bytes.starts_with(b"-") {
            return Call::Unclear(format!("{}: no such option", first.display()));
        } else {
            return Call::Tool { argv: words, masquerade: false, strict };
        }
    }
}

/// A name that is not ours stands for the tool of that name when it is a compiler's, or a
/// symlink's; a renamed copy of the program is the program.
fn stands_for_a_tool(name: &[u8]) -> bool {
    let file = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    is_compiler(name) || base(file.as_os_str().as_bytes()) != name
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

/// Runs a subcommand by the name that `classify` gave.
pub fn run(name: &str, args: &[OsString]) -> ExitCode {
    match name {
        "--help" => {
            print(help::TEXT);
            ExitCode::SUCCESS
        }
        "--version" => {
            print(concat!("zccache ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        "link" => link::run(args),
        "start" => start::run(args),
        "stop" => stop::run(args),
        "status" => status::run(args),
        "clear" => clear::run(args),
        "daemon" => daemon::run(args),
        "fp" => fp::run(args, fp::Through::Daemon),
        "ino" => ino::run(args),
        "watch" => watch::run(args),
        "fp-alone" => fp::run(args, fp::Through::OwnEyes),
        _ => {
            say(&format!("{name} is not built yet"));
            ExitCode::from(USAGE)
        }
    }
}

/// A command line that makes no sense.
pub fn unclear(why: &str) -> ExitCode {
    say(why);
    ExitCode::from(USAGE)
}

/// The settings; a bad variable is told and ends the command.
fn settings() -> Result<Settings, ExitCode> {
    Settings::from_process().map_err(|bad| {
        say(&bad.to_string());
        ExitCode::from(USAGE)
    })
}

/// For commands that take no argument.
fn no_arguments(command: &str, args: &[OsString]) -> Option<ExitCode> {
    args.first().map(|arg| {
        say(&format!("{command}: {}: unexpected argument", arg.display()));
        ExitCode::from(USAGE)
    })
}

/// For commands whose only argument is `--json`.
fn only_json(command: &str, args: &[OsString]) -> Result<bool, ExitCode> {
    match args {
        [] => Ok(false),
        [flag] if flag == "--json" => Ok(true),
        [flag, rest @ ..] => {
            let bad = if flag == "--json" { rest } else { args };
            Err(no_arguments(command, bad).unwrap_or(ExitCode::from(USAGE)))
        }
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
            Call::Command(name, _) => Some(name),
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
        assert_eq!(classify(&args("zccache link a b")), Call::Command("link", &args("a b")));
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
