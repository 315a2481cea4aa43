//! Blobs: the bytes of outputs, one file each, named by the blake3 of their content.

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

impl std::fmt::Debug for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobId({})", blake3::Hash::from_bytes(self.0).to_hex())
    }
}
