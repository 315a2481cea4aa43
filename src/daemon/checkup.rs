//! `doctor`: is this root's cache sound, and if not, what is wrong and what helps. With `repair`,
//! mends it; everything in a cache can be made again, so what is damaged goes.

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde::Serialize;

use super::start;
use crate::protocol::message::{Reply, Request};
use crate::server::life::take_lock;
use crate::server::place;
use crate::server::root::Root;
use crate::settings::Settings;
use crate::store::blob::BlobDir;
use crate::store::evict;
use crate::store::index::{Index, Opened};
use crate::terms::blob::BlobId;
use crate::terms::now::now_s;

/// What helps where the root is no place for a cache.
const ELSEWHERE: &str = "set ZCCACHE_CACHE_DIR to a folder of your own";

/// One thing that is not as it should be.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Which part: `root`, `daemon`, `socket`, `index`, `results`, `blobs`, `watch`.
    pub part: &'static str,
    /// What is wrong, and where.
    pub what: String,
    /// What the user can do, beside `--repair`.
    pub advice: String,
    pub repaired: bool,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    pub root: String,
    /// The daemon's process, if one answers.
    pub daemon: Option<u32>,
    pub blobs: u64,
    pub blob_bytes: u64,
    pub damaged_blobs: u64,
    pub results: u64,
    /// The index was looked at; a running daemon has it to itself.
    pub index_checked: bool,
    pub problems: Vec<Problem>,
}

impl Findings {
    /// Nothing is wrong (any more).
    pub fn is_sound(&self) -> bool {
        self.problems.iter().all(|problem| problem.repaired)
    }

    fn add(&mut self, part: &'static str, what: String, advice: &str, repaired: bool) {
        self.problems.push(Problem { part, what, advice: advice.to_owned(), repaired });
    }
}

/// Looks at everything; with `repair` a running daemon is stopped first. An error means that
/// there is no cache folder to look at, or that it can't be had for repairing.
pub fn examine(settings: &Settings, repair: bool) -> io::Result<Findings> {
    let root = Root::of(settings)?;
    let mut found =
        Findings { root: root.path().to_string_lossy().into_owned(), ..Findings::default() };
    watch_limits(&mut found);
    if !check_root(&root, repair, &mut found)? {
        return Ok(found);
    }
    if repair {
        start::stop(settings)?;
    }
    if check_daemon(settings, &mut found) {
        check_blobs(&root, false, &mut found);
        return Ok(found);
    }
    let _lock = take_lock(&root)?;
    check_socket(&root, repair, &mut found);
    // Blobs first: results without their blobs go afterwards.
    check_blobs(&root, repair, &mut found);
    check_index(&root, repair, &mut found)?;
    Ok(found)
}

/// False when there is nothing more to look at.
fn check_root(root: &Root, repair: bool, found: &mut Findings) -> io::Result<bool> {
    let path = root.path();
    let meta = match std::fs::metadata(path) {
        // No cache yet, and nothing wrong with that.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Err(error) = can_be_made(path) {
                let what = format!("{} can't be made: {error}", path.display());
                found.add("root", what, ELSEWHERE, false);
            }
            return Ok(false);
        }
        Err(error) => {
            let what = format!("{}: {error}", path.display());
            found.add("root", what, ELSEWHERE, false);
            return Ok(false);
        }
        Ok(meta) => meta,
    };
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        let what = format!("{} is not a folder of yours", path.display());
        found.add("root", what, ELSEWHERE, false);
        return Ok(false);
    }
    let judged = place::judge(path);
    if matches!(judged, Ok(place::Claim::Open)) {
        let what = format!("{} is open to others (mode {:o})", path.display(), meta.mode() & 0o777);
        let repaired = repair && root.make().is_ok();
        found.add("root", what, "chmod 700", repaired);
    } else if let Err(error) = judged {
        found.add("root", error.to_string(), "no daemon uses it as it is", false);
        return Ok(false);
    }
    let probe = root.file("tmp/doctor");
    let written = std::fs::create_dir_all(root.file("tmp"))
        .and_then(|()| std::fs::write(&probe, vec![0; 64 << 10]));
    let _ = std::fs::remove_file(&probe);
    if let Err(error) = written {
        let what = format!("{} can't be written to: {error}", path.display());
        found.add("root", what, "make room, or set ZCCACHE_CACHE_DIR to another disk", false);
    }
    Ok(true)
}

/// Whether a folder that is not there could be: tried with the first that is missing on its way, which goes again.
fn can_be_made(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|folder| !folder.exists());
    match missing.last() {
        Some(first) => std::fs::create_dir(first).and_then(|()| std::fs::remove_dir(first)),
        None => Ok(()),
    }
}

