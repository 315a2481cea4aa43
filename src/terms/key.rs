//! The names things are stored under.

use serde::{Deserialize, Serialize};

/// blake3 of all that is known of an action before its inputs are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ActionKey(pub [u8; 32]);

/// blake3 of an `ActionKey` and the content of its inputs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResultKey(pub [u8; 32]);

/// Names an input set. Best made from the set's content, not counted up: a number that was given
/// out by an index that has since lost it could mean two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetId(pub u64);

impl std::fmt::Debug for ActionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ActionKey({})", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl std::fmt::Debug for ResultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ResultKey({})", blake3::Hash::from_bytes(self.0).to_hex())
    }
}
