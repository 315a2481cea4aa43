//! The one place where a command's arguments are read, by its entry in the table.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::table::{Command, Flag, Group, Kind};

/// What was given to a command.
#[derive(Debug)]
pub struct Given {
    pub command: &'static Command,
    /// The second word, for commands that take one.
    pub sub: Option<&'static Command>,
    /// The words that are no flags, nor a second word.
    pub words: Vec<OsString>,
    flags: Vec<(&'static str, OsString)>,
}

/// Why arguments make no sense: one line, to be told with status 2.
#[derive(Debug, PartialEq)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Asked {
    Run(Given),
    /// `--help`, with the second word it was asked about.
    Help(Option<&'static Command>),
}

impl Given {
    /// Whether the flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.value(flag).is_some()
    }

    /// The flag's last value; an empty one for a flag without.
    pub fn value(&self, flag: &str) -> Option<&OsStr> {
        self.values(flag).last()
    }

    /// All values of a flag that may be repeated.
    pub fn values<'a>(&'a self, flag: &str) -> impl Iterator<Item = &'a OsStr> {
        debug_assert!(
            self.all_flags().any(|known| known.long == flag),
            "{flag} is not in the table"
        );
        let flag = flag.to_owned();
        let given = self.flags.iter();
        given.filter(move |(long, _)| *long == flag).map(|(_, value)| value.as_os_str())
    }

    /// The value of a flag of `Kind::Number`.
    pub fn number(&self, flag: &str) -> Option<u64> {
        self.value(flag)?.to_str()?.parse().ok()
    }

    /// The value of a flag as text; the parts that are not UTF-8 replaced.
    pub fn text(&self, flag: &str) -> Option<String> {
        Some(self.value(flag)?.to_string_lossy().into_owned())
    }

    /// The flags as they can be given again.
    pub fn as_args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        for (long, value) in &self.flags {
            args.push(format!("--{long}").into());
            if self.all_flags().any(|flag| flag.long == *long && flag.value.is_some()) {
                args.push(value.clone());
            }
        }
        args
    }

    fn all_flags(&self) -> impl Iterator<Item = &'static Flag> {
        flags_of(self.command, self.sub)
    }
}

fn flags_of(
    command: &'static Command,
    sub: Option<&'static Command>,
) -> impl Iterator<Item = &'static Flag> {
    command.flags.iter().chain(sub.map_or(&[][..], |sub| sub.flags))
}

/// Reads what follows a command's name.
pub fn read(command: &'static Command, args: &[OsString]) -> Result<Asked, Misuse> {
    let mut given = Given { command, sub: None, words: Vec::new(), flags: Vec::new() };
    let mut parser = lexopt::Parser::from_args(args.iter().cloned());
    let misuse = |sub: Option<&Command>, words: String| Misuse(complaint(command, sub, &words));
    while let Some(arg) = parser.next().map_err(|error| misuse(given.sub, error.to_string()))? {
        let word = match arg {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                return Ok(Asked::Help(given.sub));
            }
            lexopt::Arg::Long(_) | lexopt::Arg::Short(_) => {
                let found = flags_of(command, given.sub).find(|flag| match &arg {
                    lexopt::Arg::Long(name) => flag.long == *name,
                    lexopt::Arg::Short(name) => flag.short == Some(*name),
                    lexopt::Arg::Value(_) => false,
                });
                let Some(flag) = found else {
                    return Err(misuse(given.sub, arg.unexpected().to_string()));
                };
                let value = match flag.value {
                    None => OsString::new(),
                    Some((name, kind)) => {
                        let value = parser.value().map_err(|_| {
                            misuse(given.sub, format!("--{} needs a value, {name}", flag.long))
                        })?;
                        check(kind, &value).map_err(|allowed| {
                            let value = value.as_bytes().escape_ascii();
                            misuse(given.sub, format!("--{} {value}: {allowed}", flag.long))
                        })?;
                        value
                    }
                };
                given.flags.push((flag.long, value));
                continue;
            }
            lexopt::Arg::Value(word) => word,
        };
        if !command.subs.is_empty() && given.sub.is_none() && given.words.is_empty() {
            given.sub = word.to_str().and_then(|name| command.sub(name));
            if given.sub.is_some() {
                continue;
            }
        }
        given.words.push(word);
        if given.sub.unwrap_or(command).words.command_line {
            let rest = parser.raw_args().map_err(|error| misuse(given.sub, error.to_string()))?;
            given.words.extend(rest);
            break;
        }
    }
    if !command.subs.is_empty() && given.sub.is_none() {
        let names: Vec<&str> = command.subs.iter().map(|sub| sub.name).collect();
        let got = given
            .words
            .first()
            .map_or(String::new(), |word| format!("{}: ", word.as_bytes().escape_ascii()));
        return Err(misuse(None, format!("{got}one of {} is needed", names.join(", "))));
    }
    let words = given.sub.unwrap_or(command).words;
    if given.words.len() < words.least {
        return Err(misuse(given.sub, format!("{} is needed", words.shown)));
    }
    if let Some(extra) = given.words.get(words.most) {
        let extra = extra.as_bytes().escape_ascii();
        return Err(misuse(given.sub, format!("{extra}: unexpected argument")));
    }
    for word in &given.words {
        check(words.kind, word).map_err(|allowed| {
            misuse(given.sub, format!("{}: {allowed}", word.as_bytes().escape_ascii()))
        })?;
    }
    Ok(Asked::Run(given))
}

