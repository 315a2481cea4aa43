//! What loop and workers share. Everything here is either immutable or locked for moments.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::configured::Configured;
use super::processor::Processor;
use super::result_key::OwnPath;
use super::spellings::Spellings;
use crate::files::{ContentHash, FileTable, PathId, Seen};
use crate::inputs::resolve::Resolver;
use crate::inputs::scan::{self, Scan};
use crate::inputs::search::SearchPath;
use crate::protocol::message::{Chunk, Content, Delivered};
use crate::protocol::quick::Handing;
use crate::store::blob::BlobDir;
use crate::store::deliver::{LINK_FROM, is_to_be_linked};
use crate::store::index::Index;
use crate::store::record::{self, ResultRecord, Text};
use crate::store::watched::WatchedBlobs;
use crate::terms::blob::BlobId;
use crate::terms::blob::BlobStat;
use crate::terms::key::{ActionKey, ResultKey};
use crate::terms::output::Role;
use crate::tools::find::absolute;
use crate::tools::places::Places;
use crate::tools::toolchain::Toolchains;

/// A cwd, the places of its compiles, and their search path.
type Scope = (Vec<u8>, Places, SearchPath);

/// Shared between workers, used by one at a time.
type Slot<T> = Arc<Mutex<T>>;

pub(super) struct Shared {
    pub(super) root: Vec<u8>,
    pub(super) table: FileTable,
    pub(super) toolchains: Toolchains,
    pub(super) index: Arc<Index>,
    pub(super) blobs: BlobDir,
    pub(super) spellings: Spellings,
    /// Actions whose compile has ended and whose result is being written down.
    pub(super) storing: Storing,
    /// Held while a manifest is read, added to and written.
    pub(super) manifests: Mutex<()>,
    /// Actions that wrote messages while sharing a run: each gets a run of its own next time.
    pub(super) separate: Mutex<HashSet<ActionKey>>,
    pub(super) configured: Configured,
    pub(super) processor: Processor,
    /// See `protocol::message::Work`.
    pub(super) fine_times: bool,
    results: Mutex<HashMap<ResultKey, Arc<LiveResult>>>,
    watched_blobs: WatchedBlobs,
    /// The stat at which each blob was last known to be good; None: none is trusted.
    blob_stats: Mutex<HashMap<BlobId, Option<BlobStat>>>,
    scans: Mutex<HashMap<(ContentHash, bool), Arc<Scan>>>,
    /// By cwd and search path.
    scopes: Mutex<HashMap<Scope, Slot<Resolver>>>,
    folders: Mutex<HashMap<FolderKey, Arc<Folder>>>,
    /// Lists of tool paths, one copy for all that share it.
    path_lists: Mutex<HashSet<Arc<[PathId]>>>,
    next_ticket: AtomicU64,
}

/// A stored result with its text at hand.
pub(super) struct LiveResult {
    pub(super) record: ResultRecord,
    pub(super) text: Vec<Chunk>,
    /// Outputs that are to be unfolded (see `Meaning::unfold`), as they are stored.
    pub(super) folded: Vec<(Role, Vec<u8>)>,
}

/// A cwd and the places of a command, and what paths spelled relative to them mean.
pub(super) struct Folder {
    path: Vec<u8>,
    pub(super) places: Places,
    /// By spelling number.
    ids: Mutex<Vec<Option<PathId>>>,
}

/// The cwd and the places.
type FolderKey = (Vec<u8>, Places);

/// Memory bounds: beyond these the table is emptied and fills again.
const RESULTS_MAX: usize = 50_000;
const SCANS_MAX: usize = 50_000;
const SCOPES_MAX: usize = 64;
const FOLDERS_MAX: usize = 256;
const PATH_LISTS_MAX: usize = 4096;
const BLOB_STATS_MAX: usize = 200_000;

impl Shared {
    pub(super) fn new(
        root: Vec<u8>,
        index: Arc<Index>,
        table: FileTable,
        fine_times: bool,
    ) -> Shared {
        Shared {
            watched_blobs: WatchedBlobs::new(BlobDir::new(&root), fine_times),
            blobs: BlobDir::new(&root),
            configured: Configured::new(&root, &table),
            processor: Processor::new(),
            root,
            table,
            toolchains: Toolchains::default(),
            spellings: Spellings::load(&index),
            index,
            storing: Storing::default(),
            manifests: Mutex::default(),
            separate: Mutex::default(),
            fine_times,
            results: Mutex::default(),
            blob_stats: Mutex::default(),
            scans: Mutex::default(),
            scopes: Mutex::default(),
            folders: Mutex::default(),
            path_lists: Mutex::default(),
            next_ticket: AtomicU64::new(1),
        }
    }

