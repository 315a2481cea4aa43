//! Puts one stored output in place, in the wrapper's own process, so that files get the
//! user's modes, groups and limits.
//!
//! A new file is made under its final name (`O_EXCL`, after an unlink if one was there). Writing
//! a temporary file and renaming it would guard against a kill in mid-write, but costs two more
//! calls for every output, and the assembler gives no such guarantee either.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::OwnedFd;

use rustix::fs::{
    Access, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, fstat, ftruncate, futimens,
    link, lstat, open, stat, unlink,
};
use rustix::io::Errno;

use super::blob::{Bad, BlobDir, Verified, is_regular};
use super::pack::{self, InTheWay};
use crate::protocol::message::Content;
use crate::sys;
use crate::terms::as_path;
use crate::terms::blob::{BlobId, BlobStat};
use crate::terms::output::{LinkMode, WriteStyle};

/// Where an output goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Absolute, or relative to the cwd.
    pub path: &'a [u8],
    pub style: WriteStyle,
    pub executable: bool,
    /// The process's own umask: new files get it from the kernel, hard links are compared with it.
    pub umask: u32,
}

/// Why an output was not put in place.
#[derive(Debug)]
pub enum DeliverError {
    /// The blob is missing or not what it should be.
    Damaged(BlobId),
    /// The output could not be written; nothing half-written was left.
    Output(io::Error),
}

/// What to tell the daemon of a blob: its new stat, or `None` if no stat of it is to be trusted.
pub type BlobNews = Option<(BlobId, Option<BlobStat>)>;

/// Content that was found good and is ready to be delivered.
#[derive(Debug)]
pub struct Source<'a>(Held<'a>);

#[derive(Debug)]
enum Held<'a> {
    Bytes(&'a [u8]),
    Blob(BlobId, Box<Verified>),
    /// Good when looked at, and closed again: there are too many.
    Later(BlobId, u64, BlobStat),
}

/// Smaller files are copied where nobody watches the blob: removing a link moves its ctime, so that after a `make
/// clean` it must be read and hashed again by the ordinary path, which costs more than the copy did.
pub const LINK_FROM: u64 = 16 << 20;
/// From here on, a hard link is cheaper than a copy.
const WORTH_A_LINK: u64 = 8 << 10;
/// What compilers write and nobody changes afterwards but by replacing it: crates, precompiled headers, modules. (gcc
/// writes to its own in place; `WriteStyle` keeps those from being linked.)
/// Objects are not among them: a kernel's build writes into them, and each write costs the store its blob.
const LEFT_ALONE: [&[u8]; 5] = [b".rlib", b".rmeta", b".gch", b".pch", b".pcm"];

/// Whether an output is handed out as a hard link, if the daemon can watch its blob.
pub fn is_to_be_linked(path: &[u8], size: u64) -> bool {
    size >= LINK_FROM || size >= WORTH_A_LINK && LEFT_ALONE.iter().any(|end| path.ends_with(end))
}

/// So many blobs are kept open between `check_all` and their delivery.
const OPEN_BLOBS: usize = 64;

/// Makes sure of all contents before the first output is touched. In order.
pub fn check_all<'a>(
    blobs: &BlobDir,
    contents: impl IntoIterator<Item = &'a Content>,
) -> Result<Vec<Source<'a>>, DeliverError> {
    let mut sources = Vec::new();
    for content in contents {
        let mut source = check(blobs, content)?;
        if let (true, Held::Blob(id, found)) = (sources.len() >= OPEN_BLOBS, &source.0) {
            source = Source(Held::Later(*id, found.stat.size, found.stat));
        }
        sources.push(source);
    }
    Ok(sources)
}

fn check<'a>(blobs: &BlobDir, content: &'a Content) -> Result<Source<'a>, DeliverError> {
    Ok(Source(match content {
        Content::Inline(bytes) => Held::Bytes(bytes),
        Content::Blob { id, size, seen } => Held::Blob(*id, verify(blobs, id, *size, *seen)?),
    }))
}

fn verify(
    blobs: &BlobDir,
    id: &BlobId,
    size: u64,
    seen: Option<BlobStat>,
) -> Result<Box<Verified>, DeliverError> {
    match blobs.verify(id, size, seen, true) {
        Ok(found) => Ok(Box::new(found)),
        Err(Bad::Missing | Bad::Damaged) => Err(DeliverError::Damaged(*id)),
    }
}

