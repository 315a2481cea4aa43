//! Puts what an archive holds into a folder, and lets nothing out of it: names stay below the
//! folder, also through the archive's own symlinks, which the kernel checks; devices are refused;
//! and there is a limit to everything.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

/// More files than any toolchain has.
const ENTRIES_MAX: u64 = 5_000_000;
/// An archive may unpack to this much, and to `RATIO_MAX` times its size.
const BYTES_FREE: u64 = 1 << 30;
/// What real archives reach is a tenth of it; bombs reach a thousand.
const RATIO_MAX: u64 = 200;
/// A target of a symlink longer than this is none.
const TARGET_MAX: u64 = 4096;

/// Why unpacking ends. Travels inside an `io::Error` through the readers of archives.
#[derive(Debug)]
pub(super) enum Refusal {
    Cancelled,
    /// The archive does what none should.
    Hostile(String),
    /// Our own side fails: with which entry, by which system error.
    Disk(String, i32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Cancelled => f.write_str("cancelled"),
            Refusal::Hostile(text) => f.write_str(text),
            Refusal::Disk(text, error) => {
                write!(f, "{text}: {}", io::Error::from_raw_os_error(*error))
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// What the archive does is refused, in these words.
pub(super) fn hostile(text: impl Into<String>) -> io::Error {
    io::Error::other(Refusal::Hostile(text.into()))
}

/// What an entry is beside its content.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) mode: u32,
    /// Seconds since 1970, and nanoseconds. None: now.
    pub(super) mtime: Option<(i64, u32)>,
}

pub(super) struct Tree<'a> {
    root: OwnedFd,
    is_cancelled: &'a dyn Fn() -> bool,
    /// Folders get their modes and times last: in one that can't be written nothing can be made.
    folders: Vec<(PathBuf, About)>,
    /// Looked at last: where one leads depends on the others.
    symlinks: Vec<PathBuf>,
    /// The folder of the entry before.
    last: Option<(PathBuf, OwnedFd)>,
    entries: u64,
    bytes_left: u64,
    limit: u64,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    /// `size`: of the archive.
    pub(super) fn new(
        folder: &Path,
        size: u64,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> io::Result<Tree<'a>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty())?;
        let limit = BYTES_FREE.max(size.saturating_mul(RATIO_MAX));
        // Filling the disk is for nobody's good; what is left is known beforehand.
        let bytes_left = limit.min(crate::sys::fs::space_left(folder).unwrap_or(u64::MAX));
        Ok(Tree {
            root,
            is_cancelled,
            folders: Vec::new(),
            symlinks: Vec::new(),
            last: None,
            entries: 0,
            bytes_left,
            limit,
            buffer: vec![0; 256 << 10],
        })
    }

    pub(super) fn folder(&mut self, name: &Path, about: About) -> io::Result<()> {
        let path = self.enter(name)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        self.open_folder(&path)?;
        self.folders.push((path, about));
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        name: &Path,
        about: About,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let path = self.enter(name)?;
        let (parent, last) = self.place(&path, name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, last.as_os_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| disk(name, error))?;
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if (self.is_cancelled)() {
                return Err(io::Error::other(Refusal::Cancelled));
            }
            self.spend(count as u64)?;
            crate::sys::fs::write_all(&file, &self.buffer[..count]).map_err(|error| {
                let number = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                io::Error::other(Refusal::Disk(name.display().to_string(), number))
            })?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(about.mode & 0o777))
            .and_then(|()| match times(about.mtime) {
                Some(times) => rustix::fs::futimens(&file, &times),
                None => Ok(()),
            })
            .map_err(|error| disk(name, error))
    }

