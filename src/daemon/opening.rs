//! The index while it is being opened, which may take longer than anybody waits: a large one that was not closed in
//! order, on a slow disk.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
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
    /// What is in it was cleared before it was there.
    is_cleared: bool,
}

/// How far it is.
pub(super) enum Progress {
    Opens,
    /// Since then it can be taken.
    There(Instant),
    /// It won't come.
    Failed,
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
        Opening { root, opened, waiting: None, is_cleared: false }
    }

    /// The index, if it opens in time; else what it may yet come from.
    pub(super) fn within(self, patience: Duration) -> (Option<Index>, Option<Opening>) {
        match self.opened.recv_timeout(patience) {
            Ok(index) => (Some(index), None),
            Err(RecvTimeoutError::Timeout) => {
                log::warn!(
                    "the index opens slowly; until then this daemon remembers in memory only"
                );
                (None, Some(self))
            }
            Err(RecvTimeoutError::Disconnected) => {
                log::error!("the index does not open; this daemon remembers in memory only");
                (None, None)
            }
        }
    }

    pub(super) fn progress(&mut self) -> Progress {
        if let Some((_, since)) = &self.waiting {
            return Progress::There(*since);
        }
        match self.opened.try_recv() {
            Ok(index) => {
                let now = Instant::now();
                self.waiting = Some((index, now));
                Progress::There(now)
            }
            Err(TryRecvError::Empty) => Progress::Opens,
            Err(TryRecvError::Disconnected) => Progress::Failed,
        }
    }

    /// Everything that was stored is to be gone.
    pub(super) fn clear(&mut self) {
        self.is_cleared = true;
    }

    pub(super) fn take(self) -> Option<Index> {
        let (index, _) = self.waiting?;
        if self.is_cleared {
            index.clear();
        }
        Some(index)
    }

    /// For a process that ends before it had any use of it.
    pub(super) fn give_up(mut self) {
        match self.progress() {
            Progress::Opens => Index::abandon(&self.root, self.is_cleared),
            Progress::There(_) => self.take().iter().for_each(Index::close),
            Progress::Failed => {}
        }
    }
}
