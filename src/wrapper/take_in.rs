//! Taking a run's outputs into the store.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use crate::protocol::message::{Content, ReadBack, Run, RunUnit, Taken, TakenUnit};
use crate::store::blob::BlobDir;
use crate::store::pack;
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};

/// Outputs up to this size travel in the report and later in the answers: dependency files, and objects of one or two
/// functions. A file of its own would cost each hit three more system calls and each miss a tenth of a millisecond.
const INLINE_BYTES_MAX: usize = 2048;

/// What lay where a run may leave a file, before it ran. Only of outputs that it leaves out at
/// times: an old file there is none of its making.
pub struct Before(Vec<Option<Stamp>>);

/// What changes when a file is written.
#[derive(PartialEq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

impl Before {
    pub fn of(outputs: &[Output]) -> Before {
        let stamp = |output: &Output| match output.style {
            // Its files count, not the folder.
            WriteStyle::Among => None,
            _ if output.required => None,
            _ => stamp(&output.path),
        };
        Before(outputs.iter().map(stamp).collect())
    }

    /// Whether an output was not touched by the run.
    fn is_still(&self, at: usize, output: &Output) -> bool {
        let before = self.0.get(at).and_then(Option::as_ref);
        before.is_some_and(|before| Some(before) == stamp(&output.path).as_ref())
    }
}

/// What had the names of the main outputs before a run whose driver may take our question for another one (ccache 4.7
/// does that with `SUNPRO_DEPENDENCIES`: it makes nothing, and says that all went well).
pub struct Doubted(Vec<(Arg, Option<Stamp>)>);

impl Doubted {
    /// None where there is nothing to doubt.
    pub fn begin(run: &Run) -> Option<Doubted> {
        let is_asked = run.env.iter().any(|(name, _)| name == b"SUNPRO_DEPENDENCIES");
        let outputs = run.units.iter().flat_map(|unit| &unit.outputs);
        let main = outputs.filter(|output| output.role == Role::Main);
        is_asked.then(|| {
            Doubted(main.map(|output| (output.path.clone(), stamp(&output.path))).collect())
        })
    }

    /// Whether one of them was not made.
    pub fn lacks_any(&self) -> bool {
        self.0.iter().any(|(path, before)| {
            let after = stamp(path);
            after.is_none() || after == *before
        })
    }
}

fn stamp(path: &[u8]) -> Option<Stamp> {
    let meta = std::fs::metadata(OsStr::from_bytes(path)).ok()?;
    Some(Stamp {
        inode: (meta.dev(), meta.ino()),
        size: meta.size(),
        modified_ns: (meta.mtime(), meta.mtime_nsec()),
        changed_ns: (meta.ctime(), meta.ctime_nsec()),
    })
}

/// Takes in what a successful run made of one unit.
///
/// `siblings`: its files that nobody named, see [`super::observe`].
pub fn take_in(
    unit: &RunUnit,
    before: &Before,
    siblings: &[Arg],
    blobs: &BlobDir,
    umask: u32,
) -> TakenUnit {
    let outputs = unit.outputs.iter().enumerate();
    let outputs = outputs.filter(|(at, output)| !before.is_still(*at, output));
    let outputs = outputs.filter_map(|(_, output)| match output.style {
        WriteStyle::Among if siblings.is_empty() => None,
        WriteStyle::Among => Some(take_siblings(output, siblings, blobs, umask)),
        _ => take_output(output, blobs, umask),
    });
    TakenUnit { unit: unit.unit, outputs: outputs.collect() }
}

