//! A hit before the C library starts.
//!
//! Starting a static glibc costs more than everything a hit does (in a virtual machine its
//! `cpuid` calls trap). So the ELF entry point is ours: it looks for the raw invocation, as it lies on
//! the initial stack, on the daemon's `board`, or else sends it to the daemon, and on a plain hit
//! puts the files in place and exits. In every other case it goes on to glibc's `_start` as if nothing
//! had happened, and the ordinary path, which is complete without this file, picks up the connection
//! if an answer is already there.
//!
//! Rules, kept by `tests/it/quick.rs` on the finished binary: nothing here may use
//! thread-local storage, allocate, panic, or call anything outside the section
//! `quick_text`. Neither may the optimiser: loops over bytes read volatile, or they become
//! calls to `strlen` and `memcpy`, which are not there yet; copies are `rep movsb`.
//!
//! Safety, for the whole file: pointers come from the initial stack, whose layout the kernel
//! guarantees (argc, argv, NULL, envp, NULL, auxiliary vector), from our own statics, which
//! nobody else uses yet, or from a reply that a process of the same user wrote and whose lengths
//! were checked (`is_whole`).
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

mod board;
mod deliver;
mod key;
mod raw;
mod rooms;

use std::arch::global_asm;
use std::cell::UnsafeCell;

pub use self::board::{MOUNTS, WATCH};
use self::deliver::{Delivered, Looked};
pub use self::key::{Around, is_in_key, key, minded};
pub use self::raw::ticks;
use self::raw::*;
use self::rooms::{NEAR_BYTES, PIECE_BYTES, Rooms};
use crate::protocol::frame::{Build, HEADER_BYTES, MAGIC, Verb};
use crate::protocol::view::VIEW_BYTES;

/// What the ordinary path takes over.
pub struct Handed {
    /// A connection on which the invocation was sent.
    pub socket: i32,
    /// What has arrived of the answer.
    pub received: &'static [u8],
}

/// How far the quick path got.
pub enum Outcome {
    /// It did not ask.
    NotAsked,
    /// It asked; the answer is for the ordinary path.
    Asked(Handed),
    /// It asked and the daemon did not answer in time: do not wait again.
    Mute,
    /// It got a hit that it could not deliver: ask anew, for the ordinary way.
    Undelivered,
}

const REPLY_BYTES: usize = 64 << 10;
const PATH_BYTES: usize = 4096;
/// A `sockaddr_un`.
const ADDRESS_BYTES: usize = 112;
const FAR_BYTES: usize = REPLY_BYTES + PIECE_BYTES;

/// One per process, used before there is a second thread. A plain hit from the board does not touch it (`rooms`).
#[repr(C, align(64))]
struct State {
    /// 0: none. (A file descriptor up to 2 is never ours.)
    socket: i32,
    mute: bool,
    retry: bool,
    /// Seconds spent waiting for the answer.
    waited: u8,
    received: usize,
    /// `Rooms::far`; once the request is sent the reply, and behind its end whatever else is needed.
    far: [u8; FAR_BYTES],
}

struct Single(UnsafeCell<State>);

// SAFETY: written only by `quick`, which runs before any thread is started.
unsafe impl Sync for Single {}

static STATE: Single = Single(UnsafeCell::new(State {
    socket: 0,
    mute: false,
    retry: false,
    waited: 0,
    received: 0,
    far: [0; FAR_BYTES],
}));

/// Has quick.ld write what is zero at first into the file.
#[used]
#[unsafe(link_section = ".zccache_nonzero")]
static NONZERO: u8 = 1;

/// Whether these bytes are a whole short hit: what the quick path asks of a reply before it reads it.
pub fn is_whole(payload: &[u8]) -> bool {
    // SAFETY: nothing beyond the length is read.
    unsafe { deliver::is_whole(payload.as_ptr(), payload.len()) }
}

/// Seconds that the quick path has waited for the daemon.
pub fn waited_s() -> u8 {
    // SAFETY: `quick` has ended; nobody writes any more.
    unsafe { (*STATE.0.get()).waited }
}

/// What the quick path left. To be asked once.
pub fn outcome() -> Outcome {
    // SAFETY: `quick` has ended; nobody writes any more.
    let state = unsafe { &*STATE.0.get() };
    if state.mute {
        Outcome::Mute
    } else if state.retry {
        Outcome::Undelivered
    } else if state.socket > 0 {
        Outcome::Asked(Handed { socket: state.socket, received: &state.far[..state.received] })
    } else {
        Outcome::NotAsked
    }
}

