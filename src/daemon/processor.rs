//! How busy the processors are, for `ZCCACHE_COMPILE_PRIORITY=auto`. Asked by workers, for
//! compilers that are about to run, and never for a hit.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// From this share of all processors' time on they have no room left.
const SATURATED: f64 = 0.95;
/// A share is measured over at least this long, and holds until the next measurement.
const SPAN: Duration = Duration::from_millis(200);

/// Time since the start, in ticks of all processors together.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
}

#[derive(Default)]
pub(super) struct Processor {
    last: Mutex<Option<(Instant, Ticks, bool)>>,
}

impl Processor {
    /// Takes the first measurement, which the next one is compared with.
    pub(super) fn new() -> Processor {
        let processor = Processor::default();
        processor.is_saturated();
        processor
    }

    /// Whether the processors were at 95% or more since the last measurement. What can't be
    /// measured is not.
    pub(super) fn is_saturated(&self) -> bool {
        let mut last = self.last.lock();
        if let Some((at, _, saturated)) = *last
            && at.elapsed() < SPAN
        {
            return saturated;
        }
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let Some(now) = ticks(&text) else { return false };
        let saturated = last.is_some_and(|(_, before, _)| share(before, now) >= SATURATED);
        *last = Some((Instant::now(), now, saturated));
        saturated
    }
}

fn share(before: Ticks, now: Ticks) -> f64 {
    let all = now.all.saturating_sub(before.all);
    let busy = now.busy.saturating_sub(before.busy);
    if all == 0 { 0.0 } else { busy as f64 / all as f64 }
}

/// From the first line of /proc/stat: user nice system idle iowait irq softirq steal, and
/// guest times that are part of user and nice.
fn ticks(text: &str) -> Option<Ticks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let (all, waiting) = (fields.get(..8)?.iter().sum::<u64>(), fields[3] + fields[4]);
    Some(Ticks { busy: all - waiting, all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let before = ticks("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1\n").unwrap();
        assert_eq!(before, Ticks { busy: 150, all: 1000 });
        let now = ticks("cpu  190 0 55 804 51 0 0 0 7 7\n").unwrap();
        assert_eq!(share(before, now), 0.95);
        assert_eq!(share(now, now), 0.0);
        assert_eq!(ticks("cpu  1 2 3\n"), None);
        assert_eq!(ticks(""), None);
        assert!(ticks(&std::fs::read_to_string("/proc/stat").unwrap()).is_some());
    }
}
