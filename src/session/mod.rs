//! What the cache tells about itself: reasons, statistics, the journal, the log.

pub mod cause;
pub mod journal;
pub mod kind;
pub mod log;
pub mod reason;
pub mod stats;
