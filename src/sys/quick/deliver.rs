//! Putting a short hit in place: the rules of `sys::quick` and of `store::deliver` hold here.
#![allow(clippy::undocumented_unsafe_blocks)] // `sys::quick` says why all of it is sound

use super::raw::*;
use super::rooms::{PIECE_BYTES, Rooms};
use super::{PATH_BYTES, Piece};
use crate::protocol::quick::{
    EXECUTABLE, IN_PLACE, INLINE, LINK, OUTPUTS_MAX, REPLACES_FILE, REPLACES_FILLED,
    REPLACES_WRITABLE, WATCHED,
};

/// Where the first output begins, behind the numbers of outputs and chunks.
const OUTPUTS_AT: usize = 2;

/// Whether the payload is a short hit from its first byte to its last: every length stays inside,
/// every name ends with NUL.
#[inline(always)]
pub(super) unsafe fn is_whole(hit: *const u8, count: usize) -> bool {
    unsafe {
        if count < OUTPUTS_AT || byte(hit, 0) as usize > OUTPUTS_MAX {
            return false;
        }
        let (outputs, chunks) = (byte(hit, 0), byte(hit, 1));
        let mut at = OUTPUTS_AT;
        let mut index = 0;
        while index < outputs {
            if at >= count {
                return false;
            }
            let flags = byte(hit, at);
            at = after_name(hit, at + 1, count);
            if flags & INLINE != 0 {
                at = after_bytes(hit, at, count);
            } else if at > count || count - at < 64 {
                return false;
            } else {
                at = after_name(hit, at + 64, count);
            }
            index += 1;
        }
        index = 0;
        while index < chunks {
            if at >= count || !matches!(byte(hit, at), 1 | 2) {
                return false;
            }
            at = after_bytes(hit, at + 1, count);
            index += 1;
        }
        // A piece that does not fit leaves one past the end.
        at == count
    }
}

/// Where the name at `at` ends; beyond `count` if it does not end well.
#[inline(always)]
unsafe fn after_name(hit: *const u8, at: usize, count: usize) -> usize {
    unsafe {
        if at > count || count - at < 2 {
            return count + 1;
        }
        let length = get::<u16>(hit.add(at)) as usize;
        let fits = length > 0 && length <= count - at - 2;
        if fits && byte(hit, at + 1 + length) == 0 { at + 2 + length } else { count + 1 }
    }
}

/// Where the bytes at `at`, behind their length, end; beyond `count` if they do not fit.
#[inline(always)]
unsafe fn after_bytes(hit: *const u8, at: usize, count: usize) -> usize {
    unsafe {
        if at > count || count - at < 4 {
            return count + 1;
        }
        let length = get::<u32>(hit.add(at)) as usize;
        if length <= count - at - 4 { at + 4 + length } else { count + 1 }
    }
}

/// How far a delivery came.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Delivered {
    All,
    /// Something is not as it should be, and some outputs may be in place.
    Some,
    /// The same, and nothing was touched.
    Nothing,
}

/// What was found of an output's blob.
#[derive(Clone, Copy)]
struct Blob {
    file: usize,
    stat: KernelStat,
}

/// The blobs of a hit, opened, each at the place of its output; and what need not be asked of the kernel again.
pub(super) struct Looked {
    blobs: [core::mem::MaybeUninit<Blob>; OUTPUTS_MAX],
    /// The folder that links may be made in, if one is known: a name's beginning, and its device.
    folder: Piece,
    device: u64,
    /// Not asked for yet: the largest number.
    umask: usize,
}

impl Looked {
    /// Where it is to be. (As a value it would be made by `memset`, which is not there yet.)
    #[inline(always)]
    pub(super) unsafe fn begin(at: *mut Looked) {
        unsafe {
            (&raw mut (*at).folder.at).write_volatile(core::ptr::null());
            (&raw mut (*at).umask).write_volatile(usize::MAX);
        }
    }
}

/// The room for what is found of an output's blob.
#[inline(always)]
unsafe fn blob_at(looked: *mut Looked, index: usize) -> *mut Blob {
    unsafe { (&raw mut (*looked).blobs).cast::<Blob>().add(index) }
}

