//! Blobs: the bytes of outputs, one file each, named by the blake3 of their content.
//!
//! Many wrappers and the daemon use the folder at once and without locks: a blob is written
//! under a temporary name and renamed into place. Nothing is synced: whoever hands a blob out
//! checks it first, so a blob torn by a power cut is noticed.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{
    Access, FileType, Mode, OFlags, Stat, access, fchmod, fstat, mkdir, open, rename, unlink,
};
use rustix::io::Errno;

use crate::session::names::are_numbers;
use crate::sys;
use crate::sys::fault::{self, Point};
use crate::terms::as_path;
use crate::terms::blob::{BlobId, BlobStat};
use crate::terms::now::now_stat_ns;

/// Why a blob cannot be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// There is none.
    Missing,
    /// Something is there, and not what its name says (or it cannot be read).
    Damaged,
}

/// A blob whose content is known to be good, opened for reading at its start.
#[derive(Debug)]
pub struct Verified {
    pub file: OwnedFd,
    pub stat: BlobStat,
    /// Its content was read; otherwise the stat said enough.
    pub hashed: bool,
    /// `stat` may be kept: had the content been changed after `stat` was taken, the stat would differ,
    /// even where the file system's clock ticks slowly. Only meaningful if `hashed`.
    pub settled: bool,
    pub links: u64,
    /// Permission bits.
    pub mode: u32,
    pub device: u64,
    pub uid: u32,
    pub gid: u32,
}

/// One blob met by `BlobDir::scan`.
#[derive(Clone, Copy, Debug)]
pub struct Scanned {
    pub id: BlobId,
    /// Bytes.
    pub size: u64,
    /// Last change of the file or its inode, seconds since 1970.
    pub changed_s: u64,
}

/// The folder of blobs, `ROOT/artifacts`, and of files being written, `ROOT/tmp`.
#[derive(Clone, Debug)]
pub struct BlobDir {
    root: Vec<u8>,
}

/// Read at a time while hashing and copying.
const BUFFER: usize = 256 * 1024;
/// A change time this old is different from that of any later change, whatever the clock's tick.
const SETTLED_NS: i64 = 50_000_000;
/// Temporary files older than this were left by processes that died.
const STALE_TEMP_S: u64 = 24 * 3600;

impl BlobDir {
    /// `root` is the cache's folder. Nothing is created yet.
    pub fn new(root: &[u8]) -> BlobDir {
        BlobDir { root: root.to_vec() }
    }

    /// Where the blob's file is, present or not.
    pub fn path(&self, id: &BlobId) -> Vec<u8> {
        let hex = blake3::Hash::from_bytes(id.0).to_hex();
        let (folder, name) = hex.as_bytes().split_at(2);
        [&self.root, b"/artifacts/".as_slice(), folder, b"/", name].concat()
    }

