//! A journal file that lines are added to. Nothing here ever fails its caller: lines that
//! can't be written are counted, and that is all.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::record::open_for_lines;

/// The global journal under the cache root.
pub const GLOBAL: &str = "logs/compile_journal.jsonl";
/// A journal longer than this is set aside under a numbered name (bytes).
const ROTATE_AT: u64 = 16 << 20;
/// Journals that are kept beside the current one.
const KEPT: u32 = 3;

/// The global journal's files, the oldest first, there or not.
pub fn global_files(root: &Path) -> Vec<PathBuf> {
    let current = root.join(GLOBAL);
    let old = (1..=KEPT).rev().map(|number| numbered(&current, number));
    old.chain([current.clone()]).collect()
}

/// `journal.jsonl` → `journal.2.jsonl`
fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("{number}.jsonl"))
}

pub struct JournalFile {
    path: PathBuf,
    rotates: bool,
    file: Option<File>,
    /// The last line is not whole: the next one begins on a line of its own.
    torn: bool,
}

impl JournalFile {
    /// The global journal of a root.
    pub fn global(root: &Path) -> JournalFile {
        JournalFile { path: root.join(GLOBAL), rotates: true, file: None, torn: false }
    }

    /// A session's journal, which grows as long as the session does.
    pub fn of_session(path: &Path) -> JournalFile {
        JournalFile { path: path.to_owned(), rotates: false, file: None, torn: false }
    }

    /// Adds whole lines, each ended by a newline. False when they were lost.
    pub fn add(&mut self, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        self.look_after();
        if self.file.is_none() {
            self.file = open_for_lines(&self.path).ok();
            self.torn |= self.file.as_ref().is_some_and(ends_torn);
        }
        let Some(file) = &mut self.file else { return false };
        let written = if self.torn {
            file.write_all(b"\n").and_then(|()| file.write_all(lines))
        } else {
            file.write_all(lines)
        };
        self.torn = written.is_err();
        written.is_ok()
    }

    /// Rotates, and notices that the file was removed or replaced.
    fn look_after(&mut self) {
        let Some(file) = &self.file else { return };
        let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino(), meta.len());
        let ours = file.metadata().map(identity).ok();
        let named = std::fs::metadata(&self.path).map(identity).ok();
        let (Some(ours), Some(named)) = (ours, named) else {
            self.file = None;
            return;
        };
        if (ours.0, ours.1) != (named.0, named.1) {
            self.file = None;
        } else if self.rotates && ours.2 >= ROTATE_AT {
            self.file = None;
            self.torn = false;
            for number in (1..KEPT).rev() {
                let _ =
                    std::fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
            }
            let _ = std::fs::rename(&self.path, numbered(&self.path, 1));
        }
    }
}

/// Adds one line to a root's global journal from outside its daemon, which alone rotates it.
/// Nothing is done where there is no folder for it, or when it has become too long.
pub fn add_one(root: &Path, line: &[u8]) {
    let path = root.join(GLOBAL);
    let folder_is_there = path.parent().is_some_and(Path::is_dir);
    let length = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    if folder_is_there && length < 2 * ROTATE_AT {
        JournalFile::of_session(&path).add(line);
    }
}

/// The last line has no end: whoever wrote it was stopped.
fn ends_torn(file: &File) -> bool {
    let length = file.metadata().map_or(0, |meta| meta.len());
    let mut last = [b'\n'];
    length > 0 && file.read_at(&mut last, length - 1).is_ok() && last != *b"\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_rotates_and_comes_back() {
        use std::os::unix::fs::PermissionsExt;
        let root = std::env::temp_dir().join(format!("zcc-journal-{}", std::process::id()));
        std::fs::create_dir_all(root.join("logs")).unwrap();
        let mut journal = JournalFile::global(&root);
        let line = [&vec![b'x'; ROTATE_AT as usize - 1][..], b"\n"].concat();
        for _ in 0..6 {
            assert!(journal.add(&line));
        }
        let files = global_files(&root);
        let there = |files: &[PathBuf]| files.iter().filter(|file| file.exists()).count();
        assert_eq!(there(&files), 4);
        assert_eq!(std::fs::read_dir(root.join("logs")).unwrap().count(), 4);
        let current = files.last().unwrap();
        assert_eq!(std::fs::metadata(current).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(current).unwrap();
        assert!(journal.add(b"a\n"));
        assert_eq!(std::fs::read(current).unwrap(), b"a\n");
        std::fs::write(current, b"a\nb").unwrap();
        assert!(JournalFile::global(&root).add(b"c\n"));
        assert_eq!(std::fs::read(current).unwrap(), b"a\nb\nc\n");
        std::fs::remove_dir_all(&root).unwrap();
        assert!(!journal.add(b"a\n"));
    }
}
