//! What names a result: the action, what its inputs contain, and the situation its messages
//! were made for. Used alike for storing and for finding.

use std::collections::HashMap;
use std::hash::Hash;

use crate::files::Seen;
use crate::store::record::SetRecord;
use crate::terms::key::{ActionKey, ResultKey};
use crate::terms::now::now_s;

/// Collects what a result key is made of. All of it is hashed at once: piece by piece takes several times as long.
pub(super) struct Contents {
    bytes: Vec<u8>,
}

/// About this much is said of an input: how its path is spelled, and its hash.
const INPUT_BYTES: usize = 100;

impl Contents {
    /// The set's own lists are part of it: what was read may be the same while something
    /// else was looked for and found, or not found.
    pub(super) fn begin(action: &ActionKey, set: &SetRecord, date_slot: Option<u64>) -> Contents {
        let mut bytes = Vec::with_capacity(INPUT_BYTES * (1 + set.read.len()));
        bytes.extend(b"result 3");
        bytes.extend(action.0);
        bytes.extend(set.spelling_sum.to_le_bytes());
        bytes.extend(date_slot.map_or(0, |slot| slot + 1).to_le_bytes());
        Contents { bytes }
    }

    /// One input, in the order of the set. `stamp` is its mtime where the result shows it.
    pub(super) fn add(&mut self, spelled: &[u8], hash: &[u8; 32], stamp: Option<i64>) {
        self.bytes.extend((spelled.len() as u32).to_le_bytes());
        self.bytes.extend(spelled);
        self.bytes.extend(hash);
        if let Some(stamp) = stamp {
            self.bytes.extend(stamp.to_le_bytes());
        }
    }

    /// A variable that was read, set or not.
    pub(super) fn add_variable(&mut self, name: &[u8], value: Option<&[u8]>) {
        for part in [Some(name), value] {
            let length = part.map_or(u32::MAX, |part| part.len() as u32);
            self.bytes.extend(length.to_le_bytes());
            self.bytes.extend(part.unwrap_or_default());
        }
    }

    /// What kind of thing is at a path whose content does not matter.
    pub(super) fn add_kind(&mut self, seen: &Seen) {
        self.bytes.push(kind(seen));
    }

    /// What counts of paths beside their contents: which of them are one, and which are of one age. `Err`: the
    /// first that `look` can't tell of.
    pub(super) fn add_relations(
        &mut self,
        set: &SetRecord,
        look: impl Fn(u32) -> Option<Seen>,
    ) -> Result<(), u32> {
        let mut groups = Groups::default();
        for spelling in &set.related {
            let seen = look(*spelling).ok_or(*spelling)?;
            self.add_kind(&seen);
            self.bytes.extend(groups.number(seen.identity()).to_le_bytes());
        }
        let mut groups = Groups::default();
        for spelling in &set.coeval {
            let dated = match look(*spelling).ok_or(*spelling)? {
                // Those that hold something else are two in any case. (What they hold is known when they are watched; if
                // it is not, the age alone makes more of them one, which is as good a key.)
                Seen::File { stat, hash } => Some((hash.map(|hash| hash.0), stat.mtime_s())),
                _ => None,
            };
            self.bytes.extend(groups.number(dated).to_le_bytes());
        }
        Ok(())
    }

    /// The own paths of what may be called by those. `Err`: the first that `own` can't tell of.
    pub(super) fn add_own_paths(
        &mut self,
        set: &SetRecord,
        own: impl Fn(u32) -> Option<OwnPath>,
    ) -> Result<(), u32> {
        for spelling in &set.linked {
            let OwnPath { shorter, path } = own(*spelling).ok_or(*spelling)?;
            self.bytes.push(shorter as u8);
            self.bytes.extend((path.len() as u32).to_le_bytes());
            self.bytes.extend(path);
        }
        Ok(())
    }

    /// That is all.
    pub(super) fn end(self) -> ContentsHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.bytes);
        ContentsHash(hasher)
    }
}

/// The path of a file without symlinks and `..`.
pub(super) struct OwnPath {
    /// As input sets spell it.
    pub(super) path: Vec<u8>,
    /// By how many bytes it is shorter than the path that the file is called by. Which of them gcc takes depends on
    /// that; further apart than a difference in spelling (`./`) could be, the exact number does not matter.
    pub(super) shorter: i8,
}

/// What kind of thing is there. A search folder that is not there is as good as an empty one.
fn kind(seen: &Seen) -> u8 {
    match seen {
        Seen::Folder { .. } | Seen::Absent => 0,
        Seen::File { .. } => 1,
        Seen::Special => 2,
        Seen::Unreadable => 3,
    }
}

/// Tells equal values by the place of the first of them; what has none is equal to nothing.
#[derive(Default)]
struct Groups<T> {
    first: HashMap<T, u32>,
    next: u32,
}

impl<T: Eq + Hash> Groups<T> {
    fn number(&mut self, value: Option<T>) -> u32 {
        let place = self.next;
        self.next += 1;
        value.map_or(place, |value| *self.first.entry(value).or_insert(place))
    }
}

/// What a result's inputs contain, hashed.
pub(super) struct ContentsHash(blake3::Hasher);

/// The key of a result. Messages belong to one situation; silence fits all.
pub(super) fn result_key(contents: &ContentsHash, text_context: Option<u64>) -> ResultKey {
    let mut hasher = contents.0.clone();
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
