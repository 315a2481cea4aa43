//! What the daemon does beside answering: last use, counters, eviction, flushing. All of it
//! in workers; the loop only decides when.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::known::{Eviction, KNOWN_MAX};
use super::shared::Shared;
use super::workers::{Workers, aside};
use crate::protocol::message::{Cleared, Content, Report};
use crate::session::record;
use crate::session::stats::Counters;
use crate::store::evict;
use crate::store::index::{Batch, Index};
use crate::sys::fault::{self, Point};
use crate::sys::memory;
use crate::terms::key::ResultKey;
use crate::terms::now::now_s;

/// Between two writings of last use, counters and what was stored: a daemon that is killed loses no more.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// From the last writing until the daemon is taken to be at rest. More than `WRITE_EVERY`: whoever compiles on is
/// written down first.
const REST_AFTER: Duration = Duration::from_secs(10);

/// Between two evictions.
const EVICT_EVERY: Duration = Duration::from_secs(2);

/// The size of the store, as far as known.
#[derive(Default)]
struct Sizes {
    /// Results: small ones have no file of their own.
    artifacts: AtomicU64,
    bytes: AtomicU64,
}

/// Whether something is under way that is never done twice at once.
#[derive(Default)]
struct Busy(Arc<AtomicBool>);

/// It, until it ends, however that is.
struct Doing(Arc<AtomicBool>);

