//! A hit without asking: `protocol::board` says when a notice may be believed. The rules of `sys::quick` hold here.
#![allow(clippy::undocumented_unsafe_blocks)] // `sys::quick` says why all of it is sound

use std::mem::{MaybeUninit, offset_of};
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};

use super::key::{self, Around, minded_at};
use super::raw::*;
use super::rooms::{PIECE_BYTES, Rooms};
use super::{Laid, OWN, Piece};
use crate::protocol::board::{
    Board, Front, Head, LINK_BYTES, MINDED_MAX, MINDED_PLACES, PLACES, Place, TELLINGS_MAX,
    TELLINGS_TO_WAKE, TEXT_BYTES, place_of,
};
use crate::protocol::quick::PAYLOAD_MAX;

/// The marks by which the epoll tells of mounts, and of the watch.
pub const MOUNTS: u64 = 1;
pub const WATCH: u64 = 2;
/// Events are read a piece at a time, first one of at least so much, for there are mostly few, and no more pieces than
/// `PIECES_MAX`: who finds the watch full has less to do by asking.
const FIRST_PIECE_BYTES: usize = 1 << 10;
const PIECES_MAX: usize = 4;
/// A read that leaves as much room has emptied the queue: an event with the longest name fits in.
const EVENT_BYTES_MAX: usize = 16 + 256;
/// So long another reader is waited for: some 10 µs.
const PATIENCE_TICKS: u64 = 25_000;

// linux/inotify.h
const IN_ATTRIB: u32 = 0x4;
const IN_DELETE_SELF: u32 = 0x400;
const IN_MOVE_SELF: u32 = 0x800;
const IN_UNMOUNT: u32 = 0x2000;
const IN_Q_OVERFLOW: u32 = 0x4000;
const IN_IGNORED: u32 = 0x8000;
const IN_ISDIR: u32 = 0x4000_0000;
/// A watch ends with these, or events were lost.
const ENDS: u32 = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;

/// The kernel's `struct epoll_event` on this architecture: packed.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct EpollEvent {
    events: u32,
    mark: u64,
}

/// A notice, copied.
pub(super) struct Notice {
    open: Open,
    number: u64,
    began: u64,
    age: u64,
    /// The payload of a short hit.
    pub(super) payload: *mut u8,
    pub(super) bytes: usize,
}

/// The board as this process has it.
#[derive(Clone, Copy)]
struct Open {
    /// A pidfd.
    daemon: usize,
    /// The descriptor of the board's memory.
    memory: usize,
    front: *const Front,
}

impl Open {
    #[inline(always)]
    fn head(self) -> *const Head {
        unsafe { &raw const (*self.front).head }
    }

    /// A descriptor of the daemon's, for us; negative where it lends none.
    #[inline(always)]
    unsafe fn lend(self, descriptor: u32) -> isize {
        unsafe { call(nr::PIDFD_GETFD, self.daemon, descriptor as usize, 0, 0, 0) }
    }

    #[inline(always)]
    unsafe fn close(self) {
        unsafe {
            call(nr::MUNMAP, self.front as usize, size_of::<Front>(), 0, 0, 0);
            call(nr::CLOSE, self.memory, 0, 0, 0, 0);
            call(nr::CLOSE, self.daemon, 0, 0, 0, 0);
        }
    }

    /// Reads a piece of the board. False where that is not all there.
    #[inline(always)]
    unsafe fn read(self, at: usize, to: *mut u8, count: usize) -> bool {
        unsafe { call(nr::PREAD, self.memory, to as usize, count, at, 0) == count as isize }
    }
}

/// The notice for this request, if there is one; whether it `holds` is another question. `socket` is the socket's path,
/// whose end is changed and put back.
#[inline(always)]
pub(super) unsafe fn find(
    laid: &Laid,
    around: &Around,
    cwd: Piece,
    socket: Piece,
    rooms: &mut Rooms,
) -> Option<Notice> {
    unsafe {
        let began = ticks();
        let open = open(laid, socket, rooms.rest(LINK_BYTES + 1).at)?;
        let key = key_of(open.head(), laid, around, cwd);
        let notice = read(open, key, began, rooms);
        if notice.is_none() {
            open.close();
        }
        notice
    }
}

