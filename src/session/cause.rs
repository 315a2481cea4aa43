//! Why one unit of one command was not a hit: the reason, and what exactly differed.

use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// Why one unit (one source) was not served from the cache, or not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The source as spelled on the command line, or the crate's name. Empty where the
    /// command was refused as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    pub reason: Reason,
    /// What differs from the nearest state or command that is known; empty where nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// One thing that is not as it was when the result that comes closest was stored. In JSON an
/// object whose `what` names the variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// An input has other content. Hashes are the first 16 hex digits of blake3.
    Content {
        path: String,
        before: String,
        after: String,
        /// The file's modification time now, microseconds since 1970.
        changed_us: u64,
    },
    /// An input that was read is no longer there.
    Gone { path: String },
    /// A path that was looked for in vain is there now.
    Appeared { path: String },
    /// A path that was only looked for, and found, is no longer there.
    Vanished { path: String },
    /// An argument that the nearest known command does not have.
    FlagAdded { flag: String },
    /// An argument that only the nearest known command has.
    FlagRemoved { flag: String },
    /// The same arguments in another order.
    FlagOrder,
    /// A variable; None: not set. `hidden`: its values are not kept.
    Variable {
        name: String,
        before: Option<String>,
        after: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        hidden: bool,
    },
    /// A file that makes the tool what it is has other content, or is another file.
    ToolFile { path: String },
    /// The tool is another one, or was made another by its flags or settings.
    Tool { before: String, after: String },
    /// The working folder, where the result records it.
    Folder { before: String, after: String },
    /// An output's name, where the result records it.
    OutputName { before: String, after: String },
    /// The source is spelled differently (the result records its name).
    SourceName { before: String, after: String },
    /// The same state was stored once and was removed to stay below the size limit.
    Evicted {
        /// When the last eviction was, microseconds since 1970; 0: not known.
        at_us: u64,
        limit_bytes: u64,
    },
    /// The stored files were damaged.
    Damaged,
    /// The terminal or the variables that decide what messages look like.
    MessageStyle,
    /// The result holds only for its date.
    Date,
    /// The argument that can't be cached, or that is not known.
    Argument { argument: String },
}
