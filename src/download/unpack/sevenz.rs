//! Reads 7z.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use sevenz_rust2::{ArchiveEntry, ArchiveReader, Error, Password};

use super::tree::{About, Tree, hostile};

pub(super) fn unpack(file: &File, tree: &mut Tree<'_>) -> io::Result<()> {
    let mut archive =
        ArchiveReader::new(io::BufReader::new(file), Password::empty()).map_err(of_error)?;
    let mut failed = None;
    let read = archive.for_each_entries(|entry, content| match place(entry, content, tree) {
        Ok(()) => Ok(true),
        Err(error) => {
            failed = Some(error);
            Ok(false)
        }
    });
    match failed {
        Some(error) => Err(error),
        None => read.map_err(of_error),
    }
}

fn place(entry: &ArchiveEntry, content: &mut dyn io::Read, tree: &mut Tree<'_>) -> io::Result<()> {
    let name = Path::new(&entry.name);
    // Unix programs keep the mode in the upper half of what is Windows' otherwise.
    const UNIX: u32 = 0x8000;
    let mode = (entry.has_windows_attributes && entry.windows_attributes & UNIX != 0)
        .then_some(entry.windows_attributes >> 16);
    let mtime = entry.has_last_modified_date.then(|| {
        let time = SystemTime::from(entry.last_modified_date);
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (since.as_secs() as i64, since.subsec_nanos())
    });
    if entry.is_anti_item {
        return Ok(());
    }
    if entry.is_directory {
        return tree.folder(name, About { mode: mode.unwrap_or(0o755), mtime });
    }
    let about = About { mode: mode.unwrap_or(0o644), mtime };
    match mode.unwrap_or(0) & 0o170_000 {
        0o120_000 => tree.symlink_from(name, content, about),
        0 | 0o100_000 => tree.file(name, about, content),
        _ => Err(hostile(format!("{} is a device or pipe", name.display()))),
    }
}

fn of_error(error: Error) -> io::Error {
    match error {
        Error::Io(error, _) => error,
        Error::PasswordRequired | Error::MaybeBadPassword(_) => hostile("it needs a password"),
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}