/// What would have been understood, where this is not.
fn check(kind: Kind, value: &OsStr) -> Result<(), String> {
    let text = value.to_str();
    match kind {
        Kind::Number if text.is_none_or(|text| text.parse::<u64>().is_err()) => {
            Err("a whole number is needed".to_owned())
        }
        Kind::OneOf(names) if text.is_none_or(|text| !names.contains(&text)) => {
            Err(format!("{} is needed", names.join(" or ")))
        }
        Kind::File | Kind::Folder if value.is_empty() => Err("a name is needed".to_owned()),
        _ => Ok(()),
    }
}

fn complaint(command: &Command, sub: Option<&Command>, words: &str) -> String {
    let sub = sub.map_or(String::new(), |sub| format!(" {}", sub.name));
    // One that is called by a name of its own has no other that the user knows.
    let name = match command.group {
        Group::Hidden => command.called(),
        _ => command.name.to_owned(),
    };
    // The words may quote an argument, which may hold a line's end.
    let words: String = words.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("{name}{sub}: {words}; see {}{sub} --help", command.called())
}

/// What a command line gives, split at spaces; for tests of the commands.
#[cfg(test)]
pub fn from_line(line: &str) -> Result<Given, String> {
    let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let command = super::commands::find(words[0].as_bytes()).ok_or("no such command")?;
    match read(command, &words[1..]) {
        Ok(Asked::Run(given)) => Ok(given),
        Ok(Asked::Help(_)) => Err("help".to_owned()),
        Err(misuse) => Err(misuse.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::commands::find;
    use super::from_line as given;
    use super::*;

    #[test]
    fn flags_values_and_words() {
        let link = given("link d gcc --force cc").unwrap();
        assert!(link.has("force") && !link.has("remove"));
        assert_eq!(link.words, ["d", "gcc", "cc"]);
        let daemon = given("daemon --idle-timeout=7 --endpoint s --idle-timeout 9").unwrap();
        assert_eq!(daemon.number("idle-timeout"), Some(9));
        assert_eq!(daemon.value("endpoint"), Some(OsStr::new("s")));
    }

    #[test]
    fn second_words_take_flags_before_and_behind() {
        let fp = given("fp --cache-file f check --ext c --ext h").unwrap();
        assert_eq!(fp.sub.unwrap().name, "check");
        assert_eq!(fp.text("cache-file").as_deref(), Some("f"));
        assert_eq!(fp.values("ext").collect::<Vec<_>>(), ["c", "h"]);
        assert!(given("fp check --cache-file f").is_ok());
    }

    #[test]
    fn a_command_line_is_left_alone() {
        for line in ["explain gcc -c --json a.c", "explain -- gcc -c --json a.c"] {
            assert_eq!(given(line).unwrap().words, ["gcc", "-c", "--json", "a.c"], "{line}");
        }
        assert!(given("explain --json gcc -c").unwrap().has("json"));
    }

    #[test]
    fn nonsense_is_one_line() {
        for (line, words) in [
            ("link", "link: DIR [TOOL...] is needed; see zccache link --help"),
            ("start now", "start: now: unexpected argument; see zccache start --help"),
            ("status --jsn", "status: invalid option '--jsn'; see zccache status --help"),
            (
                "daemon --idle-timeout x",
                "daemon: --idle-timeout x: a whole number is needed; see zccache daemon --help",
            ),
            (
                "daemon --log-level",
                "daemon: --log-level needs a value, LEVEL; see zccache daemon --help",
            ),
            (
                "completions tcsh",
                "completions: tcsh: bash or zsh or fish is needed; see zccache completions --help",
            ),
            (
                "fp walk",
                "fp: walk: one of check, mark-success, mark-failure, invalidate is needed; see zccache fp --help",
            ),
            ("start --help", "help"),
        ] {
            assert_eq!(given(line).unwrap_err(), words, "{line}");
        }
        let break_line = [OsString::from("a\nb")];
        let misuse = read(find(b"start").unwrap(), &break_line).unwrap_err();
        assert!(!misuse.0.contains('\n'));
    }
}
