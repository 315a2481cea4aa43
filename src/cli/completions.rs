//! `zccache completions SHELL`, made from the table.

use std::fmt::Write;
use std::process::ExitCode;

use super::commands;
use super::given::Given;
use super::print;
use super::table::{Command, Flag, Kind, Words};

/// Prints the script for the named shell.
pub fn run(given: &Given) -> ExitCode {
    let shell = given.words.first().and_then(|word| word.to_str());
    print(&match shell {
        Some("zsh") => zsh(),
        Some("fish") => fish(),
        _ => bash(),
    });
    ExitCode::SUCCESS
}

fn shown() -> impl Iterator<Item = &'static Command> {
    commands::all().filter(|command| command.is_shown())
}

/// A command's name and its other names.
fn names(command: &Command) -> impl Iterator<Item = &'static str> {
    std::iter::once(command.name).chain(command.aliases.iter().copied())
}

/// A command's flags and those of its second words.
fn flags(command: &Command) -> impl Iterator<Item = &'static Flag> {
    command.shown_flags().chain(command.subs.iter().flat_map(Command::shown_flags))
}

/// What stands for itself as a first word, beside the commands.
const FIRST: [&str; 4] = ["wrap", "--strict-paths", "--version", "--help"];

fn bash() -> String {
    let mut text = String::from(
        "# bash completions, made by: zccache completions bash\n\
         _zccache() {\n\
         \x20   local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n\
         \x20   COMPREPLY=()\n\
         \x20   if [ \"$COMP_CWORD\" -eq 1 ]; then\n",
    );
    let first: Vec<_> = shown().flat_map(names).chain(FIRST).collect();
    let _ = writeln!(
        text,
        "        mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\"",
        first.join(" ")
    );
    text.push_str(
        "            case $cur in ''|-*) ;; *) compgen -c -- \"$cur\" ;; esac)\n\
         \x20       return\n\
         \x20   fi\n\
         \x20   case ${COMP_WORDS[1]} in\n",
    );
    for command in shown() {
        let all: Vec<_> = names(command).collect();
        let _ = writeln!(text, "        {})", all.join("|"));
        if command.words.command_line {
            text.push_str(
                "            case $cur in -*) ;; *) declare -F _command_offset >/dev/null && \
                 _command_offset 2; return ;; esac\n",
            );
        }
        let mut values = flags(command)
            .filter_map(|flag| Some((flag.long, flag.value?.1)))
            .map(|(long, kind)| {
                format!("                --{long}) {}; return ;;\n", bash_kind(kind))
            })
            .peekable();
        if values.peek().is_some() {
            let values: String = values.collect();
            let _ = write!(text, "            case $prev in\n{values}            esac\n");
        }
        let long = flags(command).map(|flag| flag.long).chain(["help"]);
        let long: Vec<_> = long.map(|long| format!("--{long}")).collect();
        let _ = writeln!(
            text,
            "            case $cur in -*) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\"); return ;; esac",
            long.join(" ")
        );
        if command.subs.is_empty() {
            let _ = writeln!(text, "            {} ;;", bash_words(command.words));
        } else {
            let subs: Vec<_> = command.subs.iter().map(|sub| sub.name).collect();
            let _ = writeln!(
                text,
                "            mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\") ;;",
                subs.join(" ")
            );
        }
    }
    text.push_str(
        "        wrap) declare -F _command_offset >/dev/null && _command_offset 2 ;;\n\
         \x20       *) declare -F _command_offset >/dev/null && _command_offset 1 ;;\n\
         \x20   esac\n\
         }\n\
         complete -F _zccache zccache\n",
    );
    text
}

fn bash_words(words: Words) -> String {
    if words.most == 0 { ":".to_owned() } else { bash_kind(words.kind) }
}

fn bash_kind(kind: Kind) -> String {
    let from = |what: &str| format!("mapfile -t COMPREPLY < <(compgen {what} -- \"$cur\")");
    match kind {
        Kind::Text | Kind::Number => ":".to_owned(),
        Kind::File => format!("compopt -o filenames; {}", from("-f")),
        Kind::Folder => format!("compopt -o filenames; {}", from("-d")),
        Kind::OneOf(list) => from(&format!("-W '{}'", list.join(" "))),
    }
}

