//! The content of one file: its blake3, read with `read` (a mapped source could be cut
//! short under us), and the stat that went with it.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, Stat};
use serde::{Deserialize, Serialize};

/// blake3 of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

impl std::fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ContentHash({})", &blake3::Hash::from_bytes(self.0).to_hex()[..16])
    }
}

/// Everything `stat` says that changes when content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub links: u32,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl FileStat {
    pub fn of(stat: &Stat) -> FileStat {
        let ns =
            |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        FileStat {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            links: stat.st_nlink as u32,
            mtime_ns: ns(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime_ns: ns(stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// Which inode it is, as one number.
    pub fn identity(&self) -> u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.device.to_le_bytes());
        bytes[8..].copy_from_slice(&self.inode.to_le_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// Whole seconds since 1970.
    pub fn mtime_s(&self) -> i64 {
        self.mtime_ns.div_euclid(1_000_000_000)
    }

    /// True when a later change must show in mtime or ctime: both are older than the moment
    /// of hashing by more than any local file system's clock step.
    pub fn settled_at(&self, now_ns: i64) -> bool {
        const STEP_NS: i64 = 2_100_000_000;
        self.mtime_ns.max(self.ctime_ns) < now_ns - STEP_NS
    }
}

/// Reads and hashes a file. The stat is taken from the open descriptor before and after;
/// None for the hash when the file changed meanwhile or is not a regular file.
/// Each piece is shown to `each`, in order, until that says it has seen enough: then there is
/// no hash, either.
pub fn read(
    path: &[u8],
    mut each: impl FnMut(&[u8]) -> bool,
) -> io::Result<(FileStat, Option<ContentHash>)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let before = rustix::fs::fstat(&file)?;
    let stat = FileStat::of(&before);
    if rustix::fs::FileType::from_raw_mode(before.st_mode) != rustix::fs::FileType::RegularFile {
        return Ok((stat, None));
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; (stat.size as usize).saturating_add(1).clamp(4096, 1 << 20)];
    loop {
        match rustix::io::read(&file, &mut buffer[..]) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                if !each(&buffer[..count]) {
                    return Ok((stat, None));
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let after = FileStat::of(&rustix::fs::fstat(file.as_fd())?);
    let hash = (after == stat).then(|| ContentHash(*hasher.finalize().as_bytes()));
    Ok((stat, hash))
}

/// Reads and hashes a file that a result is to depend on. No hash either where it holds another number of bytes than
/// its stat says: what the kernel makes up as it is read (`/proc`, `/sys`) may be other bytes for each reader.
pub fn read_stored(path: &[u8]) -> io::Result<(FileStat, Option<ContentHash>)> {
    let mut length = 0;
    let (stat, hash) = read(path, |piece| {
        length += piece.len() as u64;
        true
    })?;
    Ok((stat, hash.filter(|_| length == stat.size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_makes_up_has_no_hash() {
        let folder = std::env::temp_dir().join(format!("zccache-hash-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let hash_of = |path: &str| read_stored(path.as_bytes()).unwrap().1;
        for text in ["", "x"] {
            let file = folder.join("file");
            std::fs::write(&file, text).unwrap();
            let expected = ContentHash(*blake3::hash(text.as_bytes()).as_bytes());
            assert_eq!(hash_of(file.to_str().unwrap()), Some(expected));
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(hash_of("/proc/uptime"), None);
        assert_eq!(hash_of("/dev/null"), None);
    }
}
