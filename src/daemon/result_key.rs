//! What names a result: the action, what its inputs contain, and the situation its messages
//! were made for. Used alike for storing and for finding.

use super::upkeep::now_s;
use crate::store::key::{ActionKey, ResultKey};
use crate::store::record::SetRecord;

/// Collects what a result key is made of.
pub(super) struct Contents {
    pub(super) hasher: blake3::Hasher,
}

impl Contents {
    /// The set's own lists are part of it: what was read may be the same while something
    /// else was looked for and found, or not found.
    pub(super) fn begin(action: &ActionKey, set: &SetRecord, date_slot: Option<u64>) -> Contents {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"result 2");
        hasher.update(&action.0);
        hasher.update(&set.spelling_sum.to_le_bytes());
        hasher.update(&date_slot.map_or(0, |slot| slot + 1).to_le_bytes());
        Contents { hasher }
    }

    /// One input, in the order of the set. `stamp` is its mtime where the result shows it.
    pub(super) fn add(&mut self, spelled: &[u8], hash: &[u8; 32], stamp: Option<i64>) {
        self.hasher.update(&(spelled.len() as u32).to_le_bytes());
        self.hasher.update(spelled);
        self.hasher.update(hash);
        if let Some(stamp) = stamp {
            self.hasher.update(&stamp.to_le_bytes());
        }
    }

    /// A variable that was read, set or not.
    pub(super) fn add_variable(&mut self, name: &[u8], value: Option<&[u8]>) {
        for part in [Some(name), value] {
            let length = part.map_or(u32::MAX, |part| part.len() as u32);
            self.hasher.update(&length.to_le_bytes());
            self.hasher.update(part.unwrap_or_default());
        }
    }
}

/// The key of a result. Messages belong to one situation; silence fits all.
pub(super) fn result_key(contents: &blake3::Hasher, text_context: Option<u64>) -> ResultKey {
    let mut hasher = contents.clone();
    if let Some(context) = text_context {
        hasher.update(b"text");
        hasher.update(&context.to_le_bytes());
    }
    ResultKey(*hasher.finalize().as_bytes())
}

/// A stretch of time in which `__DATE__` can't change: local midnights fall on quarter hours
/// of UTC in every time zone in use.
pub(super) fn date_slot() -> u64 {
    now_s() / 900
}
