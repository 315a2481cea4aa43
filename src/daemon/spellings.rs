//! Paths as compilers spell them, by number. The numbers are stored in input sets, so they
//! live as long as the index does.
//!
//! A large index holds hundreds of thousands. They are read beside the first answers: a hit looks up
//! those it needs one by one until all are there; only giving out new numbers waits for that.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::store::index::{Batch, Index};
use crate::store::record::{SetRecord, spelling_hash};

#[derive(Clone)]
struct Spelling {
    text: Arc<[u8]>,
    /// Beside it, so that sums over hundreds of them need not look up each text.
    hash: u64,
}

impl Spelling {
    fn new(text: &[u8]) -> Spelling {
        Spelling { text: text.into(), hash: spelling_hash(text) }
    }
}

impl AsRef<[u8]> for Spelling {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[derive(Default)]
struct Inner {
    by_text: HashMap<Arc<[u8]>, u32>,
    /// By number. One that is not there was lost with a torn write.
    all: Vec<Option<Spelling>>,
    /// From here on not written yet.
    unsaved: usize,
}

pub(super) struct Spellings {
    index: Arc<Index>,
    /// Set once all are read.
    inner: Arc<OnceLock<RwLock<Inner>>>,
    /// What was looked up before that.
    early: Mutex<HashMap<u32, Option<Spelling>>>,
}

impl Spellings {
    /// Reads all from the index, in a thread of its own.
    pub(super) fn load(index: &Arc<Index>) -> Spellings {
        let inner = Arc::new(OnceLock::new());
        let (from, to) = (index.clone(), inner.clone());
        let read = move || {
            // Whoever waits must not wait for ever. Numbers given twice do no harm: sets carry sums.
            let all = catch_unwind(AssertUnwindSafe(|| read_all(&from))).unwrap_or_else(|_| {
                log::error!("reading the spellings panicked; earlier results may miss");
                Inner::default()
            });
            let _ = to.set(RwLock::new(all));
        };
        if let Err(error) = std::thread::Builder::new().name("spellings".to_owned()).spawn(read) {
            log::warn!("spellings are read before anything is answered: {error}");
            let _ = inner.set(RwLock::new(read_all(index)));
        }
        Spellings { index: index.clone(), inner, early: Mutex::default() }
    }

    /// Waits until all are read.
    fn all(&self) -> &RwLock<Inner> {
        self.inner.wait()
    }

    pub(super) fn number(&self, text: &[u8]) -> u32 {
        if let Some(number) = self.all().read().by_text.get(text) {
            return *number;
        }
        let mut inner = self.all().write();
        if let Some(number) = inner.by_text.get(text) {
            return *number;
        }
        let number = inner.all.len() as u32;
        inner.add(number, text);
        number
    }

    /// A part of a spelling.
    fn get<T>(&self, number: u32, part: impl FnOnce(&Spelling) -> T) -> Option<T> {
        match self.inner.get() {
            Some(inner) => inner.read().all.get(number as usize)?.as_ref().map(part),
            None => self.get_early(number).as_ref().map(part),
        }
    }

    fn get_early(&self, number: u32) -> Option<Spelling> {
        if let Some(known) = self.early.lock().get(&number) {
            return known.clone();
        }
        let mut around = HashMap::from([(number, None)]);
        self.index.spellings_around(number, |each, text| {
            around.insert(each, Some(Spelling::new(text)));
        });
        let found = around[&number].clone();
        self.early.lock().extend(around);
        found
    }

    /// Does something with a text: without a copy of it.
    pub(super) fn with<T>(&self, number: u32, act: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.get(number, |spelling| act(&spelling.text))
    }

    pub(super) fn text(&self, number: u32) -> Option<Arc<[u8]>> {
        self.get(number, |spelling| spelling.text.clone())
    }

    /// See `store::record::spelling_hash`.
    pub(super) fn hash(&self, number: u32) -> Option<u64> {
        self.get(number, |spelling| spelling.hash)
    }

    /// See `SetRecord::sum_spellings`.
    pub(super) fn sum(&self, set: &SetRecord) -> Option<u64> {
        match self.inner.get() {
            Some(inner) => {
                let inner = inner.read();
                set.sum_spellings(|number| Some(inner.all.get(number as usize)?.as_ref()?.hash))
            }
            None => set.sum_spellings(|number| self.hash(number)),
        }
    }

    /// Adds the new ones to a batch: to be written no later than a set that uses them, and before what is saved next.
    pub(super) fn save(&self, batch: &mut Batch) {
        let mut inner = self.all().write();
        batch.put_spellings(&inner.all, inner.unsaved);
        inner.unsaved = inner.all.len();
        // Nobody looks there any more.
        self.early.lock().clear();
    }

    /// After the index was cleared: all are to be written again when used.
    pub(super) fn unsave_all(&self) {
        self.all().write().unsaved = 0;
    }
}

impl Inner {
    fn add(&mut self, number: u32, text: &[u8]) {
        let spelling = Spelling::new(text);
        let at = number as usize;
        if self.all.len() <= at {
            self.all.resize(at + 1, None);
        }
        self.by_text.insert(spelling.text.clone(), number);
        self.all[at] = Some(spelling);
    }
}

fn read_all(index: &Index) -> Inner {
    let mut inner = Inner::default();
    index.all_spellings(|number, text| inner.add(number, text));
    inner.unsaved = inner.all.len();
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_with<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Arc<Index> {
        let index = Index::in_memory();
        let mut batch = Batch::default();
        batch.put_spellings(&texts.into_iter().map(Some).collect::<Vec<_>>(), 0);
        index.apply(batch);
        Arc::new(index)
    }

    #[test]
    fn early_answers_are_those_of_later() {
        let index = index_with(["a.h", "/usr/include/b.h", "../c.h"]);
        let early = Spellings {
            index: index.clone(),
            inner: Arc::new(OnceLock::new()),
            early: Mutex::default(),
        };
        let loaded = Spellings::load(&index);
        loaded.all();
        let set = SetRecord { read: vec![0, 2], absent: vec![1], ..SetRecord::default() };
        let lost = SetRecord { read: vec![0, 7], ..SetRecord::default() };
        assert!(loaded.sum(&set).is_some());
        assert_eq!(early.sum(&set), loaded.sum(&set));
        assert_eq!(early.sum(&lost), None);
        assert_eq!(loaded.sum(&lost), None);
        for number in 0..4 {
            assert_eq!(early.text(number), loaded.text(number));
        }
        assert_eq!(loaded.number(b"../c.h"), 2);
        assert_eq!(loaded.number(b"new.h"), 3);
    }

    #[test]
    fn numbers_wait_for_all() {
        let index = index_with((0..2000).map(|n| format!("h{n}.h")));
        let spellings = Spellings::load(&index);
        assert_eq!(spellings.number(b"new.h"), 2000);
        let mut batch = Batch::default();
        spellings.save(&mut batch);
        index.apply(batch);
        assert_eq!(index.spelling(2000).as_deref(), Some(&b"new.h"[..]));
    }
}
