//! What can go wrong with a download, with the status that commands exit with.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Why a download failed: one line, and of which kind it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// What, where, and what to do.
    pub text: String,
}

/// The kinds, each with an exit status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// None of the others.
    Other,
    /// Not a URL, or of a scheme that is not known.
    Url,
    /// Not the spelling of a SHA-256.
    Hash,
    /// The content is not what it should be.
    Mismatch,
    /// The file or folder can't be written.
    Target,
    /// No space left.
    Space,
    /// Not an archive of a known format.
    Format,
    /// The archive is damaged, or does what no archive should.
    Archive,
    /// The server answered, and refused.
    Server,
    /// The server can't be reached, or breaks off again and again.
    Network,
    /// Somebody cancelled it, or nobody waited for it any more.
    Cancelled,
    /// It goes on, but the time to wait is over.
    TimedOut,
    /// The daemon can't be reached.
    Daemon,
    /// Another download writes to the same place.
    Busy,
}

impl FaultKind {
    /// All kinds with their exit status and meaning, for documents.
    pub const ALL: [(FaultKind, u8, &'static str); 14] = [
        (FaultKind::Other, 1, "anything else"),
        (FaultKind::Url, 3, "not a URL, or not http or https"),
        (FaultKind::Hash, 4, "not a SHA-256 in hex"),
        (FaultKind::Mismatch, 5, "the content has another SHA-256; it is kept aside"),
        (FaultKind::Target, 6, "the file or folder can't be written"),
        (FaultKind::Space, 7, "no space left"),
        (FaultKind::Format, 8, "not an archive of a known format"),
        (FaultKind::Archive, 9, "a damaged or hostile archive"),
        (FaultKind::Server, 10, "the server refused"),
        (FaultKind::Network, 11, "the server can't be reached, or breaks off"),
        (FaultKind::Cancelled, 12, "cancelled"),
        (FaultKind::TimedOut, 13, "the time to wait is over; the download goes on"),
        (FaultKind::Daemon, 14, "the daemon can't be reached"),
        (FaultKind::Busy, 15, "another download writes to the same place"),
    ];

    /// It lies with a server or the way to it: another one may do.
    pub fn is_remote(self) -> bool {
        matches!(self, FaultKind::Server | FaultKind::Network)
    }

    /// What a command exits with.
    pub fn exit_status(self) -> u8 {
        FaultKind::ALL.iter().find(|(kind, ..)| *kind == self).map_or(1, |(_, status, _)| *status)
    }
}

impl Fault {
    pub fn new(kind: FaultKind, text: impl Into<String>) -> Fault {
        // The words may quote a server, which may say anything.
        let text = text.into().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Fault { kind, text }
    }

    /// Something that could not be done with a file or folder of the user.
    pub fn target(doing: &str, path: &Path, error: &io::Error) -> Fault {
        Fault::local(FaultKind::Target, doing, path, error)
    }

    /// The same with another kind; a full disk is always one.
    pub fn local(kind: FaultKind, doing: &str, path: &Path, error: &io::Error) -> Fault {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        let kind = if full.contains(&error.kind()) { FaultKind::Space } else { kind };
        Fault::new(kind, format!("{doing} {}: {error}", path.display()))
    }

    pub fn cancelled() -> Fault {
        Fault::new(FaultKind::Cancelled, "the download was cancelled; asking again goes on with it")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}