/// Checks one content and puts it in place. `fine_times`: see `protocol::message::Work`.
pub fn deliver(
    blobs: &BlobDir,
    content: &Content,
    target: &Target<'_>,
    mode: LinkMode,
    fine_times: bool,
) -> Result<BlobNews, DeliverError> {
    deliver_checked(blobs, check(blobs, content)?, target, mode, fine_times)
}

/// Puts in place what `check_all` found good.
pub fn deliver_checked(
    blobs: &BlobDir,
    source: Source<'_>,
    target: &Target<'_>,
    mode: LinkMode,
    fine_times: bool,
) -> Result<BlobNews, DeliverError> {
    let source = match source.0 {
        Held::Later(id, size, seen) => Held::Blob(id, verify(blobs, &id, size, Some(seen))?),
        source => source,
    };
    let mut job = Job { blobs, source, target, mode, fine_times, news: None };
    if let Held::Blob(id, found) = &job.source
        && found.hashed
    {
        job.news = Some((*id, (fine_times || found.settled).then_some(found.stat)));
    }
    match target.style {
        WriteStyle::InPlace => job.in_place()?,
        WriteStyle::Replace
        | WriteStyle::ReplaceFile
        | WriteStyle::ReplaceWritable
        | WriteStyle::ReplaceFilled => job.replace()?,
        WriteStyle::Packed => job.unpack(InTheWay::Goes)?,
        WriteStyle::Among => job.unpack(InTheWay::Stays)?,
    }
    Ok(job.news)
}

/// Why an attempt to make a new file ended.
enum Stop {
    /// Something has that name.
    InTheWay,
    Failed(DeliverError),
}

struct Job<'a> {
    blobs: &'a BlobDir,
    source: Held<'a>,
    target: &'a Target<'a>,
    mode: LinkMode,
    fine_times: bool,
    news: BlobNews,
}