/// Opens the blobs of a whole short hit, and makes sure that each is what it was. Of one that the board's watch judges
/// the times are written into the hit as they are now, for it is not known yet what the watch says. False: it is to be
/// asked for again, and nothing was touched.
#[inline(always)]
pub(super) unsafe fn look(hit: *mut u8, looked: *mut Looked) -> bool {
    unsafe {
        let outputs = byte(hit, 0) as usize;
        let mut at = hit.add(OUTPUTS_AT);
        let mut index = 0;
        while index < outputs {
            let flags = byte(at, 0);
            let name = at.add(3);
            let rest = name.add(get::<u16>(at.add(1)) as usize);
            let blob = blob_at(looked, index);
            let stat = &raw mut (*blob).stat;
            if flags & REPLACES_FILE != 0
                && stat_with(nr::LSTAT, name as usize, stat)
                && ((*stat).mode & S_IFMT != S_IFREG || (*stat).size == 0)
            {
                return false;
            }
            if flags & INLINE != 0 {
                at = rest.add(4 + get::<u32>(rest) as usize);
            } else {
                let file = call(nr::OPEN, rest.add(66) as usize, O_RDONLY_BLOB, 0, 0, 0);
                let may_be_good = file >= 0
                    && (flags & WATCHED == 0 || !may_be_written(file as usize))
                    && stat_with(nr::FSTAT, file as usize, stat);
                if !may_be_good {
                    return false;
                }
                if flags & WATCHED != 0 {
                    rest.add(48).cast::<i64>().write_unaligned(KernelStat::ns((*stat).mtime));
                    rest.add(56).cast::<i64>().write_unaligned(KernelStat::ns((*stat).ctime));
                }
                if !is_unchanged(stat, rest) {
                    return false;
                }
                (&raw mut (*blob).file).write(file as usize);
                at = rest.add(66 + get::<u16>(rest.add(64)) as usize);
            }
            index += 1;
        }
        true
    }
}

