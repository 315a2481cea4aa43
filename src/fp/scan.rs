//! Walks a folder and finds out what every selected file contains.
//!
//! Symlinks are followed, as a step that reads the tree would follow them: a link counts by
//! its text and by what it leads to. A link to a folder that leads back to where the walk came
//! from, or to one that the walk through this link has entered already, counts by its text.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::selection::{Matcher, Place};
use super::set::{Content, Entry, FileSet, RelPath, Value};
use crate::files::{FileStat, hash, trust};
use crate::terms::now::now_stat_ns;

/// Every cache file begins so.
pub const MAGIC: &[u8; 12] = b"zccache-fp\n\0";
/// Names that begin so are our own locks and unfinished files, and never count.
pub const OWN_PREFIX: &[u8] = b".zccache-fp-";
/// Folders nested deeper count as unreadable.
const DEPTH_MAX: usize = 500;
/// A file that changes during this many readings counts as unreadable.
const READINGS_MAX: usize = 3;

/// Hears of everything before it is looked at, and may watch it.
pub trait Guard {
    /// A folder is about to be listed. True when later changes of its names will be told.
    fn folder(&mut self, path: &RelPath, folder: BorrowedFd<'_>) -> bool;
    /// A file is about to be read. True when later changes of its content will be told.
    fn file(&mut self, path: &RelPath, full: &[u8]) -> bool;
    /// Nobody will tell of changes at this path or below: it is to be looked at each time.
    fn untold(&mut self, path: &RelPath);
}

/// For a single look.
pub struct NoGuard;

impl Guard for NoGuard {
    fn folder(&mut self, _: &RelPath, _: BorrowedFd<'_>) -> bool {
        false
    }
    fn file(&mut self, _: &RelPath, _: &[u8]) -> bool {
        false
    }
    fn untold(&mut self, _: &RelPath) {}
}

/// One walk.
pub struct Scan<'a, G> {
    /// The root, absolute, without a final `/`.
    pub root: &'a [u8],
    pub matcher: &'a Matcher,
    /// Earlier sets of the same root. A file whose stat is proven by one of them is not read.
    /// Empty where only content is to be believed.
    pub known: Vec<&'a FileSet>,
    /// What was found so far.
    pub set: &'a mut FileSet,
    pub guard: G,
    /// Ends the walk early, with an error.
    pub stop: &'a AtomicBool,
    local: HashMap<u64, bool>,
}

/// Which inode.
pub type Identity = (u64, u64);

/// Where the walk stands.
struct Way<'w> {
    /// The folders from the root to here.
    above: Vec<Identity>,
    /// Inside a link: the folders entered since.
    linked: Option<&'w mut HashSet<Identity>>,
    place: Place,
    /// The guard tells of changes here.
    guarded: bool,
}

/// A regular file's content, or why there is none to speak of.
enum Held {
    Content(Content),
    /// Gone, or one of our own cache files, which never count.
    Nothing,
    Unreadable(i32),
}

