//! The daemon from start to end: open the store, listen, run the loop. And what commands
//! do in its place while none runs.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::event_loop::{Config, EventLoop};
use super::inspect;
use super::kept_hashes::KeptHashes;
use super::opening::Opening;
use super::shared::Shared;
use super::upkeep::load_counters;
use crate::files::FileTable;
use crate::protocol::board;
use crate::protocol::message::Cleared;
use crate::protocol::told::Inspected;
use crate::server::life::{self, take_lock};
use crate::server::root::Root;
use crate::session::record::{self, SessionId, SessionRecord};
use crate::session::stats::Status;
use crate::settings::Settings;
use crate::store::blob::BlobDir;
use crate::store::evict;
use crate::store::index::Index;
use crate::sys::fault::{self, Point};
use crate::sys::{detach, termination};
use crate::terms::now::now_s;

/// Serves until told to stop. `detached`: say so on stdout once listening, then let go of it.
pub fn serve(settings: &Settings, detached: bool) -> io::Result<()> {
    let root = Root::of(settings)?;
    life::live(&root, settings.log_level, detached, || serve_locked(settings, &root, detached))
}

fn serve_locked(settings: &Settings, root: &Root, detached: bool) -> io::Result<()> {
    /// Who starts a daemon waits for it.
    const PATIENCE: Duration = Duration::from_secs(3);
    fault::at(Point::Locked);
    let signals = termination::descriptor();
    let root_bytes = root.path().as_os_str().as_bytes().to_vec();
    let (index, late) = Opening::begin(root_bytes.clone()).within(PATIENCE);
    fault::at(Point::Indexed);
    let fine_times = has_fine_times(&root.file("tmp/clock"));
    let kept_stats = root.file("linked");
    let shared_by = |index: Index| {
        let index = Arc::new(index);
        let table = FileTable::new(Box::new(KeptHashes::new(index.clone())));
        let shared = Arc::new(Shared::new(root_bytes.clone(), index, table, fine_times));
        shared.take_over_blob_stats(&kept_stats);
        shared
    };
    let shared = shared_by(index.unwrap_or_else(Index::in_memory));

    let listener = life::listen(root)?;
    fault::at(Point::Listening);
    let config = Config {
        socket: root.socket().to_owned(),
        kept_stats: kept_stats.clone(),
        board: root.file(board::LINK),
        settings: settings.clone(),
        default_limit_bytes: default_size(root.path()),
        signals: signals.as_ref().map(|fd| fd.as_raw_fd()),
    };
    let for_later = late.is_some().then(|| listener.try_clone()).transpose()?;
    let event_loop = EventLoop::new(listener, shared, config.clone(), late)?;
    room_for_clients(root)?;
    log::info!("serving {}", root.path().display());
    if detached {
        detach::say_ready();
    }
    fault::at(Point::Ready);
    if let (Some(index), Some(listener)) = (event_loop.run(), for_later) {
        log::info!("serving {} with its index", root.path().display());
        EventLoop::new(listener, shared_by(index), config, None)?.run();
    }
    log::info!("ended");
    Ok(())
}

/// A daemon that has no descriptor left for a client or a worker would only keep them waiting.
fn room_for_clients(root: &Root) -> io::Result<()> {
    const LEAST: usize = 8;
    let spare: io::Result<Vec<File>> = (0..LEAST).map(|_| File::open(root.path())).collect();
    let refused = |error| {
        // Nobody is to find us any more.
        let _ = std::fs::remove_file(root.socket());
        error
    };
    spare.map(|_| ()).map_err(refused)
}

/// Does what the daemon would do for `clear`, while none runs.
pub fn clear_offline(settings: &Settings) -> io::Result<Cleared> {
    let root = Root::of(settings)?;
    if !root.path().exists() {
        return Ok(Cleared::default());
    }
    root.make()?;
    let _lock = take_lock(&root)?;
    let root_bytes = root.path().as_os_str().as_bytes();
    let (index, _) = Index::open(root_bytes);
    Ok(evict::clear_all(&index, &BlobDir::new(root_bytes), now_s()))
}

/// What the daemon would say of a session, while none runs. None: there is no such session.
pub fn session_offline(
    settings: &Settings,
    id: SessionId,
    end: bool,
) -> io::Result<Option<SessionRecord>> {
    let root = Root::of(settings)?;
    let Some(mut record) = record::load(root.path(), id) else { return Ok(None) };
    if end && record.ended_at.is_none() {
        // A daemon that starts now must not write it as well.
        let _lock = take_lock(&root)?;
        record.ended_at = Some(now_s());
        record::save(root.path(), &record)?;
    }
    Ok(Some(record))
}

/// The results whose keys begin with these bytes, read without a daemon.
pub fn inspect_offline(settings: &Settings, start: &[u8]) -> io::Result<Vec<Inspected>> {
    let root = Root::of(settings)?;
    if !has_index(&root) {
        return Ok(Vec::new());
    }
    let _lock = take_lock(&root)?;
    let (index, _) = Index::open(root.path().as_os_str().as_bytes());
    Ok(inspect::results(&index, start))
}

/// What `status` can say without a daemon.
pub fn status_offline(settings: &Settings) -> io::Result<Status> {
    let root = Root::of(settings)?;
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        socket: root.socket().to_string_lossy().into_owned(),
        cache_dir: root.path().to_string_lossy().into_owned(),
        artifact_limit: limit(settings, &root),
        ..Status::default()
    };
    if root.path().is_dir() {
        let root_bytes = root.path().as_os_str().as_bytes();
        BlobDir::new(root_bytes).scan(|blob| status.artifact_bytes += blob.size);
        // A daemon that is just starting holds the lock: then the rest is left out. Nothing is made where nothing was.
        if has_index(&root)
            && let Ok(_lock) = take_lock(&root)
        {
            let (index, _) = Index::open(root_bytes);
            status.counters = load_counters(&index);
            status.artifacts = index.count_results();
        }
    }
    Ok(status)
}

/// Whether a daemon ever wrote down what it knows.
fn has_index(root: &Root) -> bool {
    root.file("index.sled").is_dir() && root.lock_path().is_file()
}

fn limit(settings: &Settings, root: &Root) -> u64 {
    settings.cache_size.unwrap_or_else(|| default_size(root.path()))
}

/// A tenth of the disk, between 5 and 40 GiB.
fn default_size(root: &Path) -> u64 {
    const GIB: u64 = 1 << 30;
    let disk = rustix::fs::statvfs(root).map_or(0, |disk| disk.f_blocks * disk.f_frsize);
    (disk / 10).clamp(5 * GIB, 40 * GIB)
}

/// Whether two writes in a row get different change times once someone looked in between
/// (multigrain timestamps, Linux 6.13): tried out, since it depends on the file system.
fn has_fine_times(probe: &Path) -> bool {
    let tried = (|| -> io::Result<bool> {
        use std::io::Write;
        use std::os::unix::fs::MetadataExt;
        let mut file = std::fs::File::create(probe)?;
        let mut last = None;
        for _ in 0..6 {
            file.write_all(b"x")?;
            let meta = file.metadata()?;
            let now = (meta.ctime(), meta.ctime_nsec());
            if last == Some(now) {
                return Ok(false);
            }
            last = Some(now);
        }
        Ok(true)
    })();
    let _ = std::fs::remove_file(probe);
    tried.unwrap_or(false)
}
