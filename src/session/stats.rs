//! Counters, and what `status` shows.

use serde::{Deserialize, Serialize};

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
}

/// Counted since the cache was made or cleared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub hits: u64,
    pub misses: u64,
    pub uncacheable: u64,
    pub errors: u64,
    /// Compile time that hits did not spend.
    pub saved_ns: u64,
    /// How often each reason was given.
    pub reasons: Vec<(Reason, u64)>,
}

impl Counters {
    pub fn count(&mut self, reason: Reason) {
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
    }
}
