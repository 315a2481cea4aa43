//! The index while it is being opened, which may take longer than anybody waits: a large one that was not closed in
//! order, on a slow disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::store::index::Index;

/// Clients may wait half a second for a start; what is not done by then is done in a quiet minute.
const START_TIME: Duration = Duration::from_millis(350);

/// A thread that opens an index.
pub(super) struct Opening {
    root: Vec<u8>,
    opened: Receiver<Index>,
    /// It was opened, and nobody has taken it yet.
    waiting: Option<(Index, Instant)>,
}

impl Opening {
    pub(super) fn begin(root: Vec<u8>) -> Opening {
        let (send, opened) = channel();
        let folder = root.clone();
        let open = move || {
            let begin = Instant::now();
            let (index, opened) = Index::open(&folder);
            // Nobody has it yet, which makes it cheap.
            if begin.elapsed() < START_TIME / 2 {
                index.compact_if_bloated(&|| begin.elapsed() > START_TIME);
            }
            log::info!("index: {opened:?}");
            let _ = send.send(index);
        };
        if let Err(error) = std::thread::Builder::new().name("index".to_owned()).spawn(open) {
            log::error!("no thread opens the index: {error}");
        }
        Opening { root, opened, waiting: None }
    }

    /// The index, if it opens in time.
    pub(super) fn within(&self, patience: Duration) -> Option<Index> {
        self.opened
            .recv_timeout(patience)
            .inspect_err(|error| match error {
                RecvTimeoutError::Timeout => {
                    log::warn!(
                        "the index opens slowly; until then this daemon remembers in memory only"
                    )
                }
                RecvTimeoutError::Disconnected => {
                    log::error!("the index does not open; this daemon remembers in memory only")
                }
            })
            .ok()
    }

    /// Since when it is there to be taken.
    pub(super) fn there_since(&mut self) -> Option<Instant> {
        if let Ok(index) = self.opened.try_recv() {
            self.waiting = Some((index, Instant::now()));
        }
        self.waiting.as_ref().map(|(_, since)| *since)
    }

    pub(super) fn take(self) -> Option<Index> {
        self.waiting.map(|(index, _)| index)
    }

    /// For a process that ends before it had any use of it.
    pub(super) fn give_up(mut self) {
        if self.there_since().is_none() {
            Index::excuse(&self.root);
        }
        if let Some(index) = self.take() {
            index.close();
        }
    }
}
