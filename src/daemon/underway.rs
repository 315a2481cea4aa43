//! Commands between question and end, as the loop holds them for the journal.

use std::sync::Arc;
use std::time::Instant;

use super::about::About;
use crate::protocol::message::{Exit, Invocation};
use crate::session::cause::Cause;
use crate::session::reason::Reason;

/// A command that a client asked about.
pub(super) struct Underway {
    pub(super) invocation: Arc<Invocation>,
    pub(super) began: Instant,
    pub(super) lane: u32,
    /// Known once it was answered.
    pub(super) fate: Fate,
}

/// What became of a command.
pub(super) enum Fate {
    /// No answer yet.
    Asked,
    Hit {
        about: Arc<About>,
        saved_ns: u64,
    },
    /// It runs as it is. The argument is the one to blame.
    Plain(Reason, Option<Vec<u8>>),
    /// The compiler runs; its ticket tells the rest.
    Running,
    /// It had an answer, and became the tool all the same.
    FellBack(Reason),
    /// It ran. The exit is None where no report came.
    Ran {
        about: Box<About>,
        exit: Option<Exit>,
        took_ns: u64,
        causes: Vec<Cause>,
    },
}

/// A command that has ended.
pub(super) struct Ended {
    pub(super) command: Underway,
    pub(super) at: Instant,
}

/// Numbers for commands under way: each has the lowest one that was free.
#[derive(Default)]
pub(super) struct Lanes {
    taken: Vec<u64>,
}

impl Lanes {
    pub(super) fn take(&mut self) -> u32 {
        let free = self.taken.iter().position(|word| *word != u64::MAX);
        let at = free.unwrap_or_else(|| {
            self.taken.push(0);
            self.taken.len() - 1
        });
        let bit = self.taken[at].trailing_ones();
        self.taken[at] |= 1 << bit;
        at as u32 * u64::BITS + bit
    }

    pub(super) fn release(&mut self, lane: u32) {
        if let Some(word) = self.taken.get_mut((lane / u64::BITS) as usize) {
            *word &= !(1 << (lane % u64::BITS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_lane_is_taken() {
        let mut lanes = Lanes::default();
        let taken: Vec<u32> = (0..130).map(|_| lanes.take()).collect();
        assert_eq!(taken, (0..130).collect::<Vec<u32>>());
        lanes.release(64);
        lanes.release(3);
        assert_eq!((lanes.take(), lanes.take(), lanes.take()), (3, 64, 130));
    }
}
