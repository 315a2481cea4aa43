//! What is known of actions, results and files, kept over restarts. An accelerator, never the
//! truth: everything in it may be gone at any time.

use std::time::Duration;

use super::pending::Changes;
use super::record::{FileRecord, KnownRecord, ManifestRecord, Record, ResultRecord, SetRecord};
pub use super::tree::Opened;
use super::tree::Tree;
use crate::terms::as_path;
use crate::terms::key::{ActionKey, ResultKey, SetId};

/// The index. All methods may be called from any thread; those that write are slow
/// (tens of microseconds an entry) and belong on a worker.
pub struct Index {
    tree: Tree,
}

/// Changes to be made at once, the last one of each key winning.
#[derive(Default)]
pub struct Batch {
    changes: Changes,
}

/// Number of entries that `Index::clear` removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClearedIndex {
    pub results: u64,
    pub files: u64,
    pub sets: u64,
}

const RESULT: &[u8] = b"r/";
const MANIFEST: &[u8] = b"m/";
const SET: &[u8] = b"s/";
const SPELLING: &[u8] = b"p/";
const FILE: &[u8] = b"f/";
const COUNTER: &[u8] = b"c/";
const KNOWN: &[u8] = b"k/";
/// Longer paths are hashed.
const LONG_PATH: usize = 200;

fn result_key(key: &ResultKey) -> Vec<u8> {
    [RESULT, &key.0].concat()
}

fn manifest_key(key: &ActionKey) -> Vec<u8> {
    [MANIFEST, &key.0].concat()
}

fn set_key(id: SetId) -> Vec<u8> {
    [SET, &id.0.to_be_bytes()].concat()
}

/// So many spellings share an entry: an entry costs sled more than what is in it.
const SPELLINGS: u32 = 32;

fn spellings_key(first: u32) -> Vec<u8> {
    [SPELLING, &first.to_be_bytes()].concat()
}

fn file_key(path: &[u8]) -> Vec<u8> {
    if path.len() <= LONG_PATH {
        return [FILE, path].concat();
    }
    // Absolute paths start with a slash, so none is mistaken for this.
    [FILE, b"#", blake3::hash(path).as_bytes()].concat()
}

fn counter_key(name: &str) -> Vec<u8> {
    [COUNTER, name.as_bytes()].concat()
}

