//! A file that is being fetched, beside its target: hidden, locked, with a note of what is there
//! already, so that the next download goes on where this one ended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::fault::{Fault, FaultKind};
use super::order::{Order, Source};
use super::ranges::Span;
use super::web::Validator;

/// How long to wait for another process that fetches the same file.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A file under way. Nobody else has it.
pub struct PartFile {
    pub file: File,
    path: PathBuf,
    note: PathBuf,
    inode: u64,
}

/// What is known of one piece of the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    pub size: u64,
    pub version: Option<Validator>,
    pub missing: Vec<Span>,
}

/// What the note says.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// The machine's run it was written in: what was written before a crash of the machine may be
    /// gone although the note is there.
    boot: String,
    inode: u64,
    source: Source,
    pieces: Vec<Piece>,
}

impl PartFile {
    /// Opens the file for this order, making the folders it is in. Waits a while for another
    /// process that has it.
    pub fn open(order: &Order, is_cancelled: impl Fn() -> bool) -> Result<PartFile, Fault> {
        let target = &order.target;
        let folder = target.parent().unwrap_or(Path::new("/"));
        make_folders(folder, order.surroundings.umask)?;
        let path = folder.join(format!(".zccache-{}.part", order.id()));
        let note = note_of(order);
        let deadline = Instant::now() + LOCK_PATIENCE;
        let fault = |error: io::Error| Fault::target("can't write", &path, &error);
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
                .open(&path)
                .map_err(fault)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) if is_cancelled() => {
                    return Err(Fault::cancelled());
                }
                Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    let text = format!("{}: another process downloads it", target.display());
                    return Err(Fault::new(FaultKind::Busy, text));
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(fault(error)),
            }
            // Whoever had it may have put it in place meanwhile: then the name is another's.
            let inode = file.metadata().map_err(fault)?.ino();
            if std::fs::metadata(&path).is_ok_and(|meta| meta.ino() == inode) {
                return Ok(PartFile { file, path, note, inode });
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier download left, as far as it can be gone on with.
    pub fn pieces(&self, order: &Order) -> Vec<Piece> {
        let verified_later = order.sha256.is_some();
        let note = std::fs::read(&self.note).ok();
        let note = note.and_then(|text| serde_json::from_slice::<Note>(&text).ok());
        let Some(note) = note else { return Vec::new() };
        let same_run = note.boot == boot_id() && !note.boot.is_empty();
        if note.inode != self.inode || note.source != order.source || !(same_run || verified_later)
        {
            return Vec::new();
        }
        // Without a version nobody knows whether the rest belongs to it.
        let sound = |piece: &Piece| verified_later || piece.version.is_some();
        if note.pieces.iter().all(sound) { note.pieces } else { Vec::new() }
    }

    /// Notes what is there. A note that can't be written is worth less work saved.
    pub fn save(&self, order: &Order, pieces: &[Piece]) {
        if pieces.is_empty() {
            let _ = std::fs::remove_file(&self.note);
            return;
        }
        let note = Note {
            boot: boot_id(),
            inode: self.inode,
            source: order.source.clone(),
            pieces: pieces.to_vec(),
        };
        let new = self.note.with_extension("new");
        let written = serde_json::to_vec(&note).map_err(io::Error::other).and_then(|text| {
            std::fs::write(&new, text)?;
            std::fs::rename(&new, &self.note)
        });
        if let Err(error) = written {
            log::warn!("{}: {error}", new.display());
            let _ = std::fs::remove_file(&new);
        }
    }

    pub fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), Fault> {
        self.file
            .write_all_at(bytes, at)
            .map_err(|error| Fault::target("can't write", &self.path, &error))
    }

    /// Puts the file in place, in one step.
    pub fn publish(self, target: &Path, umask: u32) -> Result<File, Fault> {
        use std::os::unix::fs::PermissionsExt;
        let fault = |error: io::Error| Fault::target("can't write", target, &error);
        let mode = std::fs::Permissions::from_mode(0o666 & !umask);
        self.file.set_permissions(mode).map_err(fault)?;
        std::fs::rename(&self.path, target).map_err(fault)?;
        let _ = std::fs::remove_file(&self.note);
        Ok(self.file)
    }

    /// Removes what nobody can go on with.
    pub fn leave(self) {
        if !self.note.exists() {
            self.discard();
        }
    }

    /// Removes all of it.
    pub fn discard(self) {
        let _ = std::fs::remove_file(&self.note);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn note_of(order: &Order) -> PathBuf {
    let folder = order.target.parent().unwrap_or(Path::new("/"));
    folder.join(format!(".zccache-{}.json", order.id()))
}

/// Whether an earlier download left something to go on with.
pub fn is_begun(order: &Order) -> bool {
    note_of(order).is_file()
}

/// Makes a folder and those it is in, with the modes the user's own commands would give them.
pub fn make_folders(folder: &Path, umask: u32) -> Result<(), Fault> {
    use std::os::unix::fs::PermissionsExt;
    let fault = |error: io::Error| Fault::target("can't make the folder", folder, &error);
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match std::fs::create_dir(path) {
            // The daemon's own umask keeps everybody out.
            Ok(()) => {
                let mode = std::fs::Permissions::from_mode(0o777 & !umask);
                std::fs::set_permissions(path, mode).map_err(fault)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fault(error)),
        }
    }
    if folder.is_dir() { Ok(()) } else { Err(fault(io::ErrorKind::NotADirectory.into())) }
}

/// Names this run of the machine.
pub fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