// The entry point (build.rs names it to the linker). The stack pointer and rdx are what the
// kernel set; `_start` must find both as they were.
global_asm!(
    ".section quick_text,\"ax\",@progbits",
    ".globl zccache_entry",
    "zccache_entry:",
    "mov rbx, rsp",
    "mov r12, rdx",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {quick}",
    "mov rsp, rbx",
    "mov rdx, r12",
    "jmp _start",
    ".text",
    quick = sym quick,
);

/// As in `wrapper::ask`, one second at a time: there is no clock here.
const PATIENCE_S: u8 = 4;
/// The rest of an answer comes at once: so often it is waited for, a tenth of a second each.
const PIECES_MAX: u8 = 8;
/// So long the answer is looked for again and again: some 80 µs of a processor's clock. Who sleeps meanwhile lets
/// the processor sleep, too, and a virtual one takes as long to wake as the whole answer.
const AWAKE_TICKS: u64 = 200_000;
/// `getsockopt`'s words for the peer's process, user and group.
const SOL_SOCKET: usize = 1;
const SO_PEERCRED: usize = 17;
/// `ioctl`'s word for a terminal's size.
const TIOCGWINSZ: usize = 0x5413;
const OWN: Build = Build::own();
/// Before a request: the header and what we see.
const BEGIN: usize = HEADER_BYTES + VIEW_BYTES;
/// More than this is sent by the ordinary path, which can wait for the socket.
const REQUEST_MAX: usize = 96 << 10;

/// Runs before anything else of this process. Returning means: go on the ordinary way.
#[unsafe(link_section = "quick_text")]
#[inline(never)]
unsafe extern "C" fn quick(stack: *const usize) {
    unsafe {
        let Some(laid) = read_stack(stack) else { return };
        let state = STATE.0.get();
        let mut near = core::mem::MaybeUninit::<[u8; NEAR_BYTES]>::uninit();
        let far = (&raw mut (*state).far).cast();
        let mut rooms = Rooms::new(near.as_mut_ptr().cast(), far, FAR_BYTES);
        let address = rooms.take(ADDRESS_BYTES);
        let address_bytes = name_socket(&laid, address);
        if address_bytes == 0 {
            return;
        }
        let room = rooms.rest(1);
        let cwd_bytes = call(nr::GETCWD, room.at as usize, room.bytes, 0, 0, 0);
        if cwd_bytes < 2 || byte(room.at, 0) != b'/' {
            return;
        }
        let cwd_bytes = cwd_bytes as usize;
        let cwd = Piece { at: rooms.take(cwd_bytes), bytes: cwd_bytes - 1 };
        let Some(around) = look_around(laid.masquerade) else { return };
        let name = Piece { at: address.add(2), bytes: address_bytes - 3 };
        let mut notice = board::find(&laid, &around, cwd, name, &mut rooms);
        loop {
            let (hit, bytes, socket) = match &notice {
                Some(notice) => (notice.payload, notice.bytes, 0),
                None => {
                    let Some(socket) = connect(address, address_bytes, laid.auxv) else { return };
                    match heard(state, &laid, &around, cwd, socket) {
                        Heard::Hit(hit, bytes) => {
                            rooms.begin_far(hit.add(bytes), FAR_BYTES - HEADER_BYTES - bytes);
                            (hit, bytes, socket)
                        }
                        Heard::Other => return,
                        Heard::Nothing => {
                            call(nr::CLOSE, socket, 0, 0, 0, 0);
                            return;
                        }
                    }
                }
            };
            let mut looked = core::mem::MaybeUninit::<Looked>::uninit();
            let looked = looked.as_mut_ptr();
            Looked::begin(looked);
            let mut delivered = Delivered::Nothing;
            // Blobs are looked at before the board's watch is: what happens to them from then on their times tell.
            let holds = deliver::is_whole(hit, bytes)
                && deliver::look(hit, looked)
                && match &notice {
                    Some(notice) => board::holds(notice, &rooms),
                    None => true,
                };
            if holds {
                delivered = deliver::put_in_place(hit, looked, laid.auxv, &rooms);
            }
            match &notice {
                Some(notice) if delivered == Delivered::All => board::tell(notice),
                Some(notice) => board::drop(notice),
                None => {
                    (*state).retry = delivered != Delivered::All;
                    call(nr::CLOSE, socket, 0, 0, 0, 0);
                }
            }
            if delivered == Delivered::All {
                call(nr::EXIT_GROUP, 0, 0, 0, 0, 0);
            }
            // What the board says of a blob may be old; the daemon knows better.
            if notice.is_none() || delivered != Delivered::Nothing {
                return;
            }
            notice = None;
        }
    }
}

