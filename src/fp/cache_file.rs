//! The cache file: one state, replaced as a whole, guarded by a lock beside it.
//!
//! Form: magic (12 bytes), version (4), length of the head (4), blake3 of the head (32), the
//! head, the bodies of the captured sets. The head alone answers an unchanged check, so
//! nobody reads megabytes for that. Integers are little endian.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::scan::{MAGIC, OWN_PREFIX};
use super::state::{Captured, NoState, State};

const VERSION: u32 = 2;
const PREFIX_BYTES: usize = MAGIC.len() + 4 + 4 + 32;
/// Enough for nearly every head, so that one read gets it.
const FIRST_READ: usize = 4096;
const HEAD_MAX: usize = 16 << 20;
/// How long to wait for another process; it holds the lock for the time of a write.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How much of the file to read.
#[derive(Clone, Copy, PartialEq)]
pub enum Depth {
    /// Without the bodies of sets.
    Head,
    Whole,
}

#[derive(Serialize, Deserialize)]
struct Head<S> {
    state: S,
    /// Length and blake3 of each captured set's body, in the order of `State::captured`.
    bodies: Vec<(u64, [u8; 32])>,
}

/// A cache file by its path.
pub struct CacheFile {
    path: PathBuf,
    /// Real path of the folder it is in.
    folder: PathBuf,
}

/// Held while a state is read, changed and written back.
pub struct Lock {
    _file: File,
}

impl CacheFile {
    /// Makes the folder where it is missing. Follows a symlink, so that the file it leads to
    /// is the one that is replaced. Fails when there can be no such file.
    pub fn new(path: &Path) -> io::Result<CacheFile> {
        let path = std::path::absolute(path)?;
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::other("a file is needed"));
        };
        std::fs::create_dir_all(folder)?;
        let folder = std::fs::canonicalize(folder)?;
        Ok(CacheFile { path: folder.join(name), folder })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `root` lies, seen from the cache file. Fails when there is no such folder.
    pub fn place_of(&self, root: &Path) -> io::Result<Vec<u8>> {
        let root = std::fs::canonicalize(root)?;
        let common = root.components().zip(self.folder.components()).take_while(|(a, b)| a == b);
        let common = common.count();
        let mut place = PathBuf::new();
        place.extend(self.folder.components().skip(common).map(|_| ".."));
        place.extend(root.components().skip(common));
        Ok(place.as_os_str().as_bytes().to_vec())
    }

    /// Waits for other processes. None where no lock can be had (a folder that can't be
    /// written to): then nothing will be written, either.
    pub fn lock(&self) -> Option<Lock> {
        let path = self.own_name(".lock");
        let file = File::options().write(true).create(true).truncate(false).open(path).ok()?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        let mut pause = Duration::from_micros(200);
        loop {
            match file.try_lock() {
                Ok(()) => return Some(Lock { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(_) => return None,
            }
        }
    }

    pub fn read(&self, depth: Depth) -> Result<State, NoState> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => NoState::Missing,
            io::ErrorKind::UnexpectedEof => NoState::Damaged,
            _ => NoState::Unreadable(error),
        };
        let mut file = File::open(&self.path).map_err(failed)?;
        let mut bytes = vec![0; FIRST_READ];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read(&mut bytes[filled..]).map_err(failed)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        if bytes.len() < PREFIX_BYTES || !bytes.starts_with(MAGIC) {
            return Err(NoState::Damaged);
        }
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (version, length) = (number(MAGIC.len()), number(MAGIC.len() + 4) as usize);
        if version != VERSION {
            return Err(NoState::OtherVersion);
        }
        let end = PREFIX_BYTES + length;
        if length > HEAD_MAX {
            return Err(NoState::Damaged);
        }
        let missing = end.saturating_sub(bytes.len());
        if missing > 0 {
            let at = bytes.len();
            bytes.resize(end, 0);
            file.read_exact(&mut bytes[at..]).map_err(failed)?;
        }
        if depth == Depth::Whole {
            file.read_to_end(&mut bytes).map_err(failed)?;
        }
        decode(&bytes[PREFIX_BYTES - 32..PREFIX_BYTES], &bytes[PREFIX_BYTES..], length, depth)
            .ok_or(NoState::Damaged)
    }

    /// Replaces the file in one step.
    pub fn write(&self, state: &State) -> io::Result<()> {
        let bytes = encode(state)?;
        let temporary = self.own_name(&format!(".{}", std::process::id()));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&temporary, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    /// Removes the file, if there is one.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A name beside the cache file that no walk counts.
    fn own_name(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(std::ffi::OsStr::from_bytes(OWN_PREFIX));
        name.push(self.path.file_name().unwrap_or_default());
        name.push(ending);
        self.folder.join(name)
    }
}

