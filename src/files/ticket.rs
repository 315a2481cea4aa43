//! A compile's ticket: from its begin on every change is on record, so that at its end can be said what certainly is as it
//! was then.

use super::PathId;
use super::nodes::{Counter, Kind};
use super::table::{FileTable, Seen};
use super::walk;
use crate::terms::now::now_stat_ns;

/// When a compile began, by the change counter and by the clock.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    pub since: Counter,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    wall_ns: i64,
    steady: std::time::Instant,
}

/// The kernel stamps files with a clock that lags by up to one tick.
const TICK_NS: i64 = 10_000_000;

impl Clock {
    /// Both at one moment: anew where this thread lost the processor between them.
    fn now() -> Clock {
        const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(1);
        let mut steady = std::time::Instant::now();
        for _ in 0..8 {
            let wall_ns = now_stat_ns();
            if steady.elapsed() < AT_ONCE {
                return Clock { wall_ns, steady };
            }
            steady = std::time::Instant::now();
        }
        Clock { wall_ns: now_stat_ns(), steady }
    }

    /// False when the clock was set since, by as much as a tick.
    fn goes_on(&self) -> bool {
        let now = Clock::now();
        let steady_ns = now.steady.saturating_duration_since(self.steady).as_nanos() as i64;
        let jump = now.wall_ns - self.wall_ns - steady_ns;
        jump.abs() < TICK_NS
    }
}

impl FileTable {
    /// A compile begins: the moment to ask `unchanged_during` about later.
    pub fn open_ticket(&self) -> Opened {
        let mut inner = self.lock();
        inner.drain();
        Opened { since: inner.nodes.open_ticket(), clock: Clock::now() }
    }

    pub fn close_ticket(&self) {
        self.lock().nodes.close_ticket();
    }

    /// True when the path, just looked at, certainly is what it was when the compile began:
    /// by the watch, or for what was not watched then, by change times: its own, and those of the folders and links
    /// that lead to it.
    pub fn unchanged_during(&self, id: PathId, opened: &Opened) -> bool {
        let inner = self.lock();
        let entry = &inner.entries[id.0 as usize];
        if !entry.known || entry.changed > opened.since {
            return false;
        }
        let nodes = &inner.nodes;
        let records = nodes.records_since(opened.since);
        let by_watch = records && entry.vouched <= opened.since;
        let Seen::File { stat, .. } = entry.seen else { return by_watch };
        let by_watch = by_watch && !entry.volatile;
        if by_watch && entry.file_vouched <= opened.since {
            return true;
        }
        if !opened.clock.goes_on() {
            return false;
        }
        // A file of one name can only be written to unnoticed by a link that is made for it and removed again: one that
        // was written just before the compile need not be older by a tick.
        if by_watch && stat.links == 1 && stat.ctime_ns <= opened.clock.wall_ns {
            return true;
        }
        let bound_ns = opened.clock.wall_ns - TICK_NS;
        if stat.ctime_ns >= bound_ns {
            return false;
        }
        if entry.chain.iter().any(|node| matches!(nodes.node(*node).kind, Kind::Unwatched)) {
            let path = entry.path.clone();
            drop(inner);
            return walk::way_is_older(&path, bound_ns);
        }
        entry.chain.iter().all(|node| {
            records && nodes.vouched_since(*node) <= opened.since
                || nodes.ctime_ns(*node).is_some_and(|ctime_ns| ctime_ns < bound_ns)
        })
    }
}
