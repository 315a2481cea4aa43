//! The checkout a command works in, and whether its results fit other checkouts of the same
//! repository (`ZCCACHE_PATH_REMAP=auto`).

use std::os::unix::ffi::OsStrExt;

use super::caller::Caller;
use super::find::within;
use super::refusal::Refusal;
use crate::files::{PathId, Seen};
use crate::session::reason::Reason;

/// What a command shares with the same command in other checkouts.
#[derive(Clone, Debug, PartialEq)]
pub enum Sharing {
    /// Nobody asked for it.
    Off,
    /// Its results fit every checkout.
    In(Worktree),
    /// Its results are this folder's own; this is why.
    Refused(Refusal),
}

impl Sharing {
    /// Of a command whose results are never shared.
    pub(super) fn never(caller: Caller<'_>) -> Sharing {
        match caller.env.get(b"ZCCACHE_PATH_REMAP") {
            Some(b"auto") => Sharing::Refused(Reason::UnsupportedLanguage.into()),
            _ => Sharing::Off,
        }
    }

    pub fn worktree(&self) -> Option<&Worktree> {
        match self {
            Sharing::In(worktree) => Some(worktree),
            _ => None,
        }
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Sharing::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// A checkout, by the names its root goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Worktree {
    /// Absolute, without a slash at the end. The real name first, then the one that `PWD` gives
    /// it where that leads through a symlink.
    names: Vec<Vec<u8>>,
}

impl Worktree {
    /// Finds the checkout that a command belongs to: the one that `ZCCACHE_WORKTREE_ROOT` names, or
    /// the innermost with a `.git` that it works in. Cargo compiles what it fetched in its own
    /// folders, and so do the build scripts of what it fetched: there `results` (a folder,
    /// absolute) tells whose command it is. What was looked at is added to `depends`.
    pub(super) fn of(
        caller: Caller<'_>,
        results: Option<&[u8]>,
        depends: &mut Vec<PathId>,
    ) -> Sharing {
        if caller.env.get(b"ZCCACHE_PATH_REMAP") != Some(b"auto") {
            return Sharing::Off;
        }
        let folder = match results {
            Some(results) if is_fetched(caller) => results,
            _ => caller.cwd,
        };
        let root = match caller.env.get(b"ZCCACHE_WORKTREE_ROOT").filter(|name| !name.is_empty()) {
            Some(named) => match named_root(named) {
                Ok(root) => root,
                Err(why) => {
                    warn(named, why);
                    return Sharing::Refused(Reason::GitRootUnavailable.into());
                }
            },
            None => match git_root(caller, folder, depends) {
                Some(root) => root,
                None => return Sharing::Refused(Reason::GitRootUnavailable.into()),
            },
        };
        if within(folder, &root).is_none() {
            return Sharing::Refused(Reason::PathOutsideRoot.into());
        }
        let mut names = vec![root.clone()];
        // A compiler takes the working folder's name from PWD where that names the same folder.
        let logical = caller.env.get(b"PWD").filter(|pwd| *pwd != caller.cwd);
        let logical = logical.filter(|pwd| is_same_folder(pwd, caller.cwd));
        if let Some(inside) = within(caller.cwd, &root)
            && let Some(other) = logical.and_then(|pwd| pwd.strip_suffix(inside))
            && other.len() > 1
            && other.starts_with(b"/")
        {
            names.push(other.to_vec());
        }
        // These bytes mark things in what is stored (see `places`).
        if names.iter().any(|name| name.contains(&1) || name.contains(&2)) {
            return Sharing::Refused(Reason::GitRootUnavailable.into());
        }
        Sharing::In(Worktree { names })
    }

    pub fn names(&self) -> &[Vec<u8>] {
        &self.names
    }

    pub fn root(&self) -> &[u8] {
        &self.names[0]
    }
}

/// Whether a command works in a package that cargo fetched.
fn is_fetched(caller: Caller<'_>) -> bool {
    let cargo_home = match (caller.env.get(b"CARGO_HOME"), caller.env.get(b"HOME")) {
        (Some(folder), _) => folder.to_vec(),
        (None, Some(home)) => [home, b"/.cargo"].concat(),
        (None, None) => return false,
    };
    within(caller.cwd, &cargo_home).is_some_and(|rest| !rest.is_empty())
}

fn named_root(named: &[u8]) -> Result<Vec<u8>, &'static str> {
    if !named.starts_with(b"/") {
        return Err("is not an absolute path");
    }
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(named));
    let root = path.canonicalize().map_err(|_| "does not exist")?;
    if !root.is_dir() {
        return Err("is not a folder");
    }
    let root = root.into_os_string().into_encoded_bytes();
    if root == b"/" {
        return Err("is the root of all files");
    }
    Ok(root)
}

fn warn(named: &[u8], why: &str) {
    let named = String::from_utf8_lossy(named);
    log::warn!("ZCCACHE_WORKTREE_ROOT={named}: {why}; nothing is shared between checkouts");
}

fn git_root(caller: Caller<'_>, mut folder: &[u8], depends: &mut Vec<PathId>) -> Option<Vec<u8>> {
    while folder.len() > 1 {
        let id = caller.table.intern(&[folder, b"/.git"].concat());
        depends.push(id);
        // A folder in a checkout or a clone, a file in a worktree or a submodule.
        if matches!(caller.table.look(id, false), Seen::Folder { .. } | Seen::File { .. }) {
            return Some(folder.to_vec());
        }
        let slash = folder.iter().rposition(|byte| *byte == b'/')?;
        folder = &folder[..slash];
    }
    None
}

fn is_same_folder(one: &[u8], other: &[u8]) -> bool {
    use std::os::unix::fs::MetadataExt;
    let key = |path: &[u8]| {
        let meta = std::fs::metadata(std::ffi::OsStr::from_bytes(path)).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    one.starts_with(b"/") && key(one).is_some_and(|found| Some(found) == key(other))
}
