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
use crate::store::record::SetRecord;

#[derive(Default)]
struct Inner {
    by_text: HashMap<Arc<[u8]>, u32>,
    /// A number without text was lost with a torn write.
    texts: Vec<Option<Arc<[u8]>>>,
    /// From here on not written yet.
    unsaved: usize,
}

pub(super) struct Spellings {
    index: Arc<Index>,
    /// Set once all are read.
    inner: Arc<OnceLock<RwLock<Inner>>>,
    /// What was looked up before that.
    early: Mutex<HashMap<u32, Option<Arc<[u8]>>>>,
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
        let number = inner.texts.len() as u32;
        let text: Arc<[u8]> = text.into();
        inner.texts.push(Some(text.clone()));
        inner.by_text.insert(text, number);
        number
    }

    pub(super) fn text(&self, number: u32) -> Option<Arc<[u8]>> {
        match self.inner.get() {
            Some(inner) => inner.read().texts.get(number as usize)?.clone(),
            None => self.text_early(number),
        }
    }

    fn text_early(&self, number: u32) -> Option<Arc<[u8]>> {
        if let Some(text) = self.early.lock().get(&number) {
            return text.clone();
        }
        let text: Option<Arc<[u8]>> = self.index.spelling(number).map(Arc::from);
        self.early.lock().insert(number, text.clone());
        text
    }

    /// See `SetRecord::sum_spellings`.
    pub(super) fn sum(&self, set: &SetRecord) -> Option<u64> {
        if let Some(inner) = self.inner.get() {
            let inner = inner.read();
            return set.sum_spellings(|number| inner.texts.get(number as usize)?.as_deref());
        }
        let numbers = set.lists().into_iter().flatten();
        let texts: HashMap<u32, Arc<[u8]>> =
            numbers.filter_map(|number| Some((*number, self.text_early(*number)?))).collect();
        set.sum_spellings(|number| texts.get(&number).map(|text| &**text))
    }

    /// Adds the new ones to a batch: to be written no later than a set that uses them.
    pub(super) fn save(&self, batch: &mut Batch) {
        let mut inner = self.all().write();
        for number in inner.unsaved..inner.texts.len() {
            if let Some(text) = &inner.texts[number] {
                batch.put_spelling(number as u32, text);
            }
        }
        inner.unsaved = inner.texts.len();
        // Nobody looks there any more.
        self.early.lock().clear();
    }

    /// After the index was cleared: all are to be written again when used.
    pub(super) fn unsave_all(&self) {
        self.all().write().unsaved = 0;
    }
}

fn read_all(index: &Index) -> Inner {
    let mut inner = Inner::default();
    index.all_spellings(|number, text| {
        let text: Arc<[u8]> = text.into();
        let at = number as usize;
        if inner.texts.len() <= at {
            inner.texts.resize(at + 1, None);
        }
        inner.texts[at] = Some(text.clone());
        inner.by_text.insert(text, number);
    });
    inner.unsaved = inner.texts.len();
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_answers_are_those_of_later() {
        let index = Arc::new(Index::in_memory());
        let texts: [&[u8]; 3] = [b"a.h", b"/usr/include/b.h", b"../c.h"];
        for (number, text) in texts.iter().enumerate() {
            index.put_spelling(number as u32, text);
        }
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
        let index = Arc::new(Index::in_memory());
        (0..2000).for_each(|n| index.put_spelling(n, format!("h{n}.h").as_bytes()));
        let spellings = Spellings::load(&index);
        assert_eq!(spellings.number(b"new.h"), 2000);
        let mut batch = Batch::default();
        spellings.save(&mut batch);
        index.apply(batch);
        assert_eq!(index.spelling(2000).as_deref(), Some(&b"new.h"[..]));
    }
}