    /// Takes in a copy of the regular file `source` (symlinks are followed) with the permission
    /// bits `mode`. The user's inode is never kept. Gives the id, the size in bytes and the stat
    /// of the new blob. A blob of that name is replaced: it may be damaged, and a hard link to it
    /// in some build tree goes on as that tree's own file.
    pub fn take_file(&self, source: &[u8], mode: u32) -> io::Result<(BlobId, u64, BlobStat)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let source = open(source, flags, Mode::empty())?;
        let stat = fstat(&source)?;
        if !is_regular(&stat) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        self.take(mode, |temp| {
            if stat.st_size as usize >= BUFFER && sys::fs::clone_file(&source, temp) {
                return hash_file(temp, |_| Ok(()));
            }
            hash_file(&source, |bytes| sys::fs::write_all(temp, bytes))
        })
    }

    /// `take_file` for content in memory.
    pub fn take_bytes(&self, bytes: &[u8], mode: u32) -> io::Result<(BlobId, u64, BlobStat)> {
        self.take(mode, |temp| {
            sys::fs::write_all(temp, bytes)?;
            Ok((BlobId(*blake3::hash(bytes).as_bytes()), bytes.len() as u64))
        })
    }

    /// `take_file` for content that is written by `write`.
    pub fn take_written(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<(BlobId, u64, BlobStat)> {
        self.take(0o600, |temp| {
            let mut to = Hashing { to: temp, hasher: blake3::Hasher::new(), bytes: 0 };
            let mut buffered = io::BufWriter::with_capacity(BUFFER, &mut to);
            write(&mut buffered)?;
            buffered.flush()?;
            drop(buffered);
            Ok((BlobId(*to.hasher.finalize().as_bytes()), to.bytes))
        })
    }

    fn take(
        &self,
        mode: u32,
        fill: impl FnOnce(&OwnedFd) -> io::Result<(BlobId, u64)>,
    ) -> io::Result<(BlobId, u64, BlobStat)> {
        let (temp, temp_path) = self.new_temp()?;
        let taken = (|| {
            let (id, size) = fill(&temp)?;
            fchmod(&temp, Mode::from_raw_mode(mode & 0o7777))?;
            fault::at(Point::BlobWritten);
            let before = BlobStat::of(&fstat(&temp)?);
            self.rename_in(&temp_path, &id)?;
            fault::at(Point::BlobPlaced);
            let after = BlobStat::of(&fstat(&temp)?);
            // The rename moved ctime, so the stat must be taken after it. By then another process
            // may have delivered the file as a hard link, and its user may have written to it:
            // mtime tells. The earlier stat matches nothing any more, so the next use will read it.
            let untouched = before == BlobStat { ctime_ns: before.ctime_ns, ..after };
            Ok((id, size, if untouched { after } else { before }))
        })();
        if taken.is_err() {
            let _ = unlink(&temp_path);
        }
        taken
    }

    /// A fresh file in `ROOT/tmp`, open for reading and writing.
    fn new_temp(&self) -> io::Result<(OwnedFd, Vec<u8>)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut made_folder = false;
        loop {
            // The time is for processes of other pid namespaces that share the root.
            let name = format!(
                "/tmp/blob-{}-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed),
                now_stat_ns()
            );
            let path = [&self.root, name.as_bytes()].concat();
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            match open(&path, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok((file, path)),
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) if !made_folder => {
                    made_folder = true;
                    self.make_folder(b"/tmp")?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A name in `ROOT/tmp`, for whoever can't make that folder himself should it be gone.
    pub fn temporary(&self, name: &str) -> Vec<u8> {
        let folder = self.temps();
        if access(&folder, Access::EXISTS).is_err()
            && let Err(error) = self.make_folder(b"/tmp")
        {
            log::warn!("no folder for temporary files: {error}");
        }
        [&folder, b"/".as_slice(), name.as_bytes()].concat()
    }

    fn rename_in(&self, temp: &[u8], id: &BlobId) -> io::Result<()> {
        let path = self.path(id);
        match rename(temp, &path) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => {
                self.make_folder(b"/artifacts")?;
                make_folder(&path[..path.len() - 63])?;
                Ok(rename(temp, &path)?)
            }
            // Someone put a folder where the blob belongs.
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.remove(id)?;
                Ok(rename(temp, &path)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn make_folder(&self, name: &[u8]) -> io::Result<()> {
        make_folder(&self.root)?;
        make_folder(&[&self.root, name].concat())
    }

    /// Opens whatever has the blob's name, for reading.
    pub(super) fn open(&self, id: &BlobId) -> rustix::io::Result<OwnedFd> {
        let flags =
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        open(self.path(id), flags, Mode::empty())
    }

    /// Opens a blob and makes sure of its content, in two system calls if `trust` and its stat
    /// still is `seen`, else by reading it.
    pub fn verify(
        &self,
        id: &BlobId,
        size: u64,
        seen: Option<BlobStat>,
        trust: bool,
    ) -> Result<Verified, Bad> {
        let file = match self.open(id) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(Bad::Missing),
            Err(_) => return Err(Bad::Damaged),
        };
        let check = || {
            let stat = fstat(&file).map_err(|_| Bad::Damaged)?;
            let good = is_regular(&stat) && stat.st_size as u64 == size;
            if good { Ok(stat) } else { Err(Bad::Damaged) }
        };
        let mut stat = check()?;
        let (mut hashed, mut settled) = (false, false);
        if !trust || seen != Some(BlobStat::of(&stat)) {
            // A neighbour delivering the same blob moves its times: try again then. The clock is
            // read before the stat that is compared with it.
            let mut tries = 0..4;
            loop {
                tries.next().ok_or(Bad::Damaged)?;
                let now = now_stat_ns();
                let before = BlobStat::of(&check()?);
                rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))
                    .map_err(|_| Bad::Damaged)?;
                let found = hash_file(&file, |_| Ok(())).map_err(|_| Bad::Damaged)?;
                stat = check()?;
                if found != (*id, size) {
                    return Err(Bad::Damaged);
                }
                if BlobStat::of(&stat) == before {
                    settled = now.saturating_sub(before.ctime_ns) > SETTLED_NS;
                    break;
                }
            }
            hashed = true;
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(|_| Bad::Damaged)?;
        }
        #[allow(clippy::unnecessary_cast)] // the kernel's types differ between machines
        let (links, device) = (stat.st_nlink as u64, stat.st_dev as u64);
        Ok(Verified {
            stat: BlobStat::of(&stat),
            hashed,
            settled,
            links,
            mode: stat.st_mode & 0o7777,
            device,
            uid: stat.st_uid,
            gid: stat.st_gid,
            file,
        })
    }

    /// Removes a blob. That it was not there is no error.
    pub fn remove(&self, id: &BlobId) -> io::Result<()> {
        let path = self.path(id);
        match unlink(&path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => std::fs::remove_dir_all(as_path(&path)),
            Err(error) => Err(error.into()),
        }
    }

    /// Calls `each` for every blob, in no order. Names that are none of ours are passed over, and
    /// so is what cannot be read.
    pub fn scan(&self, mut each: impl FnMut(Scanned)) {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::MetadataExt;
        let artifacts = [&self.root, b"/artifacts".as_slice()].concat();
        for folder in std::fs::read_dir(as_path(&artifacts)).into_iter().flatten().flatten() {
            let folder_name = folder.file_name();
            if folder_name.len() != 2 {
                continue;
            }
            for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let hex = [folder_name.as_bytes(), file.file_name().as_bytes()].concat();
                // `metadata` of an entry does not follow a symlink.
                if let (Ok(id), Ok(about)) = (blake3::Hash::from_hex(&hex), file.metadata()) {
                    each(Scanned {
                        id: BlobId(*id.as_bytes()),
                        size: about.size(),
                        changed_s: about.ctime().try_into().unwrap_or(0),
                    });
                }
            }
        }
    }

    /// What lies among the blobs and can't be one, by its name.
    pub fn strangers(&self) -> Vec<std::path::PathBuf> {
        let artifacts = [&self.root, b"/artifacts".as_slice()].concat();
        let list = |folder: &std::path::Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let hex = |path: &std::path::Path, digits: usize| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.len() == digits && name.iter().all(|byte| b"0123456789abcdef".contains(byte))
        };
        let (folders, mut strangers): (Vec<_>, Vec<_>) =
            list(as_path(&artifacts)).into_iter().partition(|path| hex(path, 2) && path.is_dir());
        strangers
            .extend(folders.iter().flat_map(|folder| list(folder)).filter(|path| !hex(path, 62)));
        strangers
    }

    fn temps(&self) -> Vec<u8> {
        [&self.root, b"/tmp".as_slice()].concat()
    }

    /// Removes files of ours in `ROOT/tmp` untouched for a day; `now_s` is in seconds since 1970. Gives their number.
    pub fn remove_stale_temps(&self, now_s: u64) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let temps = self.temps();
        let mut removed = 0;
        for file in std::fs::read_dir(as_path(&temps)).into_iter().flatten().flatten() {
            let Ok(about) = file.metadata() else { continue };
            let changed: u64 = about.ctime().try_into().unwrap_or(0);
            let ours = is_temp_of_ours(file.file_name().as_encoded_bytes());
            let stale = ours && about.is_file() && now_s.saturating_sub(changed) > STALE_TEMP_S;
            if stale && std::fs::remove_file(file.path()).is_ok() {
                removed += 1;
            }
        }
        removed
    }
}

