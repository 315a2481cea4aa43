//! Memos in a third of their room: those that nobody has asked for in a while.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::about::About;
use super::memo::{ByRequest, Memo, RequestKey, Variable};
use crate::files::{Counter, PathId};
use crate::protocol::message::Delivery;
use crate::terms::key::ResultKey;

/// Memos that were packed together, and go together.
#[derive(Default)]
pub(super) struct PackedMemos {
    places: ByRequest<Place>,
    bytes: Vec<u8>,
    tool_paths: Vec<Arc<[PathId]>>,
    /// Where in `tool_paths` each is, by its address. Lists that are equal are mostly one and the same
    /// (`Shared::shared_paths`).
    numbers: HashMap<usize, u32>,
    /// What those that were removed have left behind.
    hole_bytes: usize,
}

/// Where a memo is in the bytes, and which list of tool paths it has.
struct Place {
    at: u32,
    length: u32,
    tool_paths: u32,
}

/// All of a memo but the tool's paths, and `hits`, which begin anew.
#[derive(Serialize, Deserialize)]
struct Parts<'memo> {
    /// The first path, and by how much each is more than the one before: mostly one byte each, for they are sorted.
    input_paths: Vec<u32>,
    deliveries: Cow<'memo, [Arc<Delivery>]>,
    results: Cow<'memo, [ResultKey]>,
    about: Arc<About>,
    variables: Cow<'memo, [Variable]>,
    saves_ns: u64,
    verified: Counter,
}

impl PackedMemos {
    /// Adds memos. Takes some microseconds for each: for workers.
    pub(super) fn add(&mut self, memos: &ByRequest<Box<Memo>>) {
        self.places.reserve(memos.len());
        for (key, memo) in memos {
            let number = self.number(&memo.tool_paths);
            let parts = Parts {
                input_paths: differences(&memo.input_paths),
                deliveries: Cow::Borrowed(&memo.deliveries),
                results: Cow::Borrowed(&memo.results),
                about: memo.about.clone(),
                variables: Cow::Borrowed(&memo.variables),
                saves_ns: memo.saves_ns,
                verified: memo.verified,
            };
            if let Ok(bytes) = postcard::to_stdvec(&parts) {
                self.put(*key, &bytes, number);
            }
        }
    }

    /// Adds those of another, without its holes.
    pub(super) fn merge(&mut self, other: &PackedMemos) {
        self.places.reserve(other.places.len());
        for (key, place) in &other.places {
            let number = self.number(&other.tool_paths[place.tool_paths as usize]);
            self.put(*key, other.bytes_of(place), number);
        }
    }

    fn number(&mut self, list: &Arc<[PathId]>) -> u32 {
        *self.numbers.entry(list.as_ptr().addr()).or_insert_with(|| {
            self.tool_paths.push(list.clone());
            self.tool_paths.len() as u32 - 1
        })
    }

    fn put(&mut self, key: RequestKey, bytes: &[u8], tool_paths: u32) {
        if let Ok(at) = u32::try_from(self.bytes.len()) {
            self.remove(key);
            self.bytes.extend_from_slice(bytes);
            self.places.insert(key, Place { at, length: bytes.len() as u32, tool_paths });
        }
    }

    fn bytes_of(&self, place: &Place) -> &[u8] {
        &self.bytes[place.at as usize..][..place.length as usize]
    }

    pub(super) fn get(&self, key: RequestKey) -> Option<Memo> {
        let place = self.places.get(&key)?;
        let parts: Parts = postcard::from_bytes(self.bytes_of(place)).ok()?;
        Some(Memo {
            tool_paths: self.tool_paths[place.tool_paths as usize].clone(),
            input_paths: paths(&parts.input_paths),
            deliveries: parts.deliveries.into_owned(),
            results: parts.results.into_owned(),
            about: parts.about,
            variables: parts.variables.into_owned().into(),
            saves_ns: parts.saves_ns,
            verified: parts.verified,
            hits: 0,
        })
    }

    fn remove(&mut self, key: RequestKey) {
        if let Some(place) = self.places.remove(&key) {
            self.hole_bytes += place.length as usize;
        }
    }

    pub(super) fn take(&mut self, key: RequestKey) -> Option<Memo> {
        let memo = self.get(key);
        self.remove(key);
        memo
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// What all of it takes, in memory.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.places.capacity() * size_of::<(RequestKey, Place)>()
    }

    /// More than half of it are holes.
    pub(super) fn is_thin(&self) -> bool {
        2 * self.hole_bytes > self.bytes.len()
    }
}

fn differences(paths: &[PathId]) -> Vec<u32> {
    let before = [PathId(0)].into_iter().chain(paths.iter().copied());
    paths.iter().zip(before).map(|(path, before)| path.0.wrapping_sub(before.0)).collect()
}

fn paths(differences: &[u32]) -> Box<[PathId]> {
    let mut last = 0u32;
    let next = |difference: &u32| {
        last = last.wrapping_add(*difference);
        PathId(last)
    };
    differences.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_any_order() {
        for numbers in [&[][..], &[7], &[1, 2, 900, u32::MAX], &[5, 3, 3, 0]] {
            let ids: Vec<PathId> = numbers.iter().map(|number| PathId(*number)).collect();
            assert_eq!(*paths(&differences(&ids)), ids);
        }
    }
}