impl Job<'_> {
    fn base_mode(&self) -> u32 {
        if self.target.executable { 0o777 } else { 0o666 }
    }

    /// All that is in a pack.
    fn unpack(&mut self, in_the_way: InTheWay) -> Result<(), DeliverError> {
        let path = as_path(self.target.path);
        let umask = self.target.umask;
        let done = match &self.source {
            Held::Bytes(bytes) => pack::unpack(&mut &bytes[..], path, umask, in_the_way),
            Held::Blob(_, found) => found.file.try_clone().and_then(|file| {
                pack::unpack(&mut BufReader::new(File::from(file)), path, umask, in_the_way)
            }),
            Held::Later(id, ..) => return Err(DeliverError::Damaged(*id)),
        };
        done.map_err(DeliverError::Output)
    }

    /// A new inode under the target's name.
    fn replace(&mut self) -> Result<(), DeliverError> {
        for _ in 0..4 {
            match self.new_file() {
                Ok(()) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::InTheWay) => {}
            }
            let there = match lstat(self.target.path) {
                Ok(there) => there,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(output(error)),
            };
            let kind = FileType::from_raw_mode(there.st_mode);
            let is_file = kind == FileType::RegularFile && there.st_size > 0;
            if self.target.style == WriteStyle::ReplaceFile && !is_file {
                return Err(output(Errno::EXIST));
            }
            if self.target.style == WriteStyle::ReplaceWritable && !may_write(self.target.path) {
                return Err(output(Errno::ACCESS));
            }
            if self.target.style == WriteStyle::ReplaceFilled && is_empty(self.target.path) {
                return self.in_place();
            }
            match kind {
                FileType::RegularFile | FileType::Symlink => self.clear(&there)?,
                FileType::Directory => return Err(output(Errno::ISDIR)),
                // A device, fifo or socket is never replaced.
                _ => return self.write_through(),
            }
        }
        // Someone else keeps making that file.
        Err(output(Errno::EXIST))
    }

    /// Removes the file or symlink that has the target's name.
    fn clear(&mut self, there: &rustix::fs::Stat) -> Result<(), DeliverError> {
        match unlink(self.target.path) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(output(error)),
        }
        if let Held::Blob(id, found) = &mut self.source
            && (found.device, found.stat.inode) == (there.st_dev, there.st_ino)
        {
            // It was an earlier delivery of this very blob. The store is its only owner again,
            // and its ctime has moved.
            let now = fstat(&found.file).map_err(output)?;
            self.news = Some((*id, None));
            if same_content(&BlobStat::of(&now), &found.stat) {
                #[allow(clippy::useless_conversion)] // another type on other machines
                let links = now.st_nlink.into();
                found.links = links;
            } else {
                return Err(DeliverError::Damaged(*id));
            }
        }
        Ok(())
    }

    fn new_file(&mut self) -> Result<(), Stop> {
        let failed = |error: Errno| match error {
            Errno::EXIST => Stop::InTheWay,
            error => Stop::Failed(output(error)),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = None;
        if let Held::Blob(_, found) = &self.source {
            let big = found.stat.size >= LINK_FROM;
            let clone = match self.mode {
                LinkMode::Auto => big && sys::fs::may_clone(&found.file),
                LinkMode::Reflink => true,
                LinkMode::Hardlink | LinkMode::Copy => false,
            };
            if clone {
                let mode = Mode::from_raw_mode(self.base_mode());
                let made = open(self.target.path, flags, mode).map_err(failed)?;
                if sys::fs::clone_file(&found.file, &made) {
                    return self.finish(Ok(()), &made, true).map_err(Stop::Failed);
                }
                file = Some(made);
            }
            let link = match self.mode {
                LinkMode::Auto => big && file.is_none(),
                LinkMode::Hardlink => true,
                LinkMode::Reflink | LinkMode::Copy => false,
            };
            if link && self.may_link() && self.link()? {
                return Ok(());
            }
        }
        let file = match file {
            Some(file) => file,
            None => open(self.target.path, flags, Mode::from_raw_mode(self.base_mode()))
                .map_err(failed)?,
        };
        self.fill(&file, true).map_err(Stop::Failed)
    }

    /// Whether a hard link would be just like a file of the user's own making, and shared with
    /// the store alone.
    fn may_link(&self) -> bool {
        let Held::Blob(_, found) = &self.source else { return false };
        if found.links != 1 || found.mode != self.base_mode() & !self.target.umask {
            return false;
        }
        let folder = match self.target.path.iter().rposition(|&byte| byte == b'/') {
            None => b".".as_slice(),
            Some(0) => b"/".as_slice(),
            Some(slash) => &self.target.path[..slash],
        };
        let Ok(about) = stat(folder) else { return false };
        // In a setgid folder new files get the folder's group.
        about.st_dev == found.device
            && about.st_mode & 0o2000 == 0
            && found.uid == rustix::process::geteuid().as_raw()
            && found.gid == rustix::process::getegid().as_raw()
            && !sys::fs::has_default_acl(folder)
    }

    /// False: nothing was made, a copy is needed.
    fn link(&mut self) -> Result<bool, Stop> {
        let Held::Blob(id, found) = &mut self.source else { return Ok(false) };
        match link(self.blobs.path(id), self.target.path) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Stop::InTheWay),
            // If the target itself is the trouble, making a copy says so.
            Err(_) => return Ok(false),
        }
        // Two owners now: the store and this target. More mean that another wrapper linked at the same
        // moment, fewer that the blob's name was given to a newer file meanwhile. Times or size
        // that moved mean that another wrapper came, delivered, and was gone again.
        let now = fstat(&found.file);
        let sole = now
            .is_ok_and(|now| now.st_nlink == 2 && same_content(&BlobStat::of(&now), &found.stat));
        let touch = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: touch, last_modification: touch };
        // Within one tick of the clock the link does not show in the times, nor would what the user
        // does to the file next: an older stat would bless it.
        let shows = || {
            futimens(&found.file, &times).is_ok()
                && fstat(&found.file)
                    .is_ok_and(|now| BlobStat::of(&now).ctime_ns != found.stat.ctime_ns)
        };
        if !sole || !shows() {
            unlink(self.target.path).map_err(|error| Stop::Failed(output(error)))?;
            // Both calls moved ctime, and since the other owner may have written to the file before
            // that, no stat taken now may bless it.
            self.news = Some((*id, None));
            let now = fstat(&found.file).map_err(|_| Stop::Failed(DeliverError::Damaged(*id)))?;
            if BlobStat::of(&now).size != found.stat.size {
                return Err(Stop::Failed(DeliverError::Damaged(*id)));
            }
            // Its times may have moved for good reasons: the copy is checked against the new ones
            // only after the content was read once more.
            if !same_content(&BlobStat::of(&now), &found.stat) {
                let again = verify(self.blobs, id, found.stat.size, None).map_err(Stop::Failed)?;
                *found = again;
            }
            found.links = found.links.max(2);
            return Ok(false);
        }
        let stat = if self.fine_times { fstat(&found.file).ok() } else { None };
        self.news = Some((*id, stat.as_ref().map(BlobStat::of)));
        Ok(true)
    }

    /// The target keeps its inode, modes and symlinks.
    fn in_place(&mut self) -> Result<(), DeliverError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(self.base_mode());
        let file = open(self.target.path, flags, mode).map_err(output)?;
        let there = fstat(&file).map_err(output)?;
        if let Held::Blob(id, found) = &self.source
            && (found.device, found.stat.inode) == (there.st_dev, there.st_ino)
        {
            // An earlier delivery of this very blob as a hard link, by a tool that replaces. To
            // truncate it would destroy what is to be copied: leave it, and write a file of its own.
            unlink_exact(self.target.path, &there).map_err(output)?;
            self.news = Some((*id, None));
            let flags = flags | OFlags::EXCL;
            let mode = Mode::from_raw_mode(there.st_mode & 0o777);
            let file = open(self.target.path, flags, mode).map_err(output)?;
            return self.fill(&file, true);
        }
        if is_regular(&there) && there.st_size > 0 {
            ftruncate(&file, 0).map_err(output)?;
        }
        self.fill(&file, false)
    }

    fn write_through(&mut self) -> Result<(), DeliverError> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = open(self.target.path, flags, Mode::empty()).map_err(output)?;
        self.fill(&file, false)
    }

    /// Writes the content; if that fails, no part of it stays.
    fn fill(&mut self, file: &OwnedFd, made_here: bool) -> Result<(), DeliverError> {
        let written = match &self.source {
            Held::Bytes(bytes) => sys::fs::write_all(file, bytes).map_err(DeliverError::Output),
            Held::Blob(id, found) => match sys::fs::copy(&found.file, file, found.stat.size) {
                Ok(n) if n == found.stat.size => Ok(()),
                Ok(_) => Err(DeliverError::Damaged(*id)),
                Err(error) => Err(DeliverError::Output(error)),
            },
            Held::Later(id, ..) => Err(DeliverError::Damaged(*id)),
        };
        self.finish(written, file, made_here)
    }

    fn finish(
        &self,
        written: Result<(), DeliverError>,
        file: &OwnedFd,
        made_here: bool,
    ) -> Result<(), DeliverError> {
        let result = written.and_then(|()| self.check_afterwards());
        if result.is_err() && made_here {
            let _ = unlink(self.target.path);
        } else if result.is_err()
            && let Ok(there) = fstat(file)
            && is_regular(&there)
        {
            // The name may be a symlink: remove only the very file that was written.
            let _ = unlink_exact(self.target.path, &there);
            let _ = ftruncate(file, 0);
        }
        result
    }

    /// A blob that a build tree shares could have been written to while it was copied.
    fn check_afterwards(&self) -> Result<(), DeliverError> {
        let Held::Blob(id, found) = &self.source else { return Ok(()) };
        let unchanged = found.links < 2
            || fstat(&found.file).is_ok_and(|now| same_content(&BlobStat::of(&now), &found.stat));
        if unchanged { Ok(()) } else { Err(DeliverError::Damaged(*id)) }
    }
}