impl<'a, G: Guard> Scan<'a, G> {
    pub fn new(
        root: &'a [u8],
        matcher: &'a Matcher,
        known: Vec<&'a FileSet>,
        set: &'a mut FileSet,
        guard: G,
        stop: &'a AtomicBool,
    ) -> Scan<'a, G> {
        Scan { root, matcher, known, set, guard, stop, local: HashMap::new() }
    }

    /// Walks it all. Fails when the root is no folder or `stop` was set.
    pub fn all(&mut self) -> io::Result<()> {
        let top: RelPath = Arc::from(&b""[..]);
        let place = self.matcher.top();
        let mut way = Way { above: Vec::new(), linked: None, place, guarded: true };
        self.folder(&top, &mut way)
    }

    /// Looks anew at one path and all below it; what was known of it must be out of the set.
    pub fn again(&mut self, path: &RelPath, guarded: bool) -> io::Result<()> {
        if path.is_empty() {
            return self.all();
        }
        let mut place = self.matcher.top();
        let mut above = vec![identity(&rustix::fs::stat(self.root)?)];
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            place = self.matcher.place(&path[..end], true, place);
            match rustix::fs::stat(self.full(&path[..end])) {
                Ok(stat) if place != Place::Out => above.push(identity(&stat)),
                _ => return Ok(()),
            }
        }
        let mut way = Way { above, linked: None, place, guarded };
        self.name(path, FileType::Unknown, &mut way)
    }

    fn full(&self, path: &[u8]) -> Vec<u8> {
        if path.is_empty() { self.root.to_vec() } else { [self.root, b"/", path].concat() }
    }

    fn enter(&mut self, path: &RelPath, value: Value, stat: Option<FileStat>) {
        self.set.entries.insert(path.clone(), Entry { value, stat });
    }

    fn folder(&mut self, path: &RelPath, way: &mut Way<'_>) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if way.above.len() >= DEPTH_MAX {
            self.enter(path, Value::Unreadable(Errno::NAMETOOLONG.raw_os_error()), None);
            return Ok(());
        }
        let full = self.full(path);
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if way.linked.is_none() && !path.is_empty() {
            flags |= OFlags::NOFOLLOW;
        }
        let opened = rustix::fs::open(&full[..], flags, Mode::empty())
            .and_then(|folder| rustix::fs::fstat(&folder).map(|stat| (folder, stat)));
        let (folder, stat) = match opened {
            Ok(opened) => opened,
            Err(error) if path.is_empty() => return Err(error.into()),
            // It has just gone, or become something else: whoever watches hears of that.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => {
                if way.guarded {
                    // What stands in the way may go without a word (too many open files).
                    self.guard.untold(path);
                }
                self.enter(path, Value::Unreadable(error.raw_os_error()), None);
                return Ok(());
            }
        };
        let told = way.guarded && self.guard.folder(path, folder.as_fd());
        if way.guarded && !told {
            self.guard.untold(path);
        }
        let outer = std::mem::replace(&mut way.guarded, told);
        way.above.push(identity(&stat));
        let done = self.names(path, folder, way);
        way.above.pop();
        way.guarded = outer;
        done
    }

    fn names(
        &mut self,
        path: &RelPath,
        folder: rustix::fd::OwnedFd,
        way: &mut Way<'_>,
    ) -> io::Result<()> {
        let unreadable = |scan: &mut Self, error: Errno| {
            scan.enter(path, Value::Unreadable(error.raw_os_error()), None);
        };
        let mut names = match Dir::new(folder) {
            Ok(names) => names,
            Err(error) => {
                unreadable(self, error);
                return Ok(());
            }
        };
        while let Some(found) = names.read() {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    unreadable(self, error);
                    return Ok(());
                }
            };
            let name = found.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            self.name(&child(path, name), found.file_type(), way)?;
        }
        Ok(())
    }

    fn name(&mut self, path: &RelPath, kind: FileType, way: &mut Way<'_>) -> io::Result<()> {
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        if last.starts_with(OWN_PREFIX) {
            return Ok(());
        }
        let full = self.full(path);
        let kind = match kind {
            FileType::Unknown => match rustix::fs::lstat(&full[..]) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
                Err(error) => {
                    if self.matcher.place(path, false, way.place) == Place::In {
                        self.enter(path, Value::Unreadable(error.raw_os_error()), None);
                    }
                    return Ok(());
                }
            },
            known => known,
        };
        if kind == FileType::Symlink {
            return self.link(path, &full, way);
        }
        let place = self.matcher.place(path, kind == FileType::Directory, way.place);
        match kind {
            _ if place == Place::Out => Ok(()),
            FileType::Directory => {
                let outer = std::mem::replace(&mut way.place, place);
                let done = self.folder(path, way);
                way.place = outer;
                done
            }
            FileType::RegularFile => {
                let told = way.guarded && self.guard.file(path, &full);
                if way.guarded && !told {
                    self.guard.untold(path);
                }
                let (held, stat) = self.content(path, &full, false);
                match held {
                    Held::Content(content) => self.enter(path, Value::File(content), stat),
                    Held::Unreadable(error) => self.enter(path, Value::Unreadable(error), None),
                    Held::Nothing => {}
                }
                Ok(())
            }
            _ => {
                self.enter(path, Value::Special(kind.as_raw_mode()), None);
                Ok(())
            }
        }
    }

    fn link(&mut self, path: &RelPath, full: &[u8], way: &mut Way<'_>) -> io::Result<()> {
        let text = match rustix::fs::readlink(full, Vec::new()) {
            Ok(text) => text.into_bytes(),
            Err(_) => return Ok(()),
        };
        let target = rustix::fs::stat(full);
        let kind = target.map(|stat| FileType::from_raw_mode(stat.st_mode));
        let is_folder = kind == Ok(FileType::Directory);
        let place = self.matcher.place(path, is_folder, way.place);
        if place == Place::Out {
            return Ok(());
        }
        if way.guarded {
            self.guard.untold(path);
        }
        match (kind, target) {
            (Ok(FileType::Directory), Ok(stat)) => {
                if place == Place::In {
                    self.enter(path, Value::Link(text, None), None);
                }
                let here = identity(&stat);
                if way.above.contains(&here) {
                    return Ok(());
                }
                let mut entered = HashSet::new();
                let linked = match &mut way.linked {
                    Some(linked) => &mut **linked,
                    None => &mut entered,
                };
                if !linked.insert(here) {
                    return Ok(());
                }
                let above = std::mem::take(&mut way.above);
                let mut inner = Way { above, linked: Some(linked), place, guarded: false };
                let done = self.folder(path, &mut inner);
                way.above = inner.above;
                done
            }
            (Ok(FileType::RegularFile), _) => {
                let (held, stat) = self.content(path, full, true);
                let value = match held {
                    Held::Content(content) => Value::Link(text, Some(content)),
                    Held::Unreadable(error) => Value::Unreadable(error),
                    Held::Nothing => Value::Link(text, None),
                };
                self.enter(path, value, stat);
                Ok(())
            }
            (_, Err(error)) if !matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                self.enter(path, Value::Unreadable(error.raw_os_error()), None);
                Ok(())
            }
            _ => {
                self.enter(path, Value::Link(text, None), None);
                Ok(())
            }
        }
    }

    /// What a regular file contains, and the stat by which it will be known again.
    fn content(&mut self, path: &RelPath, full: &[u8], follow: bool) -> (Held, Option<FileStat>) {
        for _ in 0..READINGS_MAX {
            let now = now_stat_ns();
            let found = if follow { rustix::fs::stat(full) } else { rustix::fs::lstat(full) };
            let found = match found {
                Ok(found) => found,
                Err(Errno::NOENT | Errno::NOTDIR) => return (Held::Nothing, None),
                Err(error) => return (Held::Unreadable(error.raw_os_error()), None),
            };
            if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
                continue;
            }
            let stat = FileStat::of(&found);
            if let Some(held) = self.recall(path, &stat) {
                return (held, Some(stat));
            }
            let mut begin = Vec::with_capacity(MAGIC.len());
            let read = hash::read(full, |piece| {
                let missing = MAGIC.len() - begin.len();
                begin.extend_from_slice(&piece[..missing.min(piece.len())]);
                begin != MAGIC
            });
            if begin == MAGIC {
                return (Held::Nothing, None);
            }
            match read {
                Ok((read, Some(hash))) if read == stat => {
                    let proof = self.is_local(&stat, full) && stat.settled_at(now);
                    let executable = found.st_mode & 0o100 != 0;
                    let content = Content { hash, executable };
                    return (Held::Content(content), proof.then_some(stat));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let error = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                    return (Held::Unreadable(error), None);
                }
            }
        }
        (Held::Unreadable(Errno::BUSY.raw_os_error()), None)
    }

    /// What an earlier set says of a file with this stat.
    fn recall(&self, path: &RelPath, stat: &FileStat) -> Option<Held> {
        let proven = |entry: &&Entry| entry.stat.as_ref() == Some(stat);
        let entry = self.known.iter().filter_map(|set| set.entries.get(path)).find(proven)?;
        match &entry.value {
            Value::File(content) | Value::Link(_, Some(content)) => Some(Held::Content(*content)),
            _ => None,
        }
    }

    /// Whether stats of this file system show every change.
    fn is_local(&mut self, stat: &FileStat, full: &[u8]) -> bool {
        *self.local.entry(stat.device).or_insert_with(|| {
            rustix::fs::open(full, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .is_ok_and(|file| trust::reports_all_changes(file.as_fd()))
        })
    }
}

/// The path of a name in a folder.
pub fn child(folder: &RelPath, name: &[u8]) -> RelPath {
    if folder.is_empty() { name.into() } else { [folder, &b"/"[..], name].concat().into() }
}

pub fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}
