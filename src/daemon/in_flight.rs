//! Requests for what is being compiled at this moment: they wait for that compile's result.
//!
//! A request that waits holds nothing that another could wait for, and is told again and again
//! that it still waits, so neither a circle nor a daemon that died can hold it up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Token;

use crate::protocol::message::Invocation;
use crate::terms::key::ActionKey;

/// How often a waiting client hears of us; well below `wrapper::ask`'s `ROUND_MAX`.
pub(super) const ROUND: Duration = Duration::from_millis(400);
/// A request waits no longer than this for a compile that is not its own.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// And no longer than this once that compile has ended and is being stored.
const STORING_MAX: Duration = Duration::from_secs(1);
/// Actions remembered as not worth waiting for.
const FUTILE_MAX: usize = 10_000;

/// A request that waits.
pub(super) struct Waiter {
    pub(super) client: Token,
    pub(super) invocation: Arc<Invocation>,
    until: Instant,
}

/// The compiles under way, and who waits for them.
pub(super) struct InFlight {
    compiling: HashMap<ActionKey, u64>,
    waiters: HashMap<u64, Vec<Waiter>>,
    /// Those that have ended and are being stored, and how long that is waited for.
    storing: HashMap<u64, Instant>,
    /// Their last compile was not stored, so waiting for the next one would bring nothing.
    futile: HashSet<ActionKey>,
    last_round: Instant,
}

impl InFlight {
    pub(super) fn new() -> InFlight {
        InFlight {
            compiling: HashMap::new(),
            waiters: HashMap::new(),
            storing: HashMap::new(),
            futile: HashSet::new(),
            last_round: Instant::now(),
        }
    }

    /// The ticket of the compile that will bring results for all of these actions.
    pub(super) fn other(&self, actions: &[ActionKey]) -> Option<u64> {
        let (first, rest) = actions.split_first()?;
        let ticket = self.compiling.get(first)?;
        let same = rest.iter().all(|action| self.compiling.get(action) == Some(ticket));
        let futile = actions.iter().any(|action| self.futile.contains(action));
        let overdue = self.storing.get(ticket).is_some_and(|until| Instant::now() >= *until);
        (same && !futile && !overdue).then_some(*ticket)
    }

    pub(super) fn begin(&mut self, ticket: u64, actions: &[ActionKey]) {
        for action in actions {
            self.compiling.entry(*action).or_insert(ticket);
        }
    }

    pub(super) fn wait(&mut self, ticket: u64, client: Token, invocation: Arc<Invocation>) {
        let until = self.storing.get(&ticket).copied();
        let until = until.unwrap_or_else(|| Instant::now() + WAIT_MAX);
        self.waiters.entry(ticket).or_default().push(Waiter { client, invocation, until });
    }

    /// A compile has ended, and its results are about to be stored.
    pub(super) fn stores(&mut self, ticket: u64, actions: &[ActionKey]) {
        if !actions.iter().any(|action| self.compiling.get(action) == Some(&ticket)) {
            return;
        }
        let until = Instant::now() + STORING_MAX;
        self.storing.insert(ticket, until);
        for waiter in self.waiters.get_mut(&ticket).into_iter().flatten() {
            waiter.until = waiter.until.min(until);
        }
    }

    /// A compile is over, and stored or not. Gives the requests to be answered now.
    pub(super) fn end(
        &mut self,
        ticket: u64,
        actions: &[ActionKey],
        is_stored: bool,
    ) -> Vec<Waiter> {
        if self.futile.len() >= FUTILE_MAX {
            self.futile.clear();
        }
        for action in actions {
            if self.compiling.get(action) == Some(&ticket) {
                self.compiling.remove(action);
            }
            if is_stored {
                self.futile.remove(action);
            } else {
                self.futile.insert(*action);
            }
        }
        self.storing.remove(&ticket);
        self.waiters.remove(&ticket).unwrap_or_default()
    }

