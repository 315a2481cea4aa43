//! Which file a typed name means, and what that depends on; remembered while nothing on the way changes.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::caller::Caller;
use super::find::{Found, NotFound, absolute, find_tool, own_key};
use crate::files::{Counter, PathId};

/// More names, search paths and folders than any build has; then all are forgotten.
const KEPT_MAX: usize = 4096;

/// Names that were looked up.
#[derive(Default)]
pub(super) struct Finds {
    kept: Mutex<HashMap<Asked, Kept>>,
}

/// All that an answer depends on, but for the files.
#[derive(PartialEq, Eq, Hash)]
struct Asked {
    name: Vec<u8>,
    path: Option<Vec<u8>>,
    cwd: Vec<u8>,
}

struct Kept {
    program: Vec<u8>,
    behind_us: bool,
    depends: Vec<PathId>,
    verified: Counter,
}

impl Finds {
    /// What `find` gives.
    pub(super) fn find(
        &self,
        caller: Caller<'_>,
        name: &[u8],
        depends: &mut Vec<PathId>,
    ) -> Option<(Vec<u8>, bool)> {
        let path = caller.env.get(b"PATH").map(<[u8]>::to_vec);
        let asked = Asked { name: name.to_vec(), path, cwd: caller.cwd.to_vec() };
        if let Some(kept) = self.kept.lock().get_mut(&asked)
            && let Some(now) = caller.table.still(&[&kept.depends], kept.verified)
        {
            kept.verified = now;
            depends.clone_from(&kept.depends);
            return Some((kept.program.clone(), kept.behind_us));
        }
        let verified = caller.table.counter();
        let (program, behind_us) = find(caller, name, depends)?;
        let answer =
            Kept { program: program.clone(), behind_us, depends: depends.clone(), verified };
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(asked, answer);
        Some((program, behind_us))
    }
}

/// The file a typed name means, and whether we stand before it on PATH. Found once to learn
/// which places matter, and once more when all of them are watched.
pub(super) fn find(
    caller: Caller<'_>,
    name: &[u8],
    depends: &mut Vec<PathId>,
) -> Option<(Vec<u8>, bool)> {
    const ROUNDS: usize = 4;
    let path = caller.env.get(b"PATH");
    let mut earlier = find_tool(name, path, caller.cwd, own_key());
    for _ in 0..ROUNDS {
        let (passed, found) = match &earlier {
            Ok(Found { passed, path, .. }) => (passed, Some(path)),
            Err(NotFound { passed, .. }) => (passed, None),
        };
        depends.clear();
        for candidate in passed.iter().chain(found) {
            let id = caller.table.intern(&absolute(caller.cwd, candidate));
            caller.table.look(id, false);
            depends.push(id);
        }
        let again = find_tool(name, path, caller.cwd, own_key());
        if again == earlier {
            let found = again.ok()?;
            return Some((absolute(caller.cwd, &found.path), found.behind_us));
        }
        earlier = again;
    }
    None
}
