//! The inotify descriptor. The kernel queues an event inside the system call that causes
//! it, so whoever drains the descriptor has seen every change made before that moment. Beside it
//! two that tell of what changes files without an event: mounts, and a clock that is set.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::{Mode, OFlags};

use super::clock;

/// A watched folder's number, never reused while the descriptor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(i32);

/// One thing the kernel told us.
pub enum Event<'a> {
    /// Something happened to this name in that folder.
    Name(WatchId, &'a [u8]),
    /// Something was written to what has this name in that folder, and nothing else happened.
    Written(WatchId, &'a [u8]),
    /// What is watched is itself gone, moved or unmounted.
    Gone(WatchId),
    /// Something happened to the watched inode itself.
    Inode(WatchId),
    /// Events were lost: nothing is known any more.
    Overflow,
    /// Something was mounted or unmounted: any path may mean another file.
    Mounts,
    /// The system clock was set: a stat of before proves nothing.
    Clock,
}

pub struct Watch {
    /// None: the system has no instance left, and nothing can be watched.
    inotify: Option<OwnedFd>,
    /// Becomes ready (once a change) when a mount comes or goes.
    mounts: Option<OwnedFd>,
    /// Becomes readable when the clock is set.
    clock: Option<OwnedFd>,
}

/// How much another instance than the table's may watch; each watch takes the kernel about 1 KiB. At most one in so many
/// of what the user may have in all instances together, for the folders of inputs need them more.
pub fn room_beside() -> usize {
    const WATCHES_MAX: usize = 20_000;
    const SHARE: usize = 8;
    let allowed = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches");
    let allowed = allowed.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(8192);
    WATCHES_MAX.min(allowed / SHARE)
}

const BUFFER_BYTES: usize = 64 << 10;
/// An event with the longest name; a read leaves less room than this unused.
const EVENT_BYTES_MAX: u64 = 16 + 256;

fn mask() -> WatchFlags {
    // CLOSE_WRITE is there for writes through a shared mapping: they cause no MODIFY, but
    // the mapping's end closes the file.
    WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MODIFY
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVE_SELF
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}

impl Watch {
    pub fn new() -> Watch {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = inotify {
            log::warn!("no inotify instance ({error}): raise fs.inotify.max_user_instances");
        }
        let mounts = rustix::fs::open(
            "/proc/self/mountinfo",
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let clock = clock::descriptor();
        if let Err(error) = &clock {
            log::warn!("nobody will tell when the system clock is set: {error}");
        }
        Watch { inotify: inotify.ok(), mounts: mounts.ok(), clock: clock.ok() }
    }

    /// Has another descriptor tell of the clock.
    #[cfg(test)]
    pub(super) fn hear_clock_from(&mut self, descriptor: OwnedFd) {
        self.clock = Some(descriptor);
    }

    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    fn inotify(&self) -> io::Result<BorrowedFd<'_>> {
        self.descriptor().ok_or_else(|| rustix::io::Errno::MFILE.into())
    }

    /// Watches an open folder: the inode, whatever its path may mean by now.
    pub fn add(&self, folder: BorrowedFd<'_>) -> io::Result<WatchId> {
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        Ok(WatchId(inotify::add_watch(self.inotify()?, path, mask())?))
    }

    /// Watches a file's inode: it may be written to under another name, where no watched
    /// folder tells.
    pub fn add_file(&self, path: &[u8]) -> io::Result<WatchId> {
        let mask = WatchFlags::ATTRIB
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::DELETE_SELF
            | WatchFlags::DONT_FOLLOW;
        Ok(WatchId(inotify::add_watch(self.inotify()?, path, mask)?))
    }

    pub fn remove(&self, id: WatchId) {
        if let Some(inotify) = &self.inotify {
            // Fails only when the kernel has dropped the watch already.
            let _ = inotify::remove_watch(inotify, id.0);
        }
    }

    /// Hands over every event queued up to now. One system call when there is none.
    pub fn drain(&self, mut each: impl FnMut(Event<'_>)) {
        // Without inotify nothing is remembered, so mounts do not matter; the clock does.
        let Some(any) = self.inotify.as_ref().or(self.clock.as_ref()) else { return };
        let sources = [
            (&self.inotify, PollFlags::IN),
            (&self.mounts, PollFlags::PRI | PollFlags::ERR),
            (&self.clock, PollFlags::IN),
        ];
        let mut set = sources.map(|(descriptor, flags)| match descriptor {
            Some(descriptor) => PollFd::new(descriptor, flags),
            None => PollFd::new(any, PollFlags::empty()),
        });
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut set, Some(&no_wait)) {
            Ok(0) => return,
            Ok(_) => {
                let [events, mounts, clock] = set.map(|source| source.revents());
                if mounts.intersects(PollFlags::PRI | PollFlags::ERR) {
                    each(Event::Mounts);
                }
                if let (true, Some(descriptor)) = (clock.contains(PollFlags::IN), &self.clock) {
                    clock::heard(descriptor);
                    each(Event::Clock);
                }
                if !events.contains(PollFlags::IN) {
                    return;
                }
            }
            Err(_) => {}
        }
        let Some(inotify) = &self.inotify else { return };
        // What is queued now, and no more: while somebody writes on and on, later events are
        // later changes.
        let queued = rustix::io::ioctl_fionread(inotify).unwrap_or(u64::MAX);
        let mut reads = queued.div_ceil(BUFFER_BYTES as u64 - EVENT_BYTES_MAX).max(1);
        let mut buffer = [MaybeUninit::<u8>::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(inotify, &mut buffer);
        loop {
            if reader.is_buffer_empty() {
                if reads == 0 {
                    return;
                }
                reads -= 1;
            }
            match reader.next() {
                Ok(event) => {
                    let flags = event.events();
                    let id = WatchId(event.wd());
                    let lost_folder = ReadFlags::IGNORED
                        | ReadFlags::UNMOUNT
                        | ReadFlags::DELETE_SELF
                        | ReadFlags::MOVE_SELF;
                    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                        each(Event::Overflow);
                    } else if flags.intersects(lost_folder) {
                        each(Event::Gone(id));
                    } else if let Some(name) = event.file_name() {
                        let writing = ReadFlags::MODIFY | ReadFlags::CLOSE_WRITE;
                        let name = name.to_bytes();
                        each(match writing.contains(flags) {
                            true => Event::Written(id, name),
                            false => Event::Name(id, name),
                        });
                    } else {
                        each(Event::Inode(id));
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