/// None if the file is not there.
fn take_output(output: &Output, blobs: &BlobDir, umask: u32) -> Option<Taken> {
    let path = Path::new(OsStr::from_bytes(&output.path));
    if output.style == WriteStyle::Packed {
        return take_pack(output, path, blobs, umask);
    }
    let refused = Taken { role: output.role, executable: false, content: None };
    let mut meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(_) => return Some(refused),
    };
    if meta.is_symlink() && matches!(output.style, WriteStyle::InPlace | WriteStyle::ReplaceFilled)
    {
        match std::fs::metadata(path) {
            Ok(target) => meta = target,
            Err(_) => return Some(refused),
        }
    }
    if !meta.is_file() {
        return Some(refused);
    }
    let executable = meta.permissions().mode() & 0o111 != 0;
    let content = if meta.len() <= INLINE_BYTES_MAX as u64 {
        read_small(path).map(Content::Inline)
    } else {
        let mode = if executable { 0o777 } else { 0o666 } & !umask;
        blobs.take_file(&output.path, mode).ok().map(|(id, size, stat)| Content::Blob {
            id,
            size,
            seen: Some(stat),
        })
    };
    Some(Taken { role: output.role, executable, content })
}

/// A file or folder as it is. None if it is not there.
fn take_pack(output: &Output, path: &Path, blobs: &BlobDir, umask: u32) -> Option<Taken> {
    if matches!(std::fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return None;
    }
    Some(take_packed(output, blobs, |to| pack::pack(path, umask, to)))
}

fn take_siblings(output: &Output, names: &[Arg], blobs: &BlobDir, umask: u32) -> Taken {
    let folder = Path::new(OsStr::from_bytes(&output.path));
    take_packed(output, blobs, |to| pack::pack_among(folder, names, umask, to))
}

fn take_packed(
    output: &Output,
    blobs: &BlobDir,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Taken {
    let taken = blobs.take_written(write);
    let content = taken.map(|(id, size, stat)| Content::Blob { id, size, seen: Some(stat) });
    Taken { role: output.role, executable: false, content: content.ok() }
}

/// Opens a regular file for reading. Anything else that a tool was told to write to is somebody else's end of
/// something: a fifo would keep us waiting for a writer, and what comes out of it is lost to its reader.
pub fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    // Before it is opened as well: a device notices that.
    let is_file = std::fs::metadata(path)?.is_file();
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
    let file = if is_file { open(path, flags, Mode::empty())? } else { return Err(refused()) };
    let file = File::from(file);
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
}

/// None if it can't be read, or has grown: someone still writes to it.
fn read_small(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = vec![0; INLINE_BYTES_MAX + 1];
    let mut file = open_file(path).ok()?;
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(filled);
    (filled <= INLINE_BYTES_MAX).then_some(bytes)
}

/// The files of a run that are ours; removed when this is dropped, however the run ended.
pub struct OwnFiles<'a>(pub &'a [ReadBack]);

impl Drop for OwnFiles<'_> {
    fn drop(&mut self) {
        for file in self.0.iter().filter(|file| file.remove) {
            let _ = std::fs::remove_file(OsStr::from_bytes(&file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::terms::output::Role;

    const LARGE: u64 = INLINE_BYTES_MAX as u64 + 1;

    #[test]
    fn each_kind_of_file() {
        let folder = std::env::temp_dir().join(format!("zcc-take-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("small"), [1; INLINE_BYTES_MAX]).unwrap();
        fs::write(folder.join("large"), [2; INLINE_BYTES_MAX + 1]).unwrap();
        fs::write(folder.join("program"), b"#!").unwrap();
        fs::set_permissions(folder.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("small", folder.join("link")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();
        let blobs = BlobDir::new(folder.as_os_str().as_bytes());
        let take = |name: &str, style| {
            let path = folder.join(name).into_os_string().into_encoded_bytes();
            let output = Output { role: Role::Main, path, style, required: true };
            take_output(&output, &blobs, 0o22)
        };
        let content = |name, style| take(name, style).unwrap().content;
        use WriteStyle::{InPlace, Replace};
        assert_eq!(content("small", Replace), Some(Content::Inline(vec![1; INLINE_BYTES_MAX])));
        assert!(matches!(content("large", Replace), Some(Content::Blob { size: LARGE, .. })));
        assert!(take("program", Replace).unwrap().executable);
        assert!(!take("small", Replace).unwrap().executable);
        assert_eq!(content("link", InPlace), Some(Content::Inline(vec![1; INLINE_BYTES_MAX])));
        assert_eq!(content("link", Replace), None);
        assert_eq!(content("dangling", InPlace), None);
        assert_eq!(content(".", Replace), None);
        assert_eq!(take("absent", Replace), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