    /// A target outside of the folder is refused: whoever reads through it would read our files
    /// as the archive's, or write to them.
    pub(super) fn symlink(&mut self, name: &Path, target: &Path, about: About) -> io::Result<()> {
        let path = self.enter(name)?;
        let mut depth = path.components().count().saturating_sub(1) as i64;
        for part in target.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::ParentDir => depth -= 1,
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => depth = -1,
            }
            if depth < 0 {
                let (name, target) = (name.display(), target.display());
                return Err(hostile(format!("{name} is a symlink out of the folder, to {target}")));
            }
        }
        let (parent, last) = self.place(&path, name)?;
        rustix::fs::symlinkat(target, &parent, last.as_os_str())
            .and_then(|()| match times(about.mtime) {
                Some(times) => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    rustix::fs::utimensat(&parent, last.as_os_str(), &times, flags)
                }
                None => Ok(()),
            })
            .map_err(|error| disk(name, error))?;
        self.symlinks.push(path);
        Ok(())
    }

    /// Reads a symlink's target where it is kept as content.
    pub(super) fn symlink_from(
        &mut self,
        name: &Path,
        content: &mut dyn Read,
        about: About,
    ) -> io::Result<()> {
        let mut target = Vec::new();
        content.take(TARGET_MAX + 1).read_to_end(&mut target)?;
        if target.is_empty() || target.len() as u64 > TARGET_MAX || target.contains(&0) {
            return Err(hostile(format!("{} is a symlink to nowhere", name.display())));
        }
        self.symlink(name, Path::new(std::ffi::OsStr::from_bytes(&target)), about)
    }

    /// `target` is another entry of the archive.
    pub(super) fn hard_link(&mut self, name: &Path, target: &Path) -> io::Result<()> {
        let path = self.enter(name)?;
        let to = inside(target)?;
        if to == path {
            return Ok(());
        }
        let (from, from_name) = self.parent_of(&to)?;
        let stat = rustix::fs::statat(&from, from_name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW);
        let is_file = stat.is_ok_and(|stat| {
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
        });
        if !is_file {
            let (name, target) = (name.display(), target.display());
            return Err(hostile(format!(
                "{name} is a hard link to {target}, which is no file of it"
            )));
        }
        let (parent, last) = self.place(&path, name)?;
        rustix::fs::linkat(
            &from,
            from_name.as_os_str(),
            &parent,
            last.as_os_str(),
            AtFlags::empty(),
        )
        .map_err(|error| disk(name, error))
    }

    /// Makes sure that no symlink leads out, by way of others; then gives the folders their modes
    /// and times, the inner ones first.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for path in &self.symlinks {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let led = rustix::fs::openat2(self.root.as_fd(), path, flags, Mode::empty(), beneath);
            if let Err(Errno::XDEV) = led {
                let text = format!("{} is a symlink out of the folder", path.display());
                return Err(hostile(text));
            }
        }
        let mut folders = std::mem::take(&mut self.folders);
        // Of one that comes twice, what was said last holds.
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (path, about) in folders {
            let folder = self.resolve(&path, OFlags::DIRECTORY)?;
            // Its owner must be able to remove it again, as with other programs' tools.
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(about.mode & 0o777))
                .and_then(|()| match times(about.mtime) {
                    Some(times) => rustix::fs::futimens(&folder, &times),
                    None => Ok(()),
                })
                .map_err(|error| disk(&path, error))?;
        }
        Ok(())
    }

    /// Counts an entry and cleans its name.
    fn enter(&mut self, name: &Path) -> io::Result<PathBuf> {
        if (self.is_cancelled)() {
            return Err(io::Error::other(Refusal::Cancelled));
        }
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(hostile(format!("it has more than {ENTRIES_MAX} entries")));
        }
        inside(name)
    }

    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None if self.bytes_left < self.limit && space_is_short(&self.root, bytes) => {
                let full = Errno::NOSPC.raw_os_error();
                return Err(io::Error::other(Refusal::Disk("what it holds".to_owned(), full)));
            }
            None => {
                let text = format!(
                    "it unpacks to more than {} bytes, far too much for its size",
                    self.limit
                );
                return Err(hostile(text));
            }
        }
        Ok(())
    }

    /// The folder an entry belongs in, with nothing there under its name.
    fn place(&mut self, path: &Path, name: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        let (parent, last) = self.parent_of(path)?;
        match rustix::fs::unlinkat(&parent, last.as_os_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok((parent, last)),
            Err(Errno::ISDIR) => Err(hostile(format!("{} is there twice", name.display()))),
            Err(error) => Err(disk(name, error)),
        }
    }

    fn parent_of(&mut self, path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        let Some(last) = path.file_name() else {
            return Err(hostile("an entry without a name"));
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let fd = match &self.last {
            Some((known, fd)) if known == parent => fd.try_clone()?,
            _ => {
                let fd = self.open_folder(parent)?;
                self.last = Some((parent.to_owned(), fd.try_clone()?));
                fd
            }
        };
        Ok((fd, PathBuf::from(last)))
    }

    /// Opens a folder below the root, making what is missing.
    fn open_folder(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() {
            return self.root.try_clone();
        }
        match self.resolve(path, OFlags::DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let parent = self.open_folder(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default();
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(hostile(format!("{} is a symlink to nowhere", path.display())));
            }
            Err(error) => return Err(disk(path, error)),
        }
        self.folders.push((path.to_owned(), About { mode: 0o755, mtime: None }));
        self.resolve(path, OFlags::DIRECTORY)
    }

    /// Opens what is at a path, by way of symlinks that stay below the root only.
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(self.root.as_fd(), path, flags, Mode::empty(), beneath) {
            Ok(fd) => Ok(fd),
            // Refused by an old kernel or a sandbox: step by step then, through no symlink.
            Err(Errno::NOSYS | Errno::PERM) => {
                let mut fd = self.root.try_clone()?;
                for part in path.components() {
                    let step = flags | OFlags::NOFOLLOW;
                    fd = rustix::fs::openat(&fd, part.as_os_str(), step, Mode::empty())
                        .map_err(|error| reached(path, error))?;
                }
                Ok(fd)
            }
            Err(error) => Err(reached(path, error)),
        }
    }
}

fn reached(path: &Path, error: Errno) -> io::Error {
    match error {
        Errno::NOENT => io::ErrorKind::NotFound.into(),
        Errno::XDEV | Errno::LOOP => {
            hostile(format!("{} leads out of the folder, through a symlink", path.display()))
        }
        Errno::NOTDIR => hostile(format!("{} is a file and a folder", path.display())),
        error => disk(path, error),
    }
}

fn disk(path: &Path, error: Errno) -> io::Error {
    io::Error::other(Refusal::Disk(path.display().to_string(), error.raw_os_error()))
}

fn space_is_short(root: &OwnedFd, bytes: u64) -> bool {
    rustix::fs::fstatvfs(root)
        .is_ok_and(|about| about.f_bavail * about.f_frsize < bytes + (1 << 20))
}

fn times(mtime: Option<(i64, u32)>) -> Option<Timestamps> {
    let (tv_sec, nanos) = mtime?;
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let last_modification = Timespec { tv_sec, tv_nsec: nanos.min(999_999_999).into() };
    Some(Timestamps { last_access, last_modification })
}

/// A name as a path below the folder.
fn inside(name: &Path) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                return Err(hostile(format!("{} leads out of the folder", name.display())));
            }
            Component::RootDir | Component::Prefix(_) => {
                return Err(hostile(format!("{} is an absolute path", name.display())));
            }
        }
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(hostile("a name has a NUL in it"));
    }
    Ok(path)
}
