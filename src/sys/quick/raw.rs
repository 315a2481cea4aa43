//! System calls and bytes, without the C library: the rules of `sys::quick` hold here.
#![allow(clippy::undocumented_unsafe_blocks)] // `sys::quick` says why all of it is sound

use std::arch::asm;

#[inline(always)]
pub(super) unsafe fn call(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
) -> isize {
    let result: isize;
    // SAFETY: the caller passes what this system call takes.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// `mmap` of a descriptor from its beginning, which is one argument more than `call` takes.
#[inline(always)]
pub(super) unsafe fn map(bytes: usize, access: usize, flags: usize, descriptor: usize) -> isize {
    let result: isize;
    // SAFETY: the caller passes what `mmap` takes.
    unsafe {
        asm!("syscall", inlateout("rax") nr::MMAP as isize => result,
            in("rdi") 0usize, in("rsi") bytes, in("rdx") access, in("r10") flags, in("r8") descriptor, in("r9") 0usize,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// The processor's clock: some two or three a nanosecond.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Lets the other half of the processor work for about a microsecond.
#[inline(always)]
pub(super) fn pause() {
    // SAFETY: nothing but the register is touched.
    unsafe {
        asm!("2:", "pause", "dec {left:e}", "jnz 2b", left = inout(reg) 32 => _, options(nostack, nomem));
    }
}

#[inline(always)]
pub(super) unsafe fn byte(at: *const u8, offset: usize) -> u8 {
    unsafe { at.add(offset).read_volatile() }
}

/// Length of a string ended by NUL.
#[inline(always)]
pub(super) unsafe fn length(text: *const u8) -> usize {
    let mut count = 0;
    while unsafe { byte(text, count) } != 0 {
        count += 1;
    }
    count
}

/// True when the string begins with these bytes.
#[inline(always)]
pub(super) unsafe fn begins<const N: usize>(text: *const u8, with: &[u8; N]) -> bool {
    let mut at = 0;
    while at < N {
        // Unrolled, the word is in the instructions: reading it elsewhere would touch one page more.
        if unsafe { byte(text, at) != *with.get_unchecked(at) } {
            return false;
        }
        at += 1;
    }
    true
}

/// Writes these bytes, which are in the instructions; gives how many.
#[inline(always)]
pub(super) unsafe fn put<const N: usize>(to: *mut u8, text: &[u8; N]) -> usize {
    let mut at = 0;
    while at < N {
        unsafe { to.add(at).write_volatile(*text.get_unchecked(at)) };
        at += 1;
    }
    N
}

/// Up to eight bytes as a number: comparing those can't become a table of jumps.
const fn number(word: &[u8]) -> u64 {
    let (mut value, mut at) = (0, 0);
    while at < word.len() {
        value |= (word[at] as u64) << (8 * at);
        at += 1;
    }
    value
}

#[inline(always)]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: the caller vouches for both ranges.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags));
    }
}

#[inline(always)]
pub(super) unsafe fn after_slash(path: *const u8) -> *const u8 {
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
pub(super) unsafe fn is_compiler(name: *const u8) -> bool {
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
        const GCC: u64 = number(b"gcc");
        const GXX: u64 = number(b"g++");
        const CC: u64 = number(b"cc");
        const CXX: u64 = number(b"c++");
        const CLANG: u64 = number(b"clang");
        const CLANGXX: u64 = number(b"clang++");
        const RUSTC: u64 = number(b"rustc");
        let (mut word, mut at) = (0, start);
        while at < end && at - start < 8 {
            word |= u64::from(byte(name, at)) << (8 * (at - start));
            at += 1;
        }
        at == end && matches!(word, GCC | GXX | CC | CXX | CLANG | CLANGXX | RUSTC)
    }
}

/// postcard's variable-length number; gives the bytes used.
#[inline(always)]
pub(super) unsafe fn put_number(to: *mut u8, mut value: usize) -> usize {
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
pub(super) unsafe fn get<T: Copy>(at: *const u8) -> T {
    unsafe { at.cast::<T>().read_unaligned() }
}

/// What the kernel says of this process under a key; the largest number where it says nothing.
#[inline(always)]
pub(super) unsafe fn auxiliary(mut pair: *const usize, key: usize) -> usize {
    unsafe {
        while *pair != 0 {
            if *pair == key {
                return *pair.add(1);
            }
            pair = pair.add(2);
        }
    }
    usize::MAX
}

pub(super) const AT_EUID: usize = 12;
pub(super) const AT_EGID: usize = 14;

pub(super) mod nr {
    pub(in crate::sys::quick) const READ: usize = 0;
    pub(in crate::sys::quick) const WRITE: usize = 1;
    pub(in crate::sys::quick) const OPEN: usize = 2;
    pub(in crate::sys::quick) const CLOSE: usize = 3;
    pub(in crate::sys::quick) const STAT: usize = 4;
    pub(in crate::sys::quick) const FSTAT: usize = 5;
    pub(in crate::sys::quick) const LSTAT: usize = 6;
    pub(in crate::sys::quick) const POLL: usize = 7;
    pub(in crate::sys::quick) const MMAP: usize = 9;
    pub(in crate::sys::quick) const MUNMAP: usize = 11;
    pub(in crate::sys::quick) const IOCTL: usize = 16;
    pub(in crate::sys::quick) const PREAD: usize = 17;
    pub(in crate::sys::quick) const SENDFILE: usize = 40;
    pub(in crate::sys::quick) const SOCKET: usize = 41;
    pub(in crate::sys::quick) const CONNECT: usize = 42;
    pub(in crate::sys::quick) const SENDMSG: usize = 46;
    pub(in crate::sys::quick) const GETSOCKOPT: usize = 55;
    pub(in crate::sys::quick) const FCNTL: usize = 72;
    pub(in crate::sys::quick) const GETCWD: usize = 79;
    pub(in crate::sys::quick) const LINK: usize = 86;
    pub(in crate::sys::quick) const UNLINK: usize = 87;
    pub(in crate::sys::quick) const READLINK: usize = 89;
    pub(in crate::sys::quick) const UMASK: usize = 95;
    pub(in crate::sys::quick) const GETXATTR: usize = 191;
    pub(in crate::sys::quick) const EXIT_GROUP: usize = 231;
    pub(in crate::sys::quick) const EPOLL_WAIT: usize = 232;
    pub(in crate::sys::quick) const UTIMENSAT: usize = 280;
    pub(in crate::sys::quick) const STATX: usize = 332;
    pub(in crate::sys::quick) const PIDFD_OPEN: usize = 434;
    pub(in crate::sys::quick) const PIDFD_GETFD: usize = 438;
}

pub(super) const EEXIST: isize = -17;
pub(super) const EINTR: isize = -4;
pub(super) const EAGAIN: isize = -11;
pub(super) const ENODATA: isize = -61;
pub(super) const EOPNOTSUPP: isize = -95;
pub(super) const S_IFMT: u32 = 0o170000;
pub(super) const S_IFREG: u32 = 0o100000;
pub(super) const S_IFLNK: u32 = 0o120000;
pub(super) const S_ISGID: u32 = 0o2000;
pub(super) const S_IWUSR: u32 = 0o200;
pub(super) const O_RDONLY_BLOB: usize = 0o2000000 | 0o400000 | 0o4000; // CLOEXEC, NOFOLLOW, NONBLOCK
pub(super) const O_CREATE_NEW: usize = 0o1 | 0o100 | 0o200 | 0o2000000;
pub(super) const O_IN_PLACE: usize = 0o1 | 0o100 | 0o1000 | 0o2000000;

// asm-generic/fcntl.h, linux/fcntl.h, asm/signal.h
pub(super) const F_SETSIG: usize = 10;
pub(super) const F_SETLEASE: usize = 1024;
pub(super) const F_RDLCK: usize = 0;
pub(super) const F_UNLCK: usize = 2;
pub(super) const SIGURG: usize = 23;

pub(super) const AT_FDCWD: usize = -100isize as usize;
pub(super) const STATX_INO: usize = 0x100;
pub(super) const STATX_MNT_ID: usize = 0x1000;

/// The kernel's `struct statx` (linux/stat.h), as far as it is read here.
#[repr(C)]
pub(super) struct KernelStatx {
    pub(super) mask: u32,
    _to_inode: [u32; 7],
    pub(super) inode: u64,
    _to_device: [u64; 12],
    pub(super) device_major: u32,
    pub(super) device_minor: u32,
    pub(super) mount: u64,
    _rest: [u64; 13],
}

// The kernel writes all of it, wherever we ask for.
const _: () = assert!(size_of::<KernelStatx>() == 256);
const _: () = assert!(core::mem::offset_of!(KernelStatx, device_major) == 0x88);
const _: () = assert!(core::mem::offset_of!(KernelStatx, mount) == 0x90);

/// The kernel's `struct stat` on this architecture (asm/stat.h).
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct KernelStat {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) links: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    _pad: u32,
    _rdev: u64,
    pub(super) size: u64,
    _blksize: i64,
    _blocks: i64,
    _atime: [i64; 2],
    pub(super) mtime: [i64; 2],
    pub(super) ctime: [i64; 2],
    _unused: [i64; 3],
}

impl KernelStat {
    #[inline(always)]
    pub(super) fn ns(time: [i64; 2]) -> i64 {
        time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
    }
}

#[inline(always)]
pub(super) unsafe fn stat_with(number: usize, subject: usize, stat: *mut KernelStat) -> bool {
    unsafe { call(number, subject, stat as usize, 0, 0, 0) == 0 }
}
