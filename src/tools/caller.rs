//! Who asks: the files, the environment and the folder that a command is understood in.

use super::environment::Environment;
use crate::files::{FileTable, PathId, Seen};

/// One caller's surroundings.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub table: &'a FileTable,
    pub env: Environment<'a>,
    pub cwd: &'a [u8],
}

impl Caller<'_> {
    /// What is at a path now, with its content.
    pub(super) fn content(&self, path: &[u8]) -> (PathId, Seen) {
        let id = self.table.intern(path);
        (id, self.table.look(id, true))
    }
}
