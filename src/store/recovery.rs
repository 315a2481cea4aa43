//! Opening sled's folder whatever its state, and setting it aside when that fails.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::record::SCHEMA;
use crate::sys::fault::{self, Point};

pub(super) const SCHEMA_KEY: &[u8] = b"schema";
/// A process that died lets go of its lock only after a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// An index that takes longer to open is given up. No compile waits for it (`daemon::opening`), and a slow disk may have
/// gigabytes to read.
const OPEN_PATIENCE: Duration = Duration::from_secs(60);

/// Why sled failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The disk: what is on it may still be good.
    Disk(String),
    /// No room on the disk, no descriptors, no permission: what is on the disk is as good as before.
    Lacking(String),
    /// Another process has the index.
    Locked,
    /// Damage, or a panic, which is most likely due to damage.
    Broken(String),
}

pub(super) type Attempt<T> = Result<T, Trouble>;

/// Calls sled; a panic becomes an error.
pub(super) fn attempt<T>(call: impl FnOnce() -> sled::Result<T>) -> Attempt<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => {
            let text = error.to_string();
            let number = error.raw_os_error().map(Errno::from_raw_os_error);
            Err(match number {
                _ if text.contains("could not acquire lock") => Trouble::Locked,
                Some(
                    Errno::MFILE
                    | Errno::NFILE
                    | Errno::NOMEM
                    | Errno::NOSPC
                    | Errno::DQUOT
                    | Errno::ROFS
                    | Errno::ACCESS
                    | Errno::PERM,
                ) => Trouble::Lacking(text),
                _ => Trouble::Disk(text),
            })
        }
        Ok(Err(error)) => Err(Trouble::Broken(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Trouble::Broken(format!("sled panicked: {}", text.unwrap_or("?"))))
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Disk(text) | Trouble::Lacking(text) | Trouble::Broken(text) => {
                f.write_str(text)
            }
            Trouble::Locked => f.write_str("another process uses the index"),
        }
    }
}

/// Closes sled; it writes what it has, and may panic over that.
pub(super) fn discard(db: sled::Db) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
}

/// Opens a sled folder, or makes it.
pub(super) fn open_sled(path: &Path) -> Attempt<sled::Db> {
    let config =
        sled::Config::new().path(path).cache_capacity(32 * 1024 * 1024).flush_every_ms(None);
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        let (config, (answer, opened)) = (config.clone(), std::sync::mpsc::channel());
        // On a thread of its own: what hangs on damaged files is left behind.
        std::thread::spawn(move || answer.send(attempt(|| config.open())));
        match opened.recv_timeout(OPEN_PATIENCE) {
            Ok(Err(Trouble::Locked)) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(result) => return result,
            Err(_) => return Err(Trouble::Broken("opening it takes too long".to_owned())),
        }
    }
}

/// Opens `index.sled` and checks that its values are of this schema.
pub(super) fn open_current(root: &Path) -> Attempt<sled::Db> {
    // Should the open kill the process, the note stays.
    let suspicion = Suspicion(root);
    suspicion.grow(1);
    fault::at(Point::Opening);
    let opened = open_sled(&root.join("index.sled"));
    if !matches!(opened, Err(Trouble::Broken(_))) {
        suspicion.clear();
    }
    let db = opened?;
    let checked = (|| match attempt(|| db.get(SCHEMA_KEY))? {
        Some(found) if *found == [SCHEMA] => Ok(()),
        Some(_) => Err(Trouble::Broken("it is of another version".to_owned())),
        None if attempt(|| db.first())?.is_none() => {
            attempt(|| db.insert(SCHEMA_KEY, &[SCHEMA]))?;
            attempt(|| db.flush())?;
            Ok(())
        }
        None => Err(Trouble::Broken("its version is missing".to_owned())),
    })();
    if let Err(trouble) = checked {
        discard(db);
        return Err(trouble);
    }
    Ok(db)
}

/// A file that grows with each sign that the index cannot be used, and goes when it could be
/// opened. It outlives a process that sled has killed.
pub(super) struct Suspicion<'a>(pub(super) &'a Path);

impl Suspicion<'_> {
    fn path(&self) -> PathBuf {
        self.0.join("index.suspect")
    }

    pub(super) fn grow(&self, by: usize) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.path());
        let _ = file.and_then(|mut file| file.write_all(&b"!!"[..by.min(2)]));
    }

    pub(super) fn is_strong(&self) -> bool {
        std::fs::metadata(self.path()).is_ok_and(|about| about.len() >= 2)
    }

    pub(super) fn clear(&self) {
        let _ = std::fs::remove_file(self.path());
    }
}

/// Renames `index.sled` to `index.bad-TIME`, in place of any older such folder.
pub(super) fn set_aside(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b"index.bad-") {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let current = root.join("index.sled");
    if std::fs::rename(&current, root.join(format!("index.bad-{}", since.as_secs()))).is_err() {
        let _ = std::fs::remove_dir_all(&current);
    }
}

/// Cleans up after a compaction that was cut short.
pub(super) fn finish_swap(root: &Path) {
    let (current, fresh) = (root.join("index.sled"), root.join("index.sled.new"));
    let old = root.join("index.old");
    // The old one is moved away only when the new one is complete.
    if !current.exists() && old.exists() && fresh.exists() {
        let _ = std::fs::rename(&fresh, &current);
    }
    let _ = std::fs::remove_dir_all(&fresh);
    let _ = std::fs::remove_dir_all(&old);
}