fn zsh() -> String {
    let mut text = String::from(
        "#compdef zccache\n\
         # zsh completions, made by: zccache completions zsh\n\
         _zccache() {\n\
         \x20 local -a commands\n\
         \x20 commands=(\n",
    );
    for command in shown() {
        for name in names(command).filter(|name| !name.starts_with('-')) {
            let _ = writeln!(text, "    {}", quoted(&format!("{name}:{}", command.summary)));
        }
    }
    text.push_str(
        "    'wrap:run the compiler that follows'\n\
         \x20 )\n\
         \x20 if (( CURRENT == 2 )); then\n\
         \x20   _describe -t commands command commands\n\
         \x20   _arguments '--strict-paths=-[check the spelling of paths]:mode:(off consistent absolute)' '--version' '--help'\n\
         \x20   _command_names -e\n\
         \x20   return\n\
         \x20 fi\n\
         \x20 case $words[2] in\n",
    );
    for command in shown() {
        let all: Vec<_> = names(command).collect();
        let _ = writeln!(text, "    {})", all.join("|"));
        text.push_str("      shift words; (( CURRENT-- ))\n      _arguments \\\n");
        for flag in flags(command) {
            let value = flag
                .value
                .map_or(String::new(), |(name, kind)| format!(":{name}:{}", zsh_kind(kind)));
            // The square brackets and colons of a description would end it.
            let help = flag.help.replace(['[', ']', ':'], "");
            let _ = writeln!(
                text,
                "        {} \\",
                quoted(&format!("*--{}[{help}]{value}", flag.long))
            );
        }
        text.push_str("        '--help[print help]'");
        if !command.subs.is_empty() {
            let subs: Vec<_> = command.subs.iter().map(|sub| sub.name).collect();
            let _ =
                write!(text, " \\\n        {}", quoted(&format!("1:step:({})", subs.join(" "))));
        } else if command.words.command_line {
            text.push_str(" \\\n        '*:: :_normal'");
        } else if command.words.most > 0 {
            let spec = format!(
                "*:{}:{}",
                command.words.shown.replace([':', '[', ']'], ""),
                zsh_kind(command.words.kind)
            );
            let _ = write!(text, " \\\n        {}", quoted(&spec));
        }
        text.push_str("\n      ;;\n");
    }
    text.push_str(
        "    wrap) shift 2 words; (( CURRENT -= 2 )); _normal ;;\n\
         \x20   *) shift words; (( CURRENT-- )); _normal ;;\n\
         \x20 esac\n\
         }\n\
         # From fpath this file is the function; read by `source` it only defines it.\n\
         if [ \"$funcstack[1]\" = _zccache ]; then _zccache \"$@\"; else compdef _zccache zccache; fi\n",
    );
    text
}

fn zsh_kind(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Number => String::new(),
        Kind::File => "_files".to_owned(),
        Kind::Folder => "_files -/".to_owned(),
        Kind::OneOf(list) => format!("({})", list.join(" ")),
    }
}

fn fish() -> String {
    let mut text = String::from(
        "# fish completions, made by: zccache completions fish\n\
         complete -c zccache -n __fish_is_first_arg -l strict-paths -d 'check the spelling of paths'\n\
         complete -c zccache -n __fish_is_first_arg -l version -d 'print the version'\n\
         complete -c zccache -s h -l help -d 'print help'\n\
         complete -c zccache -n __fish_is_first_arg -a wrap -d 'run the compiler that follows'\n\
         complete -c zccache -n __fish_is_first_arg -a '(__fish_complete_command)'\n",
    );
    for command in shown() {
        let all: Vec<_> = names(command).filter(|name| !name.starts_with('-')).collect();
        for name in &all {
            let _ = writeln!(
                text,
                "complete -c zccache -n __fish_is_first_arg -a {name} -d {}",
                quoted(command.summary)
            );
        }
        let within = format!("-n '__fish_seen_subcommand_from {}'", all.join(" "));
        for flag in flags(command) {
            let value = flag.value.map_or(String::new(), |(_, kind)| fish_kind(kind));
            let _ = writeln!(
                text,
                "complete -c zccache {within} -l {}{value} -d {}",
                flag.long,
                quoted(flag.help)
            );
        }
        for sub in command.subs {
            let _ = writeln!(
                text,
                "complete -c zccache {within} -f -a {} -d {}",
                sub.name,
                quoted(sub.summary)
            );
        }
        if command.subs.is_empty() {
            let words = match command.words.kind {
                Kind::OneOf(list) => format!(" -f -a '{}'", list.join(" ")),
                _ if command.words.most == 0 => " -f".to_owned(),
                _ => continue,
            };
            let _ = writeln!(text, "complete -c zccache {within}{words}");
        }
    }
    text
}

fn fish_kind(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Number => " -x".to_owned(),
        Kind::File => " -r -F".to_owned(),
        Kind::Folder => " -x -a '(__fish_complete_directories)'".to_owned(),
        Kind::OneOf(list) => format!(" -x -a '{}'", list.join(" ")),
    }
}

/// In single quotes, as bash and zsh read them; fish too, as no text here has a backslash.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
