//! A hit before the C library starts.
//!
//! Starting a static glibc costs more than everything a hit does (in a virtual machine its
//! `cpuid` calls trap). So the ELF entry point is ours: it sends the raw invocation straight
//! from the initial stack, and on a plain hit puts the files in place and exits. In every
//! other case it goes on to glibc's `_start` as if nothing had happened, and the ordinary
//! path, which is complete without this file, picks up the connection if an answer is
//! already there.
//!
//! Rules, kept by `tests/it/quick.rs` on the finished binary: nothing here may use
//! thread-local storage, allocate, panic, or call anything outside the section
//! `quick_text`. Neither may the optimiser: loops over bytes read volatile, or they become
//! calls to `strlen` and `memcpy`, which are not there yet; copies are `rep movsb`.
//!
//! Safety, for the whole file: pointers come from the initial stack, whose layout the kernel
//! guarantees (argc, argv, NULL, envp, NULL, auxiliary vector), from our own statics, which
//! nobody else uses yet, or from a reply whose length and offsets our own daemon wrote (the
//! socket's folder is private and its peer is checked by being the same user's).
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::arch::{asm, global_asm};
use std::cell::UnsafeCell;

use crate::protocol::frame::{Build, HEADER_BYTES, MAGIC, Verb};
use crate::protocol::quick::{EXECUTABLE, FINE_TIMES, IN_PLACE, INLINE, OUTPUTS_MAX, REPORT_BYTES};
use crate::store::deliver::LINK_FROM;

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
const COPY_BYTES: usize = 64 << 10;
const PATH_BYTES: usize = 4096;

/// One per process, used before there is a second thread.
struct State {
    socket: i32,
    received: usize,
    mute: bool,
    retry: bool,
    reply: [u8; REPLY_BYTES],
    copy: [u8; COPY_BYTES],
    /// The cwd, later the folder of an output.
    path: [u8; PATH_BYTES],
    /// A `sockaddr_un`.
    address: [u8; 112],
    report: [u8; HEADER_BYTES + OUTPUTS_MAX * REPORT_BYTES],
}

struct Single(UnsafeCell<State>);

// SAFETY: written only by `quick`, which runs before any thread is started.
unsafe impl Sync for Single {}

static STATE: Single = Single(UnsafeCell::new(State {
    socket: -1,
    received: 0,
    mute: false,
    retry: false,
    reply: [0; REPLY_BYTES],
    copy: [0; COPY_BYTES],
    path: [0; PATH_BYTES],
    address: [0; 112],
    report: [0; HEADER_BYTES + OUTPUTS_MAX * REPORT_BYTES],
}));

/// What the quick path left. To be asked once.
pub fn outcome() -> Outcome {
    // SAFETY: `quick` has ended; nobody writes any more.
    let state = unsafe { &*STATE.0.get() };
    if state.mute {
        Outcome::Mute
    } else if state.retry {
        Outcome::Undelivered
    } else if state.socket >= 0 {
        Outcome::Asked(Handed { socket: state.socket, received: &state.reply[..state.received] })
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

#[inline(always)]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result: isize;
    // SAFETY: the caller passes what this system call takes.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[inline(always)]
unsafe fn byte(at: *const u8, offset: usize) -> u8 {
    unsafe { at.add(offset).read_volatile() }
}

/// Length of a string ended by NUL.
#[inline(always)]
unsafe fn length(text: *const u8) -> usize {
    let mut count = 0;
    while unsafe { byte(text, count) } != 0 {
        count += 1;
    }
    count
}

/// True when the string begins with these bytes.
#[inline(always)]
unsafe fn begins<const N: usize>(text: *const u8, with: &[u8; N]) -> bool {
    let mut at = 0;
    while at < N {
        if unsafe { byte(text, at) != byte(with.as_ptr(), at) } {
            return false;
        }
        at += 1;
    }
    true
}

/// True when `count` bytes are exactly these.
#[inline(always)]
unsafe fn is<const N: usize>(text: *const u8, count: usize, word: &[u8; N]) -> bool {
    count == N && unsafe { begins(text, word) }
}

#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: the caller vouches for both ranges.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags));
    }
}