    pub(super) fn ticket(&self) -> u64 {
        self.next_ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// One copy of a list that many requests have in common.
    pub(super) fn shared_paths(&self, paths: &[PathId]) -> Arc<[PathId]> {
        let mut lists = self.path_lists.lock();
        if let Some(list) = lists.get(paths) {
            return list.clone();
        }
        if lists.len() >= PATH_LISTS_MAX {
            lists.clear();
        }
        let list: Arc<[PathId]> = paths.into();
        lists.insert(list.clone());
        list
    }

    /// A name in our folder for temporary files.
    pub(super) fn temporary(&self, ticket: u64, unit: usize, ending: &str) -> Vec<u8> {
        self.blobs.temporary(&format!("{}-{ticket}-{unit}.{ending}", std::process::id()))
    }

    pub(super) fn folder(&self, cwd: &[u8], places: &Places) -> Arc<Folder> {
        let mut folders = self.folders.lock();
        let key = (cwd.to_vec(), places.clone());
        if folders.len() >= FOLDERS_MAX && !folders.contains_key(&key) {
            folders.clear();
        }
        let make = || {
            Arc::new(Folder { path: cwd.to_vec(), places: places.clone(), ids: Mutex::default() })
        };
        folders.entry(key).or_insert_with(make).clone()
    }

    /// What is there, its content aside. None for a number the index lost.
    pub(super) fn seen(&self, folder: &Folder, spelling: u32) -> Option<Seen> {
        Some(self.table.look(self.path_id(folder, spelling)?, false))
    }

    /// The own path of what a spelling means in a folder. None for a number the index lost.
    pub(super) fn own_path(&self, folder: &Folder, spelling: u32) -> Option<OwnPath> {
        const FAR: i64 = 16;
        let spelled = folder.places.unspell(&self.spellings.text(spelling)?);
        let id = self.path_id(folder, spelling)?;
        // Else the table would not know the path, and vouch for nothing.
        self.table.look(id, false);
        let own = self.table.own_path(id);
        let shorter = (spelled.len() as i64 - own.len() as i64).clamp(-FAR, FAR) as i8;
        Some(OwnPath { path: folder.places.spell_root(&own), shorter })
    }

    /// The path that a spelling means in a folder. None for a number the index lost.
    pub(super) fn path_id(&self, folder: &Folder, spelling: u32) -> Option<PathId> {
        if let Some(Some(id)) = folder.ids.lock().get(spelling as usize) {
            return Some(*id);
        }
        let text = self.spellings.text(spelling)?;
        let path = folder.places.unspell(&text);
        let id = self.table.intern(&absolute(&folder.path, &path));
        let mut ids = folder.ids.lock();
        if ids.len() <= spelling as usize {
            ids.resize(spelling as usize + 1, None);
        }
        ids[spelling as usize] = Some(id);
        Some(id)
    }

    /// The paths of several spellings: `path_id`. None where one of them was lost.
    pub(super) fn path_ids(&self, folder: &Folder, spellings: &[u32]) -> Option<Vec<PathId>> {
        let mut paths = Vec::with_capacity(spellings.len());
        while let Some(rest) = spellings.get(paths.len()..).filter(|rest| !rest.is_empty()) {
            let ids = folder.ids.lock();
            let known = rest.iter().map_while(|spelling| ids.get(*spelling as usize).copied()?);
            paths.extend(known);
            drop(ids);
            if let Some(unknown) = spellings.get(paths.len()) {
                paths.push(self.path_id(folder, *unknown)?);
            }
        }
        Some(paths)
    }

    /// The resolver for a search path and a cwd, with what it remembers.
    pub(super) fn resolver(
        &self,
        cwd: &[u8],
        places: &Places,
        search: &SearchPath,
    ) -> Arc<Mutex<Resolver>> {
        let mut scopes = self.scopes.lock();
        let key = (cwd.to_vec(), places.clone(), search.clone());
        if scopes.len() >= SCOPES_MAX && !scopes.contains_key(&key) {
            scopes.clear();
        }
        scopes.entry(key).or_default().clone()
    }

    /// The scan of a file's text, by its content.
    pub(super) fn scan(&self, id: PathId, hash: ContentHash, assembly: bool) -> Option<Arc<Scan>> {
        if let Some(scan) = self.scans.lock().get(&(hash, assembly)) {
            return Some(scan.clone());
        }
        let text = self.table.text(id, &hash)?;
        let scan = Arc::new(if assembly { scan::scan_assembly(&text) } else { scan::scan(&text) });
        let mut scans = self.scans.lock();
        if scans.len() >= SCANS_MAX {
            scans.clear();
        }
        scans.insert((hash, assembly), scan.clone());
        Some(scan)
    }

    /// A stored result. One whose blobs are known to be bad is gone.
    pub(super) fn result(&self, key: &ResultKey) -> Option<Arc<LiveResult>> {
        if let Some(result) = self.results.lock().get(key) {
            return Some(result.clone());
        }
        let record = self.index.result(key)?;
        let text = match &record.text {
            Text::Here(chunks) => chunks.clone(),
            Text::Stored(content) => record::decode_text(&self.read_blob(content)?)?,
        };
        let folded = record.outputs.iter().filter(|output| output.folded);
        let folded = folded.map(|output| Some((output.role, self.read_blob(&output.content)?)));
        let folded = folded.collect::<Option<Vec<_>>>()?;
        Some(self.keep_result(*key, LiveResult { record, text, folded }))
    }

    pub(super) fn keep_result(&self, key: ResultKey, result: LiveResult) -> Arc<LiveResult> {
        let result = Arc::new(result);
        let mut results = self.results.lock();
        // Taken out under the lock and dropped after it: that takes milliseconds.
        let full = results.len() >= RESULTS_MAX;
        let _old = full.then(|| std::mem::take(&mut *results));
        results.insert(key, result.clone());
        drop(results);
        result
    }

    pub(super) fn drop_result(&self, key: &ResultKey) {
        self.results.lock().remove(key);
        self.index.remove_result(key);
    }

    pub(super) fn read_blob(&self, content: &Content) -> Option<Vec<u8>> {
        match content {
            Content::Inline(bytes) => Some(bytes.clone()),
            Content::Blob { id, .. } => {
                let path = self.blobs.path(id);
                let path = std::ffi::OsStr::from_bytes(&path);
                use std::os::unix::ffi::OsStrExt;
                let bytes = std::fs::read(path).ok()?;
                (*blake3::hash(&bytes).as_bytes() == id.0).then_some(bytes)
            }
        }
    }

    /// The stat a blob should have, where that is known better than the record says.
    pub(super) fn blob_stat(&self, id: &BlobId, recorded: Option<BlobStat>) -> Option<BlobStat> {
        let watched = self.watched_blobs.stat_if_watched(id);
        watched.or_else(|| self.last_blob_stat(id, recorded))
    }

    fn last_blob_stat(&self, id: &BlobId, recorded: Option<BlobStat>) -> Option<BlobStat> {
        self.blob_stats.lock().get(id).copied().unwrap_or(recorded)
    }

    /// How an output may be handed out in the short form, if its bytes are in a blob and it may at all.
    pub(super) fn handing(&self, output: &Delivered) -> Option<Handing> {
        let Content::Blob { id, size, seen } = &output.content else { return None };
        let last = self.last_blob_stat(id, *seen);
        if !is_to_be_linked(&output.path, *size) {
            return last.map(Handing::Copied);
        }
        match self.watched_blobs.stat(id, last) {
            Some(stat) => Some(Handing::Linked(stat)),
            // A large one may be linked all the same, by who can report that.
            None if *size >= LINK_FROM => None,
            None => last.map(Handing::Copied),
        }
    }

    pub(super) fn set_blob_stat(&self, id: BlobId, stat: Option<BlobStat>) {
        let mut stats = self.blob_stats.lock();
        // A forgotten one costs reading that blob once: what moved its times left the stat in its
        // record behind for good (`store::deliver` sees to that).
        if stats.len() >= BLOB_STATS_MAX && !stats.contains_key(&id) {
            stats.clear();
        }
        stats.insert(id, stat);
    }

    /// For the next daemon, which sees the blobs with other stats than the index has: each link that came or went
    /// has moved one.
    pub(super) fn keep_blob_stats(&self, file: &Path) {
        if let Err(error) = self.watched_blobs.keep(file) {
            log::warn!("{}: {error}", file.display());
        }
    }

    pub(super) fn take_over_blob_stats(&self, file: &Path) {
        for (id, stat) in WatchedBlobs::kept(file) {
            self.set_blob_stat(id, Some(stat));
        }
    }

    /// After an eviction: what is still there is read again when asked for.
    pub(super) fn forget_results(&self) {
        let _old = std::mem::take(&mut *self.results.lock());
    }

    /// Forgets everything that was stored.
    pub(super) fn forget(&self) {
        self.results.lock().clear();
        self.blob_stats.lock().clear();
        self.spellings.unsave_all();
    }
}

/// Lets a question wait for a result that is being written down.
#[derive(Default)]
pub(super) struct Storing {
    actions: Mutex<HashMap<ActionKey, usize>>,
    ended: Condvar,
}

impl Storing {
    pub(super) fn begin(&self, actions: &[ActionKey]) {
        let mut held = self.actions.lock();
        for action in actions {
            *held.entry(*action).or_default() += 1;
        }
    }

    pub(super) fn end(&self, actions: &[ActionKey]) {
        let mut held = self.actions.lock();
        for action in actions {
            if let Some(count) = held.get_mut(action) {
                *count -= 1;
                if *count == 0 {
                    held.remove(action);
                }
            }
        }
        self.ended.notify_all();
    }

    /// Waits until the action is not being stored, or for as long as is sensible.
    pub(super) fn wait(&self, action: &ActionKey) {
        const PATIENCE: Duration = Duration::from_millis(1500);
        let deadline = Instant::now() + PATIENCE;
        let mut held = self.actions.lock();
        while held.contains_key(action) {
            if self.ended.wait_until(&mut held, deadline).timed_out() {
                return;
            }
        }
    }
}