/// Whether a name is one that we give in `ROOT/tmp`: `blob-PID-NUMBER-TIME`, `PID-TICKET-UNIT.ENDING`, or that of
/// something tried out. Others may be the user's.
fn is_temp_of_ours(name: &[u8]) -> bool {
    let numbers_after = |word: &[u8], count| {
        name.strip_prefix(word).is_some_and(|numbers| are_numbers(numbers, count))
    };
    let stem = name.split(|byte| *byte == b'.').next().unwrap_or_default();
    matches!(name, b"clock" | b"doctor")
        || numbers_after(b"blob-", 3)
        || numbers_after(b"watch-", 1)
        || numbers_after(b"watch-other-", 1)
        || (stem.len() < name.len() && are_numbers(stem, 3))
}

/// Hashes what it writes.
struct Hashing<'a> {
    to: &'a OwnedFd,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::fs::write_all(self.to, bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn make_folder(path: &[u8]) -> io::Result<()> {
    match mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads to the end, handing on what it reads; gives the hash and the number of bytes.
fn hash_file(
    file: impl AsFd,
    mut also: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(BlobId, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        match rustix::io::read(&file, &mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                also(&buffer[..n])?;
                size += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((BlobId(*hasher.finalize().as_bytes()), size))
}

#[cfg(test)]
#[path = "blob_tests.rs"]
mod tests;