#[inline(always)]
unsafe fn after_slash(path: *const u8) -> *const u8 {
    let (mut at, mut base) = (0, path);
    loop {
        match unsafe { byte(path, at) } {
            0 => return base,
            b'/' => base = unsafe { path.add(at + 1) },
            _ => {}
        }
        at += 1;
    }
}

/// `gcc`, `x86_64-linux-gnu-g++-12` and their like; other names are for the ordinary path.
#[inline(always)]
unsafe fn is_compiler(name: *const u8) -> bool {
    unsafe {
        let mut end = length(name);
        let mut digits = end;
        while digits > 0 && matches!(byte(name, digits - 1), b'0'..=b'9' | b'.') {
            digits -= 1;
        }
        if digits < end && digits > 0 && byte(name, digits - 1) == b'-' {
            end = digits - 1;
        }
        let mut start = end;
        while start > 0 && byte(name, start - 1) != b'-' {
            start -= 1;
        }
        let (word, count) = (name.add(start), end - start);
        is(word, count, b"gcc")
            || is(word, count, b"g++")
            || is(word, count, b"cc")
            || is(word, count, b"c++")
            || is(word, count, b"clang")
            || is(word, count, b"clang++")
            || is(word, count, b"rustc")
    }
}

/// postcard's variable-length number; gives the bytes used.
#[inline(always)]
unsafe fn put_number(to: *mut u8, mut value: usize) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        unsafe { to.add(at).write_volatile(value as u8 | 0x80) };
        value >>= 7;
        at += 1;
    }
    unsafe { to.add(at).write_volatile(value as u8) };
    at + 1
}

#[inline(always)]
unsafe fn get<T: Copy>(at: *const u8) -> T {
    unsafe { at.cast::<T>().read_unaligned() }
}

mod nr {
    pub(super) const READ: usize = 0;
    pub(super) const WRITE: usize = 1;
    pub(super) const OPEN: usize = 2;
    pub(super) const CLOSE: usize = 3;
    pub(super) const STAT: usize = 4;
    pub(super) const FSTAT: usize = 5;
    pub(super) const LSTAT: usize = 6;
    pub(super) const POLL: usize = 7;
    pub(super) const IOCTL: usize = 16;
    pub(super) const SOCKET: usize = 41;
    pub(super) const CONNECT: usize = 42;
    pub(super) const SENDMSG: usize = 46;
    pub(super) const GETCWD: usize = 79;
    pub(super) const LINK: usize = 86;
    pub(super) const UNLINK: usize = 87;
    pub(super) const UMASK: usize = 95;
    pub(super) const GETXATTR: usize = 191;
    pub(super) const EXIT_GROUP: usize = 231;
    pub(super) const UTIMENSAT: usize = 280;
}

const EEXIST: isize = -17;
const EINTR: isize = -4;
const EAGAIN: isize = -11;
const ENODATA: isize = -61;
const EOPNOTSUPP: isize = -95;
const S_IFMT: u32 = 0o170000;
const S_IFREG: u32 = 0o100000;
const S_IFLNK: u32 = 0o120000;
const S_ISGID: u32 = 0o2000;
const O_RDONLY_BLOB: usize = 0o2000000 | 0o400000 | 0o4000; // CLOEXEC, NOFOLLOW, NONBLOCK
const O_CREATE_NEW: usize = 0o1 | 0o100 | 0o200 | 0o2000000;
const O_IN_PLACE: usize = 0o1 | 0o100 | 0o1000 | 0o2000000;
/// As in `wrapper::ask`.
const PATIENCE_MS: usize = 4000;
/// More than this is sent by the ordinary path, which can wait for the socket.
const REQUEST_MAX: usize = 96 << 10;

