//! Keys and values in sled, and in memory once sled has failed.
//!
//! sled may return errors and panic on files that were damaged; here that ends in an empty tree,
//! never in the caller. It also leaks files for values above a few KiB, so long values are cut into
//! pieces, and it never gives disk space back, so a bloated tree is copied into a new one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::xxh3_64;

use super::calls::{Calls, Length};
use super::pending::{Changes, Pending};
use super::recovery::{
    Attempt, Suspicion, Trouble, attempt, discard, finish_swap, open_current, open_sled, set_aside,
};

use crate::sys::fault::{self, Point};

/// What was found on opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    Kept,
    /// Why nothing could be kept. A folder that never had an index is `Kept`.
    StartedEmpty(String),
}

/// A longer value is cut into pieces of this size.
const PIECE: usize = 4096;
/// A longer value is not stored.
const LONGEST: usize = 1024 * 1024;
/// Pieces live apart from the keys, so that going through the keys does not meet them.
const PIECE_PREFIX: &[u8] = b"x/";
/// First byte of a value that follows whole, and of one in pieces.
const WHOLE: u8 = 0;
const PIECES: u8 = 1;
/// What is kept at most without a disk (bytes).
const MEMORY_LIMIT: usize = 64 * 1024 * 1024;
/// Entries read or written at a time.
const PAGE: usize = 512;
/// So much is written before sled must have it on the disk (bytes). Its pool of threads stops at eight, and
/// each piece of the log takes one: further ahead than that, a writer that waits for the pool can hold the lock
/// that all eight wait for (seen in sled 0.34.7, `SegmentAccountant::bump_tip`).
const AHEAD: usize = 256 * 1024;
/// A smaller folder is not worth compacting (bytes).
const BLOATED_FROM: u64 = 64 * 1024 * 1024;
const BLOATED_TIMES: u64 = 4;

pub(super) struct Tree {
    /// The folder that `index.sled` is in.
    root: PathBuf,
    state: RwLock<State>,
    /// What `state` does not have yet.
    pending: Pending,
    calls: Calls,
    /// Bytes written since the last flush.
    ahead: AtomicUsize,
}

/// A key, and the value to set or (`None`) to remove.
type Change<'a> = (&'a [u8], Option<&'a [u8]>);

enum State {
    Sled(sled::Db),
    Memory(Mutex<Memory>),
}

#[derive(Default)]
struct Memory {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Tree {
    /// Opens `root/index.sled`, or starts an empty one, or works in memory: it always succeeds.
    pub(super) fn open(root: &Path) -> (Tree, Opened) {
        let tree = |state| Tree::of(root.to_owned(), state);
        if let Err(error) = std::fs::create_dir_all(root) {
            return (tree(State::memory()), Opened::StartedEmpty(error.to_string()));
        }
        finish_swap(root);
        let reason = if Suspicion(root).is_strong() {
            "the last attempts to use it failed".to_owned()
        } else {
            match open_current(root) {
                Ok(db) => return (tree(State::Sled(db)), Opened::Kept),
                // It may be as good as ever, once there is room again.
                Err(trouble @ (Trouble::Locked | Trouble::Lacking(_))) => {
                    return (tree(State::memory()), Opened::StartedEmpty(trouble.to_string()));
                }
                Err(trouble) => trouble.to_string(),
            }
        };
        set_aside(root);
        Suspicion(root).clear();
        match open_current(root) {
            Ok(db) => (tree(State::Sled(db)), Opened::StartedEmpty(reason)),
            Err(trouble) => {
                let reason = format!("{reason}; in memory only: {trouble}");
                (tree(State::memory()), Opened::StartedEmpty(reason))
            }
        }
    }

    /// The process that is opening it ends, for another reason.
    pub(super) fn abandon(root: &Path, clear: bool) {
        Suspicion(root).clear();
        if clear {
            let _ = std::fs::remove_dir_all(root.join("index.sled"));
        }
    }

    pub(super) fn in_memory() -> Tree {
        Tree::of(PathBuf::new(), State::memory())
    }

    fn of(root: PathBuf, state: State) -> Tree {
        Tree {
            root,
            state: RwLock::new(state),
            pending: Pending::default(),
            calls: Calls::default(),
            ahead: AtomicUsize::new(0),
        }
    }

