//! Keeps the store below its limit: what was used longest ago goes first.

use std::collections::{HashMap, HashSet};

use super::blob::BlobDir;
use super::index::{Batch, Index};
use crate::protocol::message::Cleared;
use crate::sys::fault::{self, Point};
use crate::terms::blob::BlobId;
use crate::terms::key::{ActionKey, ResultKey, SetId};

/// What an eviction removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// The results, so that whoever holds them in memory can forget them.
    pub results: Vec<ResultKey>,
    /// Actions that have no result left; their manifests are gone.
    pub actions: Vec<ActionKey>,
    /// Input sets that no manifest names any more.
    pub sets: Vec<SetId>,
    /// Number of blobs.
    pub blobs: u64,
    /// Their size.
    pub bytes: u64,
    /// Size of the blobs that are left.
    pub left_bytes: u64,
}

/// A younger blob without a result may get one yet: it is put into the index after the blob
/// is in place.
const ORPHAN_AGE_S: u64 = 600;
/// Changes written to the index at a time.
const BATCH: usize = 500;

struct Known {
    used_s: u64,
    key: ResultKey,
    action: ActionKey,
    blobs: Vec<BlobId>,
}

#[derive(Default)]
struct Blob {
    /// `None`: named by a result, and not there.
    size: Option<u64>,
    changed_s: u64,
    /// Results that name it.
    results: u32,
}

/// Removes blobs without a result, results without their blobs, and if more than `limit_bytes` are
/// left, results and their blobs until at most 90 % of that are. With an index in memory only, blobs without a result go just
/// as far as that. `now_s` is in seconds since 1970.
/// Removed entries are on the disk before their blobs go.
pub fn evict(index: &Index, blobs: &BlobDir, limit_bytes: u64, now_s: u64) -> Evicted {
    let on_disk = index.is_on_disk();
    // Results first, then the folder: a blob is there before its result is.
    let mut results = Vec::new();
    let mut found: HashMap<BlobId, Blob> = HashMap::new();
    index.for_each_result(|key, record| {
        let blobs = record.blobs();
        for id in &blobs {
            found.entry(*id).or_default().results += 1;
        }
        results.push(Known { used_s: record.used_s, key, action: record.action, blobs });
    });
    if index.is_on_disk() != on_disk {
        // It failed or was closed meanwhile: not all of it was read.
        return Evicted::default();
    }
    let mut total = 0;
    blobs.scan(|blob| {
        let entry = found.entry(blob.id).or_default();
        (entry.size, entry.changed_s) = (Some(blob.size), blob.changed_s);
        total += blob.size;
    });
    results.sort_unstable_by_key(|result| (result.used_s, result.key));

    let mut orphans: Vec<(u64, BlobId, u64)> = Vec::new();
    let mut left_alone = 0;
    for (id, blob) in &found {
        let old = now_s.saturating_sub(blob.changed_s) >= ORPHAN_AGE_S;
        if let (0, Some(size)) = (blob.results, blob.size) {
            if old {
                orphans.push((blob.changed_s, *id, size));
            } else {
                left_alone += size;
            }
            // No result must go on account of the young ones: an eviction that was cut short may
            // have left many.
            total -= size;
        }
    }
    if !on_disk {
        // The index on the disk, which may open yet, may know whose they are: then no more go than have to.
        orphans.sort_unstable();
        let mut left = total + orphans.iter().map(|(.., size)| size).sum::<u64>();
        let goal = goal(left, limit_bytes);
        let count = orphans.iter().take_while(|(.., size)| {
            let goes = left > goal;
            left -= if goes { *size } else { 0 };
            goes
        });
        let count = count.count();
        left_alone += orphans.drain(count..).map(|(.., size)| size).sum::<u64>();
    }
    let mut going: Vec<(BlobId, u64)> =
        orphans.into_iter().map(|(_, id, size)| (id, size)).collect();

    let goal = goal(total, limit_bytes);
    let mut out = Evicted::default();
    let mut lost = HashSet::new();
    let mut kept = HashSet::new();
    for result in &results {
        let broken = result.blobs.iter().any(|id| found.get(id).is_some_and(|b| b.size.is_none()));
        // A result without blobs frees nothing; it goes with its turn all the same, for the index
        // must not grow for ever either.
        if !broken && total <= goal {
            kept.insert(result.action);
            continue;
        }
        out.results.push(result.key);
        lost.insert(result.action);
        for id in &result.blobs {
            let Some(blob) = found.get_mut(id) else { continue };
            blob.results -= 1;
            if let (0, Some(size)) = (blob.results, blob.size) {
                going.push((*id, size));
                total -= size;
            }
        }
    }
    out.actions = lost.difference(&kept).copied().collect();
    out.sets = sets_only_of(index, &out.actions);
    fault::at(Point::EvictChosen);
    forget(index, &out);
    fault::at(Point::EvictForgotten);

    out.left_bytes = total + left_alone;
    for (id, size) in going {
        if blobs.remove(&id).is_ok() {
            fault::at(Point::EvictRemoved);
            out.blobs += 1;
            out.bytes += size;
        } else {
            out.left_bytes += size;
        }
    }
    out
}

/// How much may stay where there is so much: all, or nine tenths of the limit.
fn goal(total: u64, limit_bytes: u64) -> u64 {
    if total > limit_bytes { limit_bytes / 10 * 9 } else { u64::MAX }
}

/// The input sets that the manifests of these actions name, and no other manifest does.
fn sets_only_of(index: &Index, actions: &[ActionKey]) -> Vec<SetId> {
    if actions.is_empty() {
        return Vec::new();
    }
    let actions: HashSet<&ActionKey> = actions.iter().collect();
    let (mut going, mut kept) = (HashSet::new(), HashSet::new());
    index.for_each_manifest(|action, manifest| {
        let sets = if actions.contains(&action) { &mut going } else { &mut kept };
        sets.extend(manifest.sets.iter().map(|known| known.id));
    });
    going.difference(&kept).copied().collect()
}

fn forget(index: &Index, gone: &Evicted) {
    let mut batch = Batch::default();
    let mut count = 0;
    let mut full = |batch: &mut Batch| {
        count += 1;
        if count % BATCH == 0 {
            index.apply(std::mem::take(batch));
        }
    };
    for key in &gone.results {
        batch.remove_result(key);
        full(&mut batch);
    }
    for key in &gone.actions {
        batch.remove_manifest(key);
        full(&mut batch);
    }
    for id in &gone.sets {
        batch.remove_set(*id);
        full(&mut batch);
    }
    index.apply(batch);
    if count > 0 {
        index.flush();
    }
}

/// Removes everything: index, blobs and stale temporary files. `artifacts` counts results and
/// `dep_graph` input sets.
pub fn clear_all(index: &Index, blobs: &BlobDir, now_s: u64) -> Cleared {
    let counts = index.clear();
    index.flush();
    let mut found = Vec::new();
    blobs.scan(|blob| found.push((blob.id, blob.size)));
    let mut bytes = 0;
    for (id, size) in found {
        if blobs.remove(&id).is_ok() {
            bytes += size;
        }
    }
    blobs.remove_stale_temps(now_s);
    Cleared { artifacts: counts.results, metadata: counts.files, dep_graph: counts.sets, bytes }
}

#[cfg(test)]
#[path = "evict_tests.rs"]
mod tests;
