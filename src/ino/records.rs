//! Results by content, one small file each under the cache root. They carry their own
//! checksum, so a damaged one is as good as none.

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::session::names::are_numbers;

/// Beyond this many, the older half goes.
const RECORDS_MAX: usize = 2000;

/// The folder of the records.
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// Those of a cache root.
    pub fn of(root: &Path) -> Records {
        Records { folder: root.join("ino") }
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<String> {
        let mut bytes = std::fs::read(self.path(key)).ok()?;
        let text = bytes.split_off(32.min(bytes.len()));
        let good = *blake3::hash(&text).as_bytes() == *bytes;
        good.then(|| String::from_utf8(text).ok()).flatten()
    }

    /// Best effort: what can't be kept is converted again.
    pub(super) fn put(&self, key: &[u8; 32], text: &str) {
        let kept = self.keep(key, text);
        if let Err(error) = kept {
            log::warn!("a converted sketch is not kept: {error}");
        }
    }

    fn keep(&self, key: &[u8; 32], text: &str) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.make_room()?;
        let temporary = self.folder.join(format!("new-{}", std::process::id()));
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(blake3::hash(text.as_bytes()).as_bytes())?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&temporary, self.path(key))
    }

    fn make_room(&self) -> io::Result<()> {
        let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in self.folder.read_dir()?.flatten().filter(|entry| is_ours(&entry.file_name())) {
            let written = entry.metadata().and_then(|meta| meta.modified());
            all.push((written.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
        if all.len() >= RECORDS_MAX {
            all.sort();
            for (_, path) in &all[..all.len() / 2] {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Removes all; gives how many and how many bytes.
    pub fn clear(&self) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        let entries = self.folder.read_dir().into_iter().flatten().flatten();
        for entry in entries.filter(|entry| is_ours(&entry.file_name())) {
            let size = entry.metadata().map_or(0, |meta| meta.len());
            if std::fs::remove_file(entry.path()).is_ok() {
                count += 1;
                bytes += size;
            }
        }
        (count, bytes)
    }

    fn path(&self, key: &[u8; 32]) -> PathBuf {
        self.folder.join(blake3::Hash::from_bytes(*key).to_hex().as_str())
    }
}

/// Whether a name is one that we give: a key, or `new-PID`.
fn is_ours(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    match name.strip_prefix(b"new-") {
        Some(pid) => are_numbers(pid, 1),
        None => name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_our_making_stays() {
        let key = "0".repeat(64);
        for (name, ours) in [
            (&key[..], true),
            ("new-12", true),
            ("new-", false),
            ("new-x", false),
            ("notes", false),
        ] {
            assert_eq!(is_ours(name.as_ref()), ours, "{name}");
        }
    }
}
