//! What an action's key is made of, part by part. The key is the hash of exactly this text,
//! so what is said about a key can't differ from it.

use crate::terms::key::ActionKey;

/// What one part says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Part {
    /// Which rules made this text.
    Rules = 0,
    /// Hash of all that makes one of the tools what it is.
    Tool = 1,
    /// The name the tool was called by.
    Called = 2,
    /// What is made, and of which language.
    Mode = 3,
    /// The source as spelled.
    Source = 4,
    /// An argument that decides the result. Their order counts.
    Flag = 5,
    /// `NAME=VALUE`, or `NAME` for one that is not set.
    Variable = 6,
    /// A folder that the result records.
    Folder = 7,
    /// The name of an output, where the result records it.
    OutputName = 8,
    /// An argument as typed, where the result records the whole command.
    Word = 9,
    /// A file that every result depends on, there or not.
    ExtraInput = 10,
    /// Hash of a library that comes before the tool's own.
    Library = 11,
    /// What `native` stands for on this machine.
    Machine = 12,
    /// An argument that is added to the run, the checkout's root left out.
    Added = 13,
    /// Hash of a file that the tool changes, as it was before; nothing where it was not there.
    Before = 14,
    /// A file that is there to be found by its name.
    Findable = 15,
}

impl Part {
    const ALL: [Part; 16] = [
        Part::Rules,
        Part::Tool,
        Part::Called,
        Part::Mode,
        Part::Source,
        Part::Flag,
        Part::Variable,
        Part::Folder,
        Part::OutputName,
        Part::Word,
        Part::ExtraInput,
        Part::Library,
        Part::Machine,
        Part::Added,
        Part::Before,
        Part::Findable,
    ];

    /// The part of this number.
    pub fn of(number: u8) -> Option<Part> {
        Part::ALL.get(usize::from(number)).copied()
    }

    /// As `explain` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Rules => "rules",
            Part::Tool => "tool",
            Part::Called => "called",
            Part::Mode => "makes",
            Part::Source => "source",
            Part::Flag => "flag",
            Part::Variable => "variable",
            Part::Folder => "folder",
            Part::OutputName => "output",
            Part::Word => "word",
            Part::ExtraInput => "extra input",
            Part::Library => "library",
            Part::Machine => "machine",
            Part::Added => "added",
            Part::Before => "before",
            Part::Findable => "there to be found",
        }
    }

    /// The part is a hash, not text.
    pub fn is_hash(self) -> bool {
        matches!(self, Part::Tool | Part::Library | Part::Machine | Part::Before)
    }
}

/// The parts of one action's key, in order: for each a byte that says what it is, its length in
/// four bytes, and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyParts {
    text: Vec<u8>,
}

impl KeyParts {
    pub fn add(&mut self, part: Part, bytes: &[u8]) {
        self.text.push(part as u8);
        // No argument or variable is as long as four bytes can't tell.
        self.text.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.text.extend_from_slice(bytes);
    }

    /// A variable's value, or that it is not set.
    pub fn add_variable(&mut self, name: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.add(Part::Variable, &[name.as_bytes(), b"=", value].concat()),
            None => self.add(Part::Variable, name.as_bytes()),
        }
    }

    pub fn key(&self) -> ActionKey {
        ActionKey(*blake3::hash(&self.text).as_bytes())
    }

    /// All parts in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (Part, &[u8])> {
        let mut rest = &self.text[..];
        std::iter::from_fn(move || {
            let (head, body) = rest.split_first_chunk::<5>()?;
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let (bytes, after) = body.split_at_checked(length)?;
            rest = after;
            Some((Part::of(head[0])?, bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_in_order() {
        let mut parts = KeyParts::default();
        parts.add(Part::Flag, b"-O2");
        parts.add_variable("LANG", None);
        parts.add_variable("LANG", Some(b""));
        let listed: Vec<_> = parts.iter().collect();
        let expected =
            [(Part::Flag, &b"-O2"[..]), (Part::Variable, b"LANG"), (Part::Variable, b"LANG=")];
        assert_eq!(listed, expected);
    }

    #[test]
    fn every_difference_makes_another_key() {
        let make = |list: &[(Part, &[u8])]| {
            let mut parts = KeyParts::default();
            list.iter().for_each(|(part, bytes)| parts.add(*part, bytes));
            parts.key()
        };
        let key = make(&[(Part::Flag, b"a"), (Part::Flag, b"b")]);
        assert_ne!(key, make(&[(Part::Flag, b"ab")]));
        assert_ne!(key, make(&[(Part::Flag, b"b"), (Part::Flag, b"a")]));
        assert_ne!(key, make(&[(Part::Word, b"a"), (Part::Flag, b"b")]));
    }

    #[test]
    fn numbers_name_parts() {
        for part in Part::ALL {
            assert_eq!(Part::of(part as u8), Some(part));
        }
        assert_eq!(Part::of(16), None);
    }
}
