//! From what was read to what must stay as it is: contents, and absences.
//!
//! A compile's result depends on every file it read and on every place it looked at in vain. The
//! first are listed by the compiler (or found by text); the second follow from the directives of
//! what was read and the search folders. More of either than needed costs at worst a miss.

mod digest;
mod memo;
mod run;
mod spots;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use memo::Resolver;

use super::scan::Scan;
use super::search::SearchPath;
use crate::files::ContentHash;
use crate::inputs::dialect::{Flavor, Language};
use crate::inputs::search::ForcedHeader;
use crate::session::reason::Reason;
use crate::terms::Arg;

/// A path as spelled, absolute or relative to the cwd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// The absolute path of what is there, without symlinks and `..`, where that is another than the one spelled.
    fn own_path(&self, path: PathRef) -> Option<Vec<u8>>;
    /// The content of a file that is there, and its size.
    fn content(&mut self, path: PathRef) -> Option<(ContentHash, u64)>;
    /// The size of a file that is there, and the second of its mtime.
    fn dated(&mut self, path: PathRef) -> Option<(u64, i64)>;
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
    /// The mtimes of what a precompiled header was made of are compared with those that it records.
    pub checks_times: bool,
    /// Folders that only the assembler searches.
    pub assembler_folders: &'a [Arg],
    /// The list holds what the assembler said it read.
    pub assembler_listed: bool,
    /// The compiler's own headers are not read.
    pub without_own: bool,
    /// System headers are called by their own paths where those are shorter, as gcc does: it names them so, and
    /// looks beside those for what they include in quotes.
    pub canonical: bool,
}

impl Question<'_> {
    /// The same before a compile, when only the looking matters and not what it says. The compiler's own headers are
    /// left out: nobody edits those in the middle of a build without changing what `stat` says of them. The places
    /// of precompiled ones are in folders that are looked at anyway.
    fn ahead(self) -> Self {
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
    /// Must be there, and stay a file or a folder as it is; the content does not matter.
    pub exists: Vec<PathRef>,
    /// The mtime matters too: where `__TIMESTAMP__` is used or the result records them, those of
    /// all files read.
    pub stamped: Vec<PathRef>,
    /// It matters which of these are one file or folder: compilers search a folder once that has
    /// two names, and clang reads a file with `#pragma once` once.
    pub related: Vec<PathRef>,
    /// It matters which of these have one mtime: gcc takes files for one that have, if what they
    /// hold is the same as well.
    pub coeval: Vec<PathRef>,
    /// It matters what the own path of these is, without symlinks and `..`.
    pub linked: Vec<PathRef>,
    /// Could have been read, and was not: by a directive that is not taken, or since something else was there while the
    /// compiler ran. Must not have changed since it began, and is no input.
    pub passed: Vec<PathRef>,
    /// Told to have been read, and not there: either nobody read it, or it is gone already. Must be known not to have
    /// been there since the compiler began.
    pub doubtful: Vec<PathRef>,
    /// `__TIME__` may be in the result.
    pub time: bool,
    /// `__DATE__` may be in the result.
    pub date: bool,
    /// Names of the environment variables that were read.
    pub env: Vec<Vec<u8>>,
}

impl InputSet {
    /// Takes in what another compile, or another part of the same one, depends on.
    pub fn add(&mut self, other: InputSet) {
        self.read.extend(other.read);
        self.absent.extend(other.absent);
        self.exists.extend(other.exists);
        self.stamped.extend(other.stamped);
        self.related.extend(other.related);
        self.coeval.extend(other.coeval);
        self.linked.extend(other.linked);
        self.passed.extend(other.passed);
        self.doubtful.extend(other.doubtful);
        self.env.extend(other.env);
        self.time |= other.time;
        self.date |= other.date;
    }

    /// Puts everything in order, each once.
    pub fn sort(&mut self) {
        let InputSet { read, absent, exists, stamped, .. } = self;
        let InputSet { related, coeval, linked, passed, doubtful, .. } = self;
        for list in [read, absent, exists, stamped, related, coeval, linked, passed, doubtful] {
            list.sort_unstable();
            list.dedup();
        }
        self.env.sort_unstable();
        self.env.dedup();
    }
}

/// Before a compile: looks at all that it will probably read, and where that is looked for, so that it is watched from then on.
///
/// The `resolver` must have been made for the same search path and the same cwd.
pub fn look_ahead<W: World + ?Sized>(
    world: &mut W,
    resolver: &mut Resolver,
    question: &Question<'_>,
) {
    let question = question.ahead();
    let is_reached = run::Run::new(world, resolver, &question).is_ok_and(|run| run.walk());
    if !is_reached {
        let _ = resolve(world, resolver, &question);
    }
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
