//! What stands behind an answer: files by content and paths by absence. A program brings in what its
//! script line or its loader does.

use super::caller::Caller;
use super::find::absolute;
use super::program::{self, Program};
use super::query;
use crate::files::{PathId, Seen};

/// Files whose content, and paths whose absence, an answer depends on.
#[derive(Clone, Debug, Default)]
pub(super) struct Closure {
    pub(super) content: Vec<PathId>,
    pub(super) absent: Vec<PathId>,
}

impl Closure {
    /// Digest of what is at these paths now. None when one can't be read.
    pub(super) fn digest(&self, caller: Caller<'_>) -> Option<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        for id in &self.content {
            match caller.table.look(*id, true) {
                Seen::File { hash: Some(hash), .. } => hasher.update(&hash.0),
                Seen::Absent => hasher.update(b"absent"),
                _ => return None,
            };
        }
        for id in &self.absent {
            if !matches!(caller.table.look(*id, false), Seen::Absent) {
                return None;
            }
        }
        Some(*hasher.finalize().as_bytes())
    }

    /// A file by content, or its absence.
    pub(super) fn add(&mut self, id: PathId) {
        self.content.push(id);
    }

    /// A file that may be missing.
    pub(super) fn file(&mut self, caller: Caller<'_>, path: &[u8]) {
        let id = caller.table.intern(&absolute(caller.cwd, path));
        self.add(id);
    }

    /// A path that was looked at on the way: a file by content, or that nothing is there.
    pub(super) fn add_seen(&mut self, caller: Caller<'_>, id: PathId) {
        match caller.table.look(id, true) {
            Seen::Absent => self.absent.push(id),
            _ => self.content.push(id),
        }
    }

    pub(super) fn all(&self) -> Vec<PathId> {
        let mut all = [&self.content[..], &self.absent[..]].concat();
        all.sort();
        all.dedup();
        all
    }
}

/// Adds a program file, what its script line or loader brings in, and says what it is.
pub(super) fn add_program(
    caller: Caller<'_>,
    path: &[u8],
    closure: &mut Closure,
) -> Option<Program> {
    let (id, seen) = caller.content(path);
    if !matches!(seen, Seen::File { hash: Some(_), .. }) {
        return None;
    }
    closure.content.push(id);
    let found = program::inspect(path).ok()?;
    match &found {
        Program::Script { interpreter, .. } => closure.content.push(caller.content(interpreter).0),
        Program::Dynamic { loader } => add_loaded(caller, loader, path, closure)?,
        Program::Static => {}
    }
    Some(found)
}

/// Adds a library that a program loads by itself, and what that brings in.
pub(super) fn add_library(
    caller: Caller<'_>,
    library: &[u8],
    program: &[u8],
    closure: &mut Closure,
) -> Option<()> {
    closure.file(caller, library);
    match program::inspect(program).ok()? {
        Program::Dynamic { loader } => add_loaded(caller, &loader, library, closure),
        _ => Some(()),
    }
}

/// Adds the libraries that a loader would load for a file.
fn add_loaded(caller: Caller<'_>, loader: &[u8], path: &[u8], closure: &mut Closure) -> Option<()> {
    let said = query::ask(loader, &[b"--list".to_vec(), path.to_vec()], caller.env, b"/")?;
    for line in said.stdout.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| byte.is_ascii_whitespace());
        if let Some(library) = words.find(|word| word.first() == Some(&b'/')) {
            closure.content.push(caller.content(library).0);
        }
    }
    Some(())
}

/// Adds a field so that no two lists of fields hash alike.
pub(super) fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}
