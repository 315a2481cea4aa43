//! Looking again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::model::{Model, NoEars};
use super::{Batch, Config, Error, Running, STOP_WITHIN};

/// Finds changes by looking every `poll_interval`. It needs nothing from the system and works on
/// network file systems; a file that is written twice within one tick of the file system's
/// clock, leaving the same size, may look unchanged.
pub struct PollingWatcher {
    running: Running,
}

impl PollingWatcher {
    /// Takes the first look before it returns. Fails on a bad glob or a root that is no folder.
    pub fn start(config: Config) -> Result<PollingWatcher, Error> {
        let mut model = Model::new(&config, NoEars)?;
        let (send, batches) = std::sync::mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            let mut waiting = Batch::default();
            let mut quiet_since = Instant::now();
            while sleep(config.poll_interval, &stopped) {
                let found = model.refresh_all();
                if !found.is_empty() {
                    join(&mut waiting, found);
                    quiet_since = Instant::now();
                }
                let rests = quiet_since.elapsed() >= config.debounce;
                if rests && !waiting.is_empty() && send.send(std::mem::take(&mut waiting)).is_err()
                {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("poll".to_owned()).spawn(work)?;
        Ok(PollingWatcher { running: Running { batches, stop, thread: Some(thread) } })
    }

    /// The next batch; None when none comes in time.
    pub fn poll_timeout(&self, patience: Duration) -> Option<Batch> {
        self.running.next(Some(patience))
    }

    /// Waits for the next batch for as long as it takes.
    pub fn wait(&self) -> Option<Batch> {
        self.running.next(None)
    }

    /// Ends the watch. Dropping it does the same.
    pub fn stop(self) {}
}

/// False when told to stop.
fn sleep(time: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(STOP_WITHIN));
    }
}

/// Adds a later batch to an earlier one that was not told yet.
fn join(earlier: &mut Batch, later: Batch) {
    for path in later.created {
        // Gone and back: what is there now may be something else.
        match remove(&mut earlier.removed, &path) {
            true => insert(&mut earlier.changed, path),
            false => insert(&mut earlier.created, path),
        }
    }
    for path in later.changed {
        if !earlier.created.contains(&path) {
            insert(&mut earlier.changed, path);
        }
    }
    for path in later.removed {
        remove(&mut earlier.changed, &path);
        if !remove(&mut earlier.created, &path) {
            insert(&mut earlier.removed, path);
        }
    }
}

fn remove<T: Ord>(list: &mut Vec<T>, item: &T) -> bool {
    list.binary_search(item).map(|at| list.remove(at)).is_ok()
}

fn insert<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(at) = list.binary_search(&item) {
        list.insert(at, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_join_to_their_net_change() {
        let batch = |created: &[&str], changed: &[&str], removed: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
            let (created, changed, removed) = (list(created), list(changed), list(removed));
            Batch { created, changed, removed, overflow: false }
        };
        let mut waiting = batch(&["new"], &["old"], &["gone"]);
        join(&mut waiting, batch(&["gone"], &["new", "other"], &["old"]));
        assert_eq!(waiting, batch(&["new"], &["gone", "other"], &["old"]));
        join(&mut waiting, batch(&[], &[], &["new"]));
        assert_eq!(waiting, batch(&[], &["gone", "other"], &["old"]));
    }
}
