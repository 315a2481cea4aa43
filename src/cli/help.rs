//! `--help`, for the program and for each command, made from the table.

use std::fmt::Write;

use super::commands;
use super::table::{Command, Field, Flag, Group};

/// Words in a paragraph are broken at this column.
const WIDTH: usize = 78;

/// `zccache --help`: it fits a screen of 24 lines.
pub fn overview() -> String {
    let mut text = String::from(
        "zccache: a compiler cache\n\n\
         \x20 zccache COMPILER ARGS...            run a compiler through the cache\n\
         \x20 zccache wrap [--] COMPILER ARGS...  the same, for one named like a command\n\
         \x20 zccache --strict-paths[=off|consistent|absolute] COMPILER ARGS...\n\
         \x20 zccache COMMAND [--help]            one of these, or what it takes\n\n",
    );
    for group in Group::SHOWN {
        let shown = commands::all().filter(|command| command.group == group && command.is_shown());
        let names: Vec<String> = shown.map(names).collect();
        if !names.is_empty() {
            let names = broken(&names.join(", "), WIDTH - 13, 13);
            let _ = writeln!(text, "{:<13}{names}", group.title());
        }
    }
    text.push_str(
        "\nExamples\n\
         \x20 make CC=\"zccache gcc\"               each compile goes through the cache\n\
         \x20 RUSTC_WRAPPER=zccache cargo build   the same for Rust\n\
         \x20 zccache link ~/.zccache-bin         compiler names that lead here, for PATH\n\n\
         Settings are variables or lines of config.toml: zccache config. Also: -V, man.\n",
    );
    text
}

/// `zccache COMMAND --help`.
pub fn of(command: &Command, sub: Option<&Command>) -> String {
    let mut text = usage(command, sub);
    let about = sub.unwrap_or(command);
    let _ = write!(text, "\n{}\n", broken(&sentence(about.summary), WIDTH, 0));
    if !about.about.is_empty() {
        let _ = writeln!(text, "{}", broken(about.about, WIDTH, 0));
    }
    if sub.is_none() && !command.subs.is_empty() {
        text.push('\n');
        rows(&mut text, command.subs.iter().map(|sub| (sub.name.to_owned(), sub.summary)));
    }
    let flags: Vec<&Flag> =
        command.shown_flags().chain(sub.into_iter().flat_map(Command::shown_flags)).collect();
    text.push('\n');
    let help = ("-h, --help".to_owned(), "print this");
    rows(&mut text, flags.iter().map(|flag| (flag.shown(), flag.help)).chain([help]));
    if !command.aliases.is_empty() {
        let _ = writeln!(text, "\nAlso called {}.", command.aliases.join(", "));
    }
    if !command.json.is_empty() {
        text.push_str("\nFields of the JSON object\n");
        fields(&mut text, command.json);
    }
    if !command.example.0.is_empty() {
        let (line, meaning) = command.example;
        let _ = write!(text, "\nExample: {meaning}\n  {line}\n");
    }
    text
}

/// The line that shows how a command is written.
pub fn usage(command: &Command, sub: Option<&Command>) -> String {
    let mut line = command.called();
    let last = sub.unwrap_or(command);
    match sub {
        Some(sub) => {
            let _ = write!(line, " {}", sub.name);
        }
        None if !command.subs.is_empty() => {
            let names: Vec<_> = command.subs.iter().map(|sub| sub.name).collect();
            let _ = write!(line, " {}", names.join("|"));
        }
        None => {}
    }
    let dashes = if last.words.command_line { " [--]" } else { "" };
    let words = format!("{dashes} {}", last.words.shown);
    if command.shown_flags().chain(last.shown_flags()).next().is_some() {
        line.push_str(" [FLAGS]");
    }
    line.push_str(words.trim_end());
    line.push('\n');
    line
}

fn names(command: &Command) -> String {
    match command.aliases {
        [alias] if !alias.starts_with('-') => format!("{} ({alias})", command.name),
        _ => command.name.to_owned(),
    }
}

fn sentence(summary: &str) -> String {
    let mut chars = summary.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// Two columns; what is too long for the second goes on in the next line.
fn rows<'a>(text: &mut String, rows: impl Iterator<Item = (String, &'a str)> + Clone) {
    let left = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0).min(30) + 4;
    for (name, meaning) in rows {
        let _ =
            writeln!(text, "{:<left$}{}", format!("  {name}"), broken(meaning, WIDTH - left, left));
    }
}

fn fields(text: &mut String, fields: &[Field]) {
    let left = fields.iter().map(|field| field.path.len()).max().unwrap_or(0) + 4;
    for field in fields {
        let meaning = format!("{}: {}", field.kind.name(), field.meaning);
        let _ = writeln!(
            text,
            "{:<left$}{}",
            format!("  {}", field.path),
            broken(&meaning, WIDTH - left, left)
        );
    }
}

/// Breaks a paragraph at spaces; further lines are set in by `indent`.
fn broken(paragraph: &str, width: usize, indent: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            let _ = write!(text, "\n{:indent$}", "");
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_a_screen() {
        let text = overview();
        assert!(text.lines().count() <= 24, "{text}");
        for command in commands::all().filter(|command| command.is_shown()) {
            assert!(text.contains(command.name), "{} is not told of", command.name);
        }
        assert!(text.contains("make CC="), "no example");
        let each = commands::all().map(|command| of(command, None));
        for text in each.chain([text]) {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }

    #[test]
    fn a_command_is_described() {
        let text = of(super::super::commands::find(b"link").unwrap(), None);
        for part in
            ["zccache link [FLAGS] DIR [TOOL...]\n", "  --force ", "Example: ", "-h, --help"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!of(super::super::commands::find(b"daemon").unwrap(), None).contains("detached"));
    }
}