/// What commands are known by: a source or an output, absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy<'a> {
    Source(&'a [u8]),
    Output(&'a [u8]),
}

fn known_key(by: KnownBy<'_>) -> Vec<u8> {
    let (kind, path) = match by {
        KnownBy::Source(path) => (b"s", path),
        KnownBy::Output(path) => (b"o", path),
    };
    [KNOWN, kind, &xxhash_rust::xxh3::xxh3_128(path).to_be_bytes()].concat()
}

/// Those that share an entry.
type Spellings = Vec<Option<serde_bytes::ByteBuf>>;

fn for_each_spelling(first: u32, some: Spellings, mut each: impl FnMut(u32, &[u8])) {
    for (number, text) in (first..).zip(some) {
        if let Some(text) = text {
            each(number, &text);
        }
    }
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn put_result(&mut self, key: &ResultKey, record: &ResultRecord) {
        self.changes.insert(result_key(key), Some(record.encode()));
    }

    pub fn remove_result(&mut self, key: &ResultKey) {
        self.changes.insert(result_key(key), None);
    }

    pub fn put_manifest(&mut self, key: &ActionKey, record: &ManifestRecord) {
        self.changes.insert(manifest_key(key), Some(record.encode()));
    }

    pub fn remove_manifest(&mut self, key: &ActionKey) {
        self.changes.insert(manifest_key(key), None);
    }

    pub fn put_set(&mut self, id: SetId, record: &SetRecord) {
        self.changes.insert(set_key(id), Some(record.encode()));
    }

    pub fn remove_set(&mut self, id: SetId) {
        self.changes.insert(set_key(id), None);
    }

    /// Spellings are paths as some action wrote them, by number; `None` for one that was lost. Puts all of those from
    /// `from` on, and with them some before that once more: to be applied before the next such batch.
    pub fn put_spellings<T: AsRef<[u8]>>(&mut self, all: &[Option<T>], from: usize) {
        const TOGETHER: usize = SPELLINGS as usize;
        if from >= all.len() {
            return;
        }
        for first in (from - from % TOGETHER..all.len()).step_by(TOGETHER) {
            let some = all[first..].iter().take(TOGETHER);
            let some: Spellings =
                some.map(|text| Some(text.as_ref()?.as_ref().to_vec().into())).collect();
            self.changes.insert(spellings_key(first as u32), Some(some.encode()));
        }
    }

    /// `path` is absolute.
    pub fn put_file(&mut self, path: &[u8], record: &FileRecord) {
        self.changes.insert(file_key(path), Some(record.encode()));
    }

    pub fn remove_file(&mut self, path: &[u8]) {
        self.changes.insert(file_key(path), None);
    }

    pub fn put_known(&mut self, by: KnownBy<'_>, record: &KnownRecord) {
        self.changes.insert(known_key(by), Some(record.encode()));
    }

    /// Any few bytes, by name.
    pub fn put_counter(&mut self, name: &str, value: &[u8]) {
        self.changes.insert(counter_key(name), Some(value.to_vec()));
    }
}

impl Index {
    /// Opens `root/index.sled`. This cannot fail: at worst the index is empty and in memory only.
    pub fn open(root: &[u8]) -> (Index, Opened) {
        let (tree, opened) = Tree::open(as_path(root));
        (Index { tree }, opened)
    }

    /// To be called where a process ends while it still opens the index: should that happen again, it does not speak
    /// against the index. `clear`: nobody is to find what is in it.
    pub fn abandon(root: &[u8], clear: bool) {
        Tree::abandon(as_path(root), clear);
    }

    /// An index that is gone with the process.
    pub fn in_memory() -> Index {
        Index { tree: Tree::in_memory() }
    }

    /// False if there is no disk under it, from the start or since an error.
    pub fn is_on_disk(&self) -> bool {
        self.tree.is_on_disk()
    }

    fn record<R: Record>(&self, key: &[u8]) -> Option<R> {
        R::decode(&self.tree.get(key)?)
    }

    fn one(&self, fill: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::default();
        fill(&mut batch);
        self.apply(batch);
    }

    /// Makes all changes of the batch, for everybody at once. Of a process that dies before the next `flush`, none or some
    /// may be kept: sets carry sums, and whoever reads a record bears that what it names is not there.
    pub fn apply(&self, batch: Batch) {
        self.tree.apply(batch.changes);
    }

    pub fn result(&self, key: &ResultKey) -> Option<ResultRecord> {
        self.record(&result_key(key))
    }

    pub fn put_result(&self, key: &ResultKey, record: &ResultRecord) {
        self.one(|batch| batch.put_result(key, record));
    }

    pub fn remove_result(&self, key: &ResultKey) {
        self.one(|batch| batch.remove_result(key));
    }

    pub fn manifest(&self, key: &ActionKey) -> Option<ManifestRecord> {
        self.record(&manifest_key(key))
    }

    pub fn put_manifest(&self, key: &ActionKey, record: &ManifestRecord) {
        self.one(|batch| batch.put_manifest(key, record));
    }

    pub fn set(&self, id: SetId) -> Option<SetRecord> {
        self.record(&set_key(id))
    }

    pub fn put_set(&self, id: SetId, record: &SetRecord) {
        self.one(|batch| batch.put_set(id, record));
    }

    pub fn spelling(&self, number: u32) -> Option<Vec<u8>> {
        let mut found = None;
        self.spellings_around(number, |each, text| {
            if each == number {
                found = Some(text.to_vec());
            }
        });
        found
    }

    /// The spellings that share an entry with this one, and itself.
    pub fn spellings_around(&self, number: u32, each: impl FnMut(u32, &[u8])) {
        let first = number - number % SPELLINGS;
        let some = self.record(&spellings_key(first));
        for_each_spelling(first, some.unwrap_or_default(), each);
    }

    /// Every spelling, by ascending number.
    pub fn all_spellings(&self, mut each: impl FnMut(u32, &[u8])) {
        self.tree.for_each(SPELLING, |key, value| {
            if let (Ok(first), Some(some)) =
                (key[SPELLING.len()..].try_into(), Spellings::decode(value))
            {
                for_each_spelling(u32::from_be_bytes(first), some, &mut each);
            }
        });
    }

    /// `path` is absolute.
    pub fn file(&self, path: &[u8]) -> Option<FileRecord> {
        self.record(&file_key(path))
    }

    pub fn put_file(&self, path: &[u8], record: &FileRecord) {
        self.one(|batch| batch.put_file(path, record));
    }

    pub fn known(&self, by: KnownBy<'_>) -> Option<KnownRecord> {
        self.record(&known_key(by))
    }

    /// Keeps the known commands at most this many entries, by forgetting the half that was
    /// stored longest ago. Gives the number forgotten.
    pub fn prune_known(&self, most: usize) -> usize {
        let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
        self.tree.for_each(KNOWN, |key, value| {
            let record = KnownRecord::decode(value).unwrap_or_default();
            let stored_ns = record.actions.first().map_or(0, |action| action.stored_ns);
            all.push((stored_ns, key.to_vec()));
        });
        if all.len() <= most {
            return 0;
        }
        all.sort_unstable();
        let count = all.len() - most / 2;
        let mut batch = Batch::default();
        for (_, key) in all.drain(..count) {
            batch.changes.insert(key, None);
        }
        self.apply(batch);
        count
    }

    pub fn counter(&self, name: &str) -> Option<Vec<u8>> {
        self.tree.get(&counter_key(name))
    }

    pub fn put_counter(&self, name: &str, value: &[u8]) {
        self.one(|batch| batch.put_counter(name, value));
    }

    /// Every result that can be read, in order of key.
    pub fn for_each_result(&self, mut each: impl FnMut(ResultKey, ResultRecord)) {
        self.tree.for_each(RESULT, |key, value| {
            if let (Ok(key), Some(record)) =
                (key[RESULT.len()..].try_into(), ResultRecord::decode(value))
            {
                each(ResultKey(key), record);
            }
        });
    }

    /// How many results there are.
    pub fn count_results(&self) -> u64 {
        let mut count = 0;
        self.tree.for_each(RESULT, |_, _| count += 1);
        count
    }

    /// The results whose keys begin with these bytes, in order of key; at most `most`.
    pub fn results_beginning(&self, start: &[u8], most: usize) -> Vec<(ResultKey, ResultRecord)> {
        let mut found = Vec::new();
        self.tree.for_each(&[RESULT, start].concat(), |key, value| {
            if let (true, Ok(key), Some(record)) =
                (found.len() < most, key[RESULT.len()..].try_into(), ResultRecord::decode(value))
            {
                found.push((ResultKey(key), record));
            }
        });
        found
    }

    /// Every manifest that can be read, in order of key.
    pub fn for_each_manifest(&self, mut each: impl FnMut(ActionKey, ManifestRecord)) {
        self.tree.for_each(MANIFEST, |key, value| {
            if let (Ok(key), Some(record)) =
                (key[MANIFEST.len()..].try_into(), ManifestRecord::decode(value))
            {
                each(ActionKey(key), record);
            }
        });
    }

    /// Removes everything, counters too, and says how much of it there was.
    pub fn clear(&self) -> ClearedIndex {
        let mut counts = [0; 3];
        for (count, prefix) in counts.iter_mut().zip([RESULT, FILE, SET]) {
            self.tree.for_each(prefix, |_, _| *count += 1);
        }
        self.tree.clear();
        ClearedIndex { results: counts[0], files: counts[1], sets: counts[2] }
    }

    /// Writes everything to the disk; slow.
    pub fn flush(&self) {
        self.tree.flush();
    }

    /// Writes everything to the disk and closes what is there: from then on it is in memory only, and empty.
    pub fn close(&self) {
        self.tree.close();
    }

    /// Makes a new index folder if the present one is over 64 MiB and four times what is in it.
    /// Slow: everyone else waits until it is done, or given up because `enough` says so. True if it
    /// was done.
    pub fn compact_if_bloated(&self, enough: &dyn Fn() -> bool) -> bool {
        self.tree.compact_if_bloated(enough)
    }

    /// How long someone who only wants a few entries has been waiting for them by now.
    pub fn stalled_for(&self) -> Duration {
        self.tree.stalled_for()
    }

    /// True when a call will most likely never come back. This process can only end; the next one
    /// will set the index aside.
    pub fn is_lost(&self) -> bool {
        self.tree.is_lost()
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