impl Busy {
    /// None: it is under way.
    fn begin(&self) -> Option<Doing> {
        (!self.0.swap(true, Ordering::Relaxed)).then(|| Doing(self.0.clone()))
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(super) struct Upkeep {
    sizes: Arc<Sizes>,
    limit_bytes: u64,
    evicting: Busy,
    /// What was used since that was last noted.
    used: HashSet<ResultKey>,
    noting: Busy,
    written: Counters,
    next: Instant,
    next_eviction: Instant,
    dirty: bool,
    /// When memory is given back. None: it was, and nobody has used any since.
    rest: Option<Instant>,
}

impl Upkeep {
    /// Measures the store in a thread of its own.
    pub(super) fn new(shared: &Arc<Shared>, limit_bytes: u64) -> Upkeep {
        let sizes = Arc::new(Sizes::default());
        let (target, shared) = (sizes.clone(), shared.clone());
        let measure = move || {
            measure(&shared, &target);
            shared.blobs.remove_stale_temps(now_s());
            shared.index.prune_known(KNOWN_MAX);
            record::forget_old(Path::new(OsStr::from_bytes(&shared.root)));
        };
        if let Err(error) = std::thread::Builder::new().name("measure".to_owned()).spawn(measure) {
            log::warn!("the store is not measured: {error}");
        }
        Upkeep {
            sizes,
            limit_bytes,
            evicting: Busy::default(),
            used: HashSet::new(),
            noting: Busy::default(),
            written: Counters::default(),
            next: Instant::now() + WRITE_EVERY,
            next_eviction: Instant::now(),
            dirty: false,
            rest: Some(Instant::now() + REST_AFTER),
        }
    }

    /// How large the store may grow from now on.
    pub(super) fn set_limit(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
    }

    pub(super) fn artifacts(&self) -> u64 {
        self.sizes.artifacts.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.sizes.bytes.load(Ordering::Relaxed)
    }

    /// Everything was removed.
    pub(super) fn emptied(&self) {
        self.sizes.artifacts.store(0, Ordering::Relaxed);
        self.sizes.bytes.store(0, Ordering::Relaxed);
    }

    pub(super) fn used(&mut self, results: &[ResultKey]) {
        self.used.extend(results);
        self.dirty = true;
    }

    /// Counts what wrappers put into the store.
    pub(super) fn note_stored(&mut self, report: &Report) {
        let units = report.runs.iter().flat_map(|run| &run.units);
        self.sizes.artifacts.fetch_add(units.clone().count() as u64, Ordering::Relaxed);
        for output in units.flat_map(|unit| &unit.outputs) {
            if let Some(Content::Blob { size, .. }) = &output.content {
                self.sizes.bytes.fetch_add(*size, Ordering::Relaxed);
            }
        }
        self.dirty = true;
    }

    /// How long the loop may sleep.
    pub(super) fn due_in(&self) -> Duration {
        let due = if self.dirty { Some(self.next) } else { self.rest };
        due.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(Instant::now()))
    }

    pub(super) fn tick(&mut self, shared: &Arc<Shared>, counters: &Counters, workers: &Workers) {
        // Not at every turn: what is over the limit may be too young to go.
        let due = self.bytes() > self.limit_bytes && Instant::now() >= self.next_eviction;
        if due && let Some(evicting) = self.evicting.begin() {
            self.next_eviction = Instant::now() + EVICT_EVERY;
            let (shared, limit, sizes) = (shared.clone(), self.limit_bytes, self.sizes.clone());
            let evict = move || {
                let evicted = evict::evict(&shared.index, &shared.blobs, limit, now_s());
                log::info!("evicted {} results, {} bytes", evicted.results.len(), evicted.bytes);
                Eviction::note(&shared, limit);
                shared.forget_results();
                measure(&shared, &sizes);
                drop(evicting);
            };
            if let Err(error) = aside("evict", evict) {
                log::warn!("nothing is evicted: {error}");
            }
        }
        let now = Instant::now();
        if !self.dirty {
            if self.rest.take_if(|rest| now >= *rest).is_some() {
                workers.give(memory::give_back);
            }
            return;
        }
        if now < self.next {
            return;
        }
        self.next = now + WRITE_EVERY;
        self.rest = Some(now + REST_AFTER);
        self.dirty = false;
        let counters = (self.written != *counters).then(|| counters.clone());
        if let Some(counters) = &counters {
            self.written = counters.clone();
        }
        self.note_used(shared);
        let shared = shared.clone();
        workers.give(move || write(&shared, counters));
    }

    fn note_used(&mut self, shared: &Arc<Shared>) {
        if self.used.is_empty() {
            return;
        }
        let Some(noting) = self.noting.begin() else { return };
        let (used, shared) = (std::mem::take(&mut self.used), shared.clone());
        let note = move || {
            note_used(&shared, used);
            drop(noting);
        };
        if let Err(error) = aside("used", note) {
            log::warn!("it is not noted what was used: {error}");
        }
    }

    /// The last words before the process ends.
    pub(super) fn last(self, shared: &Shared, counters: &Counters) {
        fault::at(Point::Last);
        note_used(shared, self.used);
        write(shared, Some(counters.clone()));
    }
}

/// Notes when results were last used. Each is read: with very many, that takes seconds.
fn note_used(shared: &Shared, used: HashSet<ResultKey>) {
    let now = now_s();
    /// A result used again within this time is not written again: order of use matters by the hour.
    const FRESH_S: u64 = 600;
    for key in used {
        if let Some(mut record) = shared.index.result(&key)
            && record.used_s + FRESH_S < now
        {
            record.used_s = now;
            // One at a time: meanwhile another may have taken its place, or none.
            shared.index.put_result(&key, &record);
        }
    }
}

fn write(shared: &Shared, counters: Option<Counters>) {
    fault::at(Point::Upkeep);
    let mut batch = Batch::default();
    if let Some(counters) = counters
        && let Ok(bytes) = serde_json::to_vec(&counters)
    {
        batch.put_counter(COUNTERS, &bytes);
    }
    if !batch.is_empty() {
        shared.index.apply(batch);
    }
    shared.index.flush();
}

const COUNTERS: &str = "counters";

/// The counters of earlier daemons of this root.
pub(super) fn load_counters(index: &Index) -> Counters {
    let bytes = index.counter(COUNTERS).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn measure(shared: &Shared, sizes: &Sizes) {
    let mut bytes = 0;
    shared.blobs.scan(|blob| bytes += blob.size);
    sizes.artifacts.store(shared.index.count_results(), Ordering::Relaxed);
    sizes.bytes.store(bytes, Ordering::Relaxed);
}

/// Removes everything that was stored.
pub(super) fn clear(shared: &Shared) -> Cleared {
    shared.forget();
    evict::clear_all(&shared.index, &shared.blobs, now_s())
}
