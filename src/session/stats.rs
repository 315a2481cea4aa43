//! Counters, and what `status` shows.

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::reason::Reason;

/// What `status` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub socket: String,
    pub cache_dir: String,
    pub uptime_s: u64,
    pub pid: u32,
    pub counters: Counters,
    pub artifacts: u64,
    pub artifact_bytes: u64,
    pub artifact_limit: u64,
    /// Input sets known.
    pub dep_graph: u64,
    /// Files whose content is known.
    pub metadata: u64,
    pub watched_folders: u64,
    /// Selections of files that `fp` asks about and that are watched.
    pub watched_trees: u64,
    /// Journal lines that could not be written.
    pub journal_lines_lost: u64,
}

/// Counted since the cache was made or cleared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    pub hits: u64,
    pub misses: u64,
    pub uncacheable: u64,
    pub errors: u64,
    /// Hits, among those above, on what another checkout made.
    pub worktree_hits: u64,
    /// Compile time that hits did not spend.
    pub saved_ns: u64,
    /// How often each reason was given.
    pub reasons: Vec<(Reason, u64)>,
    /// The same by tool and language.
    pub kinds: Vec<(Kind, Tally)>,
}

/// What became of commands of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub hits: u64,
    pub misses: u64,
    pub uncacheable: u64,
    pub saved_ns: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.uncacheable += other.uncacheable;
        self.saved_ns += other.saved_ns;
    }
}

impl Counters {
    pub fn count(&mut self, reason: Reason) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
    }

    pub fn hit(&mut self, kind: Kind, saved_ns: u64) {
        self.hits += 1;
        self.saved_ns += saved_ns;
        let tally = self.of(kind);
        tally.hits += 1;
        tally.saved_ns += saved_ns;
    }

    /// A hit that was counted and could not be delivered: what comes instead counts anew.
    pub fn take_back_hit(&mut self, kind: Kind) {
        self.hits = self.hits.saturating_sub(1);
        let tally = self.of(kind);
        tally.hits = tally.hits.saturating_sub(1);
    }

    /// A miss that was counted, and whose run could not be started as planned.
    pub fn take_back_miss(&mut self, kind: Kind) {
        self.misses = self.misses.saturating_sub(1);
        let tally = self.of(kind);
        tally.misses = tally.misses.saturating_sub(1);
    }

    pub fn miss(&mut self, kind: Kind) {
        self.misses += 1;
        self.of(kind).misses += 1;
    }

    pub fn uncacheable(&mut self, kind: Kind, reason: Reason) {
        self.uncacheable += 1;
        self.of(kind).uncacheable += 1;
        self.count(reason);
    }

    /// Of all commands.
    pub fn compilations(&self) -> u64 {
        self.hits + self.misses + self.uncacheable
    }

    fn of(&mut self, kind: Kind) -> &mut Tally {
        let at = match self.kinds.iter().position(|(known, _)| *known == kind) {
            Some(at) => at,
            None => {
                self.kinds.push((kind, Tally::default()));
                self.kinds.len() - 1
            }
        };
        &mut self.kinds[at].1
    }
}

/// Hits per hundred commands that could have been.
pub fn hit_rate(hits: u64, misses: u64) -> f64 {
    let cacheable = hits + misses;
    if cacheable == 0 { 0.0 } else { hits as f64 * 100.0 / cacheable as f64 }
}