/// Copies the notice of that key as it is at one moment, if there is one.
#[inline(always)]
unsafe fn read(open: Open, key: [u64; 2], began: u64, rooms: &mut Rooms) -> Option<Notice> {
    unsafe {
        let head = open.head();
        let writing = (*head).writing.load(SeqCst);
        let age = (*head).age.load(SeqCst);
        let mut places = MaybeUninit::<[Place; PLACES]>::uninit();
        let first = places.as_mut_ptr().cast::<Place>();
        let at = offset_of!(Board, places) + place_of(key) * size_of::<Place>();
        if !open.read(at, first.cast(), PLACES * size_of::<Place>()) {
            return None;
        }
        let mut index = 0;
        while index < PLACES {
            let place = first.add(index);
            let is_it = (*place).key[0].load(Relaxed) == key[0]
                && (*place).key[1].load(Relaxed) == key[1]
                && (*place).age.load(Relaxed) == age;
            if is_it {
                let number = (*place).notice.load(Relaxed);
                let at = (*place).at.load(Relaxed) as usize;
                let bytes = (*place).bytes.load(Relaxed) as usize;
                if bytes > PAYLOAD_MAX || at > TEXT_BYTES - PAYLOAD_MAX {
                    return None;
                }
                let to = rooms.take(bytes);
                let good = open.read(offset_of!(Board, text) + at, to, bytes)
                    && writing & 1 == 0
                    && (*head).writing.load(SeqCst) == writing;
                return match good {
                    true => Some(Notice { open, number, began, age, payload: to, bytes }),
                    false => None,
                };
            }
            index += 1;
        }
        None
    }
}

/// Whether a notice may be believed: nothing has happened to what it depends on.
#[inline(always)]
pub(super) unsafe fn holds(notice: &Notice, rooms: &Rooms) -> bool {
    unsafe {
        let (open, age) = (notice.open, notice.age);
        let head = open.head();
        let news = open.lend((*head).news.load(Relaxed));
        // While the age is the same, it is the right one.
        let holds = news > 2
            && (*head).age.load(SeqCst) == age
            && is_quiet(open, news as usize, age, rooms)
            && (*head).age.load(SeqCst) == age;
        // Else this process is about to end.
        if !holds {
            call(nr::CLOSE, news as usize, 0, 0, 0, 0);
        }
        holds
    }
}