/// The kernel's `struct stat` on this architecture (asm/stat.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelStat {
    device: u64,
    inode: u64,
    links: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    _pad: u32,
    _rdev: u64,
    size: u64,
    _blksize: i64,
    _blocks: i64,
    _atime: [i64; 2],
    mtime: [i64; 2],
    ctime: [i64; 2],
    _unused: [i64; 3],
}

impl KernelStat {
    #[inline(always)]
    fn ns(time: [i64; 2]) -> i64 {
        time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
    }
}

#[inline(always)]
unsafe fn stat_with(number: usize, subject: usize, stat: *mut KernelStat) -> bool {
    unsafe { call(number, subject, stat as usize, 0, 0, 0) == 0 }
}

/// Runs before anything else of this process. Returning means: go on the ordinary way.
#[unsafe(link_section = "quick_text")]
#[inline(never)]
unsafe extern "C" fn quick(stack: *const usize) {
    unsafe {
        let argc = *stack;
        let argv = stack.add(1).cast::<*const u8>();
        let envp = argv.add(argc.wrapping_add(1));
        if argc < 1 || (*envp).is_null() {
            return;
        }
        let own = after_slash(*argv);
        let masquerade = !begins(own, b"zccache");
        let first = usize::from(!masquerade);
        if !masquerade && (argc < 2 || byte(own, 7) != 0) {
            return;
        }
        if !is_compiler(after_slash(*argv.add(first))) {
            return;
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
                } else if !begins(entry, b"ZCCACHE_RECACHE=")
                    && !begins(entry, b"ZCCACHE_READONLY=")
                    && !begins(entry, b"ZCCACHE_SESSION_ID=")
                    && !begins(entry, b"ZCCACHE_LOG=")
                {
                    return;
                }
            }
            count += 1;
        }
        let env_end = {
            let last = *envp.add(count - 1);
            last.add(length(last) + 1)
        };
        // Argument and environment strings lie in one piece, in order (the kernel's layout).
        let (argv_block, env_block) = (*argv.add(first), *envp);
        let argv_bytes = (env_block as usize).wrapping_sub(argv_block as usize);
        let env_bytes = (env_end as usize).wrapping_sub(env_block as usize);
        if argv_bytes > REQUEST_MAX
            || env_bytes > REQUEST_MAX
            || argv_bytes + env_bytes > REQUEST_MAX
        {
            return;
        }
        let state = STATE.0.get();
        let address = (&raw mut (*state).address).cast::<u8>();
        let at_home = root.is_null() || byte(root, 0) == 0;
        let base = if at_home { home } else { root };
        if base.is_null() || byte(base, 0) != b'/' {
            return;
        }
        let mut used = length(base);
        let tail = b"/.zccache/daemon.sock";
        let tail_from = if at_home { 0 } else { b"/.zccache".len() };
        if used + tail.len() - tail_from > 107 {
            return;
        }
        let path = address.add(2);
        address.write_volatile(1); // AF_UNIX
        copy(base, path, used);
        copy(tail.as_ptr().add(tail_from), path.add(used), tail.len() - tail_from);
        used += tail.len() - tail_from;

        let cwd = (&raw mut (*state).path).cast::<u8>();
        let cwd_bytes = call(nr::GETCWD, cwd as usize, PATH_BYTES, 0, 0, 0);
        if cwd_bytes < 2 || byte(cwd, 0) != b'/' {
            return;
        }
        let socket = call(nr::SOCKET, 1, 1 | 0o2000000, 0, 0, 0);
        // One of the standard streams is closed: the ordinary path knows what that means.
        if socket <= 2 {
            if socket >= 0 {
                call(nr::CLOSE, socket as usize, 0, 0, 0, 0);
            }
            return;
        }
        let socket = socket as usize;
        if call(nr::CONNECT, socket, address as usize, used + 3, 0, 0) != 0 {
            call(nr::CLOSE, socket, 0, 0, 0, 0);
            return;
        }
        // The request, as postcard encodes `Request::Compile(Invocation { .. })`.
        let mut size = [0u16; 4];
        let terminal = call(nr::IOCTL, 2, 0x5413, size.as_mut_ptr() as usize, 0, 0) == 0; // TIOCGWINSZ
        let mut head = [0u8; HEADER_BYTES + 8];
        let mut middle = [0u8; 8];
        let mut before_cwd = [0u8; 8];
        let mut end = [0u8; 8];
        let head_at = head.as_mut_ptr();
        let head_used = HEADER_BYTES + 1 + put_number(head_at.add(HEADER_BYTES + 1), argv_bytes);
        let middle_used = put_number(middle.as_mut_ptr(), env_bytes);
        let cwd_used = cwd_bytes as usize - 1;
        let before_cwd_used = put_number(before_cwd.as_mut_ptr(), cwd_used);
        let end_at = end.as_mut_ptr();
        end_at.write_volatile(u8::from(masquerade));
        let mut end_used = 2;
        if terminal {
            end_at.add(1).write_volatile(1);
            end_used += put_number(end_at.add(2), size[1] as usize);
        }
        // No damaged blobs; not a second question.
        end_at.add(end_used).write_volatile(0);
        end_at.add(end_used + 1).write_volatile(0);
        end_used += 2;
        let payload = head_used - HEADER_BYTES
            + argv_bytes
            + middle_used
            + env_bytes
            + before_cwd_used
            + cwd_used
            + end_used;
        const OWN: Build = Build::own();
        let words = head_at.cast::<u32>();
        words.write_unaligned(MAGIC);
        words.add(1).write_unaligned(Verb::Message as u32);
        words.add(2).write_unaligned(payload as u32);
        words.add(3).write_unaligned(1);
        head_at.add(16).cast::<u64>().write_unaligned(OWN.version);
        head_at.add(24).cast::<u64>().write_unaligned(OWN.id);
        let pieces: [[usize; 2]; 7] = [
            [head_at as usize, head_used],
            [argv_block as usize, argv_bytes],
            [middle.as_ptr() as usize, middle_used],
            [env_block as usize, env_bytes],
            [before_cwd.as_ptr() as usize, before_cwd_used],
            [cwd as usize, cwd_used],
            [end_at as usize, end_used],
        ];
        let message: [usize; 7] = [0, 0, pieces.as_ptr() as usize, 7, 0, 0, 0];
        const MSG_NOSIGNAL: usize = 0x4000;
        let sent = call(nr::SENDMSG, socket, message.as_ptr() as usize, MSG_NOSIGNAL, 0, 0);
        if sent != (HEADER_BYTES + payload) as isize {
            call(nr::CLOSE, socket, 0, 0, 0, 0);
            return;
        }
        let reply = (&raw mut (*state).reply).cast::<u8>();
        let mut received = 0;
        loop {
            let mut wait: [u32; 2] = [socket as u32, 1]; // POLLIN
            let ready = call(nr::POLL, wait.as_mut_ptr() as usize, 1, PATIENCE_MS, 0, 0);
            if ready == EINTR {
                continue;
            }
            if ready <= 0 {
                (*state).mute = true;
                call(nr::CLOSE, socket, 0, 0, 0, 0);
                return;
            }
            let got =
                call(nr::READ, socket, reply.add(received) as usize, REPLY_BYTES - received, 0, 0);
            if got == EINTR {
                continue;
            }
            if got <= 0 {
                call(nr::CLOSE, socket, 0, 0, 0, 0);
                return;
            }
            received += got as usize;
            if received < HEADER_BYTES {
                continue;
            }
            if get::<u32>(reply.add(4)) != Verb::QuickHit as u32 {
                (*state).socket = socket as i32;
                (*state).received = received;
                return;
            }
            let whole = HEADER_BYTES + get::<u32>(reply.add(8)) as usize;
            if whole > REPLY_BYTES {
                break;
            }
            if received >= whole {
                (*state).retry = true;
                deliver(reply.add(HEADER_BYTES), socket, envp.add(count + 1).cast());
                break;
            }
        }
        // The hit could not be delivered this way: the ordinary path asks anew.
        call(nr::CLOSE, socket, 0, 0, 0, 0);
    }
}

