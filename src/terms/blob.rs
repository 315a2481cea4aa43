//! A blob: the bytes of one output, in a file that is named by its content.

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// blake3 of the content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlobId(pub [u8; 32]);

/// What `stat` says of a blob's file, to notice later that someone wrote to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStat {
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl BlobStat {
    /// The part of `stat` that is kept.
    #[allow(clippy::unnecessary_cast)] // the kernel's types differ between machines
    pub fn of(stat: &Stat) -> BlobStat {
        let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
        BlobStat {
            inode: stat.st_ino,
            size: stat.st_size as u64,
            mtime_ns: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime_ns: ns(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

impl std::fmt::Debug for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobId({})", blake3::Hash::from_bytes(self.0).to_hex())
    }
}
