//! Blobs that build trees share as hard links, watched.
//!
//! Making or removing a link moves the ctime of the inode, and so does a write: a stat alone can't tell them
//! apart, and after `make clean` each linked blob would have to be read again before its next use. A watch on
//! the inode can. While none of its events speaks of a write, and nobody has the file open for writing, the
//! content is what it was, whatever its times have become, and the stat it has now is good.
//!
//! Whoever hands a blob out compares its stat all the same. What the watch adds is the right to go on from one
//! good stat to the next; where it knows nothing (it was full, events were lost, the daemon is new), the blob is
//! read again.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Mode, OFlags, fstat, link, open, unlink};

use super::blob::{BlobDir, is_regular};
use crate::files::trust;
use crate::files::watch::room_beside;
use crate::sys;
use crate::terms::blob::{BlobId, BlobStat};

/// A blob that somebody keeps touching is not waited for.
const TRIES: usize = 3;
const BUFFER_BYTES: usize = 16 << 10;

/// Knows of some blobs which stat vouches for their content.
pub struct WatchedBlobs {
    blobs: BlobDir,
    /// None: here nothing can be watched.
    watch: Option<Mutex<Watch>>,
}

struct Watch {
    inotify: OwnedFd,
    held: HashMap<BlobId, Held>,
    ids: HashMap<i32, BlobId>,
    room: usize,
}

struct Held {
    watch: i32,
    /// The content was good when the file had this stat, and has not been written to since.
    stat: BlobStat,
    /// Nothing has happened since `stat` was taken, and nobody could have opened the file for writing: it had
    /// no name but the store's.
    quiet: bool,
}

impl WatchedBlobs {
    /// `fine_times`: two changes of a file never leave the same ctime (see `protocol::message::Work`). Without
    /// that, on file systems that change from elsewhere, and where a try-out fails, nothing is watched.
    pub fn new(blobs: BlobDir, fine_times: bool) -> WatchedBlobs {
        let watch = if fine_times { Watch::new() } else { None };
        let watch = watch.filter(|watch| match watch.proves_itself(&blobs) {
            Ok(proved) => proved,
            Err(error) => {
                log::info!("blobs are not watched: {error}");
                false
            }
        });
        WatchedBlobs { blobs, watch: watch.map(Mutex::new) }
    }

    /// The stat that vouches for the blob's content now; None if nothing is known of it. A blob that is not
    /// watched yet is from now on, if it still has the stat `last`, at which its content was known to be good.
    pub fn stat(&self, id: &BlobId, last: Option<BlobStat>) -> Option<BlobStat> {
        let mut watch = self.watch.as_ref()?.lock();
        watch.drain();
        if !watch.held.contains_key(id) {
            watch.hold(&self.blobs, id, last?).ok()??;
        }
        watch.stat(&self.blobs, id)
    }

    /// Writes down what is watched, with the stats of now: they may have moved away from those in the index. For
    /// the next daemon's `kept`.
    pub fn keep(&self, file: &Path) -> io::Result<()> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let mut watch = watch.lock();
        watch.drain();
        let ids: Vec<BlobId> = watch.held.keys().copied().collect();
        let stats: Vec<(BlobId, BlobStat)> =
            ids.iter().filter_map(|id| Some((*id, watch.stat(&self.blobs, id)?))).collect();
        if stats.is_empty() {
            return Ok(());
        }
        let bytes = postcard::to_allocvec(&stats).map_err(io::Error::other)?;
        std::fs::write(file, bytes)
    }

    /// What the last daemon kept, and only once: one that is killed keeps nothing.
    pub fn kept(file: &Path) -> Vec<(BlobId, BlobStat)> {
        let Ok(bytes) = std::fs::read(file) else { return Vec::new() };
        if let Err(error) = std::fs::remove_file(file) {
            log::warn!("{}: {error}", file.display());
        }
        postcard::from_bytes(&bytes).unwrap_or_default()
    }

    /// As `stat`, for a blob that is watched; others are not from now on either.
    pub fn stat_if_watched(&self, id: &BlobId) -> Option<BlobStat> {
        let mut watch = self.watch.as_ref()?.lock();
        if !watch.held.contains_key(id) {
            return None;
        }
        watch.drain();
        watch.stat(&self.blobs, id)
    }
}