/// Everything but ctime, which links and renames move.
fn same_content(a: &BlobStat, b: &BlobStat) -> bool {
    *a == BlobStat { ctime_ns: a.ctime_ns, ..*b }
}

/// Whether a file may be written to, as those say who ask first and replace it then: rustc goes by its modes alone, also
/// as root, clang asks the kernel.
fn may_write(path: &[u8]) -> bool {
    match stat(path) {
        Ok(there) => {
            there.st_mode & 0o222 != 0 && rustix::fs::access(path, Access::WRITE_OK).is_ok()
        }
        // A symlink that leads nowhere.
        Err(error) => error == Errno::NOENT,
    }
}

/// Whether there is nothing in the file, or a symlink leads nowhere.
fn is_empty(path: &[u8]) -> bool {
    stat(path).map_or(true, |there| {
        FileType::from_raw_mode(there.st_mode) == FileType::RegularFile && there.st_size == 0
    })
}

/// Removes `path` if it names this very inode, and not a symlink to it.
fn unlink_exact(path: &[u8], inode: &rustix::fs::Stat) -> rustix::io::Result<()> {
    let there = lstat(path)?;
    if (there.st_dev, there.st_ino) == (inode.st_dev, inode.st_ino) { unlink(path) } else { Ok(()) }
}

fn output(error: Errno) -> DeliverError {
    DeliverError::Output(error.into())
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
