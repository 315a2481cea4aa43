//! All commands, a table for each group. A first word that is in none of them is a tool to run.

mod cache;
mod downloads;
mod looking;
mod sessions;
mod shell;
mod tools;

use super::table::{Command, Kind, Words};

/// In the order of the overview.
const TABLES: [&[Command]; 6] = [
    cache::COMMANDS,
    looking::COMMANDS,
    sessions::COMMANDS,
    tools::COMMANDS,
    downloads::COMMANDS,
    shell::COMMANDS,
];

/// Every command, in the order of the overview.
pub fn all() -> impl Iterator<Item = &'static Command> {
    TABLES.into_iter().flatten()
}

/// Names of our own program that stand for a command.
pub const PERSONALITIES: [(&str, &str); 3] =
    [("zccache-daemon", "daemon"), ("zccache-fp", "fp-alone"), ("zccache-download", "downloader")];

/// The command that a first word names, by its name or another one.
pub fn find(word: &[u8]) -> Option<&'static Command> {
    let is_it = |name: &&str| name.as_bytes() == word;
    all().find(|command| is_it(&command.name) || command.aliases.iter().any(is_it))
}

const ID: Words = words("ID", 1, 1, Kind::Text);

/// Words that are counted, and all of one kind.
const fn words(shown: &'static str, least: usize, most: usize, kind: Kind) -> Words {
    Words { shown, least, most, kind, command_line: false }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn with_subs() -> impl Iterator<Item = &'static Command> {
        all().flat_map(|command| std::iter::once(command).chain(command.subs))
    }

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        for command in all() {
            for name in std::iter::once(&command.name).chain(command.aliases) {
                assert!(seen.insert(*name), "{name} twice");
            }
        }
        for command in with_subs() {
            let mut seen = HashSet::from(["help"]);
            let of_subs = command.subs.first().map_or(&[][..], |sub| sub.flags);
            for flag in command.flags.iter().chain(of_subs) {
                assert!(seen.insert(flag.long), "{} --{} twice", command.name, flag.long);
            }
        }
    }

    #[test]
    fn what_is_built_is_described() {
        for command in all().filter(|command| command.run.is_some()) {
            let name = command.name;
            assert!(!command.summary.is_empty(), "{name} has no summary");
            assert!(command.example.0.contains("zccache"), "{name} has no example");
            assert!(command.summary.len() <= 56, "{name}'s summary is too long for a screen");
            assert_eq!(
                command.flags.iter().any(|flag| flag.long == "json"),
                !command.json.is_empty() && command.name != "session-start",
                "{name}'s JSON is not documented"
            );
        }
    }
}
