//! Memos in a third of their room: those that nobody has asked for in a while.

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
    /// What those that were taken have left behind.
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
struct Parts {
    /// The first path, and by how much each is more than the one before: mostly one byte each, for they are sorted.
    input_paths: Vec<u32>,
    deliveries: Vec<Arc<Delivery>>,
    results: Vec<ResultKey>,
    about: Arc<About>,
    variables: Box<[Variable]>,
    saves_ns: u64,
    verified: Counter,
}

impl PackedMemos {
    /// Adds memos. Takes a microsecond or two for each: for workers.
    pub(super) fn add(&mut self, memos: ByRequest<Box<Memo>>) {
        self.places.reserve(memos.len());
        // Lists that are equal are mostly one and the same: `Shared::shared_paths`.
        let mut numbers = HashMap::new();
        for (key, memo) in memos {
            let number = numbers.entry(memo.tool_paths.as_ptr());
            let number = *number.or_insert_with(|| self.number(&memo.tool_paths));
            let Memo { deliveries, results, about, variables, saves_ns, verified, .. } = *memo;
            let input_paths = differences(&memo.input_paths);
            let parts =
                Parts { input_paths, deliveries, results, about, variables, saves_ns, verified };
            if let Ok(bytes) = postcard::to_stdvec(&parts) {
                self.put(key, &bytes, number);
            }
        }
    }

    /// Adds those of another, without its holes.
    pub(super) fn merge(&mut self, other: PackedMemos) {
        self.places.reserve(other.places.len());
        let mut numbers = HashMap::new();
        for (key, place) in &other.places {
            let list = || self.number(&other.tool_paths[place.tool_paths as usize]);
            let number = *numbers.entry(place.tool_paths).or_insert_with(list);
            self.put(*key, other.bytes_of(place), number);
        }
    }

    fn number(&mut self, list: &Arc<[PathId]>) -> u32 {
        let known = self.tool_paths.iter().position(|known| Arc::ptr_eq(known, list));
        known.unwrap_or_else(|| {
            self.tool_paths.push(list.clone());
            self.tool_paths.len() - 1
        }) as u32
    }

    fn put(&mut self, key: RequestKey, bytes: &[u8], tool_paths: u32) {
        if let Ok(at) = u32::try_from(self.bytes.len()) {
            self.bytes.extend_from_slice(bytes);
            self.places.insert(key, Place { at, length: bytes.len() as u32, tool_paths });
        }
    }

    fn bytes_of(&self, place: &Place) -> &[u8] {
        &self.bytes[place.at as usize..][..place.length as usize]
    }

    pub(super) fn take(&mut self, key: RequestKey) -> Option<Memo> {
        let place = self.places.remove(&key)?;
        self.hole_bytes += place.length as usize;
        let parts = postcard::from_bytes(self.bytes_of(&place)).ok()?;
        let Parts { input_paths, deliveries, results, about, variables, saves_ns, verified } =
            parts;
        Some(Memo {
            tool_paths: self.tool_paths[place.tool_paths as usize].clone(),
            input_paths: paths(&input_paths),
            deliveries,
            results,
            about,
            variables,
            saves_ns,
            verified,
            hits: 0,
        })
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
