//! Copying file content the cheapest way this kernel and file system know.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{copy_file_range, fstatfs, getxattr, ioctl_ficlone};
use rustix::io::Errno;

/// Up to here one buffer and a read and a write are as quick as `copy_file_range` (measured on ext4).
const BUFFERED: u64 = 256 * 1024;

/// Set by the first clone that failed: neighbouring files rarely fare better, and each try costs a call.
static CLONE_FAILED: AtomicBool = AtomicBool::new(false);

/// Makes `to`, an empty file, share all of `from`'s content. False where that cannot be done;
/// `to` is still empty then.
pub fn clone_file(from: impl AsFd, to: impl AsFd) -> bool {
    if CLONE_FAILED.load(Relaxed) {
        return false;
    }
    let cloned = ioctl_ficlone(to, from).is_ok();
    if !cloned {
        CLONE_FAILED.store(true, Relaxed);
    }
    cloned
}

/// Whether files on `file`'s file system can share content at all, as far as its kind tells.
/// Asked before a file is created only to be cloned into.
pub fn may_clone(file: impl AsFd) -> bool {
    const KINDS: [u32; 7] = [
        0x9123_683E, // btrfs
        0x5846_5342, // xfs
        0xCA45_1A4E, // bcachefs
        0x2FC1_2FC1, // zfs
        0x794C_7630, // overlayfs: depends on what is below
        0x0000_6969, // nfs
        0xFE53_4D42, // smb
    ];
    !CLONE_FAILED.load(Relaxed)
        && fstatfs(file).is_ok_and(|about| KINDS.contains(&(about.f_type as u32)))
}

/// Copies up to `size` bytes from where both files stand; both offsets move along. Gives the
/// number of bytes copied, which is less than `size` when `from` ends early.
pub fn copy(from: impl AsFd, to: impl AsFd, size: u64) -> io::Result<u64> {
    let mut done = 0;
    while size > BUFFERED && done < size {
        let want = usize::try_from(size - done).unwrap_or(usize::MAX).min(1 << 30);
        match copy_file_range(&from, None, &to, None, want) {
            Ok(0) => break,
            Ok(n) => done += n as u64,
            Err(Errno::INTR) => {}
            // What the buffer below can still do, it does: pipes, devices, other file systems.
            Err(
                Errno::XDEV
                | Errno::INVAL
                | Errno::OPNOTSUPP
                | Errno::NOSYS
                | Errno::BADF
                | Errno::PERM
                | Errno::IO,
            ) => break,
            Err(error) => return Err(error.into()),
        }
    }
    if done >= size {
        return Ok(done);
    }
    let mut buffer = vec![0; (size - done).min(BUFFERED) as usize];
    while done < size {
        let want = ((size - done) as usize).min(buffer.len());
        let n = match rustix::io::read(&from, &mut buffer[..want]) {
            Ok(0) => break,
            Ok(n) => n,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        write_all(&to, &buffer[..n])?;
        done += n as u64;
    }
    Ok(done)
}

/// Writes all of `bytes` where the file stands.
pub fn write_all(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether files made in this folder get an access list of their own instead of umask's modes.
pub fn has_default_acl(folder: &[u8]) -> bool {
    let mut nothing: [u8; 0] = [];
    matches!(getxattr(folder, "system.posix_acl_default", &mut nothing[..]), Ok(n) if n > 0)
}

/// Bytes that can still be written in a folder. None: nobody knows.
pub fn space_left(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}