/// Puts a short hit in place and exits; returns when anything is not as it should be.
#[inline(always)]
unsafe fn deliver(hit: *const u8, socket: usize, auxv: *const usize) {
    unsafe {
        let fine_times = byte(hit, 0) & FINE_TIMES != 0;
        let outputs = byte(hit, 1) as usize;
        let chunks = byte(hit, 2);
        if outputs > OUTPUTS_MAX {
            return;
        }
        let mut found = core::mem::MaybeUninit::<KernelStat>::uninit();
        let stat = found.as_mut_ptr();
        let mut blobs = [-1isize; OUTPUTS_MAX];
        // Nothing is touched before every blob is known to be what it was.
        let mut at = hit.add(3);
        let mut index = 0;
        while index < outputs {
            let flags = byte(at, 0);
            let name = at.add(3);
            let rest = name.add(get::<u16>(at.add(1)) as usize);
            if flags & INLINE != 0 {
                at = rest.add(4 + get::<u32>(rest) as usize);
            } else {
                let blob = call(nr::OPEN, rest.add(66) as usize, O_RDONLY_BLOB, 0, 0, 0);
                if blob < 0 || !stat_with(nr::FSTAT, blob as usize, stat) {
                    return;
                }
                let same = (*stat).mode & S_IFMT == S_IFREG
                    && (*stat).size == get::<u64>(rest.add(32))
                    && (*stat).inode == get::<u64>(rest.add(40))
                    && KernelStat::ns((*stat).mtime) == get::<i64>(rest.add(48))
                    && KernelStat::ns((*stat).ctime) == get::<i64>(rest.add(56));
                if !same {
                    return;
                }
                blobs.as_mut_ptr().add(index).write_volatile(blob);
                at = rest.add(66 + get::<u16>(rest.add(64)) as usize);
            }
            index += 1;
        }
        let report = (&raw mut (*STATE.0.get()).report).cast::<u8>();
        let mut reported = HEADER_BYTES;
        at = hit.add(3);
        index = 0;
        while index < outputs {
            let flags = byte(at, 0);
            let name = at.add(3);
            let rest = name.add(get::<u16>(at.add(1)) as usize);
            let mode = if flags & EXECUTABLE != 0 { 0o777 } else { 0o666 };
            if flags & INLINE != 0 {
                let count = get::<u32>(rest) as usize;
                let file = create(name, flags, mode, stat);
                if file < 0 || !write_all(file as usize, rest.add(4), count) {
                    return;
                }
                call(nr::CLOSE, file as usize, 0, 0, 0, 0);
                at = rest.add(4 + count);
            } else {
                let blob = blobs.as_ptr().add(index).read_volatile() as usize;
                let entry = report.add(reported);
                let size = get::<u64>(rest.add(32));
                let linked = size >= LINK_FROM
                    && flags & IN_PLACE == 0
                    && link(rest.add(66), name, blob, mode, auxv, stat);
                if linked {
                    copy(rest, entry, 32);
                    entry.add(32).write_volatile(u8::from(fine_times));
                    let numbers = entry.add(33).cast::<i64>();
                    numbers.write_unaligned((*stat).inode as i64);
                    numbers.add(1).write_unaligned((*stat).size as i64);
                    numbers.add(2).write_unaligned(KernelStat::ns((*stat).mtime));
                    numbers.add(3).write_unaligned(KernelStat::ns((*stat).ctime));
                    reported += REPORT_BYTES;
                } else if !copy_file(name, flags, mode, blob, size, stat) {
                    return;
                }
                at = rest.add(66 + get::<u16>(rest.add(64)) as usize);
            }
            index += 1;
        }
        let mut chunk = 0;
        while chunk < chunks {
            let count = get::<u32>(at.add(1)) as usize;
            // A reader that went away is not ours to report; the tool would not either.
            write_all(byte(at, 0) as usize, at.add(5), count);
            at = at.add(5 + count);
            chunk += 1;
        }
        if reported > HEADER_BYTES {
            const OWN: Build = Build::own();
            let words = report.cast::<u32>();
            words.write_unaligned(MAGIC);
            words.add(1).write_unaligned(Verb::QuickReport as u32);
            words.add(2).write_unaligned((reported - HEADER_BYTES) as u32);
            report.add(16).cast::<u64>().write_unaligned(OWN.version);
            report.add(24).cast::<u64>().write_unaligned(OWN.id);
            let piece = [report as usize, reported];
            let message: [usize; 7] = [0, 0, piece.as_ptr() as usize, 1, 0, 0, 0];
            call(nr::SENDMSG, socket, message.as_ptr() as usize, 0x4000 | 0x40, 0, 0); // NOSIGNAL, DONTWAIT
        }
        call(nr::EXIT_GROUP, 0, 0, 0, 0, 0);
    }
}

