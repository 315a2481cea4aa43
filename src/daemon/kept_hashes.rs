//! File hashes kept in the index, so that a restarted daemon need not read every file again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::files::clock::Stamp;
use crate::files::table::{ClockSettings, Remembered};
use crate::files::{ContentHash, FileStat};
use crate::store::index::Index;
use crate::store::record::FileRecord;
use crate::terms::now::now_ns;

/// Under this name the index keeps the clock's era.
const ERA: &str = "clock";
/// How old what is written of the clock may be, as long as nobody sets it.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// Hashes by path and stat. A stat proves nothing in another era of the system clock than its own.
pub(super) struct KeptHashes {
    index: Arc<Index>,
    /// The era when we started; each setting of the clock begins another.
    first: u32,
    written: Mutex<Option<(u32, Instant)>>,
}

/// The era that was last, and what the clocks said in it.
#[derive(Serialize, Deserialize)]
struct Last {
    era: u32,
    stamp: Stamp,
}

impl KeptHashes {
    pub(super) fn new(index: Arc<Index>) -> KeptHashes {
        let last = index.counter(ERA).and_then(|bytes| postcard::from_bytes::<Last>(&bytes).ok());
        let first = match last {
            Some(last) if last.stamp.vouches_until(&Stamp::now()) => last.era,
            Some(last) => last.era.wrapping_add(1),
            // Nothing is known of what may have been kept before.
            None => (now_ns() / 1_000_000_000) as u32,
        };
        KeptHashes { index, first, written: Mutex::new(None) }
    }

    fn era(&self, settings: ClockSettings) -> u32 {
        self.first.wrapping_add(settings)
    }

    /// Before anything is kept of an era, the index must know of it.
    fn write_era(&self, era: u32) {
        let mut written = self.written.lock();
        if written.is_some_and(|(known, at)| known >= era && at.elapsed() < WRITE_EVERY) {
            return;
        }
        let era = written.map_or(era, |(known, _)| known.max(era));
        if let Ok(bytes) = postcard::to_stdvec(&Last { era, stamp: Stamp::now() }) {
            self.index.put_counter(ERA, &bytes);
        }
        *written = Some((era, Instant::now()));
    }
}

impl Remembered for KeptHashes {
    fn recall(&self, path: &[u8], stat: &FileStat, settings: ClockSettings) -> Option<ContentHash> {
        let kept = self.index.file(path)?;
        let proven = kept.stat == Some(*stat) && kept.era == self.era(settings);
        proven.then_some(ContentHash(kept.hash))
    }

    /// Contents are kept with their times, so that a miss can tell which input is another one.
    fn remember(
        &self,
        path: &[u8],
        stat: Option<&FileStat>,
        hash: &ContentHash,
        settings: ClockSettings,
    ) {
        let kept = self.index.file(path);
        if stat.is_none() && kept.as_ref().is_some_and(|kept| kept.hash == hash.0) {
            return;
        }
        let era = self.era(settings);
        self.write_era(era);
        let record = FileRecord::seen(kept, stat.copied(), era, hash.0, now_ns());
        self.index.put_file(path, &record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_proves_nothing_once_the_clock_was_set() {
        let index = Arc::new(Index::in_memory());
        let stat = FileStat { device: 1, inode: 2, size: 3, links: 1, mtime_ns: 4, ctime_ns: 5 };
        let hash = ContentHash([7; 32]);
        let hashes = KeptHashes::new(index.clone());
        hashes.remember(b"/x", Some(&stat), &hash, 0);
        assert_eq!(hashes.recall(b"/x", &stat, 0), Some(hash));
        assert_eq!(hashes.recall(b"/x", &stat, 1), None);
        // It was read before the clock was set, and is written down after.
        hashes.remember(b"/y", Some(&stat), &hash, 0);
        assert_eq!(hashes.recall(b"/y", &stat, 1), None);
        hashes.remember(b"/x", Some(&stat), &hash, 1);
        assert_eq!(hashes.recall(b"/x", &stat, 1), Some(hash));
        // The next daemon.
        let hashes = KeptHashes::new(index.clone());
        assert_eq!(hashes.recall(b"/x", &stat, 0), Some(hash));
        assert_eq!(hashes.recall(b"/y", &stat, 0), None);
    }
}
