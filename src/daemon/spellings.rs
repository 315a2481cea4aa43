//! Paths as compilers spell them, by number. The numbers are stored in input sets, so they
//! live as long as the index does.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

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

#[derive(Default)]
pub(super) struct Spellings {
    inner: RwLock<Inner>,
}

impl Spellings {
    /// Reads all from the index.
    pub(super) fn load(index: &Index) -> Spellings {
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
        Spellings { inner: RwLock::new(inner) }
    }

    pub(super) fn number(&self, text: &[u8]) -> u32 {
        if let Some(number) = self.inner.read().by_text.get(text) {
            return *number;
        }
        let mut inner = self.inner.write();
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
        self.inner.read().texts.get(number as usize)?.clone()
    }

    /// See `SetRecord::sum_spellings`.
    pub(super) fn sum(&self, set: &SetRecord) -> Option<u64> {
        let inner = self.inner.read();
        set.sum_spellings(|number| inner.texts.get(number as usize)?.as_deref())
    }

    /// Adds the new ones to a batch: to be written no later than a set that uses them.
    pub(super) fn save(&self, batch: &mut Batch) {
        let mut inner = self.inner.write();
        for number in inner.unsaved..inner.texts.len() {
            if let Some(text) = &inner.texts[number] {
                batch.put_spelling(number as u32, text);
            }
        }
        inner.unsaved = inner.texts.len();
    }

    /// After the index was cleared: all are to be written again when used.
    pub(super) fn unsave_all(&self) {
        self.inner.write().unsaved = 0;
    }
}
