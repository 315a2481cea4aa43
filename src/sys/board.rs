//! The daemon's side of the board (`protocol::board`): its memory, its watch, and the link by which it is found.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::quick;
use crate::protocol::board::{
    self as layout, MINDED_MAX, MINDED_PLACES, PLACES, TELLINGS_MAX, TEXT_BYTES, place_of,
};
use crate::protocol::frame::Build;
use crate::protocol::quick::PAYLOAD_MAX;

/// A wrapper needs microseconds to read the watch, and to write its telling. One that was killed meanwhile is
/// not waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Texts begin at multiples of this.
const ALIGNMENT: usize = 64;
/// Where texts may end: a wrapper reads no further than a whole payload from their beginning.
const TEXT_END: usize = TEXT_BYTES - PAYLOAD_MAX;

/// A wrapper made use of a notice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Telling {
    pub notice: u64,
    /// In ticks of the processor's clock.
    pub began: u64,
    pub ended: u64,
}

pub struct Board {
    memory: NonNull<layout::Board>,
    descriptor: OwnedFd,
    wake: OwnedFd,
    /// While somebody has a pidfd of us, the kernel need not make its inode for each wrapper's: 0.3 instead of 0.7 µs.
    _own: Option<OwnedFd>,
    token: [u64; 2],
    link: PathBuf,
    writer: Mutex<Writer>,
}

// SAFETY: all that is shared in that memory is atomic, but for the text, which only the holder of `writer` writes, and
// which wrappers copy and then judge by `writing`.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

/// What a watch is on.
#[derive(Clone, Copy, PartialEq)]
pub enum Watched {
    /// The names in it.
    Folder,
    /// A file that was read.
    File,
    /// A file whose links come and go.
    Blob,
}

/// What the writing thread knows of the text.
#[derive(Default)]
struct Writer {
    published: bool,
    /// The next text begins here at the earliest.
    free: usize,
    /// Texts from the oldest on: those in the way of the next one are given up.
    texts: VecDeque<Text>,
    /// What is waited for, and since when: a telling that was begun, a wrapper that reads the watch.
    missing: Option<(u64, Instant)>,
    reader: Option<(u64, Instant)>,
    /// None: nothing is watched yet at this age.
    watch: Option<Watch>,
}

/// What is watched at one age.
struct Watch {
    age: u64,
    inotify: OwnedFd,
    /// Tells wrappers whether there is anything to read, here or of mounts.
    news: OwnedFd,
    _mounts: OwnedFd,
    /// How many names are minded.
    minded: usize,
}

impl Watch {
    fn new(age: u64) -> io::Result<Watch> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags)?;
        let news = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mark = EventData::new_u64;
        epoll::add(&news, &inotify, mark(quick::WATCH), EventFlags::IN)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mounts = rustix::fs::open("/proc/self/mountinfo", flags, Mode::empty())?;
        epoll::add(&news, &mounts, mark(quick::MOUNTS), EventFlags::PRI | EventFlags::ERR)?;
        Ok(Watch { age, inotify, news, _mounts: mounts, minded: 0 })
    }
}

#[derive(Clone, Copy)]
struct Text {
    at: usize,
    room: usize,
    place: usize,
    notice: u64,
}

