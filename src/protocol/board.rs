//! The board: short hits that hold, in memory that the daemon shares with the wrappers of its user.
//!
//! A wrapper that finds its own request there needs no answer, and the daemon is not even woken. It finds
//! the board by a link in the cache's root, which names the daemon, the descriptor of the memory in it, and a token
//! that the memory begins with: so nothing but that memory can be taken for the board.
//!
//! A notice holds while nothing that it depends on has changed. The daemon's own watch can't tell a wrapper, for it
//! takes events from their queue. So the board has a watch of its own, which the wrappers read: each takes
//! what is queued and judges it. What only concerns names that no notice depends on (`minded`) is dropped; anything else
//! turns the `age`, and with it every notice. Then only the daemon can put up new ones.
//!
//! What was taken and not yet judged nobody else may miss: so one wrapper reads at a time (`reader`), and while one does
//! the others ask the daemon. One that is killed meanwhile leaves `reader` set: nobody believes anything until the daemon
//! turns the age and makes a new watch, which who was only stopped will never read.
//!
//! Of mounts the kernel tells once for each open file. It is told to whoever reads, as above.

use std::sync::atomic::{AtomicU32, AtomicU64};

/// The link's name in the cache's root.
pub const LINK: &str = "daemon.board";
/// Its text, in hexadecimal digits: pid (8), descriptor (8), token (twice 16).
pub const LINK_BYTES: usize = 48;

pub const NOTICES_MAX: usize = 4096;
/// A notice is in one of so many places, from the one that its key names on.
pub const PLACES: usize = 4;
/// So many fit into the front beside the head.
pub const TELLINGS_MAX: usize = 124;
/// When so many have not been heard, the daemon is woken; when twice as many, nobody makes use of the board.
pub const TELLINGS_TO_WAKE: u64 = TELLINGS_MAX as u64 / 4;
pub const TEXT_BYTES: usize = 16 << 20;
pub const MINDED_MAX: usize = 1 << 16;
/// The same for what is minded.
pub const MINDED_PLACES: usize = 32;

/// The whole of the board. Wrappers map only its front, and read the rest piece by piece: to touch a page costs
/// more than a system call. The front is one page, since the kernel maps those beside it as well: with eight more
/// mapping, touching and unmapping took 4.4 µs instead of 3.1.
#[repr(C)]
pub struct Board {
    pub front: Front,
    pub places: [Place; NOTICES_MAX + PLACES - 1],
    /// Hashes of a watch and a name in it, or of the watch alone for the attributes of what it is on; 0 is none.
    pub minded: [AtomicU64; MINDED_MAX + MINDED_PLACES - 1],
    /// Payloads of short hits (`protocol::quick`), wherever the places say.
    pub text: [u8; TEXT_BYTES],
}

#[repr(C)]
pub struct Front {
    pub head: Head,
    pub tellings: [Telling; TELLINGS_MAX],
}

const _: () = assert!(size_of::<Front>() <= 4096);

#[repr(C, align(64))]
pub struct Head {
    pub token: [AtomicU64; 2],
    /// The daemon's build: `frame::Build`.
    pub build: [AtomicU64; 2],
    /// Descriptors of the daemon: the board's watch; an epoll that knows of that and of mounts; an eventfd that wakes
    /// the daemon. The first two are others after the age has turned.
    pub watch: AtomicU32,
    pub news: AtomicU32,
    pub wake: AtomicU32,
    /// Not 0: the daemon does not look at the tellings by itself, and is to be woken for one.
    pub asleep: AtomicU32,
    /// Odd while the daemon changes places or text.
    pub writing: AtomicU64,
    /// Moves when something changed that a notice depends on.
    pub age: AtomicU64,
    /// Not 0: somebody reads the watch. It is the time that began, in ticks.
    pub reader: AtomicU64,
    /// How many tellings wrappers have begun, and how many the daemon has taken in.
    pub told: AtomicU64,
    pub heard: AtomicU64,
}

/// A wrapper tells that it made use of a notice.
#[repr(C)]
pub struct Telling {
    /// Which telling it is, from 1 on: written last.
    pub number: AtomicU64,
    pub notice: AtomicU64,
    /// When the wrapper began and ended, in ticks of the processor's clock.
    pub began: AtomicU64,
    pub ended: AtomicU64,
}

/// Where a notice is.
#[repr(C, align(64))]
pub struct Place {
    pub key: [AtomicU64; 2],
    /// The age that it holds for; 0 is none.
    pub age: AtomicU64,
    pub notice: AtomicU64,
    /// In `text`.
    pub at: AtomicU32,
    pub bytes: AtomicU32,
}

/// Where a key's places begin.
pub const fn place_of(key: [u64; 2]) -> usize {
    key[0] as usize % NOTICES_MAX
}
