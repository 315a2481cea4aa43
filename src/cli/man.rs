//! `zccache man`: the manual page, made from the table.

use std::fmt::Write;
use std::process::ExitCode;

use super::commands;
use super::given::Given;
use super::table::{Command, Flag};
use super::{help, print};
use crate::settings::table::{SETTINGS, Setting};

/// Prints the page as roff.
pub fn run(_: &Given) -> ExitCode {
    print(&page());
    ExitCode::SUCCESS
}

/// The whole page.
pub fn page() -> String {
    let mut text =
        format!(".TH ZCCACHE 1 \"\" \"zccache {}\" \"User Commands\"\n", env!("CARGO_PKG_VERSION"));
    text.push_str(
        ".SH NAME\n\
         zccache \\- compiler cache\n\
         .SH SYNOPSIS\n\
         .B zccache\n\
         [\\fB\\-\\-strict\\-paths\\fR[=\\fIMODE\\fR]] [\\fBwrap\\fR [\\fB\\-\\-\\fR]] \\fICOMPILER ARGS\\fR...\n\
         .br\n\
         .B zccache\n\
         .I COMMAND\n\
         [\\fIFLAGS\\fR] [\\fIARGS\\fR]\n\
         .SH DESCRIPTION\n",
    );
    paragraph(
        &mut text,
        "Runs a compiler through a cache: a repeated compile leaves the same files, messages and \
         exit status, and no compiler runs. A command that can't be cached just runs. The first \
         word is one of the commands below, or else the tool to run; after wrap it is always the \
         tool. A symlink to zccache with a compiler's name stands for the next compiler of that \
         name on PATH.",
    );
    paragraph(
        &mut text,
        "With --strict-paths (absolute when no mode is given) a command whose include folders and \
         files are not spelled as the mode asks is not run; see ZCCACHE_STRICT_PATHS.",
    );
    text.push_str(".SH COMMANDS\n");
    for command in commands::all().filter(|command| command.is_shown()) {
        describe(&mut text, command);
    }
    text.push_str(".SH SETTINGS\n");
    paragraph(
        &mut text,
        "Each is a variable; those with a second name can also stand in the file config.toml in \
         the cache root (a name, = and a value, as TOML has it). The variable wins. In the file a \
         line that makes no sense is left out, and told by commands and in the daemon's log.",
    );
    for setting in SETTINGS {
        let key = setting.key().map_or(String::new(), |key| format!(", \\fB{key}\\fR"));
        let Setting { variable, meaning, allowed, default, .. } = setting;
        let words = format!("{meaning}. {allowed}; by default {default}.");
        let _ = writeln!(text, ".TP\n\\fB{variable}\\fR{key}\n{}", escaped(&words));
    }
    text.push_str(".SH EXIT STATUS\n");
    paragraph(
        &mut text,
        "The tool's own; 127 when it is not there, 126 when it can't be executed; a tool that a \
         signal ended takes zccache with it. Commands of zccache end with 0, with 1 on failure, \
         and with 2 when the command line or a setting makes no sense.",
    );
    text
}

fn describe(text: &mut String, command: &Command) {
    let _ = writeln!(text, ".SS {}", escaped(help::usage(command, None).trim_end()));
    if !command.aliases.is_empty() {
        paragraph(text, &format!("Also called {}.", command.aliases.join(", ")));
    }
    paragraph(text, &format!("{}. {}", command.summary, command.about));
    flags(text, command.shown_flags());
    for sub in command.subs {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(sub.name), escaped(sub.summary));
        text.push_str(".RS\n");
        flags(text, sub.shown_flags());
        text.push_str(".RE\n");
    }
    if !command.json.is_empty() {
        paragraph(text, "Fields of the JSON object:");
        for field in command.json {
            let (path, kind) = (escaped(field.path), field.kind.name());
            let _ = writeln!(text, ".TP\n\\fB{path}\\fR ({kind})\n{}", escaped(field.meaning));
        }
    }
    if !command.example.0.is_empty() {
        let (line, meaning) = command.example;
        paragraph(text, &format!("Example ({meaning}):"));
        let _ = writeln!(text, ".RS\n.nf\n{}\n.fi\n.RE", escaped(line));
    }
}

fn flags(text: &mut String, flags: impl Iterator<Item = &'static Flag>) {
    for flag in flags {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(&flag.shown()), escaped(flag.help));
    }
}

fn paragraph(text: &mut String, words: &str) {
    let _ = writeln!(text, ".PP\n{}", escaped(words.trim()));
}

/// Text that roff shows as it is.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    // At the start of a line these would make it a request.
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_it() {
        let page = page();
        for command in commands::all().filter(|command| command.is_shown()) {
            assert!(page.contains(&format!(".SS zccache {}", escaped(command.name))));
        }
        assert_eq!(escaped(".a-b\\c"), "\\&.a\\-b\\ec");
    }
}