/// Whether nothing has happened that is minded. Else the age turns, unless that was not found out.
#[inline(always)]
unsafe fn is_quiet(open: Open, news: usize, age: u64, rooms: &Rooms) -> bool {
    unsafe {
        let head = open.head();
        let mine = ticks() | 1;
        while (*head).reader.compare_exchange(0, mine, SeqCst, SeqCst).is_err() {
            if ticks().wrapping_sub(mine) > PATIENCE_TICKS {
                return false;
            }
            pause();
        }
        let mut events = MaybeUninit::<[EpollEvent; 2]>::uninit();
        let at = events.as_mut_ptr().cast::<EpollEvent>();
        let count = call(nr::EPOLL_WAIT, news, at as usize, 2, 0, 0);
        let (mut judged, mut index) = (Judged::Harmless, 0);
        while index < count {
            judged = if (*at.add(index as usize)).mark == MOUNTS || judged == Judged::Minded {
                Judged::Minded
            } else {
                judge_queued(open, age, rooms)
            };
            index += 1;
        }
        if count < 0 {
            judged = Judged::NotAll;
        }
        if judged == Judged::Minded {
            (*head).age.fetch_add(1, SeqCst);
        }
        // Not if the daemon has given it to others, because we took so long.
        let _ = (*head).reader.compare_exchange(mine, 0, SeqCst, SeqCst);
        judged == Judged::Harmless
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Judged {
    Harmless,
    Minded,
    /// There is more, or it could not be read.
    NotAll,
}

/// Takes what the watch has queued.
#[inline(always)]
unsafe fn judge_queued(open: Open, age: u64, rooms: &Rooms) -> Judged {
    unsafe {
        let watch = open.lend((*open.head()).watch.load(Relaxed));
        // Only if the age is the same it is the right one, and may be read from.
        if watch <= 2 || (*open.head()).age.load(SeqCst) != age {
            call(nr::CLOSE, watch as usize, 0, 0, 0, 0);
            return Judged::NotAll;
        }
        let (mut judged, mut pieces) = (Judged::NotAll, 0);
        while judged == Judged::NotAll && pieces < PIECES_MAX {
            let room = rooms.rest(if pieces == 0 { FIRST_PIECE_BYTES } else { PIECE_BYTES });
            let count = call(nr::READ, watch as usize, room.at as usize, room.bytes, 0, 0);
            if count == EAGAIN || count > 0 && !is_harmless(open, room.at, count as usize) {
                judged = if count == EAGAIN { Judged::Harmless } else { Judged::Minded };
            } else if count <= 0 && count != EINTR {
                break;
            } else if count > 0 && count as usize <= room.bytes - EVENT_BYTES_MAX {
                judged = Judged::Harmless;
            }
            pieces += 1;
        }
        call(nr::CLOSE, watch as usize, 0, 0, 0, 0);
        judged
    }
}

/// Whether nothing of these events is minded.
#[inline(always)]
unsafe fn is_harmless(open: Open, events: *const u8, count: usize) -> bool {
    unsafe {
        // A name that was judged already.
        let mut before = 0;
        let mut at = 0;
        while at < count {
            let event = events.add(at);
            let (watch, mask) = (get::<i32>(event), get::<u32>(event.add(4)));
            let room = get::<u32>(event.add(12)) as usize;
            let name = event.add(16);
            let bytes = if room == 0 { 0 } else { length(name) };
            // Of a name or a watch that is not minded, all is harmless; but what a blob's watch tells is judged
            // by what it was: the attributes move with every link.
            let hash = minded_at(watch, name, bytes);
            let harmless = mask & ENDS == 0
                && (bytes > 0 || mask & !(IN_ATTRIB | IN_ISDIR) == 0)
                && (hash == before || !is_minded(open, hash));
            if !harmless {
                return false;
            }
            before = hash;
            at += 16 + room;
        }
        true
    }
}

/// Also where that can't be told.
#[inline(always)]
unsafe fn is_minded(open: Open, hash: u64) -> bool {
    unsafe {
        let mut places = MaybeUninit::<[u64; MINDED_PLACES]>::uninit();
        let first = places.as_mut_ptr().cast::<u64>();
        let at = offset_of!(Board, minded) + hash as usize % MINDED_MAX * size_of::<u64>();
        if !open.read(at, first.cast(), MINDED_PLACES * size_of::<u64>()) {
            return true;
        }
        let mut index = 0;
        while index < MINDED_PLACES {
            let there = first.add(index).read_volatile();
            if there == hash || there == 0 {
                return there != 0;
            }
            index += 1;
        }
        false
    }
}

/// Tells the daemon that its notice was of use.
#[inline(always)]
pub(super) unsafe fn tell(notice: &Notice) {
    unsafe {
        let head = notice.open.head();
        let before = (*head).told.fetch_add(1, SeqCst);
        let telling = &raw const (*notice.open.front).tellings[before as usize % TELLINGS_MAX];
        (*telling).notice.store(notice.number, Relaxed);
        (*telling).began.store(notice.began, Relaxed);
        (*telling).ended.store(ticks(), Relaxed);
        (*telling).number.store(before + 1, Release);
        core::sync::atomic::fence(SeqCst);
        let unheard = (before + 1).wrapping_sub((*head).heard.load(Relaxed));
        if (*head).asleep.load(SeqCst) != 0 || unheard.is_multiple_of(TELLINGS_TO_WAKE) {
            let wake = notice.open.lend((*head).wake.load(Relaxed)) as usize;
            let one = 1u64;
            call(nr::WRITE, wake, (&raw const one) as usize, 8, 0, 0);
        }
    }
}

/// Lets go of the board: this process goes another way.
#[inline(always)]
pub(super) unsafe fn drop(notice: &Notice) {
    unsafe { notice.open.close() }
}

/// Maps the board of a daemon of our user and build, if there is room for one more telling. `text`: for the link's.
#[inline(always)]
unsafe fn open(laid: &Laid, socket: Piece, text: *mut u8) -> Option<Open> {
    unsafe {
        // `daemon.sock` becomes `daemon.board`, and is one again.
        let ending = socket.at.add(socket.bytes - 4).cast_mut();
        put(ending, b"board\0");
        let link = call(nr::READLINK, socket.at as usize, text as usize, LINK_BYTES + 1, 0, 0);
        put(ending, b"sock\0\0");
        if link != LINK_BYTES as isize {
            return None;
        }
        let (pid, descriptor) = (hexadecimal(text, 8)?, hexadecimal(text.add(8), 8)?);
        let token = [hexadecimal(text.add(16), 16)?, hexadecimal(text.add(32), 16)?];
        let daemon = call(nr::PIDFD_OPEN, pid as usize, 0, 0, 0, 0);
        if daemon < 0 {
            return None;
        }
        let memory = call(nr::PIDFD_GETFD, daemon as usize, descriptor as usize, 0, 0, 0);
        let front = match memory > 2 && daemon > 2 {
            true => view(memory as usize, laid.auxv),
            false => core::ptr::null(),
        };
        if front.is_null() {
            call(nr::CLOSE, memory as usize, 0, 0, 0, 0);
            call(nr::CLOSE, daemon as usize, 0, 0, 0, 0);
            return None;
        }
        let open = Open { daemon: daemon as usize, memory: memory as usize, front };
        let head = open.head();
        let is_it = (*head).token[0].load(Relaxed) == token[0]
            && (*head).token[1].load(Relaxed) == token[1]
            && (*head).build[0].load(Relaxed) == OWN.version
            && (*head).build[1].load(Relaxed) == OWN.id
            && (*head).told.load(Relaxed).wrapping_sub((*head).heard.load(Relaxed))
                < 2 * TELLINGS_TO_WAKE;
        if !is_it {
            open.close();
            return None;
        }
        Some(open)
    }
}

/// Maps the front of memory of our own user's, of the board's size. Null where it is not that.
#[inline(always)]
unsafe fn view(memory: usize, auxv: *const usize) -> *const Front {
    const PROT_READ_WRITE: usize = 1 | 2;
    const MAP_SHARED: usize = 1;
    unsafe {
        let mut found = MaybeUninit::<KernelStat>::uninit();
        let stat = found.as_mut_ptr();
        let is_ours = stat_with(nr::FSTAT, memory, stat)
            && (*stat).uid as usize == auxiliary(auxv, AT_EUID)
            && (*stat).size == size_of::<Board>() as u64;
        if !is_ours {
            return core::ptr::null();
        }
        let at = map(size_of::<Front>(), PROT_READ_WRITE, MAP_SHARED, memory);
        if at < 0 && at > -4096 { core::ptr::null() } else { at as *const Front }
    }
}

#[inline(always)]
unsafe fn hexadecimal(text: *const u8, digits: usize) -> Option<u64> {
    let (mut value, mut at) = (0, 0);
    while at < digits {
        let digit = match unsafe { byte(text, at) } {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u64::from(digit);
        at += 1;
    }
    Some(value)
}

#[inline(always)]
unsafe fn key_of(head: *const Head, laid: &Laid, around: &Around, cwd: Piece) -> [u64; 2] {
    unsafe {
        let token = [(*head).token[0].load(Relaxed), (*head).token[1].load(Relaxed)];
        let mut mixer = key::begin(token, around);
        mixer.piece(laid.argv.at, laid.argv.bytes);
        mixer.piece(cwd.at, cwd.bytes);
        // Runs of what counts: the strings lie one behind the other.
        let end = laid.env.at.add(laid.env.bytes);
        let (mut run, mut index) = (laid.env.at, 0);
        while !(*laid.envp.add(index)).is_null() {
            let entry = *laid.envp.add(index);
            index += 1;
            if key::is_left_out(entry) {
                let next = *laid.envp.add(index);
                mixer.piece(run, entry as usize - run as usize);
                run = if next.is_null() { end } else { next };
            }
        }
        mixer.piece(run, end as usize - run as usize);
        mixer.end()
    }
}
