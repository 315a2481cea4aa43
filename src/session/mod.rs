//! What the cache tells about itself: reasons, statistics, the journal, the log.

pub mod cause;
pub mod crash;
pub mod journal;
pub mod kind;
pub mod log;
pub mod names;
pub mod reader;
pub mod reason;
pub mod record;
pub mod rollup;
pub mod stats;
pub mod time;
pub mod writer;