    pub(super) fn has_waiters(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// Once a `ROUND`: gives who still waits, and the requests that have waited enough: too
    /// long, or for a compile that `is_stopped`.
    pub(super) fn round(&mut self, is_stopped: impl Fn(u64) -> bool) -> (Vec<Token>, Vec<Waiter>) {
        let now = Instant::now();
        if now.duration_since(self.last_round) < ROUND {
            return (Vec::new(), Vec::new());
        }
        self.last_round = now;
        let mut enough = Vec::new();
        for (ticket, waiters) in &mut self.waiters {
            let stopped = is_stopped(*ticket);
            enough.extend(waiters.extract_if(.., |waiter| stopped || now >= waiter.until));
        }
        self.waiters.retain(|_, waiters| !waiters.is_empty());
        let waiting = self.waiters.values().flatten().map(|waiter| waiter.client).collect();
        (waiting, enough)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ActionKey = ActionKey([1; 32]);
    const B: ActionKey = ActionKey([2; 32]);

    #[test]
    fn one_compile_serves_those_who_wait() {
        let mut flight = InFlight::new();
        assert_eq!(flight.other(&[A]), None);
        flight.begin(7, &[A, B]);
        flight.begin(8, &[B]);
        assert_eq!(flight.other(&[A, B]), Some(7));
        assert_eq!(flight.other(&[]), None);
        flight.wait(7, Token(1), Arc::default());
        flight.wait(7, Token(2), Arc::default());
        assert!(flight.end(8, &[B], true).is_empty());
        assert_eq!(flight.other(&[B]), Some(7));
        assert_eq!(flight.end(7, &[A, B], true).len(), 2);
        assert_eq!(flight.other(&[A]), None);
        assert!(!flight.has_waiters());
    }

    #[test]
    fn different_compiles_are_not_waited_for_together() {
        let mut flight = InFlight::new();
        flight.begin(7, &[A]);
        flight.begin(8, &[B]);
        assert_eq!(flight.other(&[A, B]), None);
    }

    #[test]
    fn what_is_never_stored_is_not_waited_for() {
        let mut flight = InFlight::new();
        flight.begin(7, &[A]);
        flight.end(7, &[A], false);
        flight.begin(8, &[A]);
        assert_eq!(flight.other(&[A]), None);
        flight.end(8, &[A], true);
        flight.begin(9, &[A]);
        assert_eq!(flight.other(&[A]), Some(9));
    }

    #[test]
    fn what_is_not_stored_soon_is_not_waited_for() {
        let mut flight = InFlight::new();
        flight.begin(7, &[A]);
        flight.wait(7, Token(1), Arc::default());
        flight.stores(7, &[A]);
        assert_eq!(flight.other(&[A]), Some(7));
        flight.wait(7, Token(2), Arc::default());
        for until in flight.waiters.values_mut().flatten().map(|waiter| &mut waiter.until) {
            *until -= STORING_MAX;
        }
        *flight.storing.get_mut(&7).unwrap() -= STORING_MAX;
        assert_eq!(flight.other(&[A]), None);
        flight.last_round -= ROUND;
        assert_eq!(flight.round(|_| false).1.len(), 2);
        assert!(flight.end(7, &[A], true).is_empty());
        assert!(flight.storing.is_empty());
        flight.stores(8, &[A]);
        assert!(flight.storing.is_empty(), "nobody could wait for it");
    }

    #[test]
    fn a_stopped_compile_is_not_waited_for() {
        let mut flight = InFlight::new();
        flight.begin(7, &[A]);
        flight.wait(7, Token(1), Arc::default());
        flight.last_round -= ROUND;
        let (waiting, enough) = flight.round(|_| false);
        assert_eq!((waiting, enough.len()), (vec![Token(1)], 0));
        assert!(flight.round(|_| true).1.is_empty(), "only once a round");
        flight.last_round -= ROUND;
        assert_eq!(flight.round(|ticket| ticket == 7).1.len(), 1);
        assert!(!flight.has_waiters());
    }
}
