//! What the cache tells about itself: reasons, statistics.

pub mod reason;
pub mod stats;