/// Puts a short hit in place whose blobs were looked at.
#[inline(always)]
pub(super) unsafe fn put_in_place(
    hit: *const u8,
    looked: *mut Looked,
    auxv: *const usize,
    rooms: &Rooms,
) -> Delivered {
    unsafe {
        let outputs = byte(hit, 0) as usize;
        let chunks = byte(hit, 1);
        let mut found = core::mem::MaybeUninit::<KernelStat>::uninit();
        let stat = found.as_mut_ptr();
        let mut at = hit.add(OUTPUTS_AT);
        let mut index = 0;
        while index < outputs {
            let flags = byte(at, 0);
            let name = at.add(3);
            let rest = name.add(get::<u16>(at.add(1)) as usize);
            if flags & INLINE != 0 {
                let count = get::<u32>(rest) as usize;
                let file = create(name, flags, auxv, stat);
                if file < 0 || !write_all(file as usize, rest.add(4), count) {
                    return Delivered::Some;
                }
                call(nr::CLOSE, file as usize, 0, 0, 0, 0);
                at = rest.add(4 + count);
            } else {
                let blob = blob_at(looked, index);
                let file = (*blob).file;
                let linked = flags & LINK != 0
                    && flags & IN_PLACE == 0
                    && link(rest, name, flags, blob, looked, auxv, rooms);
                let size = get::<u64>(rest.add(32));
                if !linked && !copy_file(name, flags, file, size, auxv, stat, rooms) {
                    return Delivered::Some;
                }
                // A build tree that has a link to the blob could have written to it meanwhile.
                if !linked
                    && (*blob).stat.links > 1
                    && !(stat_with(nr::FSTAT, file, stat) && is_unchanged(stat, rest))
                {
                    return Delivered::Some;
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
        Delivered::All
    }
}

/// Whether somebody may have it open for writing: as `sys::lease` finds out, which says why it asks for that signal.
#[inline(always)]
unsafe fn may_be_written(file: usize) -> bool {
    unsafe {
        call(nr::FCNTL, file, F_SETSIG, SIGURG, 0, 0) != 0
            || call(nr::FCNTL, file, F_SETLEASE, F_RDLCK, 0, 0) != 0
            || call(nr::FCNTL, file, F_SETLEASE, F_UNLCK, 0, 0) != 0
    }
}

#[inline(always)]
fn mode_of(flags: u8) -> usize {
    if flags & EXECUTABLE != 0 { 0o777 } else { 0o666 }
}

/// Opens an output for writing as its compiler would. Negative when the ordinary path must.
#[inline(always)]
unsafe fn create(name: *const u8, flags: u8, auxv: *const usize, stat: *mut KernelStat) -> isize {
    unsafe {
        let mode = mode_of(flags);
        if flags & IN_PLACE != 0 {
            return call(nr::OPEN, name as usize, O_IN_PLACE, mode, 0, 0);
        }
        let file = call(nr::OPEN, name as usize, O_CREATE_NEW, mode, 0, 0);
        if file != EEXIST {
            return file;
        }
        if !make_way(name, flags, auxv, stat) {
            return -1;
        }
        call(nr::OPEN, name as usize, O_CREATE_NEW, mode, 0, 0)
    }
}

/// Removes a regular file or symlink that is in an output's place; nothing else. Where it must be one that may be
/// written to, or have content, only a plain case counts: the ordinary path asks the kernel.
#[inline(always)]
unsafe fn make_way(name: *const u8, flags: u8, auxv: *const usize, stat: *mut KernelStat) -> bool {
    unsafe {
        if !stat_with(nr::LSTAT, name as usize, stat) {
            return false;
        }
        let kind = (*stat).mode & S_IFMT;
        if flags & REPLACES_WRITABLE != 0 {
            let is_ours = (*stat).uid as usize == auxiliary(auxv, AT_EUID);
            if kind != S_IFREG || (*stat).mode & S_IWUSR == 0 || !is_ours {
                return false;
            }
        }
        if flags & REPLACES_FILLED != 0 && (kind != S_IFREG || (*stat).size == 0) {
            return false;
        }
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
    blob: usize,
    size: u64,
    auxv: *const usize,
    stat: *mut KernelStat,
    rooms: &Rooms,
) -> bool {
    unsafe {
        let file = create(name, flags, auxv, stat);
        if file < 0 {
            return false;
        }
        let mut left = size;
        // Within the kernel no page of ours is touched: each of a buffer's costs more than the bytes in it.
        let mut by_kernel = true;
        let buffer = rooms.rest(PIECE_BYTES);
        while left > 0 {
            let got = if by_kernel {
                call(nr::SENDFILE, file as usize, blob, 0, left as usize, 0)
            } else {
                call(nr::READ, blob, buffer.at as usize, buffer.bytes, 0, 0)
            };
            if got == EINTR {
                continue;
            }
            if got < 0 && by_kernel && left == size {
                // Not between these file systems.
                by_kernel = false;
                continue;
            }
            if got <= 0 || got as u64 > left {
                return false;
            }
            if !by_kernel && !write_all(file as usize, buffer.at, got as usize) {
                return false;
            }
            left -= got as u64;
        }
        call(nr::CLOSE, file as usize, 0, 0, 0, 0) == 0
    }
}

/// Whether a blob still has the stat that the hit names. `entry`: the blob's part of the hit, from its id on.
#[inline(always)]
unsafe fn is_unchanged(stat: *const KernelStat, entry: *const u8) -> bool {
    unsafe {
        (*stat).mode & S_IFMT == S_IFREG
            && (*stat).size == get::<u64>(entry.add(32))
            && (*stat).inode == get::<u64>(entry.add(40))
            && KernelStat::ns((*stat).mtime) == get::<i64>(entry.add(48))
            && KernelStat::ns((*stat).ctime) == get::<i64>(entry.add(56))
    }
}

/// A hard link where it is safe (`store::deliver` has the same rules and the reasons). `entry`: as in `is_unchanged`.
/// False: nothing was made.
#[inline(always)]
unsafe fn link(
    entry: *const u8,
    name: *const u8,
    flags: u8,
    blob: *mut Blob,
    looked: *mut Looked,
    auxv: *const usize,
    rooms: &Rooms,
) -> bool {
    unsafe {
        let from = entry.add(66);
        let (file, stat) = ((*blob).file, &raw mut (*blob).stat);
        if (*stat).links == 2 {
            // Our own earlier delivery may still be there: then it makes way first.
            let (device, inode) = ((*stat).device, (*stat).inode);
            let ours = stat_with(nr::LSTAT, name as usize, stat)
                && (*stat).device == device
                && (*stat).inode == inode;
            let made_way = ours && call(nr::UNLINK, name as usize, 0, 0, 0, 0) == 0;
            // As it is now, for who copies it, too.
            if !stat_with(nr::FSTAT, file, stat) || !made_way {
                return false;
            }
        }
        let device = (*stat).device;
        let (uid, gid) = (auxiliary(auxv, AT_EUID), auxiliary(auxv, AT_EGID));
        if (*looked).umask == usize::MAX {
            (*looked).umask = call(nr::UMASK, 0, 0, 0, 0, 0) as usize;
            call(nr::UMASK, (*looked).umask, 0, 0, 0, 0);
        }
        if (*stat).links != 1
            || (*stat).uid as usize != uid
            || (*stat).gid as usize != gid
            || ((*stat).mode & 0o7777) as usize != mode_of(flags) & !(*looked).umask
        {
            return false;
        }
        let mut end = length(name);
        while end > 0 && byte(name, end - 1) != b'/' {
            end -= 1;
        }
        let folder = Piece { at: name, bytes: end };
        if !is_same(folder, (*looked).folder) || (*looked).device != device {
            if !may_be_linked_into(folder, device, rooms) {
                return false;
            }
            ((*looked).folder, (*looked).device) = (folder, device);
        }
        let mut made = call(nr::LINK, from as usize, name as usize, 0, 0, 0);
        if made == EEXIST && make_way(name, flags, auxv, stat) {
            made = call(nr::LINK, from as usize, name as usize, 0, 0, 0);
        }
        if made != 0 {
            return false;
        }
        // Still the blob we looked at, and no second link made at the same time? (Who makes one sets its times.)
        let alone = stat_with(nr::FSTAT, file, stat)
            && (*stat).links == 2
            && (*stat).size == get::<u64>(entry.add(32))
            && KernelStat::ns((*stat).mtime) == get::<i64>(entry.add(48));
        if alone && call(nr::UTIMENSAT, file, 0, 0, 0, 0) == 0 {
            return true;
        }
        call(nr::UNLINK, name as usize, 0, 0, 0, 0);
        false
    }
}

/// Whether both are the same name of a folder.
#[inline(always)]
unsafe fn is_same(one: Piece, other: Piece) -> bool {
    if one.bytes != other.bytes || other.at.is_null() {
        return false;
    }
    let mut at = 0;
    while at < one.bytes {
        if unsafe { byte(one.at, at) != byte(other.at, at) } {
            return false;
        }
        at += 1;
    }
    true
}

/// What a folder's rules for new files are called.
const RULES: &[u8; 25] = b"system.posix_acl_default\0";

/// Whether a folder is on that device and hands down neither a group nor access rules of its own.
#[inline(always)]
unsafe fn may_be_linked_into(folder: Piece, device: u64, rooms: &Rooms) -> bool {
    unsafe {
        let mut found = core::mem::MaybeUninit::<KernelStat>::uninit();
        let stat = found.as_mut_ptr();
        if folder.bytes >= PATH_BYTES {
            return false;
        }
        let path = rooms.rest(folder.bytes + 2 + RULES.len()).at;
        if folder.bytes == 0 {
            path.write_volatile(b'.');
            path.add(1).write_volatile(0);
        } else {
            copy(folder.at, path, folder.bytes);
            path.add(folder.bytes).write_volatile(0);
        }
        if !stat_with(nr::STAT, path as usize, stat)
            || (*stat).mode & S_ISGID != 0
            || (*stat).device != device
        {
            return false;
        }
        // Behind the path; from the instructions, since another page of the program would have to be touched.
        let rules = path.add(folder.bytes + 2);
        put(rules, RULES);
        let has_rules = call(nr::GETXATTR, path as usize, rules as usize, 0, 0, 0);
        has_rules == ENODATA || has_rules == EOPNOTSUPP
    }
}