/// Bytes somewhere, as the kernel's `struct iovec` has them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Piece {
    at: *const u8,
    bytes: usize,
}

/// What the kernel laid out for this process.
struct Laid {
    masquerade: bool,
    /// The tool and its arguments, each ended by NUL.
    argv: Piece,
    env: Piece,
    /// The strings in `env`, ended by null.
    envp: *const *const u8,
    auxv: *const usize,
    /// The root of the cache, or the home folder that it is in.
    base: *const u8,
    at_home: bool,
}

/// None where the call is not for this path: no compiler, or a setting that asks for more.
#[inline(always)]
unsafe fn read_stack(stack: *const usize) -> Option<Laid> {
    unsafe {
        let argc = *stack;
        let argv = stack.add(1).cast::<*const u8>();
        let envp = argv.add(argc.wrapping_add(1));
        if argc < 1 || (*envp).is_null() {
            return None;
        }
        let own = after_slash(*argv);
        let masquerade = !begins(own, b"zccache");
        let first = usize::from(!masquerade);
        if !masquerade && (argc < 2 || byte(own, 7) != 0) {
            return None;
        }
        if !is_compiler(after_slash(*argv.add(first))) {
            return None;
        }
        // Where the socket is. Any setting that asks for more than this is the ordinary path's.
        let (mut root, mut home) = (core::ptr::null::<u8>(), core::ptr::null::<u8>());
        let mut count = 0;
        while !(*envp.add(count)).is_null() {
            let entry = *envp.add(count);
            if begins(entry, b"HOME=") {
                home = entry.add(5);
            } else if begins(entry, b"ZCCACHE_") {
                if begins(entry, b"ZCCACHE_CACHE_DIR=") {
                    root = entry.add(18);
                } else if !is_for_the_daemon(entry) {
                    return None;
                }
            }
            count += 1;
        }
        let at_home = root.is_null() || byte(root, 0) == 0;
        let base = if at_home { home } else { root };
        if base.is_null() || byte(base, 0) != b'/' {
            return None;
        }
        let env_end = {
            let last = *envp.add(count - 1);
            last.add(length(last) + 1)
        };
        // Argument and environment strings lie in one piece, in order (the kernel's layout).
        let (argv_at, env_at) = (*argv.add(first), *envp);
        let argv = Piece { at: argv_at, bytes: (env_at as usize).wrapping_sub(argv_at as usize) };
        let env = Piece { at: env_at, bytes: (env_end as usize).wrapping_sub(env_at as usize) };
        if argv.bytes > REQUEST_MAX
            || env.bytes > REQUEST_MAX
            || argv.bytes + env.bytes > REQUEST_MAX
        {
            return None;
        }
        let auxv = envp.add(count + 1).cast::<usize>();
        Some(Laid { masquerade, argv, env, envp, auxv, base, at_home })
    }
}

/// A setting that is the daemon's to heed: when it answers, or when it starts, and there is one.
#[inline(always)]
unsafe fn is_for_the_daemon(entry: *const u8) -> bool {
    unsafe {
        begins(entry, b"ZCCACHE_RECACHE=")
            || begins(entry, b"ZCCACHE_READONLY=")
            || begins(entry, b"ZCCACHE_SESSION_ID=")
            || begins(entry, b"ZCCACHE_LOG=")
            || begins(entry, b"ZCCACHE_STRICT_PATHS=")
            || begins(entry, b"ZCCACHE_COMPILE_PRIORITY=")
            || begins(entry, b"ZCCACHE_PATH_REMAP=")
            || begins(entry, b"ZCCACHE_WORKTREE_ROOT=")
            || begins(entry, b"ZCCACHE_IDLE_TIMEOUT=")
            || begins(entry, b"ZCCACHE_CACHE_SIZE=")
    }
}

/// Writes the socket's address; gives its length, 0 where it does not fit.
#[inline(always)]
unsafe fn name_socket(laid: &Laid, address: *mut u8) -> usize {
    unsafe {
        let mut used = length(laid.base);
        let tail =
            if laid.at_home { b"/.zccache/daemon.sock".len() } else { b"/daemon.sock".len() };
        if used + tail > 107 {
            return 0;
        }
        let path = address.add(2);
        address.write_volatile(1); // AF_UNIX
        copy(laid.base, path, used);
        if laid.at_home {
            used += put(path.add(used), b"/.zccache");
        }
        used += put(path.add(used), b"/daemon.sock");
        used + 3
    }
}

