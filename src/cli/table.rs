//! What a command is: its words, flags and JSON fields as plain data. `commands` fills this
//! in once; parsing, help, completions and the man page are all made from it.

use std::process::ExitCode;

use super::given::Given;

/// A subcommand of the program, or of another one.
#[derive(Debug)]
pub struct Command {
    pub name: &'static str,
    /// Other first words that mean the same.
    pub aliases: &'static [&'static str],
    pub group: Group,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// More of it, for `--help` and the man page; may be empty.
    pub about: &'static str,
    pub words: Words,
    pub flags: &'static [Flag],
    /// The second words it takes, each with flags of its own.
    pub subs: &'static [Command],
    /// A command line that works, with what it does.
    pub example: (&'static str, &'static str),
    /// What `--json` prints: the fields of the one object, or of each line's.
    pub json: &'static [Field],
    /// None: a known word that is not built yet; it is kept out of help and completions.
    pub run: Option<fn(&Given) -> ExitCode>,
}

/// For the many fields that most commands leave empty.
pub const COMMAND: Command = Command {
    name: "",
    aliases: &[],
    group: Group::Hidden,
    summary: "",
    about: "",
    words: NO_WORDS,
    flags: &[],
    subs: &[],
    example: ("", ""),
    json: &[],
    run: None,
};

/// Where a command stands in the overview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Cache,
    Looking,
    Sessions,
    Tools,
    Shell,
    /// Not for people.
    Hidden,
}

impl Group {
    /// In the order of the overview.
    pub const SHOWN: [Group; 5] =
        [Group::Cache, Group::Looking, Group::Sessions, Group::Tools, Group::Shell];

    pub fn title(self) -> &'static str {
        match self {
            Group::Cache => "The cache",
            Group::Looking => "Looking",
            Group::Sessions => "Sessions",
            Group::Tools => "Other tools",
            Group::Shell => "The shell",
            Group::Hidden => "",
        }
    }
}

/// The words a command takes beside its flags.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// As shown in help: `DIR [TOOL...]`. Empty when there are none.
    pub shown: &'static str,
    pub least: usize,
    pub most: usize,
    pub kind: Kind,
    /// From the first word on nothing is a flag of ours: a command line follows.
    pub command_line: bool,
}

pub const NO_WORDS: Words =
    Words { shown: "", least: 0, most: 0, kind: Kind::Text, command_line: false };

/// What a word or a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number from 0.
    Number,
    File,
    Folder,
    OneOf(&'static [&'static str]),
}

#[derive(Debug)]
pub struct Flag {
    /// Without the dashes.
    pub long: &'static str,
    pub short: Option<char>,
    /// The value's name as help shows it, and what it is. None: the flag takes no value.
    pub value: Option<(&'static str, Kind)>,
    /// What it does. Empty: the flag is ours, and not shown.
    pub help: &'static str,
}

/// A flag without a value.
pub const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, value: None, help }
}

/// A flag with a value.
pub const fn valued(
    long: &'static str,
    name: &'static str,
    kind: Kind,
    help: &'static str,
) -> Flag {
    Flag { long, short: None, value: Some((name, kind)), help }
}

/// The flag of every command that reports.
pub const JSON: Flag = switch("json", "print one JSON object instead of words");

/// One field of a JSON object.
#[derive(Debug)]
pub struct Field {
    /// A dot leads into an object, `[]` into each element of a list, `*` stands for any name,
    /// `**` for everything below.
    pub path: &'static str,
    pub kind: Json,
    pub meaning: &'static str,
}

/// A JSON value's type. `Maybe…`: or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    Str,
    MaybeStr,
    Int,
    MaybeInt,
    Float,
    MaybeFloat,
    Bool,
    Array,
    Object,
    MaybeObject,
}

impl Json {
    pub fn name(self) -> &'static str {
        match self {
            Json::Str => "string",
            Json::MaybeStr => "string or null",
            Json::Int => "integer",
            Json::MaybeInt => "integer or null",
            Json::Float => "number",
            Json::MaybeFloat => "number or null",
            Json::Bool => "boolean",
            Json::Array => "array",
            Json::Object => "object",
            Json::MaybeObject => "object or null",
        }
    }
}

pub const fn field(path: &'static str, kind: Json, meaning: &'static str) -> Field {
    Field { path, kind, meaning }
}

impl Command {
    /// The words it is called by.
    pub fn called(&self) -> String {
        let own = super::commands::PERSONALITIES.iter().find(|(_, name)| *name == self.name);
        match own {
            // One that has no other name.
            Some((personality, _)) if self.group == Group::Hidden => (*personality).to_owned(),
            _ => format!("zccache {}", self.name),
        }
    }

    /// Whether help and completions tell of it.
    pub fn is_shown(&self) -> bool {
        self.group != Group::Hidden && self.run.is_some()
    }

    /// The flags that help and completions tell of.
    pub fn shown_flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().filter(|flag| !flag.help.is_empty())
    }

    pub fn sub(&self, name: &str) -> Option<&'static Command> {
        self.subs.iter().find(|sub| sub.name == name || sub.aliases.contains(&name))
    }
}

impl Flag {
    /// `-h, --help` or `--json` or `--idle-timeout SECS`.
    pub fn shown(&self) -> String {
        let mut shown = self.short.map_or(String::new(), |short| format!("-{short}, "));
        shown.push_str("--");
        shown.push_str(self.long);
        if let Some((name, _)) = self.value {
            shown.push(' ');
            shown.push_str(name);
        }
        shown
    }
}