impl Watch {
    fn new() -> Option<Watch> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        Some(Watch { inotify, held: HashMap::new(), ids: HashMap::new(), room: room_beside() })
    }

    /// Whether a write through another link is told here, and open files are: tried out, since overlays and
    /// the like may have one inode for each name.
    fn proves_itself(&self, blobs: &BlobDir) -> io::Result<bool> {
        let [path, other] = ["watch", "watch-other"]
            .map(|name| blobs.temporary(&format!("{name}-{}", std::process::id())));
        let clear = || {
            for name in [&path, &other] {
                let _ = unlink(name);
            }
        };
        // Of a daemon that died here, in a container where each has the same number.
        clear();
        let tried = (|| {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            drop(open(&path, flags, Mode::RUSR | Mode::WUSR)?);
            link(&path, &other)?;
            let file = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            if !trust::reports_all_changes(file.as_fd()) || sys::lease::has_writer(&file)? {
                return Ok(false);
            }
            let watch = self.add(&file)?;
            let writer = open(&other, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            sys::fs::write_all(&writer, b"x")?;
            let is_seen = sys::lease::has_writer(&file)?;
            drop(writer);
            let mut told = false;
            self.each_event(|of, events| {
                told |= of == watch && events.contains(ReadFlags::MODIFY);
            });
            inotify::remove_watch(&self.inotify, watch)?;
            Ok(is_seen && told)
        })();
        clear();
        tried
    }

    /// Watches the inode of an open file.
    fn add(&self, file: &OwnedFd) -> io::Result<i32> {
        // CLOSE_WRITE is there for writes through a shared mapping: they cause no MODIFY.
        let mask = WatchFlags::ATTRIB
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE_SELF;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(inotify::add_watch(&self.inotify, path, mask)?)
    }

    /// Some if the blob is watched now. None if it hasn't that stat any more.
    fn hold(&mut self, blobs: &BlobDir, id: &BlobId, last: BlobStat) -> io::Result<Option<()>> {
        if self.held.len() >= self.room {
            // What is in use comes back by itself.
            self.forget();
        }
        let file = blobs.open(id)?;
        if BlobStat::of(&fstat(&file)?) != last {
            return Ok(None);
        }
        let watch = self.add(&file)?;
        // The last look was before the watch: the next compares once more, from there.
        let held = Held { watch, stat: last, quiet: false };
        self.ids.insert(watch, *id);
        self.held.insert(*id, held);
        if sys::lease::has_writer(&file)? || BlobStat::of(&fstat(&file)?) != last {
            self.let_go(id);
            return Ok(None);
        }
        Ok(Some(()))
    }

    /// Of a blob that is watched, after a drain.
    fn stat(&mut self, blobs: &BlobDir, id: &BlobId) -> Option<BlobStat> {
        for _ in 0..TRIES {
            let held = self.held.get_mut(id)?;
            if held.quiet {
                return Some(held.stat);
            }
            let (last, known) = (held.stat, held.watch);
            // Whatever happens from here on says so.
            held.quiet = true;
            let Ok((now, links)) = look(blobs, id) else { break };
            let same = now.inode == last.inode && now.size == last.size;
            self.drain();
            match self.held.get_mut(id) {
                Some(held) if same && held.watch == known => {
                    let meanwhile = !held.quiet;
                    held.stat = now;
                    // With a second name, somebody may open it at any time.
                    held.quiet = links == 1 && !meanwhile;
                    if !meanwhile {
                        return Some(now);
                    }
                }
                _ => break,
            }
        }
        self.let_go(id);
        None
    }

    fn let_go(&mut self, id: &BlobId) {
        if let Some(held) = self.held.remove(id) {
            self.ids.remove(&held.watch);
            // Fails only when the kernel has dropped the watch already.
            let _ = inotify::remove_watch(&self.inotify, held.watch);
        }
    }

    fn forget(&mut self) {
        for id in self.held.keys().copied().collect::<Vec<_>>() {
            self.let_go(&id);
        }
    }

    /// Takes in all that has happened up to now.
    fn drain(&mut self) {
        let mut lost = false;
        let mut events = Vec::new();
        self.each_event(|watch, what| {
            lost |= what.contains(ReadFlags::QUEUE_OVERFLOW);
            events.push((watch, what));
        });
        if lost {
            log::info!("events of blobs were lost");
            self.forget();
        }
        for (watch, what) in events {
            let Some(id) = self.ids.get(&watch).copied() else { continue };
            if what.difference(ReadFlags::ATTRIB).is_empty() {
                if let Some(held) = self.held.get_mut(&id) {
                    held.quiet = false;
                }
            } else {
                log::debug!("{id:?} was written to, or is gone");
                self.let_go(&id);
            }
        }
    }

    fn each_event(&self, mut each: impl FnMut(i32, ReadFlags)) {
        // What is queued now, and no more: while somebody writes on and on, later events are later
        // changes. Each is one header, for a watched file has no names in it.
        let queued = rustix::io::ioctl_fionread(&self.inotify).unwrap_or(u64::MAX);
        let mut left = queued.div_ceil(size_of::<libc::inotify_event>() as u64);
        let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        while left > 0 {
            match reader.next() {
                Ok(event) => each(event.wd(), event.events()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            }
            left -= 1;
        }
    }
}

/// The blob's stat and number of links; an error if somebody has it open for writing.
fn look(blobs: &BlobDir, id: &BlobId) -> io::Result<(BlobStat, u64)> {
    let file = blobs.open(id)?;
    let stat = fstat(&file)?;
    if !is_regular(&stat) || sys::lease::has_writer(&file)? {
        return Err(io::ErrorKind::InvalidData.into());
    }
    #[allow(clippy::useless_conversion)] // another type on other machines
    Ok((BlobStat::of(&stat), stat.st_nlink.into()))
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;
