//! Which files a process sees: paths mean the same to two processes only if their views are equal.

use rustix::fs::{AtFlags, CWD, StatxFlags};

/// Bytes of a view on the wire.
pub const VIEW_BYTES: usize = 32;

/// What a process sees, as it goes over the wire (little endian): device of its root folder, major
/// and minor (4 each), inode (8), number of the mount that the root is on (8), and the inode of its mount
/// namespace (8) where the kernel tells no mount numbers (before Linux 5.8), else 0.
///
/// A mount belongs to one mount namespace, and its number is not given to another while it is
/// anybody's root: so root and mount tell everything. `sys::quick` makes the same without a library.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View(pub [u8; VIEW_BYTES]);

impl View {
    /// This process's own. None where the kernel does not even tell of the root folder.
    pub fn own() -> Option<View> {
        use std::os::unix::fs::MetadataExt;

        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let root = rustix::fs::statx(CWD, "/", AtFlags::empty(), wanted).ok()?;
        let is_told = StatxFlags::from_bits_retain(root.stx_mask).contains(StatxFlags::MNT_ID);
        let (mount, namespace) = match is_told {
            true => (root.stx_mnt_id, 0),
            false => (0, std::fs::metadata("/proc/self/ns/mnt").map_or(0, |meta| meta.ino())),
        };
        let mut view = [0; VIEW_BYTES];
        view[0..4].copy_from_slice(&root.stx_dev_major.to_le_bytes());
        view[4..8].copy_from_slice(&root.stx_dev_minor.to_le_bytes());
        view[8..16].copy_from_slice(&root.stx_ino.to_le_bytes());
        view[16..24].copy_from_slice(&mount.to_le_bytes());
        view[24..32].copy_from_slice(&namespace.to_le_bytes());
        Some(View(view))
    }
}