/// A connection to a daemon of our own user.
#[inline(always)]
unsafe fn connect(address: *const u8, bytes: usize, auxv: *const usize) -> Option<usize> {
    unsafe {
        // CLOEXEC and NONBLOCK: where a daemon that is stuck lets its queue fill, a connect would wait
        // for ever.
        let socket = call(nr::SOCKET, 1, 1 | 0o2000000 | 0o4000, 0, 0, 0);
        if socket < 0 {
            return None;
        }
        // Else one of the standard streams is closed: the ordinary path knows what that means.
        let is_ours = socket > 2
            && call(nr::CONNECT, socket as usize, address as usize, bytes, 0, 0) == 0
            // Somebody else's daemon, in a folder that others can write to, would tell us what to run.
            && is_of(socket as usize, auxiliary(auxv, AT_EUID));
        if !is_ours {
            call(nr::CLOSE, socket as usize, 0, 0, 0, 0);
            return None;
        }
        Some(socket as usize)
    }
}

/// Whether the other end is this user's.
#[inline(always)]
unsafe fn is_of(socket: usize, user: usize) -> bool {
    unsafe {
        let mut peer = [0u32; 3];
        let mut bytes = 12u32;
        let (to, size) = (peer.as_mut_ptr() as usize, (&raw mut bytes) as usize);
        call(nr::GETSOCKOPT, socket, SOL_SOCKET, SO_PEERCRED, to, size) == 0
            && peer.as_ptr().add(1).read_volatile() as usize == user
    }
}

/// None where the kernel does not tell all of it.
#[inline(always)]
unsafe fn look_around(masquerade: bool) -> Option<Around> {
    unsafe {
        let mut root = core::mem::MaybeUninit::<KernelStatx>::uninit();
        let root_at = root.as_mut_ptr();
        let flags = STATX_INO | STATX_MNT_ID;
        let slash = [b'/', 0];
        let name = slash.as_ptr() as usize;
        let told = call(nr::STATX, AT_FDCWD, name, 0, flags, root_at as usize);
        if told != 0 || (*root_at).mask as usize & STATX_MNT_ID == 0 {
            return None;
        }
        let mut around = Around::new([0; VIEW_BYTES], masquerade);
        let view = (&raw mut around.view).cast::<u8>();
        view.cast::<u32>().write_unaligned((*root_at).device_major);
        view.add(4).cast::<u32>().write_unaligned((*root_at).device_minor);
        view.add(8).cast::<u64>().write_unaligned((*root_at).inode);
        view.add(16).cast::<u64>().write_unaligned((*root_at).mount);
        // The size of standard error's terminal, and of standard input's, to which gcc cuts its messages.
        let mut size = [0u16; 4];
        let at = size.as_mut_ptr() as usize;
        if call(nr::IOCTL, 2, TIOCGWINSZ, at, 0, 0) == 0 {
            (around.is_terminal[0], around.columns[0]) = (1, size[1]);
            if call(nr::IOCTL, 0, TIOCGWINSZ, at, 0, 0) == 0 {
                (around.is_terminal[1], around.columns[1]) = (1, size[1]);
            }
        }
        Some(around)
    }
}

/// Sends the request, as postcard encodes `Request::Compile(Invocation { .. })`, with what we see, as
/// `protocol::view` makes it.
#[inline(always)]
unsafe fn ask(socket: usize, laid: &Laid, around: &Around, cwd: Piece) -> bool {
    unsafe {
        let mut head = [0u8; BEGIN + 8];
        let mut middle = [0u8; 8];
        let mut before_cwd = [0u8; 8];
        let mut end = [0u8; 16];
        let head_at = head.as_mut_ptr();
        let head_used = BEGIN + 1 + put_number(head_at.add(BEGIN + 1), laid.argv.bytes);
        let middle_used = put_number(middle.as_mut_ptr(), laid.env.bytes);
        let before_cwd_used = put_number(before_cwd.as_mut_ptr(), cwd.bytes);
        let end_at = end.as_mut_ptr();
        end_at.write_volatile(u8::from(laid.masquerade));
        let end_used = 1 + put_terminal(end_at.add(1), around) + AFTER_TERMINAL;
        let payload = head_used - HEADER_BYTES
            + laid.argv.bytes
            + middle_used
            + laid.env.bytes
            + before_cwd_used
            + cwd.bytes
            + end_used;
        let words = head_at.cast::<u32>();
        words.write_unaligned(MAGIC);
        words.add(1).write_unaligned(Verb::Message as u32);
        words.add(2).write_unaligned(payload as u32);
        words.add(3).write_unaligned(1 | 2);
        head_at.add(16).cast::<u64>().write_unaligned(OWN.version);
        head_at.add(24).cast::<u64>().write_unaligned(OWN.id);
        copy((&raw const around.view).cast(), head_at.add(HEADER_BYTES), VIEW_BYTES);
        let pieces = [
            Piece { at: head_at, bytes: head_used },
            laid.argv,
            Piece { at: middle.as_ptr(), bytes: middle_used },
            laid.env,
            Piece { at: before_cwd.as_ptr(), bytes: before_cwd_used },
            cwd,
            Piece { at: end_at, bytes: end_used },
        ];
        let message: [usize; 7] = [0, 0, pieces.as_ptr() as usize, 7, 0, 0, 0];
        const MSG_NOSIGNAL: usize = 0x4000;
        let sent = call(nr::SENDMSG, socket, message.as_ptr() as usize, MSG_NOSIGNAL, 0, 0);
        sent == (HEADER_BYTES + payload) as isize
    }
}