/// Opens an output for writing as its compiler would. Negative when the ordinary path must.
#[inline(always)]
unsafe fn create(name: *const u8, flags: u8, mode: usize, stat: *mut KernelStat) -> isize {
    unsafe {
        if flags & IN_PLACE != 0 {
            return call(nr::OPEN, name as usize, O_IN_PLACE, mode, 0, 0);
        }
        let file = call(nr::OPEN, name as usize, O_CREATE_NEW, mode, 0, 0);
        if file != EEXIST {
            return file;
        }
        if !make_way(name, stat) {
            return -1;
        }
        call(nr::OPEN, name as usize, O_CREATE_NEW, mode, 0, 0)
    }
}

/// Removes a regular file or symlink that is in an output's place; nothing else.
#[inline(always)]
unsafe fn make_way(name: *const u8, stat: *mut KernelStat) -> bool {
    unsafe {
        if !stat_with(nr::LSTAT, name as usize, stat) {
            return false;
        }
        let kind = (*stat).mode & S_IFMT;
        (kind == S_IFREG || kind == S_IFLNK) && call(nr::UNLINK, name as usize, 0, 0, 0, 0) == 0
    }
}

#[inline(always)]
unsafe fn write_all(file: usize, mut from: *const u8, mut count: usize) -> bool {
    while count > 0 {
        let written = unsafe { call(nr::WRITE, file, from as usize, count, 0, 0) };
        if written == EAGAIN {
            // A non-blocking stream that is full: wait until its reader reads.
            let mut wait: [u32; 2] = [file as u32, 4]; // POLLOUT
            unsafe { call(nr::POLL, wait.as_mut_ptr() as usize, 1, usize::MAX, 0, 0) };
        } else if written > 0 {
            from = unsafe { from.add(written as usize) };
            count -= written as usize;
        } else if written != EINTR {
            return false;
        }
    }
    true
}

