//! Which calls of sled are under way. sled has been seen to hang in its own locks on damaged files;
//! who may be kept waiting by that asks here first.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Much longer than any of these takes on a disk that works at all.
const QUICK_PATIENCE: Duration = Duration::from_secs(20);
/// The same for those that write everything down or remove it.
const LONG_PATIENCE: Duration = Duration::from_secs(120);

/// What kind of call it is, and so how long it may take.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Length {
    /// A few entries.
    Quick,
    /// Flush, clear, compaction.
    Long,
}

#[derive(Clone, Copy)]
struct Call {
    length: Length,
    since: Instant,
    /// It holds up nobody but itself until it has the tree's lock.
    inside: bool,
}

#[derive(Default)]
pub(super) struct Calls {
    running: Mutex<(u64, HashMap<u64, Call>)>,
}

/// A call under way; it has ended when this is dropped.
pub(super) struct Running<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Calls {
    pub(super) fn begin(&self, length: Length) -> Running<'_> {
        let mut running = self.running.lock();
        running.0 += 1;
        let number = running.0;
        running.1.insert(number, Call { length, since: Instant::now(), inside: false });
        Running { calls: self, number }
    }

    /// How long the oldest of the quick calls has been waiting or running.
    pub(super) fn stalled_for(&self) -> Duration {
        let running = self.running.lock();
        let quick = running.1.values().filter(|call| call.length == Length::Quick);
        quick.map(|call| call.since.elapsed()).max().unwrap_or_default()
    }

    /// True when some call will most likely never come back.
    pub(super) fn hangs(&self) -> bool {
        self.running.lock().1.values().any(|call| {
            let patience = match call.length {
                Length::Quick => QUICK_PATIENCE,
                Length::Long => LONG_PATIENCE,
            };
            call.inside && call.since.elapsed() > patience
        })
    }
}

impl Running<'_> {
    /// It has the lock and goes into sled.
    pub(super) fn goes_in(&self) {
        if let Some(call) = self.calls.running.lock().1.get_mut(&self.number) {
            (call.since, call.inside) = (Instant::now(), true);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.calls.running.lock().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quick_calls_stall() {
        let calls = Calls::default();
        let long = calls.begin(Length::Long);
        long.goes_in();
        assert_eq!(calls.stalled_for(), Duration::ZERO);
        let quick = calls.begin(Length::Quick);
        std::thread::sleep(Duration::from_millis(2));
        assert!(calls.stalled_for() > Duration::ZERO);
        assert!(!calls.hangs());
        drop(quick);
        assert_eq!(calls.stalled_for(), Duration::ZERO);
    }
}
