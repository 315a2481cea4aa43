//! Outputs: what a tool writes, and how that is to be put in place again.

use serde::{Deserialize, Serialize};

use super::Arg;

/// A file the compiler will write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub role: Role,
    /// As the compiler will name it: absolute, or relative to the cwd.
    pub path: Arg,
    pub style: WriteStyle,
    /// False where the compiler leaves it out at times (`.dwo` without debug info, `-MD` of a `.s`).
    pub required: bool,
}

/// What an output is, which says how to find it in a stored result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// The object, assembly text or precompiled header.
    Main,
    /// `.d`
    Dependencies,
    /// `.dwo`
    SplitDwarf,
    /// `.gcno`
    CoverageNotes,
    /// `.su`
    StackUsage,
    /// `.ci`
    CallGraph,
    /// `--serialize-diagnostics FILE`
    Diagnostics,
    /// `-ftime-trace`
    TimeTrace,
    /// `-aux-info FILE`
    AuxInfo,
    /// `-fopt-info-…=FILE`, `-fsave-optimization-record`
    OptimisationRecord,
    /// `-Wa,-a…=FILE`
    Listing,
    /// A linker's `-Map=FILE`
    LinkMap,
    /// `--out-implib=FILE`
    ImportLibrary,
    /// Any other file of a tool that may make several of a kind, by its number.
    Other(u16),
    /// Files that nobody named, made beside the main one
    Siblings,
    /// `-MJ FILE`: the compile's entry in a compilation database
    DatabaseEntry,
}

impl Role {
    /// A text in which paths follow the checkout that it is for.
    pub fn lists_paths(self) -> bool {
        matches!(self, Role::Dependencies | Role::DatabaseEntry)
    }
}

/// How the compiler opens an output that is already there (measured: gcc 12, clang 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteStyle {
    /// Removed first, or renamed over: a new inode with fresh modes; a symlink is replaced.
    Replace,
    /// As `Replace`, where nothing or a regular file with content has the name. What becomes of
    /// an empty file or a symlink differs from linker to linker: that is left to it.
    ReplaceFile,
    /// Opened and truncated: inode, modes and symlinks stay.
    InPlace,
    /// Made in a way that is not known, as a file or a folder: stored as a pack (`store::pack`).
    Packed,
    /// Several files of one folder, which the tool named itself; the output's name is the folder's.
    /// Stored as a pack; delivered only where nothing else has one of the names.
    Among,
    /// As `Replace`, but a file that may not be written to is left, and complained of.
    ReplaceWritable,
    /// As GNU's assembler: a file with content is removed first, or the symlink that leads to one; what
    /// is empty, or where a symlink leads nowhere, is opened and truncated.
    ReplaceFilled,
}

/// How a file may share the store's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkMode {
    /// The cheapest that is safe.
    #[default]
    Auto,
    /// Reflink where possible, else copy.
    Reflink,
    /// Hard link where safe, whatever the size; else copy.
    Hardlink,
    Copy,
}

impl LinkMode {
    /// None for a word that is not a mode.
    pub fn parse(text: &[u8]) -> Option<LinkMode> {
        match text {
            b"auto" => Some(LinkMode::Auto),
            b"reflink" => Some(LinkMode::Reflink),
            b"hardlink" => Some(LinkMode::Hardlink),
            b"copy" => Some(LinkMode::Copy),
            _ => None,
        }
    }
}