#[inline(always)]
unsafe fn copy_file(
    name: *const u8,
    flags: u8,
    mode: usize,
    blob: usize,
    size: u64,
    stat: *mut KernelStat,
) -> bool {
    unsafe {
        let file = create(name, flags, mode, stat);
        if file < 0 {
            return false;
        }
        let buffer = (&raw mut (*STATE.0.get()).copy).cast::<u8>();
        let mut left = size;
        while left > 0 {
            let got = call(nr::READ, blob, buffer as usize, COPY_BYTES, 0, 0);
            if got == EINTR {
                continue;
            }
            if got <= 0 || got as u64 > left || !write_all(file as usize, buffer, got as usize) {
                return false;
            }
            left -= got as u64;
        }
        call(nr::CLOSE, file as usize, 0, 0, 0, 0) == 0
    }
}

/// A hard link where it is safe (`store::deliver` has the same rules and the reasons).
/// Leaves the blob's new stat in `stat`.
#[inline(always)]
unsafe fn link(
    from: *const u8,
    name: *const u8,
    blob: usize,
    mode: usize,
    auxv: *const usize,
    stat: *mut KernelStat,
) -> bool {
    unsafe {
        if !stat_with(nr::FSTAT, blob, stat) {
            return false;
        }
        if (*stat).links == 2 {
            // Our own earlier delivery may still be there: then it makes way first.
            let (device, inode) = ((*stat).device, (*stat).inode);
            let ours = stat_with(nr::LSTAT, name as usize, stat)
                && (*stat).device == device
                && (*stat).inode == inode;
            if !ours
                || call(nr::UNLINK, name as usize, 0, 0, 0, 0) != 0
                || !stat_with(nr::FSTAT, blob, stat)
            {
                return false;
            }
        }
        // Field by field: a copy of the whole would be a call to memcpy.
        let (device, size, mtime) = ((*stat).device, (*stat).size, KernelStat::ns((*stat).mtime));
        let (mut uid, mut gid, mut pair) = (usize::MAX, usize::MAX, auxv);
        while *pair != 0 {
            match *pair {
                12 => uid = *pair.add(1), // AT_EUID
                14 => gid = *pair.add(1), // AT_EGID
                _ => {}
            }
            pair = pair.add(2);
        }
        let umask = call(nr::UMASK, 0, 0, 0, 0, 0) as usize;
        call(nr::UMASK, umask, 0, 0, 0, 0);
        if (*stat).links != 1
            || (*stat).uid as usize != uid
            || (*stat).gid as usize != gid
            || ((*stat).mode & 0o7777) as usize != mode & !umask
        {
            return false;
        }
        // The folder may hand down a group or access rules of its own.
        let mut end = length(name);
        while end > 0 && byte(name, end - 1) != b'/' {
            end -= 1;
        }
        if end >= PATH_BYTES {
            return false;
        }
        let folder_at = (&raw mut (*STATE.0.get()).path).cast::<u8>();
        if end == 0 {
            folder_at.write_volatile(b'.');
            folder_at.add(1).write_volatile(0);
        } else {
            copy(name, folder_at, end);
            folder_at.add(end).write_volatile(0);
        }
        if !stat_with(nr::STAT, folder_at as usize, stat)
            || (*stat).mode & S_ISGID != 0
            || (*stat).device != device
        {
            return false;
        }
        let rules = c"system.posix_acl_default".as_ptr() as usize;
        let has_rules = call(nr::GETXATTR, folder_at as usize, rules, 0, 0, 0);
        if has_rules != ENODATA && has_rules != EOPNOTSUPP {
            return false;
        }
        let mut made = call(nr::LINK, from as usize, name as usize, 0, 0, 0);
        if made == EEXIST && make_way(name, stat) {
            made = call(nr::LINK, from as usize, name as usize, 0, 0, 0);
        }
        if made != 0 {
            return false;
        }
        // Still the blob we looked at, and no second link made at the same time?
        let alone = stat_with(nr::FSTAT, blob, stat)
            && (*stat).links == 2
            && (*stat).size == size
            && KernelStat::ns((*stat).mtime) == mtime;
        if alone
            && call(nr::UTIMENSAT, blob, 0, 0, 0, 0) == 0
            && stat_with(nr::FSTAT, blob, stat)
            && (*stat).links == 2
        {
            return true;
        }
        call(nr::UNLINK, name as usize, 0, 0, 0, 0);
        false
    }
}
