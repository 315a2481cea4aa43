//! Changes that sled does not have yet. Each write wakes its pool of threads one after the other, which costs
//! more than the write itself; so what single compiles bring is written together. A process that is killed loses
//! what is here, as it loses what sled itself has not flushed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

/// Changes to be made at once: values to set and (`None`) to remove.
pub(super) type Changes = HashMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Default)]
pub(super) struct Pending {
    held: Mutex<Held>,
    /// Held by whoever writes them down, so that older ones never follow newer ones.
    writer: Mutex<()>,
}

#[derive(Default)]
struct Held {
    waiting: Changes,
    /// Of `waiting`; what was replaced in it counts as well.
    bytes: usize,
    /// Being written, and still to be seen here.
    written: Arc<Changes>,
}

impl Pending {
    /// Adds changes; gives the bytes that wait now.
    pub(super) fn add(&self, changes: Changes) -> usize {
        let mut held = self.held.lock();
        held.bytes += bytes_of(&changes);
        held.waiting.extend(changes);
        held.bytes
    }

    /// What a key will be; `None` if nothing is known of it here.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let held = self.held.lock();
        held.waiting.get(key).or_else(|| held.written.get(key)).cloned()
    }

    /// Waits until nobody writes, and keeps others from it.
    pub(super) fn stop_writing(&self) -> MutexGuard<'_, ()> {
        self.writer.lock()
    }

    /// Has `write` write down what waits, unless somebody else does.
    pub(super) fn try_write_down(&self, write: impl FnOnce(&Changes)) {
        if let Some(_writer) = self.writer.try_lock() {
            self.give(write);
        }
    }

    /// Has `write` write down all that was added before.
    pub(super) fn write_down(&self, write: impl FnOnce(&Changes)) {
        let _writer = self.writer.lock();
        self.give(write);
    }

    fn give(&self, write: impl FnOnce(&Changes)) {
        let changes = {
            let mut held = self.held.lock();
            held.bytes = 0;
            held.written = Arc::new(std::mem::take(&mut held.waiting));
            held.written.clone()
        };
        if !changes.is_empty() {
            write(&changes);
            self.held.lock().written = Arc::default();
        }
    }

    /// Forgets all of it. To be called with writing stopped.
    pub(super) fn clear(&self) {
        *self.held.lock() = Held::default();
    }
}

fn bytes_of(changes: &Changes) -> usize {
    changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &[u8], value: Option<&[u8]>) -> Changes {
        Changes::from([(key.to_vec(), value.map(<[u8]>::to_vec))])
    }

    #[test]
    fn the_newest_is_seen_until_it_is_written() {
        let pending = Pending::default();
        assert_eq!(pending.get(b"a"), None);
        assert_eq!(pending.add(put(b"a", Some(b"1"))), 2);
        pending.add(put(b"a", Some(b"2")));
        pending.add(put(b"b", None));
        assert_eq!(pending.get(b"a"), Some(Some(b"2".to_vec())));
        assert_eq!(pending.get(b"b"), Some(None));
        pending.write_down(|changes| {
            assert_eq!(changes.len(), 2);
            assert_eq!(pending.get(b"a"), Some(Some(b"2".to_vec())));
            pending.add(put(b"a", Some(b"3")));
            assert_eq!(pending.get(b"a"), Some(Some(b"3".to_vec())));
            pending.try_write_down(|_| panic!("two at once"));
        });
        assert_eq!((pending.get(b"a"), pending.get(b"b")), (Some(Some(b"3".to_vec())), None));
        pending.write_down(|changes| assert_eq!(changes.len(), 1));
        assert_eq!(pending.get(b"a"), None);
        pending.write_down(|_| panic!("nothing waits"));
    }
}
