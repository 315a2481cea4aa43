//! From what was read to what must stay as it is: contents, and absences.
//!
//! A compile's result depends on every file it read and on every place it looked at in vain. The
//! first are listed by the compiler (or found by text); the second follow from the directives of
//! what was read and the search folders. More of either than needed costs at worst a miss.

mod memo;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use memo::Resolver;

use super::scan::Scan;
use super::search::SearchPath;
use crate::files::ContentHash;
use crate::session::reason::Reason;
use crate::tools::command::{Arg, Flavor, ForcedHeader, Language};

/// A path as spelled, absolute or relative to the cwd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathRef(pub u32);

/// What is there under a path, symlinks followed. The number is the inode's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Absent,
    File(u64),
    Folder(u64),
}

/// What the resolver may ask about files.
pub trait World {
    /// Moves when anything that was answered before may be otherwise now.
    fn version(&self) -> u64;
    fn intern(&mut self, spelled: &[u8]) -> PathRef;
    fn spelled(&self, path: PathRef) -> Arc<[u8]>;
    fn presence(&mut self, path: PathRef) -> Presence;
    /// The content of a file that is there, and its size.
    fn content(&mut self, path: PathRef) -> Option<(ContentHash, u64)>;
    /// The scanned text of a file that is there: by [`super::scan::scan_assembly`] where `assembly`.
    fn scan(&mut self, path: PathRef, assembly: bool) -> Option<Arc<Scan>>;
}

/// What dependency output told.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// A full list (`-MD`), the assembler's list too where there is one.
    Complete(&'a [Vec<u8>]),
    /// System headers left out (`-MMD`).
    UserHeaders(&'a [Vec<u8>]),
    /// No dependency output: all is found by text.
    Nothing,
}

/// One compile of one source.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub source: &'a [u8],
    pub language: Language,
    pub flavor: Flavor,
    pub search: &'a SearchPath,
    /// `-include` and its like.
    pub forced: &'a [ForcedHeader],
    /// Bodies of `-D`.
    pub defines: &'a [Arg],
    pub read: Read<'a>,
    /// Precompiled headers may be picked up: gcc takes `X.gch` for any forced header and any that
    /// the source includes itself, clang `X.pch` or `X.gch` for a forced one.
    pub precompiled: bool,
    /// The mtimes of what is read are in the result, as in clang's precompiled headers, which it
    /// refuses where a header has another one by now.
    pub records_times: bool,
    /// The list holds what the assembler said it read.
    pub assembler_listed: bool,
    /// The compiler's own headers are not read.
    pub without_own: bool,
}

impl Question<'_> {
    /// The same before a compile, when only the looking matters and not what it says. The compiler's own headers are
    /// left out: nobody edits those in the middle of a build without changing what `stat` says of them. The places
    /// of precompiled ones are in folders that are looked at anyway.
    pub fn ahead(self) -> Self {
        Question { precompiled: false, without_own: true, ..self }
    }
}

/// All a result depends on beside the command. Sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputSet {
    /// The content matters.
    pub read: Vec<PathRef>,
    /// Must not be there.
    pub absent: Vec<PathRef>,
    /// Must be there; the content does not matter.
    pub exists: Vec<PathRef>,
    /// The mtime matters too: where `__TIMESTAMP__` is used or the result records them, those of
    /// all files read.
    pub stamped: Vec<PathRef>,
    /// `__TIME__` may be in the result.
    pub time: bool,
    /// `__DATE__` may be in the result.
    pub date: bool,
    /// Names of the environment variables that were read.
    pub env: Vec<Vec<u8>>,
}

/// Finds the inputs of one compile that succeeded.
///
/// The `resolver` must have been made for the same search path and the same cwd.
pub fn resolve<W: World + ?Sized>(
    world: &mut W,
    resolver: &mut Resolver,
    question: &Question<'_>,
) -> Result<InputSet, Reason> {
    run::Run::new(world, resolver, question)?.finish()
}
