//! The compile of a source by a compile database, found as clang's tools find one.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;

use crate::files::{ContentHash, PathId, Seen};
use crate::inputs::search::normal;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::find::{absolute, base};
use crate::tools::refusal::{Refusal, refused};

/// What tells how sources are compiled.
#[derive(Debug)]
pub(super) enum Database {
    /// There is none: the tool complains and goes on without flags.
    None,
    /// `compile_flags.txt`: the same for every source.
    Flags(Entry),
    /// `compile_commands.json`
    Entries(Arc<Vec<Entry>>),
}

/// One compile.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Absolute.
    pub(super) folder: Arg,
    /// Absolute and in its normal spelling; empty where it holds for all.
    file: Arg,
    /// The compiler runs as for C++.
    pub(super) cxx: bool,
    /// Behind the compiler's name.
    pub(super) flags: Vec<Arg>,
}

impl Database {
    /// Looks in a folder (absolute) and in those above. Every place is added to `depends`.
    pub(super) fn find(
        caller: Caller<'_>,
        folder: &[u8],
        depends: &mut Vec<PathId>,
    ) -> Result<Database, Refusal> {
        let mut folder = folder.to_vec();
        loop {
            let mut read = |name: &[u8]| {
                let path = [&folder[..], name].concat();
                let id = caller.table.intern(&path);
                depends.push(id);
                match caller.table.look(id, true) {
                    Seen::Absent => Ok(None),
                    Seen::File { hash: Some(hash), .. } => Ok(Some((id, hash, path))),
                    _ => Err(refused(Reason::UncacheableArgument, &path)),
                }
            };
            match (read(b"/compile_commands.json")?, read(b"/compile_flags.txt")?) {
                (None, None) => {}
                // Which of the two is taken is not told anywhere.
                (Some((_, _, path)), Some(_)) => {
                    return Err(refused(Reason::UncacheableArgument, &path));
                }
                (Some((id, hash, path)), None) => {
                    let entries = entries(caller, id, hash);
                    let entries =
                        entries.ok_or_else(|| refused(Reason::UncacheableArgument, &path))?;
                    return Ok(Database::Entries(entries));
                }
                (None, Some((id, hash, path))) => {
                    let text = caller.table.text(id, &hash);
                    let text = text.ok_or_else(|| refused(Reason::UncacheableArgument, &path))?;
                    return Ok(Database::Flags(Entry { folder, ..flags(&text) }));
                }
            }
            match folder.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => folder.truncate(slash),
                None => return Ok(Database::None),
            }
        }
    }

    /// The compiles of a source (absolute), in order. Where there is no entry, clang makes one up
    /// out of all the others: that is refused.
    pub(super) fn compiles_of(&self, source: &[u8], cwd: &[u8]) -> Result<Vec<Entry>, Refusal> {
        let found: Vec<Entry> = match self {
            Database::None => vec![Entry { folder: cwd.to_vec(), ..flags(b"") }],
            Database::Flags(entry) => vec![entry.clone()],
            Database::Entries(entries) => {
                let source = normal(source);
                entries.iter().filter(|entry| entry.file == source).cloned().collect()
            }
        };
        if found.is_empty() { Err(refused(Reason::UncacheableArgument, source)) } else { Ok(found) }
    }
}

/// One flag a line.
fn flags(text: &[u8]) -> Entry {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let flags = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    Entry { folder: Vec::new(), file: Vec::new(), cxx: false, flags }
}

/// The database read last: a build asks for each of its entries in turn.
static KEPT: Mutex<Option<(ContentHash, Arc<Vec<Entry>>)>> = Mutex::new(None);

fn entries(caller: Caller<'_>, id: PathId, hash: ContentHash) -> Option<Arc<Vec<Entry>>> {
    if let Some((kept, entries)) = &*KEPT.lock()
        && *kept == hash
    {
        return Some(entries.clone());
    }
    let entries = Arc::new(parse(&caller.table.text(id, &hash)?)?);
    *KEPT.lock() = Some((hash, entries.clone()));
    Some(entries)
}

pub(super) fn parse(text: &[u8]) -> Option<Vec<Entry>> {
    #[derive(Deserialize)]
    struct Written {
        directory: String,
        file: String,
        command: Option<String>,
        arguments: Option<Vec<String>>,
    }
    let written: Vec<Written> = serde_json::from_slice(text).ok()?;
    let entry = |written: Written| {
        let words = match (written.arguments, written.command) {
            (Some(words), _) => words.into_iter().map(String::into_bytes).collect(),
            (None, Some(command)) => words(command.as_bytes())?,
            (None, None) => return None,
        };
        let folder = written.directory.into_bytes();
        if !folder.starts_with(b"/") {
            return None;
        }
        let (compiler, flags) = words.split_first()?;
        Some(Entry {
            file: normal(&absolute(&folder, written.file.as_bytes())),
            cxx: base(compiler).windows(2).any(|pair| pair == b"++"),
            flags: flags.to_vec(),
            folder,
        })
    };
    written.into_iter().map(entry).collect()
}

/// Splits a command as clang does. None where its versions do not agree.
fn words(command: &[u8]) -> Option<Vec<Arg>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' => words.extend(word.take()),
            b'\t' | b'\n' | b'\r' => return None,
            b'\\' => word.get_or_insert_default().push(bytes.next()?),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        byte => word.push(byte),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'\\' => word.push(bytes.next()?),
                        byte => word.push(byte),
                    }
                }
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        let text = br#"[
            {"directory": "/b", "command": "/usr/bin/c++ -DX=\\\"a\\ b\\\" '-Ia b' -c ../a.cc",
             "file": "../s/./a.cc"},
            {"directory": "/b", "arguments": ["cc", "-c", "x y.c"], "file": "/s/x y.c"}]"#;
        let entries = parse(text).unwrap();
        let words = |list: &[&str]| -> Vec<Arg> {
            list.iter().map(|word| word.as_bytes().to_vec()).collect()
        };
        assert_eq!(entries[0].flags, words(&["-DX=\"a b\"", "-Ia b", "-c", "../a.cc"]));
        assert_eq!((&entries[0].file[..], entries[0].cxx), (&b"/b/../s/a.cc"[..], true));
        assert_eq!((&entries[1].file[..], entries[1].cxx), (&b"/s/x y.c"[..], false));
        let all = Database::Entries(Arc::new(entries));
        assert_eq!(all.compiles_of(b"/s/./x y.c", b"/").unwrap().len(), 1);
        assert!(all.compiles_of(b"/s/none.c", b"/").is_err());
    }

    #[test]
    fn junk_is_refused() {
        for text in [
            "{}",
            "[{\"directory\":\"b\",\"file\":\"a\",\"command\":\"cc\"}]",
            "[{\"directory\":\"/b\",\"file\":\"a\"}]",
            "[{\"directory\":\"/b\",\"file\":\"a\",\"command\":\"cc 'x\"}]",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
