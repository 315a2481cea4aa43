//! Which file a typed tool name means, as the caller's shell would find it, past ourselves.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::toolchain::{Caller, absolute};
use crate::files::{FileTable, PathId, Seen};

/// The file a typed name means.
pub(super) struct Found {
    pub(super) program: Vec<u8>,
    /// One of our own symlinks comes first on PATH.
    pub(super) behind_us: bool,
}

/// A name with a folder is that file; another is looked up along PATH, past ourselves.
pub(super) fn find_tool(
    caller: Caller<'_>,
    typed: &[u8],
    own_program: Option<u64>,
    depends: &mut Vec<PathId>,
) -> Option<Found> {
    if typed.contains(&b'/') {
        let program = absolute(caller.cwd, typed);
        depends.push(caller.table.intern(&program));
        let usable =
            is_executable(caller.table, &program) && !is_us(caller.table, &program, own_program);
        return usable.then_some(Found { program, behind_us: false });
    }
    let path = caller.env.get(b"PATH")?;
    let mut behind_us = false;
    for folder in path.split(|byte| *byte == b':') {
        let candidate = absolute(caller.cwd, &[folder, b"/", typed].concat());
        depends.push(caller.table.intern(&candidate));
        if !is_executable(caller.table, &candidate) {
            continue;
        }
        if is_us(caller.table, &candidate, own_program) {
            behind_us = true;
            continue;
        }
        return Some(Found { program: candidate, behind_us });
    }
    None
}

fn is_executable(table: &FileTable, path: &[u8]) -> bool {
    matches!(table.look(table.intern(path), false), Seen::File { .. })
        && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Our own file, or another copy or version of zccache under a compiler's name.
fn is_us(table: &FileTable, path: &[u8], own_program: Option<u64>) -> bool {
    if table.look(table.intern(path), false).identity() == own_program {
        return true;
    }
    let real = std::fs::canonicalize(Path::new(std::ffi::OsStr::from_bytes(path)));
    real.is_ok_and(|real| {
        real.file_name().is_some_and(|name| name.as_bytes().starts_with(b"zccache"))
    })
}