impl Board {
    /// It is not found yet; a `link` of an earlier one is removed.
    pub fn new(link: &Path) -> io::Result<Board> {
        remove(link);
        let descriptor = rustix::fs::memfd_create("zccache-board", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&descriptor, size_of::<layout::Board>() as u64)?;
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let wake = rustix::event::eventfd(0, flags)?;
        // SAFETY: a new mapping of a file of that size, wherever the kernel likes.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<layout::Board>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                descriptor.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let board = Board {
            memory,
            descriptor,
            wake,
            _own: pidfd_open(getpid(), PidfdFlags::empty()).ok(),
            token: [high, low],
            link: link.to_owned(),
            writer: Mutex::default(),
        };
        let head = board.head();
        let own = Build::own();
        head.token.iter().zip(board.token).for_each(|(to, word)| to.store(word, Relaxed));
        head.build.iter().zip([own.version, own.id]).for_each(|(to, word)| to.store(word, Relaxed));
        head.wake.store(board.wake.as_raw_fd() as u32, Relaxed);
        head.age.store(1, SeqCst);
        Ok(board)
    }

    fn shared(&self) -> &layout::Board {
        // SAFETY: mapped for as long as this lives, zero at first, which is a valid value of all it holds.
        unsafe { self.memory.as_ref() }
    }

    fn head(&self) -> &layout::Head {
        &self.shared().front.head
    }

    /// Lets wrappers find it from now on, in the place of any that they found before.
    pub fn publish(&self) -> io::Result<()> {
        if std::mem::replace(&mut self.writer.lock().published, true) {
            return Ok(());
        }
        // Where the Yama module is, only ancestors may take a descriptor from a process that doesn't say otherwise.
        // SAFETY: two numbers.
        unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
        remove(&self.link);
        Ok(rustix::fs::symlink(self.link_text(), &self.link)?)
    }

    fn link_text(&self) -> String {
        let [high, low] = self.token;
        let descriptor = self.descriptor.as_raw_fd();
        format!("{:08x}{descriptor:08x}{high:016x}{low:016x}", std::process::id())
    }

    /// From here on nobody finds it, and nothing on it holds.
    pub fn close(&self) {
        if std::fs::read_link(&self.link).is_ok_and(|text| text.as_os_str() == &*self.link_text()) {
            remove(&self.link);
        }
        self.turn();
    }

    /// The board's part of a key.
    pub fn token(&self) -> [u64; 2] {
        self.token
    }

    /// Becomes readable when a wrapper has told something to a daemon that is `asleep`, or has much to hear.
    pub fn wake(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Makes a watch for this age, if there is none yet: then true, and nothing is watched or minded any more. An error
    /// if the age has turned: it may have another watch by now.
    pub fn begin_watching(&self, age: u64) -> io::Result<bool> {
        let mut writer = self.writer.lock();
        if age != self.age() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if writer.watch.as_ref().is_some_and(|watch| watch.age == age) {
            return Ok(false);
        }
        let watch = Watch::new(age)?;
        self.shared().minded.iter().for_each(|hash| hash.store(0, Relaxed));
        let head = self.head();
        head.watch.store(watch.inotify.as_raw_fd() as u32, SeqCst);
        head.news.store(watch.news.as_raw_fd() as u32, SeqCst);
        // Whoever still reads the watch of before turns the age at most.
        head.reader.store(0, SeqCst);
        // That is closed only now: no number means two things at one age.
        let old = writer.watch.replace(watch);
        writer.reader = None;
        // To end many watches takes a while.
        drop(writer);
        drop(old);
        Ok(true)
    }

    /// Watches what has this path, which is no link. Gives the watch.
    pub fn watch(&self, path: &[u8], is: Watched) -> io::Result<i32> {
        let flags = match is {
            // What is written to a file the watch on that tells, and what comes into being is a name.
            Watched::Folder => {
                WatchFlags::ONLYDIR
                    | WatchFlags::ATTRIB
                    | WatchFlags::CREATE
                    | WatchFlags::DELETE
                    | WatchFlags::MOVED_FROM
                    | WatchFlags::MOVED_TO
                    | WatchFlags::MOVE_SELF
                    | WatchFlags::EXCL_UNLINK
            }
            Watched::File => WatchFlags::ATTRIB | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE,
            Watched::Blob => WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE,
        };
        let all = WatchFlags::DELETE_SELF | WatchFlags::DONT_FOLLOW | WatchFlags::MASK_ADD;
        let writer = self.writer.lock();
        let watch = writer.watch.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(inotify::add_watch(&watch.inotify, path, flags | all)?)
    }

    /// From now on whatever happens to this name in what is watched there turns the age; without a name a change of the
    /// attributes of what is watched. An error if that is too much.
    pub fn mind(&self, watch: i32, name: &[u8]) -> io::Result<()> {
        let mut writer = self.writer.lock();
        let hash = quick::minded(watch, name);
        let first = hash as usize % MINDED_MAX;
        let places = &self.shared().minded[first..first + MINDED_PLACES];
        let place = places
            .iter()
            .find(|place| matches!(place.load(Relaxed), there if there == 0 || there == hash));
        let (Some(place), Some(watch)) = (place, &mut writer.watch) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        place.store(hash, SeqCst);
        watch.minded += 1;
        if watch.minded <= MINDED_MAX / 2 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// No notice holds any more.
    pub fn turn(&self) {
        self.head().age.fetch_add(1, SeqCst);
    }

    pub fn age(&self) -> u64 {
        self.head().age.load(SeqCst)
    }

    /// Whether a wrapper that tells something has to wake us. False if somebody has told something by then.
    pub fn set_asleep(&self, asleep: bool) -> bool {
        let head = self.head();
        head.asleep.store(asleep.into(), SeqCst);
        head.told.load(SeqCst) == head.heard.load(SeqCst)
    }

    /// Puts up a notice that holds at this age. Gives those that it took the place of.
    pub fn put(&self, key: [u64; 2], notice: u64, payload: &[u8], age: u64) -> Vec<u64> {
        let mut gone = Vec::new();
        if payload.is_empty() || payload.len() > PAYLOAD_MAX {
            return gone;
        }
        let mut writer = self.writer.lock();
        self.head().writing.fetch_add(1, SeqCst);
        let room = payload.len().next_multiple_of(ALIGNMENT);
        let wraps = writer.free + room > TEXT_END;
        let at = if wraps { 0 } else { writer.free };
        while let Some(text) = writer.texts.front().copied() {
            let behind = wraps && text.at >= writer.free;
            let in_the_way = text.at < at + room && text.at + text.room > at;
            if !behind && !in_the_way {
                break;
            }
            writer.texts.pop_front();
            gone.extend(self.give_up(text.place, text.notice));
        }
        let index = self.choose(key);
        let place = &self.shared().places[index];
        gone.extend(self.give_up(index, place.notice.load(Relaxed)));
        writer.free = at + room;
        writer.texts.push_back(Text { at, room, place: index, notice });
        self.write(at, payload);
        place.at.store(at as u32, Relaxed);
        place.bytes.store(payload.len() as u32, Relaxed);
        place.notice.store(notice, Relaxed);
        place.key.iter().zip(key).for_each(|(to, word)| to.store(word, Relaxed));
        place.age.store(age, Release);
        self.head().writing.fetch_add(1, SeqCst);
        gone
    }

    /// Takes a notice down. Gives it, if it was there.
    fn give_up(&self, place: usize, notice: u64) -> Option<u64> {
        let place = &self.shared().places[place];
        let was_there = notice != 0 && place.notice.load(Relaxed) == notice;
        if was_there {
            place.age.store(0, Relaxed);
            place.notice.store(0, Relaxed);
        }
        was_there.then_some(notice)
    }

    /// Its own place, or one that is free or whose notice does not hold, or that of whoever came first.
    fn choose(&self, key: [u64; 2]) -> usize {
        let age = self.head().age.load(SeqCst);
        let first = place_of(key);
        let places = &self.shared().places;
        let all = || first..first + PLACES;
        let own = all().find(|index| {
            places[*index].key.iter().zip(key).all(|(word, own)| word.load(Relaxed) == own)
        });
        let free = || all().find(|index| places[*index].age.load(Relaxed) != age);
        let oldest = || all().min_by_key(|index| places[*index].notice.load(Relaxed));
        own.or_else(free).or_else(oldest).unwrap_or(first)
    }

    fn write(&self, at: usize, payload: &[u8]) {
        assert!(at + payload.len() <= TEXT_BYTES, "a text ends inside the board");
        // SAFETY: inside the text, which only the holder of `writer` writes; no reference to it exists.
        unsafe {
            let text = (&raw mut (*self.memory.as_ptr()).text).cast::<u8>();
            std::ptr::copy_nonoverlapping(payload.as_ptr(), text.add(at), payload.len());
        }
    }

    /// What wrappers have told since the last time.
    pub fn hear(&self) -> Vec<Telling> {
        let head = self.head();
        let (mut heard, told) = (head.heard.load(Relaxed), head.told.load(SeqCst));
        let mut tellings = Vec::new();
        if heard == told {
            return tellings;
        }
        let mut writer = self.writer.lock();
        while heard != told {
            let slot = &self.shared().front.tellings[heard as usize % TELLINGS_MAX];
            let number = slot.number.load(Acquire);
            if number == heard + 1 {
                tellings.push(Telling {
                    notice: slot.notice.load(Relaxed),
                    began: slot.began.load(Relaxed),
                    ended: slot.ended.load(Relaxed),
                });
            } else if number < heard + 1 && !is_overdue(&mut writer.missing, heard) {
                break;
            }
            // Else a later one took its place: more wrappers at once than the ring has room for.
            heard += 1;
        }
        head.heard.store(heard, SeqCst);
        tellings
    }

    /// Whether nobody can read the watch any more: a wrapper was killed while it did.
    pub fn is_stuck(&self) -> bool {
        let reader = self.head().reader.load(Relaxed);
        reader != 0 && is_overdue(&mut self.writer.lock().reader, reader)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.close();
        // SAFETY: mapped by `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), size_of::<layout::Board>()) };
    }
}

/// Whether this has been waited for too long. `waited` is what was waited for last.
fn is_overdue(waited: &mut Option<(u64, Instant)>, what: u64) -> bool {
    match waited {
        Some((same, since)) if *same == what => since.elapsed() > PATIENCE,
        _ => {
            *waited = Some((what, Instant::now()));
            false
        }
    }
}

/// Only a link is ours there.
fn remove(link: &Path) {
    if std::fs::symlink_metadata(link).is_ok_and(|meta| meta.is_symlink()) {
        let _ = std::fs::remove_file(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(board: &Board, key: [u64; 2]) -> Option<(u64, Vec<u8>)> {
        let shared = board.shared();
        let age = board.head().age.load(SeqCst);
        let place = (place_of(key)..place_of(key) + PLACES).map(|index| &shared.places[index]);
        let mut place = place.filter(|place| {
            place.age.load(Relaxed) == age
                && place.key.iter().zip(key).all(|(word, own)| word.load(Relaxed) == own)
        });
        let place = place.next()?;
        let at = place.at.load(Relaxed) as usize;
        let bytes = place.bytes.load(Relaxed) as usize;
        Some((place.notice.load(Relaxed), shared.text[at..at + bytes].to_vec()))
    }

    #[test]
    fn notices_hold_until_the_age_turns() {
        let board = Board::new(Path::new("/none")).unwrap();
        let age = board.age();
        assert!(board.put([5, 1], 1, b"one", age).is_empty());
        assert!(board.put([5, 2], 2, b"two", age).is_empty());
        assert_eq!(held(&board, [5, 1]), Some((1, b"one".to_vec())));
        assert_eq!(held(&board, [5, 2]), Some((2, b"two".to_vec())));
        // The same key's notice takes the other's place.
        assert_eq!(board.put([5, 1], 3, b"three", age), [1]);
        assert_eq!(held(&board, [5, 1]), Some((3, b"three".to_vec())));
        board.turn();
        assert_eq!((held(&board, [5, 1]), held(&board, [5, 2])), (None, None));
        // What was made ready before it turned is not believed either.
        board.put([5, 4], 4, b"late", age);
        assert_eq!(held(&board, [5, 4]), None);
        assert_eq!(board.head().writing.load(SeqCst) % 2, 0);
    }

    #[test]
    fn each_age_has_its_own_watch() {
        let folder = std::env::temp_dir().join(format!("zcc-board-watch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.as_os_str().as_encoded_bytes();
        let board = Board::new(Path::new("/none")).unwrap();
        assert!(board.watch(path, Watched::Folder).is_err());
        assert!(board.begin_watching(board.age()).unwrap());
        assert!(!board.begin_watching(board.age()).unwrap());
        let watch = board.watch(path, Watched::Folder).unwrap();
        assert!(board.watch(path, Watched::File).is_ok());
        let minded = || {
            let all = board.shared().minded.iter();
            all.map(|hash| hash.load(Relaxed)).filter(|hash| *hash != 0).collect::<Vec<_>>()
        };
        board.mind(watch, b"a.h").unwrap();
        board.mind(watch, b"a.h").unwrap();
        assert_eq!(minded(), [quick::minded(watch, b"a.h")]);
        board.turn();
        assert!(board.begin_watching(board.age()).unwrap() && minded().is_empty());
        assert!(board.begin_watching(board.age() - 1).is_err());
        // So many names are minded, and no more.
        board.turn();
        assert!(board.begin_watching(board.age()).unwrap());
        let most = (0..).take_while(|n: &u32| board.mind(1, &n.to_le_bytes()).is_ok()).count();
        assert!((MINDED_MAX / 4..=MINDED_MAX / 2).contains(&most), "{most}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn texts_never_overlap_and_old_ones_make_way() {
        let board = Board::new(Path::new("/none")).unwrap();
        let text = |n: u64| vec![n as u8; PAYLOAD_MAX - (n as usize * 977) % 40_000];
        let mut there: Vec<u64> = Vec::new();
        for n in 1..2000 {
            let gone = board.put([n * 17, n], n, &text(n), board.age());
            there.retain(|old| !gone.contains(old));
            there.push(n);
            if n % 97 == 0 {
                for old in &there {
                    assert_eq!(held(&board, [old * 17, *old]), Some((*old, text(*old))));
                }
            }
        }
        assert!(there.len() > TEXT_BYTES / PAYLOAD_MAX, "{}", there.len());
        // A key's places are few: the first to come there goes.
        let mut gone = Vec::new();
        (0..6).for_each(|n| gone.extend(board.put([4000, n], 5000 + n, b"x", board.age())));
        gone.retain(|notice| *notice >= 5000);
        assert_eq!(gone, [5000, 5001]);
    }

    #[test]
    fn it_is_found_by_a_link_that_is_its_own() {
        let folder = std::env::temp_dir().join(format!("zcc-board-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let link = folder.join("link");
        std::os::unix::fs::symlink("old", &link).unwrap();
        let board = Board::new(&link).unwrap();
        assert!(!link.is_symlink());
        board.publish().unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap().as_os_str(), board.link_text().as_str());
        // Another daemon's is left alone.
        let other = Board::new(&link).unwrap();
        other.publish().unwrap();
        drop(board);
        assert!(link.is_symlink());
        drop(other);
        assert!(!link.is_symlink());
        // What is no link is not ours.
        std::fs::write(&link, "mine").unwrap();
        assert!(Board::new(&link).unwrap().publish().is_err());
        assert_eq!(std::fs::read(&link).unwrap(), b"mine");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn tellings_come_in_order_and_one_that_was_begun_is_waited_for() {
        let board = Board::new(Path::new("/none")).unwrap();
        let tell = |n: u64| {
            let slot = &board.shared().front.tellings[n as usize % TELLINGS_MAX];
            slot.notice.store(100 + n, Relaxed);
            slot.number.store(n + 1, Release);
        };
        assert!(board.hear().is_empty() && board.set_asleep(true));
        board.head().told.store(3, SeqCst);
        tell(0);
        tell(2);
        assert_eq!(board.hear().iter().map(|told| told.notice).collect::<Vec<_>>(), [100]);
        assert!(!board.set_asleep(true));
        tell(1);
        assert_eq!(board.hear().len(), 2);
        board.head().told.store(5, SeqCst);
        tell(4);
        assert!(board.hear().is_empty());
        board.writer.lock().missing = Some((3, Instant::now() - 2 * PATIENCE));
        assert_eq!(board.hear().iter().map(|told| told.notice).collect::<Vec<_>>(), [104]);
        // One that another took the place of is not waited for.
        let lap = TELLINGS_MAX as u64;
        board.head().told.store(6 + lap, SeqCst);
        (5..6 + lap).for_each(tell);
        let heard: Vec<u64> = board.hear().iter().map(|told| told.notice).collect();
        assert_eq!(heard, (106..106 + lap).collect::<Vec<_>>());
        assert!(!board.is_stuck());
        board.head().reader.store(7, SeqCst);
        assert!(!board.is_stuck());
        board.writer.lock().reader = Some((7, Instant::now() - 2 * PATIENCE));
        assert!(board.is_stuck());
        board.turn();
        assert!(board.begin_watching(board.age()).unwrap() && !board.is_stuck());
    }
}
