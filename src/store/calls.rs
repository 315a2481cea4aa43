//! Which calls of sled are under way. sled has been seen to hang in its own locks on damaged files;
//! who may be kept waiting by that asks here first.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Much longer than any of these takes on a disk that works at all.
const QUICK_PATIENCE: Duration = Duration::from_secs(20);
/// The same for those that go over everything.
const LONG_PATIENCE: Duration = Duration::from_secs(120);

/// What kind of call it is, and so how long it may take.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Length {
    /// A few entries.
    Quick,
    /// Everything is written down; others go on meanwhile.
    Flush,
    /// Clear and compaction, which have the tree to themselves.
    Whole,
}

#[derive(Clone, Copy)]
struct Call {
    length: Length,
    since: Instant,
    /// It has the tree's lock.
    inside: bool,
}

#[derive(Default)]
pub(super) struct Calls {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    running: HashMap<u64, Call>,
    /// When the tree was last given back by one that had it to itself.
    free_since: Option<Instant>,
}

/// A call under way; it has ended when this is dropped.
pub(super) struct Running<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Calls {
    pub(super) fn begin(&self, length: Length) -> Running<'_> {
        let mut state = self.state.lock();
        state.next += 1;
        let number = state.next;
        state.running.insert(number, Call { length, since: Instant::now(), inside: false });
        Running { calls: self, number }
    }

    /// How long the oldest of the quick calls has been waiting or running.
    pub(super) fn stalled_for(&self) -> Duration {
        let state = self.state.lock();
        let quick = state.running.values().filter(|call| call.length == Length::Quick);
        quick.map(|call| call.since.elapsed()).max().unwrap_or_default()
    }

    /// True when some call will most likely never come back.
    pub(super) fn hangs(&self) -> bool {
        let state = self.state.lock();
        let has_it = |call: &Call| call.length == Length::Whole && call.inside;
        let is_taken = state.running.values().any(has_it);
        state.running.values().any(|call| match (call.length, call.inside) {
            (Length::Quick, true) => call.since.elapsed() > QUICK_PATIENCE,
            // Whoever it waits for has no reason to keep it waiting.
            (Length::Quick, false) => {
                let since = state.free_since.map_or(call.since, |free| free.max(call.since));
                !is_taken && since.elapsed() > QUICK_PATIENCE
            }
            (Length::Flush | Length::Whole, true) => call.since.elapsed() > LONG_PATIENCE,
            (Length::Flush | Length::Whole, false) => false,
        })
    }
}

impl Running<'_> {
    /// It has the lock and goes into sled.
    pub(super) fn goes_in(&self) {
        if let Some(call) = self.calls.state.lock().running.get_mut(&self.number) {
            (call.since, call.inside) = (Instant::now(), true);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.calls.state.lock();
        if state.running.remove(&self.number).is_some_and(|call| call.length == Length::Whole) {
            state.free_since = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that began so long ago.
    fn began<'a>(calls: &'a Calls, length: Length, inside: bool, ago: Duration) -> Running<'a> {
        let running = calls.begin(length);
        if inside {
            running.goes_in();
        }
        let mut state = calls.state.lock();
        let call = state.running.get_mut(&running.number).unwrap();
        call.since = Instant::now().checked_sub(ago).unwrap();
        drop(state);
        running
    }

    #[test]
    fn only_quick_calls_stall() {
        let calls = Calls::default();
        let long = calls.begin(Length::Flush);
        long.goes_in();
        assert_eq!(calls.stalled_for(), Duration::ZERO);
        let quick = calls.begin(Length::Quick);
        std::thread::sleep(Duration::from_millis(2));
        assert!(calls.stalled_for() > Duration::ZERO);
        assert!(!calls.hangs());
        drop(quick);
        assert_eq!(calls.stalled_for(), Duration::ZERO);
    }

    #[test]
    fn what_never_comes_back() {
        let minute = Duration::from_secs(60);
        let calls = Calls::default();
        let flush = began(&calls, Length::Flush, true, minute);
        assert!(!calls.hangs(), "a slow disk");
        let quick = began(&calls, Length::Quick, false, minute);
        assert!(calls.hangs(), "the flush holds somebody up, which it never does");
        let whole = began(&calls, Length::Whole, true, minute);
        assert!(!calls.hangs(), "there is a reason to wait");
        drop((whole, flush));
        assert!(!calls.hangs(), "it has not waited without a reason for long");
        drop(quick);
        let quick = began(&calls, Length::Quick, true, minute);
        assert!(calls.hangs());
        drop(quick);
        let _whole = began(&calls, Length::Whole, true, 3 * minute);
        assert!(calls.hangs());
    }
}