    /// How long someone who only wants a few entries has been waiting for them by now.
    pub(super) fn stalled_for(&self) -> Duration {
        self.calls.stalled_for()
    }

    /// True when a call will most likely never come back. Nothing can be done about it in this
    /// process; the next one will set the index aside.
    pub(super) fn is_lost(&self) -> bool {
        let lost = self.calls.hangs();
        if lost {
            Suspicion(&self.root).grow(2);
        }
        lost
    }

    pub(super) fn is_on_disk(&self) -> bool {
        matches!(*self.state.read(), State::Sled(_))
    }

    /// Does `call` with sled, and changes over to memory if that fails. `None`: no sled.
    fn with_sled<T>(
        &self,
        length: Length,
        call: impl FnOnce(&sled::Db) -> Attempt<T>,
    ) -> Option<T> {
        let running = self.calls.begin(length);
        let trouble = match &*self.state.read() {
            State::Memory(_) => return None,
            State::Sled(db) => {
                running.goes_in();
                let faulty = attempt(|| {
                    fault::at(Point::Index);
                    Ok(())
                });
                match faulty.and_then(|()| call(db)) {
                    Ok(value) => return Some(value),
                    Err(trouble) => trouble,
                }
            }
        };
        let failed = std::mem::replace(&mut *self.state.write(), State::memory());
        // Everybody else works on already, since closing it may hang.
        if let State::Sled(db) = failed {
            log::error!("the index failed, working without it: {trouble}");
            if let Trouble::Broken(_) = trouble {
                Suspicion(&self.root).grow(2);
            }
            discard(db);
        }
        None
    }

