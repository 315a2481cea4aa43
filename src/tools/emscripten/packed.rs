//! What `--preload-file` and `--embed-file` pack: files, and whole folders.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::terms::Arg;
use crate::tools::find::absolute;

const DEEPEST: usize = 64;
const MOST: usize = 100_000;

/// All that is packed now, as spelled, in order: folders with their files, symlinks to files followed.
/// None: a part of it is not there, can't be read, or is too much.
pub(super) fn list(cwd: &[u8], sources: &[Arg]) -> Option<Vec<Arg>> {
    let mut found = Vec::new();
    for source in sources {
        add(cwd, source, &mut found, 0)?;
    }
    Some(found)
}

fn add(cwd: &[u8], path: &[u8], found: &mut Vec<Arg>, depth: usize) -> Option<()> {
    let file = absolute(cwd, path);
    let meta = std::fs::metadata(OsStr::from_bytes(&file)).ok()?;
    if meta.is_file() {
        found.push(path.to_vec());
        return (found.len() <= MOST).then_some(());
    }
    if !meta.is_dir() || depth == DEEPEST {
        return None;
    }
    let folder = path.strip_suffix(b"/").unwrap_or(path);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(OsStr::from_bytes(&file)).ok()? {
        let entry = entry.ok()?;
        let kind = entry.file_type().ok()?;
        // Symlinks to folders are not entered, and what hangs in the air fails the link.
        let leads_to_folder = kind.is_symlink() && entry.path().is_dir();
        if !leads_to_folder {
            entries.push(entry.file_name().into_encoded_bytes());
        }
    }
    entries.sort();
    entries.iter().try_for_each(|name| add(cwd, &[folder, b"/", name].concat(), found, depth + 1))
}