impl State {
    fn captured(&self) -> impl Iterator<Item = &Captured> {
        self.baseline.iter().chain(self.pending.iter().map(|pending| &pending.set))
    }

    fn captured_mut(&mut self) -> impl Iterator<Item = &mut Captured> {
        self.baseline.iter_mut().chain(self.pending.iter_mut().map(|pending| &mut pending.set))
    }
}

fn encode(state: &State) -> io::Result<Vec<u8>> {
    let about = |set: &Captured| (set.body.len() as u64, *blake3::hash(&set.body).as_bytes());
    let head = Head { state, bodies: state.captured().map(about).collect() };
    let head = postcard::to_allocvec(&head).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + head.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((head.len() as u32).to_le_bytes());
    bytes.extend(blake3::hash(&head).as_bytes());
    bytes.extend(head);
    for set in state.captured() {
        bytes.extend(&set.body);
    }
    Ok(bytes)
}

/// `bytes`: the head, `length` long, and what follows it.
fn decode(sum: &[u8], bytes: &[u8], length: usize, depth: Depth) -> Option<State> {
    let (head, mut rest) = bytes.split_at_checked(length)?;
    if blake3::hash(head).as_bytes() != sum {
        return None;
    }
    let Head::<State> { mut state, bodies } = postcard::from_bytes(head).ok()?;
    if depth == Depth::Whole {
        for (set, (length, sum)) in state.captured_mut().zip(&bodies) {
            let (body, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
            if blake3::hash(body).as_bytes() != sum {
                return None;
            }
            set.body = body.to_vec();
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::super::owner::Owner;
    use super::super::selection::Selection;
    use super::super::set::FileSet;
    use super::*;
    use crate::testing::TestDir;

    fn state() -> State {
        let mut state = State::new(b"..".to_vec(), Selection::default());
        state.baseline = Some(Captured::of(&FileSet::default()));
        state.begin(Owner::caller(), Captured::of(&FileSet::default()));
        state
    }

    fn read(bytes: &[u8], depth: Depth) -> Result<State, NoState> {
        let folder = TestDir::new();
        let path = folder.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        CacheFile::new(&path).unwrap().read(depth)
    }

    #[test]
    fn states_survive() {
        let state = state();
        let bytes = encode(&state).unwrap();
        assert_eq!(read(&bytes, Depth::Whole).unwrap(), state);
        assert_eq!(read(&bytes, Depth::Head).unwrap().clean(), state.clean());
    }

    #[test]
    fn no_damage_goes_unnoticed() {
        let bytes = encode(&state()).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(read(&bad, Depth::Whole).is_err(), "byte {at}");
            assert!(read(&bytes[..at], Depth::Whole).is_err(), "cut at {at}");
        }
        assert!(read(&[&bytes[..], b"x"].concat(), Depth::Whole).is_err());
    }

    #[test]
    fn other_versions_are_told_from_damage() {
        let mut bytes = encode(&state()).unwrap();
        bytes[MAGIC.len()] = 200;
        assert!(matches!(read(&bytes, Depth::Head), Err(NoState::OtherVersion)));
        assert!(matches!(read(b"{}", Depth::Head), Err(NoState::Damaged)));
        assert!(matches!(read(b"", Depth::Head), Err(NoState::Damaged)));
    }

    #[test]
    fn places() {
        let folder = TestDir::new();
        let folder = folder.path();
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        std::fs::create_dir_all(folder.join("c")).unwrap();
        let file = CacheFile::new(&folder.join("a/b/f")).unwrap();
        let place = |name: &str| String::from_utf8(file.place_of(&folder.join(name)).unwrap());
        assert_eq!(place("a").unwrap(), "..");
        assert_eq!(place("a/b").unwrap(), "");
        assert_eq!(place("c").unwrap(), "../../c");
        assert!(file.place_of(&folder.join("none")).is_err());
    }
}
