//! What the cache tells about itself: reasons, statistics, the log.

pub mod log;
pub mod reason;
pub mod stats;
