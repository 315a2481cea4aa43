//! Unpacking what was downloaded: beside its place first, then there in one step.
//!
//! * `format`: what kind of archive it is, by name or by its bytes;
//! * `tree`: puts files, folders and links into place, and lets nothing out of its folder;
//! * `tar`, `zip`, `sevenz`, `single`: read one kind and tell `tree`.

pub mod format;
mod sevenz;
mod single;
mod tar;
mod tree;
mod zip;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use format::ArchiveFormat;
use format::{Kind, Packing};
use tree::Tree;

use super::fault::{Fault, FaultKind};
use super::order::Sha256;

/// In an unpacked folder: what it was made from.
pub const MARKER: &str = ".zccache-unpacked.json";

/// What is unpacked.
pub struct Archive<'a> {
    pub file: &'a File,
    /// What it is called, for its messages and where its bytes don't tell its format.
    pub name: &'a Path,
    pub sha256: Sha256,
    pub format: ArchiveFormat,
    /// Of whoever asked.
    pub umask: u32,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    sha256: Sha256,
    format: ArchiveFormat,
}

/// Refuses folders that are not ours to replace: with something in them that was not unpacked by us.
pub fn check_target(folder: &Path) -> Result<(), Fault> {
    let refused = |why: &str| {
        let text = format!("can't unpack into {}: {why}", folder.display());
        Err(Fault::new(FaultKind::Target, text))
    };
    if folder.file_name().is_none() {
        return refused("it names no folder");
    }
    match std::fs::symlink_metadata(folder) {
        Ok(meta) if meta.is_symlink() => refused("it is a symlink; name what it points to"),
        Ok(meta) if !meta.is_dir() => refused("it is not a folder"),
        Ok(_) if folder.join(MARKER).is_file() => Ok(()),
        Ok(_) => match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(()),
            Ok(false) => refused("there are other files in it; remove them or name a new folder"),
            Err(error) => refused(&error.to_string()),
        },
        Err(_) => Ok(()),
    }
}

/// Whether the folder was unpacked from this content.
pub fn is_unpacked(folder: &Path, sha256: Sha256, format: ArchiveFormat) -> bool {
    let marker = std::fs::read(folder.join(MARKER)).ok();
    let marker = marker.and_then(|text| serde_json::from_slice::<Marker>(&text).ok());
    marker.is_some_and(|marker| marker.sha256 == sha256 && marker.format == format)
}

/// Unpacks into a folder that is then complete, or leaves what was there. A folder that was
/// made from the same content is left alone. `id` names the download in what is left behind by
/// a kill.
pub fn unpack(
    archive: &Archive<'_>,
    folder: &Path,
    id: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), Fault> {
    if is_unpacked(folder, archive.sha256, archive.format) {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new("/"));
    let staging = parent.join(format!(".zccache-{id}.unpacking"));
    let target = |error: io::Error| Fault::target("can't write", &staging, &error);
    remove(&staging).map_err(target)?;
    std::fs::create_dir(&staging).map_err(target)?;
    let result = fill(archive, &staging, is_cancelled).and_then(|()| {
        let marker = Marker { sha256: archive.sha256, format: archive.format };
        let text = serde_json::to_vec(&marker).map_err(io::Error::other).map_err(target)?;
        let marker = staging.join(MARKER);
        std::fs::write(&marker, text).map_err(target)?;
        for (path, mode) in [(&marker, 0o666), (&staging, 0o777)] {
            let mode = std::fs::Permissions::from_mode(mode & !archive.umask);
            std::fs::set_permissions(path, mode).map_err(target)?;
        }
        put_in_place(&staging, folder, &parent.join(format!(".zccache-{id}.old")))
    });
    if result.is_err()
        && let Err(error) = remove(&staging)
    {
        log::warn!("{}: {error}", staging.display());
    }
    result
}

/// The staged folder takes the place of one that is empty or was unpacked by us.
fn put_in_place(staging: &Path, folder: &Path, old: &Path) -> Result<(), Fault> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    // It may have been filled by somebody else meanwhile.
    check_target(folder)?;
    let fault = |error: io::Error| Fault::target("can't replace", folder, &error);
    match std::fs::rename(staging, folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        Err(error) => return Err(fault(error)),
    }
    // Both change places in one step; where the file system can't, there is a moment without.
    if renameat_with(CWD, staging, CWD, folder, RenameFlags::EXCHANGE).is_ok() {
        return remove(staging).map_err(fault);
    }
    remove(old).map_err(fault)?;
    std::fs::rename(folder, old).map_err(fault)?;
    std::fs::rename(staging, folder).map_err(fault)?;
    remove(old).map_err(fault)
}

/// Removes a folder with all in it, whatever its modes are. Fine when it is not there.
fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder);
            std::fs::remove_dir_all(folder)
        }
        done => done,
    }
}

/// Archives may have folders that even their owner can't write to.
fn open_up(folder: &Path) {
    let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn fill(
    archive: &Archive<'_>,
    staging: &Path,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), Fault> {
    let broken = |error: io::Error| of_error(archive, staging, error);
    let size = archive.file.metadata().map_err(broken)?.len();
    let mut file = archive.file;
    file.rewind().map_err(broken)?;
    let kind = format::kind(archive.format, file, archive.name)?;
    file.rewind().map_err(broken)?;
    let mut tree = Tree::new(staging, size, is_cancelled).map_err(broken)?;
    let filled = match kind {
        Kind::Zip => zip::unpack(file, &mut tree),
        Kind::SevenZip => sevenz::unpack(file, &mut tree),
        Kind::Tar(packing) => {
            let buffered = io::BufReader::with_capacity(1 << 20, file);
            let mut reader = packing.unpacked(buffered).map_err(broken)?;
            // Damage beyond the end of the tar is damage as well.
            tar::unpack(&mut reader, &mut tree)
                .and_then(|()| io::copy(&mut reader.take(TRAILER_MAX), &mut io::sink()).map(drop))
        }
        Kind::Single(packing) => {
            let reader =
                packing.unpacked(io::BufReader::with_capacity(1 << 20, file)).map_err(broken)?;
            single::unpack(reader, &single_name(archive.name, packing), &mut tree)
        }
    };
    filled.and_then(|()| tree.finish()).map_err(broken)
}

/// Padding behind the end of a tar, at most.
const TRAILER_MAX: u64 = 64 << 20;

/// `dir/tool.gz` unpacks to `tool`.
fn single_name(path: &Path, packing: Packing) -> PathBuf {
    let name = PathBuf::from(path.file_name().unwrap_or_default());
    let named =
        packing.suffix().is_some_and(|suffix| name.extension().is_some_and(|e| e == suffix));
    if named { name.with_extension("") } else { name }
}

/// What a failed step means: a cancel, our disk, or the archive.
fn of_error(archive: &Archive<'_>, staging: &Path, error: io::Error) -> Fault {
    let name = archive.name.display();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<tree::Refusal>()) {
        Some(tree::Refusal::Cancelled) => Fault::cancelled(),
        Some(tree::Refusal::Hostile(text)) => {
            Fault::new(FaultKind::Archive, format!("{name} is not unpacked: {text}"))
        }
        Some(tree::Refusal::Disk(text, error)) => {
            let error = io::Error::from_raw_os_error(*error);
            Fault::target(&format!("can't write {text} in"), staging, &error)
        }
        None => Fault::new(FaultKind::Archive, format!("{name} is damaged: {error}")),
    }
}
