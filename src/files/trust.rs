//! Which file systems report every change to this kernel. On the others (network, FUSE,
//! 9p, anything not listed) a watch can miss a change made elsewhere, so their files are
//! looked at anew for every question.

use std::os::fd::BorrowedFd;

/// `f_type` of file systems that only this kernel can change (linux/magic.h and the file
/// systems' own sources).
const LOCAL: &[u64] = &[
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0xCA45_1A4E, // bcachefs
    0x3153_464A, // jfs
    0x5265_4973, // reiserfs
    0x7371_7368, // squashfs
    0xE0F5_E1E2, // erofs
    0x9660,      // iso9660
    0x0000_4D44, // vfat
    0x2011_BAB0, // exfat
];

/// True when a watch on this folder sees every change.
pub fn reports_all_changes(folder: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(folder).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64)))
}