/// True when a daemon has the root, if only one that does not answer.
fn check_daemon(settings: &Settings, found: &mut Findings) -> bool {
    match start::ask_running(settings, &Request::Status) {
        Ok(Some(Reply::Status(status))) => found.daemon = Some(status.pid),
        Ok(None) => return false,
        Ok(Some(_)) => found.add("daemon", "it gave another answer".into(), "zccache stop", false),
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::TimedOut => "until then every compile waits for it",
                _ => "zccache stop, or end the process",
            };
            found.add("daemon", error.to_string(), advice, false);
        }
    }
    true
}

/// Nobody serves this root, so nothing should lie in the socket's place.
fn check_socket(root: &Root, repair: bool, found: &mut Findings) {
    let Ok(meta) = std::fs::symlink_metadata(root.socket()) else { return };
    if meta.file_type().is_socket() {
        let repaired = repair && std::fs::remove_file(root.socket()).is_ok();
        let what = format!("{} is left from a daemon that was killed", root.socket().display());
        found.add("socket", what, "the next start removes it", repaired);
    } else if let Err(error) = root.check_socket() {
        // Somebody may want to keep it.
        found.add("socket", error.to_string(), "no daemon can be reached until then", false);
    }
}

fn check_blobs(root: &Root, repair: bool, found: &mut Findings) {
    let blobs = BlobDir::new(root.path().as_os_str().as_bytes());
    let mut all: Vec<(BlobId, u64)> = Vec::new();
    blobs.scan(|blob| all.push((blob.id, blob.size)));
    let mut removed = 0;
    for (id, size) in &all {
        found.blobs += 1;
        found.blob_bytes += size;
        // One that went meanwhile was evicted.
        if blobs.verify(id, *size, None, false).is_err()
            && std::fs::symlink_metadata(crate::terms::as_path(&blobs.path(id))).is_ok()
        {
            found.damaged_blobs += 1;
            removed += u64::from(repair && blobs.remove(id).is_ok());
        }
    }
    if found.damaged_blobs > 0 {
        let what =
            format!("{} of {} are not what their names say", found.damaged_blobs, found.blobs);
        let repaired = removed == found.damaged_blobs;
        found.add("blobs", what, "they are never delivered; look after the disk", repaired);
    }
    let strangers = blobs.strangers();
    if let Some(first) = strangers.first() {
        let what = format!("{} files are none of ours, as {}", strangers.len(), first.display());
        let gone = |path: &Path| match std::fs::symlink_metadata(path) {
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path).is_ok(),
            _ => std::fs::remove_file(path).is_ok(),
        };
        let repaired = repair && strangers.iter().all(|path| gone(path));
        found.add("blobs", what, "remove them", repaired);
    }
}

/// The index is opened in a copy, since opening may change it: only a repair does that in place.
fn check_index(root: &Root, repair: bool, found: &mut Findings) -> io::Result<()> {
    found.index_checked = true;
    let suspect = root.file("index.suspect").exists();
    let copy = root.file("tmp").join(format!("doctor-{}", std::process::id()));
    let place = if repair { root.path() } else { &copy };
    let current = root.file("index.sled");
    if !repair && current.exists() {
        copy_folder(&current, &copy.join("index.sled"))?;
    }
    if repair || current.exists() {
        let (index, opened) = Index::open(place.as_os_str().as_bytes());
        if let Opened::StartedEmpty(why) = &opened {
            let repaired = repair && index.is_on_disk();
            found.add("index", why.clone(), "the next daemon sets it aside", repaired);
        } else if suspect {
            let what = "a daemon ended while it used the index".to_owned();
            found.add("index", what, "the next daemon opens it with care", repair);
        }
        count_results(root, &index, repair, found);
        index.flush();
    }
    let _ = std::fs::remove_dir_all(&copy);
    Ok(())
}

fn count_results(root: &Root, index: &Index, repair: bool, found: &mut Findings) {
    let blobs = BlobDir::new(root.path().as_os_str().as_bytes());
    let mut there = HashSet::new();
    blobs.scan(|blob| {
        there.insert(blob.id);
    });
    let mut broken = 0;
    index.for_each_result(|_, record| {
        found.results += 1;
        broken += u64::from(!record.blobs().iter().all(|id| there.contains(id)));
    });
    if broken > 0 {
        if repair {
            evict::evict(index, &blobs, u64::MAX, now_s());
        }
        let what = format!("{broken} of {} lack blobs", found.results);
        found.add("results", what, "they are compiled again when asked for", repair);
    }
}

/// What the kernel lets one user watch.
fn watch_limits(found: &mut Findings) {
    for (name, least) in [("max_user_watches", 8192), ("max_user_instances", 16)] {
        let path = format!("/proc/sys/fs/inotify/{name}");
        let value = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        if value.is_some_and(|value: u64| value < least) {
            let what = format!("fs.inotify.{name} is {}", value.unwrap_or_default());
            found.add("watch", what, "raise it with sysctl: files are checked one by one", false);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target)?,
            kind if kind.is_file() => std::fs::copy(entry.path(), target).map(|_| ())?,
            _ => {}
        }
    }
    Ok(())
}
