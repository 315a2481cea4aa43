//! What a system call is about, as far as files are concerned.

use std::ffi::{c_int, c_long};

/// A name in another process: where the text lies, and the open folder that it begins in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) folder: c_int,
    pub(super) address: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flags(pub(super) u64);

impl Flags {
    fn has(self, flag: c_int) -> bool {
        self.0 & flag as u64 == flag as u64
    }

    /// Only to name it.
    pub(super) fn is_path_only(self) -> bool {
        self.has(libc::O_PATH)
    }

    pub(super) fn writes(self) -> bool {
        self.0 & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64 || self.empties()
    }

    pub(super) fn empties(self) -> bool {
        self.has(libc::O_TRUNC)
    }

    pub(super) fn creates(self) -> bool {
        self.has(libc::O_CREAT)
    }

    pub(super) fn appends(self) -> bool {
        self.has(libc::O_APPEND)
    }

    /// It has no name yet.
    pub(super) fn is_nameless(self) -> bool {
        self.has(libc::O_TMPFILE)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Intent {
    Open(Name, Flags),
    /// The flags lie in the other process, too.
    OpenBy(Name, u64),
    /// Metadata, or the text of a symlink.
    Look(Name),
    /// What is in a folder, by its descriptor.
    List(c_int),
    /// A new name that must not be there yet.
    Make(Name),
    Remove(Name),
    Move(Name, Name),
    Link(Name, Name),
    /// A part of its content stays.
    Cut(Name),
    Run(Name),
    /// With another process, which may do anything for it.
    Talk,
    /// To follow, or be followed by, somebody else.
    Follow,
    /// From now on names mean something else, or files are reached without them.
    Hide,
    Nothing,
}

/// By the numbers of our own architecture's table.
pub(super) fn intent(call: c_long, args: &[u64; 6]) -> Intent {
    let [a, b, c, d, ..] = *args;
    let at = |folder: u64, address| Name { folder: folder as c_int, address };
    #[cfg(target_arch = "x86_64")]
    if let Some(intent) = old_form(call, args) {
        return intent;
    }
    match call {
        libc::SYS_openat => Intent::Open(at(a, b), Flags(c)),
        libc::SYS_openat2 => Intent::OpenBy(at(a, b), c),
        libc::SYS_newfstatat
        | libc::SYS_statx
        | libc::SYS_faccessat
        | libc::SYS_faccessat2
        | libc::SYS_readlinkat => Intent::Look(at(a, b)),
        libc::SYS_getdents64 => Intent::List(a as c_int),
        libc::SYS_mkdirat | libc::SYS_mknodat => Intent::Make(at(a, b)),
        libc::SYS_symlinkat => Intent::Make(at(b, c)),
        libc::SYS_unlinkat => Intent::Remove(at(a, b)),
        libc::SYS_renameat2 if args[4] & u64::from(libc::RENAME_EXCHANGE) != 0 => Intent::Hide,
        libc::SYS_renameat | libc::SYS_renameat2 => Intent::Move(at(a, b), at(c, d)),
        libc::SYS_linkat => Intent::Link(at(a, b), at(c, d)),
        libc::SYS_truncate => Intent::Cut(at(HERE, a)),
        libc::SYS_execve => Intent::Run(at(HERE, a)),
        libc::SYS_execveat => Intent::Run(at(a, b)),
        libc::SYS_connect => Intent::Talk,
        libc::SYS_ptrace => Intent::Follow,
        libc::SYS_unshare
        | libc::SYS_setns
        | libc::SYS_chroot
        | libc::SYS_pivot_root
        | libc::SYS_mount
        | libc::SYS_umount2
        | libc::SYS_move_mount
        | libc::SYS_open_by_handle_at
        | libc::SYS_io_uring_setup => Intent::Hide,
        _ => Intent::Nothing,
    }
}

/// The folder that the process is in.
const HERE: u64 = libc::AT_FDCWD as u64;

/// The calls that have no folder yet.
#[cfg(target_arch = "x86_64")]
fn old_form(call: c_long, args: &[u64; 6]) -> Option<Intent> {
    let [a, b, ..] = *args;
    let here = |address| Name { folder: libc::AT_FDCWD, address };
    Some(match call {
        libc::SYS_open => Intent::Open(here(a), Flags(b)),
        libc::SYS_creat => {
            Intent::Open(here(a), Flags((libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY) as u64))
        }
        libc::SYS_stat | libc::SYS_lstat | libc::SYS_access | libc::SYS_readlink => {
            Intent::Look(here(a))
        }
        libc::SYS_getdents => Intent::List(a as c_int),
        libc::SYS_mkdir | libc::SYS_mknod => Intent::Make(here(a)),
        libc::SYS_symlink => Intent::Make(here(b)),
        libc::SYS_unlink | libc::SYS_rmdir => Intent::Remove(here(a)),
        libc::SYS_rename => Intent::Move(here(a), here(b)),
        libc::SYS_link => Intent::Link(here(a), here(b)),
        _ => return None,
    })
}