/// What follows the terminal in a request: no damaged blobs; not a second question; stdout does not matter; nothing
/// declared. All of these are zeros, which are there.
const AFTER_TERMINAL: usize = 4;

/// Writes of which size the terminals are; gives how many bytes. What is not written is zero.
#[inline(always)]
unsafe fn put_terminal(to: *mut u8, around: &Around) -> usize {
    unsafe {
        if around.is_terminal[0] == 0 {
            return 1;
        }
        to.write_volatile(1);
        let used = 1 + put_number(to.add(1), around.columns[0] as usize);
        if around.is_terminal[1] == 0 {
            return used + 1;
        }
        to.add(used).write_volatile(1);
        used + 1 + put_number(to.add(used + 1), around.columns[1] as usize)
    }
}

/// What came of a question.
enum Heard {
    /// A short hit's payload, and how much it is.
    Hit(*mut u8, usize),
    /// The connection is for the ordinary path, with what came.
    Other,
    /// It is for nobody.
    Nothing,
}

/// Asks, and waits for the answer.
#[inline(always)]
unsafe fn heard(
    state: *mut State,
    laid: &Laid,
    around: &Around,
    cwd: Piece,
    socket: usize,
) -> Heard {
    unsafe {
        if !ask(socket, laid, around, cwd) {
            return Heard::Nothing;
        }
        let reply = (&raw mut (*state).far).cast::<u8>();
        let mut received = 0;
        let mut pieces = 0;
        let asked = ticks();
        loop {
            let room = REPLY_BYTES - received;
            let got = call(nr::READ, socket, reply.add(received) as usize, room, 0, 0);
            if got == EINTR {
                continue;
            }
            if got == EAGAIN {
                if received == 0 && ticks().wrapping_sub(asked) < AWAKE_TICKS {
                    pause();
                } else if !sleep(state, socket, received, &mut pieces) {
                    return Heard::Nothing;
                }
                continue;
            }
            if got <= 0 {
                return Heard::Nothing;
            }
            received += got as usize;
            if received < HEADER_BYTES {
                continue;
            }
            // What does not look like a short hit of our own build is the ordinary path's to judge.
            let ours = get::<u32>(reply) == MAGIC
                && get::<u32>(reply.add(4)) == Verb::QuickHit as u32
                && get::<u64>(reply.add(16)) == OWN.version
                && get::<u64>(reply.add(24)) == OWN.id;
            if !ours {
                (*state).socket = socket as i32;
                (*state).received = received;
                return Heard::Other;
            }
            let length = get::<u32>(reply.add(8)) as usize;
            let whole = HEADER_BYTES + length;
            // One that can't be delivered this way: the ordinary path asks anew.
            if whole > REPLY_BYTES {
                return Heard::Nothing;
            }
            if received >= whole {
                return Heard::Hit(reply.add(HEADER_BYTES), length);
            }
        }
    }
}

/// Sleeps until more of the answer is there, or for a while. False: that was too often.
#[inline(always)]
unsafe fn sleep(state: *mut State, socket: usize, received: usize, pieces: &mut u8) -> bool {
    unsafe {
        let mut wait: [u32; 2] = [socket as u32, 1]; // POLLIN
        let nap = if received == 0 { 1000 } else { 100 };
        let ready = call(nr::POLL, wait.as_mut_ptr() as usize, 1, nap, 0, 0);
        if ready == EINTR {
            return true;
        }
        if received == 0 && ready == 0 {
            (*state).waited += 1;
        }
        if received > 0 {
            *pieces += 1;
        }
        let enough = (*state).waited >= PATIENCE_S || *pieces > PIECES_MAX;
        (*state).mute = ready < 0 || enough;
        !(*state).mute
    }
}