    fn with_memory<T: Default>(&self, call: impl FnOnce(&mut Memory) -> T) -> T {
        match &*self.state.read() {
            State::Memory(memory) => call(&mut memory.lock()),
            State::Sled(_) => T::default(),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(value) = self.pending.get(key) {
            return value;
        }
        match self.with_sled(Length::Quick, |db| read(db, key)) {
            Some(value) => value,
            None => self.with_memory(|memory| memory.entries.get(key).cloned()),
        }
    }

    /// Makes all changes. They are seen from now on; sled has them after `flush`, or when there are many.
    pub(super) fn apply(&self, mut changes: Changes) {
        // So that memory and disk keep the same.
        for value in changes.values_mut() {
            value.take_if(|value| value.len() > LONGEST);
        }
        if self.pending.add(changes) >= AHEAD {
            self.pending.try_write_down(|changes| self.apply_now(changes));
        }
    }

    /// Hands on to sled what was changed.
    fn settle(&self) {
        self.pending.write_down(|changes| self.apply_now(changes));
    }

    fn apply_now(&self, changes: &Changes) {
        let (mut part, mut bytes) = (Vec::with_capacity(changes.len()), 0);
        for (key, value) in changes {
            let value = value.as_deref();
            bytes += key.len() + value.map_or(0, <[u8]>::len);
            part.push((&key[..], value));
            if bytes >= AHEAD {
                self.apply_part(&part, bytes);
                part.clear();
                bytes = 0;
            }
        }
        self.apply_part(&part, bytes);
    }

    fn apply_part(&self, part: &[Change<'_>], bytes: usize) {
        if part.is_empty() {
            return;
        }
        if self.with_sled(Length::Quick, |db| write(db, part)).is_some() {
            if self.ahead.fetch_add(bytes, Ordering::Relaxed) + bytes >= AHEAD {
                self.flush_sled();
            }
            return;
        }
        self.with_memory(|memory| {
            for (key, value) in part {
                memory.set(key.to_vec(), value.map(<[u8]>::to_vec));
            }
        });
    }

    /// Calls `each` with every key that starts with `prefix` and its value, in order. `each` may
    /// use the tree.
    pub(super) fn for_each(&self, prefix: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
        self.settle();
        let mut from = prefix.to_vec();
        loop {
            let page = self.with_sled(Length::Quick, |db| page(db, &from)).unwrap_or_else(|| {
                self.with_memory(|memory| {
                    let range = memory.entries.range(from.clone()..).take(PAGE);
                    range.map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
                })
            });
            for (key, value) in &page {
                if !key.starts_with(prefix) {
                    return;
                }
                if let Some(value) = value {
                    each(key, value);
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { return };
            from = last;
            from.push(0);
        }
    }

    /// Writes everything to the disk; slow.
    pub(super) fn flush(&self) {
        self.settle();
        self.flush_sled();
    }

    fn flush_sled(&self) {
        self.ahead.store(0, Ordering::Relaxed);
        self.with_sled(Length::Flush, |db| attempt(|| db.flush()));
    }

    /// Lets go of sled, which writes what it has.
    pub(super) fn close(&self) {
        self.settle();
        if let State::Sled(db) = std::mem::replace(&mut *self.state.write(), State::memory()) {
            discard(db);
        }
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        let _stopped = self.pending.stop_writing();
        self.pending.clear();
        let running = self.calls.begin(Length::Whole);
        let mut state = self.state.write();
        running.goes_in();
        if let State::Memory(memory) = &*state {
            *memory.lock() = Memory::default();
            return;
        }
        // sled keeps its disk space when entries are removed, so the folder goes.
        if let State::Sled(db) = std::mem::replace(&mut *state, State::memory()) {
            discard(db);
        }
        let old = self.root.join("index.old");
        let _ = std::fs::remove_dir_all(&old);
        if std::fs::rename(self.root.join("index.sled"), &old).is_ok() {
            self.reopen(&mut state);
        }
        let _ = std::fs::remove_dir_all(&old);
    }

    /// Copies the live entries into a new folder if the present one is larger than 64 MiB and than four
    /// times their size. Everyone else waits until it is done, or given up because `enough` says so. True
    /// if it was done.
    pub(super) fn compact_if_bloated(&self, enough: &dyn Fn() -> bool) -> bool {
        self.compact(BLOATED_FROM, BLOATED_TIMES, enough)
    }

    fn compact(&self, from_bytes: u64, times: u64, enough: &dyn Fn() -> bool) -> bool {
        let folder = self.root.join("index.sled");
        let disk = folder_size(&folder);
        if !self.is_on_disk() || disk < from_bytes {
            return false;
        }
        let running = self.calls.begin(Length::Whole);
        let mut state = self.state.write();
        running.goes_in();
        let State::Sled(db) = &*state else { return false };
        let fresh_path = self.root.join("index.sled.new");
        let _ = std::fs::remove_dir_all(&fresh_path);
        let copied = (|| {
            let late = |number: usize| number.is_multiple_of(PAGE) && enough();
            let mut live = 0;
            for (number, entry) in iterate(db, Vec::new()).enumerate() {
                let (key, value) = entry?;
                live += (key.len() + value.len()) as u64;
                if late(number) {
                    return Ok(false);
                }
            }
            if disk <= live.saturating_mul(times) {
                return Ok(false);
            }
            let fresh = open_sled(&fresh_path)?;
            let (mut batch, mut ahead) = (sled::Batch::default(), 0);
            for (number, entry) in iterate(db, Vec::new()).enumerate() {
                let (key, value) = entry?;
                ahead += key.len() + value.len();
                batch.insert(key, value);
                if late(number) {
                    discard(fresh);
                    return Ok(false);
                }
                if ahead >= AHEAD {
                    let full = std::mem::take(&mut batch);
                    attempt(|| fresh.apply_batch(full))?;
                    attempt(|| fresh.flush())?;
                    ahead = 0;
                }
            }
            attempt(|| fresh.apply_batch(batch))?;
            attempt(|| fresh.flush())?;
            discard(fresh);
            fault::at(Point::Compacted);
            Ok::<bool, Trouble>(true)
        })();
        if !matches!(copied, Ok(true)) {
            let _ = std::fs::remove_dir_all(&fresh_path);
            return false;
        }
        if let State::Sled(db) = std::mem::replace(&mut *state, State::memory()) {
            discard(db);
        }
        let old = self.root.join("index.old");
        let _ = std::fs::remove_dir_all(&old);
        let swapped = std::fs::rename(&folder, &old)
            .and_then(|()| {
                fault::at(Point::CompactMoved);
                std::fs::rename(&fresh_path, &folder)
            })
            .is_ok();
        self.reopen(&mut state);
        let _ = std::fs::remove_dir_all(&old);
        swapped
    }

    fn reopen(&self, state: &mut State) {
        match open_current(&self.root) {
            Ok(db) => *state = State::Sled(db),
            Err(trouble) => log::error!("the index failed, working without it: {trouble}"),
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    fn memory() -> State {
        State::Memory(Mutex::default())
    }
}

impl Memory {
    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key_len = key.len();
        if let Some(old) = self.entries.remove(&key) {
            self.bytes -= key_len + old.len();
        }
        if let Some(value) = value
            && self.bytes + key_len + value.len() <= MEMORY_LIMIT
        {
            self.bytes += key_len + value.len();
            self.entries.insert(key, value);
        }
    }
}

fn piece_key(key: &[u8], number: u16) -> Vec<u8> {
    [PIECE_PREFIX, key, &number.to_be_bytes()].concat()
}

/// Of a value in pieces: their number, and a checksum of all.
fn piece_head(stored: &[u8]) -> Option<(u16, u64)> {
    match *stored {
        [PIECES, a, b, ref sum @ ..] => {
            Some((u16::from_le_bytes([a, b]), u64::from_le_bytes(sum.try_into().ok()?)))
        }
        _ => None,
    }
}

fn read(db: &sled::Db, key: &[u8]) -> Attempt<Option<Vec<u8>>> {
    match attempt(|| db.get(key))? {
        Some(stored) => join(db, key, &stored),
        None => Ok(None),
    }
}

fn join(db: &sled::Db, key: &[u8], stored: &[u8]) -> Attempt<Option<Vec<u8>>> {
    if let Some((&WHOLE, value)) = stored.split_first() {
        return Ok(Some(value.to_vec()));
    }
    let Some((count, sum)) = piece_head(stored) else { return Ok(None) };
    let mut value = Vec::new();
    for number in 0..count {
        match attempt(|| db.get(piece_key(key, number)))? {
            Some(piece) => value.extend_from_slice(&piece),
            None => return Ok(None),
        }
    }
    // A writer may have come in between.
    Ok((xxh3_64(&value) == sum).then_some(value))
}

fn write(db: &sled::Db, changes: &[Change<'_>]) -> Attempt<()> {
    let mut batch = sled::Batch::default();
    for &(key, value) in changes {
        let old = attempt(|| db.get(key))?;
        let old_pieces = old.as_deref().and_then(piece_head).map_or(0, |(count, _)| count);
        let mut pieces = 0;
        match value {
            None => batch.remove(key),
            Some(value) if value.len() <= PIECE => {
                batch.insert(key, [&[WHOLE], value].concat());
            }
            Some(value) => {
                for piece in value.chunks(PIECE) {
                    batch.insert(piece_key(key, pieces), piece);
                    pieces += 1;
                }
                let sum = xxh3_64(value).to_le_bytes();
                let head = [&[PIECES], pieces.to_le_bytes().as_slice(), &sum].concat();
                batch.insert(key, head);
            }
        }
        for number in pieces..old_pieces {
            batch.remove(piece_key(key, number));
        }
    }
    attempt(|| db.apply_batch(batch))
}

/// The next entries from `from` on; `None` for a value that is not whole.
#[allow(clippy::type_complexity)]
fn page(db: &sled::Db, from: &[u8]) -> Attempt<Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    let mut entries = Vec::new();
    for entry in iterate(db, from.to_vec()).take(PAGE) {
        let (key, stored) = entry?;
        entries.push((key.to_vec(), join(db, &key, &stored)?));
    }
    Ok(entries)
}

fn iterate(
    db: &sled::Db,
    from: Vec<u8>,
) -> impl Iterator<Item = Attempt<(sled::IVec, sled::IVec)>> {
    let mut entries = db.range(from..);
    std::iter::from_fn(move || attempt(|| entries.next().transpose()).transpose())
}

fn folder_size(folder: &Path) -> u64 {
    let mut size = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        size += match entry.metadata() {
            Ok(about) if about.is_dir() => folder_size(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        };
    }
    size
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
