//! Whether a folder that is there already may be a cache root, and what becomes of its mode. A folder of ours is
//! made private; one that holds other things keeps its mode, and is used only where nobody else can write to it.

use std::ffi::OsStr;
use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// What was found of a folder that we may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Claim {
    /// Nobody else may enter it.
    Private,
    /// It is ours, or empty, and others may enter it: that ends when it is claimed.
    Open,
    /// It is not ours alone: its mode stays, and others may look into it.
    Kept,
}

const STICKY_OR_SETGID: u32 = 0o3000;
const OTHERS_WRITE: u32 = 0o022;
const OTHERS: u32 = 0o077;

/// Makes a folder that was there before us private if it is a cache root or empty. An error says why it can't be
/// used.
pub fn claim(path: &Path) -> io::Result<Claim> {
    let found = judge(path)?;
    if found != Claim::Open {
        return Ok(found);
    }
    let private = Permissions::from_mode(0o700);
    std::fs::set_permissions(path, private).map_err(|error| about(path, error))?;
    Ok(Claim::Private)
}

/// Decides about a folder, and changes nothing.
pub fn judge(path: &Path) -> io::Result<Claim> {
    let meta = own_folder(path)?;
    if meta.mode() & OTHERS == 0 {
        return Ok(Claim::Private);
    }
    let is_group_writable = meta.mode() & 0o020 != 0;
    let is_shared = meta.mode() & STICKY_OR_SETGID != 0
        || is_group_writable && meta.gid() != rustix::process::getegid().as_raw();
    let others_write = meta.mode() & OTHERS_WRITE != 0;
    if is_shared && others_write {
        return Err(io::Error::other(format!(
            "{} is a folder for many (mode {:o}): set ZCCACHE_CACHE_DIR to one of your own",
            path.display(),
            meta.mode() & 0o7777
        )));
    }
    let ours = !is_shared && looks_like_ours(path)?;
    if others_write {
        // Others could write here until now: what they left is not to be used.
        no_foreign_entries(path, meta.uid())?;
        if !ours {
            return Err(io::Error::other(format!(
                "{} can be written to by others (mode {:o}) and holds more than a cache: set \
                 ZCCACHE_CACHE_DIR to a folder of your own",
                path.display(),
                meta.mode() & 0o7777
            )));
        }
    }
    Ok(if ours { Claim::Open } else { Claim::Kept })
}

/// A part of a root that others may look into: nobody else may write to it.
pub fn check_part(folder: &Path) -> io::Result<()> {
    let meta = own_folder(folder)?;
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other(format!(
            "{} can be written to by others: set ZCCACHE_CACHE_DIR to a folder of your own",
            folder.display()
        )));
    }
    Ok(())
}

fn own_folder(path: &Path) -> io::Result<Metadata> {
    let own = rustix::process::geteuid().as_raw();
    // A symlink of ours or of root's is wanted so; another's leads where he wants us.
    let link = std::fs::symlink_metadata(path).map_err(|error| about(path, error))?;
    let meta = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && link.is_symlink() => {
            let text = format!("{} is a symlink to nothing", path.display());
            return Err(io::Error::new(error.kind(), text));
        }
        meta => meta.map_err(|error| about(path, error))?,
    };
    let planted = link.is_symlink() && ![own, 0].contains(&link.uid());
    if !meta.is_dir() || meta.uid() != own || planted {
        return Err(io::Error::other(format!("{} is not our own folder", path.display())));
    }
    Ok(meta)
}

fn no_foreign_entries(path: &Path, own: u32) -> io::Result<()> {
    for entry in std::fs::read_dir(path).map_err(|error| about(path, error))? {
        let entry = entry?;
        if entry.metadata()?.uid() != own {
            let text = format!("{} is another user's: remove it", entry.path().display());
            return Err(io::Error::other(text));
        }
    }
    Ok(())
}

/// It is empty, or all that it holds has names of a cache root, a lock among them.
fn looks_like_ours(path: &Path) -> io::Result<bool> {
    let (mut is_empty, mut has_lock) = (true, false);
    for entry in std::fs::read_dir(path).map_err(|error| about(path, error))? {
        let name = entry?.file_name();
        if !is_name_of_ours(&name) {
            return Ok(false);
        }
        is_empty = false;
        has_lock |= name.as_bytes().ends_with(b".lock");
    }
    Ok(is_empty || has_lock)
}

fn is_name_of_ours(name: &OsStr) -> bool {
    const NAMES: [&str; 16] = [
        "artifacts",
        "config.toml",
        "crashes",
        "daemon.board",
        "daemon.lock",
        "daemon.sock",
        "download-start.lock",
        "download.lock",
        "download.sock",
        "downloads",
        "ino",
        "linked",
        "logs",
        "sessions",
        "start.lock",
        "tmp",
    ];
    NAMES.iter().any(|own| name == *own) || name.as_bytes().starts_with(b"index.")
}

/// An error with the path that it is about.
pub fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_made_private() {
        let folder = std::env::temp_dir().join(format!("zcc-place-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        let cases: [(&str, u32, &[&str], Option<Claim>); 9] = [
            ("empty", 0o755, &[], Some(Claim::Private)),
            ("wide", 0o777, &[], Some(Claim::Private)),
            ("ours", 0o755, &["daemon.lock", "tmp", "index.sled"], Some(Claim::Private)),
            ("no-lock", 0o755, &["tmp", "logs"], Some(Claim::Kept)),
            ("home", 0o755, &["daemon.lock", "letters"], Some(Claim::Kept)),
            ("closed", 0o700, &["letters"], Some(Claim::Private)),
            ("open", 0o777, &["letters"], None),
            ("sticky", 0o1777, &[], None),
            ("group", 0o2775, &["daemon.lock"], None),
        ];
        for (name, before, entries, claimed) in cases {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).unwrap();
            entries.iter().for_each(|entry| std::fs::write(path.join(entry), "").unwrap());
            std::fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            let found = claim(&path).ok();
            assert_eq!(found, claimed, "{name}");
            let after = if claimed == Some(Claim::Private) { 0o700 } else { before };
            assert_eq!(mode(&path), after, "{name}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
