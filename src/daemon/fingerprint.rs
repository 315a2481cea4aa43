//! The trees that `fp` asks about, watched. A tree is planted when somebody has asked for it
//! in vain; until it has grown, clients look for themselves.

use std::collections::VecDeque;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::workers::Workers;
use crate::fp::cache_file::CacheFile;
use crate::fp::check::{self, CacheType};
use crate::fp::set::{Digest, FileSet};
use crate::fp::tree::{Budget, Tree};
use crate::protocol::message::{Fingerprint, Plot};
use crate::terms::Arg;

/// Trees kept at a time.
const TREES_MAX: usize = 16;
/// A longer set is not sent: its client looks for itself.
const SET_BYTES_MAX: usize = 48 << 20;

/// What has become of a plot.
enum Growth {
    Growing,
    Grown(Box<Tree>),
    /// The tree lost track; this is what it knew.
    Lost(FileSet),
}

type Slot = Arc<Mutex<Growth>>;

struct Trees {
    budget: Arc<Budget>,
    /// The one asked for last is the last.
    slots: Mutex<VecDeque<(Plot, Slot)>>,
    stop: AtomicBool,
}

pub(super) struct Fingerprints {
    trees: Arc<Trees>,
    answerers: Workers,
    planters: Workers,
}

impl Fingerprints {
    pub(super) fn new() -> io::Result<Fingerprints> {
        let trees = Trees {
            budget: Arc::new(Budget::of_system()),
            slots: Mutex::default(),
            stop: AtomicBool::new(false),
        };
        Ok(Fingerprints {
            trees: Arc::new(trees),
            answerers: Workers::start("fingerprint", 3)?,
            planters: Workers::start("plant", 1)?,
        })
    }

    /// Finds out what the files contain, and says it to `then` in another thread.
    pub(super) fn answer(
        &self,
        plot: Plot,
        wanted: Option<Digest>,
        then: impl FnOnce(Fingerprint) + Send + 'static,
    ) {
        let trees = self.trees.clone();
        self.answerers.give(move || {
            let work = AssertUnwindSafe(|| trees.answer(&plot, wanted));
            then(catch_unwind(work).unwrap_or(Fingerprint::Unknown));
        });
    }

    /// Has the files watched from now on.
    pub(super) fn plant(&self, plot: Plot, cache_file: Arg) {
        let trees = self.trees.clone();
        self.planters.give(move || trees.plant(plot, &cache_file));
    }

    /// How many trees are ready to answer.
    pub(super) fn grown(&self) -> usize {
        let slots = self.trees.slots.lock();
        // One that is busy is answering.
        let is_grown =
            |slot: &Slot| slot.try_lock().is_none_or(|growth| matches!(*growth, Growth::Grown(_)));
        slots.iter().filter(|(_, slot)| is_grown(slot)).count()
    }

    /// Ends what is under way.
    pub(super) fn finish(self) {
        self.trees.stop.store(true, Ordering::Relaxed);
        self.answerers.finish();
        self.planters.finish();
    }
}

impl Trees {
    fn answer(&self, plot: &Plot, wanted: Option<Digest>) -> Fingerprint {
        let Some(slot) = self.find(plot) else { return Fingerprint::Unknown };
        let mut growth = slot.lock();
        let Growth::Grown(tree) = &mut *growth else { return Fingerprint::Unknown };
        let answer = tree.now(&self.stop).map(|now| {
            if !now.readable {
                // The client may be allowed more than we are.
                Fingerprint::Unknown
            } else if wanted == Some(now.digest) {
                Fingerprint::Same
            } else {
                let set = now.set.encode();
                if set.len() > SET_BYTES_MAX { Fingerprint::Unknown } else { Fingerprint::Set(set) }
            }
        });
        answer.unwrap_or_else(|_| {
            if let Growth::Grown(tree) = std::mem::replace(&mut *growth, Growth::Growing) {
                *growth = Growth::Lost(tree.into_set());
            }
            Fingerprint::Unknown
        })
    }

    fn find(&self, plot: &Plot) -> Option<Slot> {
        let mut slots = self.slots.lock();
        let at = slots.iter().position(|(known, _)| known == plot)?;
        let found = slots.remove(at)?;
        let slot = found.1.clone();
        slots.push_back(found);
        Some(slot)
    }

    fn plant(&self, plot: Plot, cache_file: &[u8]) {
        let mut known = Vec::new();
        let slot = match self.find(&plot) {
            Some(slot) => {
                let mut growth = slot.lock();
                let Growth::Lost(set) = &mut *growth else { return };
                known.push(std::mem::take(set));
                *growth = Growth::Growing;
                drop(growth);
                slot
            }
            None => {
                let slot = Arc::new(Mutex::new(Growth::Growing));
                let mut slots = self.slots.lock();
                while slots.len() >= TREES_MAX || self.budget.is_low() && !slots.is_empty() {
                    slots.pop_front();
                }
                slots.push_back((plot.clone(), slot.clone()));
                slot
            }
        };
        let work = AssertUnwindSafe(|| self.grow(&plot, known, cache_file));
        match catch_unwind(work) {
            Ok(Ok(tree)) => *slot.lock() = Growth::Grown(Box::new(tree)),
            failed => {
                if let Ok(Err(error)) = failed {
                    log::info!("{}: not watched: {error}", String::from_utf8_lossy(&plot.root));
                }
                self.slots.lock().retain(|(other, _)| *other != plot);
            }
        }
    }

    fn grow(&self, plot: &Plot, mut known: Vec<FileSet>, cache_file: &[u8]) -> io::Result<Tree> {
        let trust_stats = plot.cache_type == CacheType::TwoLayer;
        if trust_stats && known.is_empty() {
            let path = Path::new(std::ffi::OsStr::from_bytes(cache_file));
            known = check::captured_sets(&CacheFile::new(path)?);
        }
        if !trust_stats {
            known.clear();
        }
        let bad = |error: crate::fp::selection::BadGlob| io::Error::other(error.to_string());
        let matcher = plot.selection.matcher().map_err(bad)?;
        Tree::plant(&plot.root, matcher, &known, trust_stats, self.budget.clone(), &self.stop)
    }
}
