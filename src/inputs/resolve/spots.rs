//! Paths as one resolver knows them: what is there, and which run touched them, and how.
//!
//! A run goes through thousands of them while compilers push its memory out of the caches, so each is half a cache line,
//! and they are numbered in the order in which directives name them: what a directive may mean stands side by side.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::memo::NumberHasher;
use super::{PathRef, Presence, World};

/// The number of a path in one resolver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Spot(u32);

/// What a run did with a path; a bit each.
#[derive(Clone, Copy)]
pub(super) enum Touch {
    Read = 1,
    Absent = 2,
    Exists = 4,
    /// Its text was taken up, or waits for that: as a file of the list.
    QueuedAsListed = 8,
    /// Or by text.
    QueuedByText = 16,
}

/// Below the bits of a mark stands the number of the run.
const MARK_BITS: u32 = 5;

struct Known {
    path: PathRef,
    /// The epoch in which `presence` was looked up.
    epoch: u32,
    presence: Presence,
    mark: u64,
}

#[derive(Default)]
pub(super) struct Spots {
    all: Vec<Known>,
    by_path: HashMap<PathRef, Spot, BuildHasherDefault<NumberHasher>>,
    /// The world's, when this epoch began.
    version: u64,
    /// Counts the versions that were met; none is 0.
    epoch: u32,
}

impl Spots {
    /// A run begins. True when something may be otherwise than in the run before.
    pub(super) fn begin<W: World + ?Sized>(&mut self, world: &W) -> bool {
        let version = world.version();
        if self.epoch != 0 && version == self.version {
            return false;
        }
        self.version = version;
        self.epoch += 1;
        true
    }

    /// As long as this stays, what was looked up holds.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// There are no more epochs.
    pub(super) fn is_used_up(&self) -> bool {
        self.epoch == u32::MAX
    }

    pub(super) fn intern<W: World + ?Sized>(&mut self, world: &mut W, spelled: &[u8]) -> Spot {
        let path = world.intern(spelled);
        *self.by_path.entry(path).or_insert_with(|| {
            let spot = Spot(self.all.len() as u32);
            self.all.push(Known { path, epoch: 0, presence: Presence::Absent, mark: 0 });
            spot
        })
    }

    pub(super) fn path(&self, spot: Spot) -> PathRef {
        self.all[spot.0 as usize].path
    }

    /// What is there: asked once, as long as the world's version stays.
    pub(super) fn presence<W: World + ?Sized>(&mut self, world: &mut W, spot: Spot) -> Presence {
        let known = &mut self.all[spot.0 as usize];
        if known.epoch != self.epoch {
            known.presence = world.presence(known.path);
            known.epoch = self.epoch;
        }
        known.presence
    }

    /// True the first time in this run.
    pub(super) fn mark(&mut self, run: u64, spot: Spot, touch: Touch) -> bool {
        let mark = &mut self.all[spot.0 as usize].mark;
        if *mark >> MARK_BITS != run {
            *mark = run << MARK_BITS;
        }
        let fresh = *mark & touch as u64 == 0;
        *mark |= touch as u64;
        fresh
    }

    pub(super) fn is_marked(&self, run: u64, spot: Spot, touch: Touch) -> bool {
        let mark = self.all[spot.0 as usize].mark;
        mark >> MARK_BITS == run && mark & touch as u64 != 0
    }
}
