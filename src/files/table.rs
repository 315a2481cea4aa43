//! The file table: for each path anybody asked about, what is there and when that last
//! changed.
//!
//! Workers call `look`, which may touch the disk. The event loop calls only the memory-only
//! functions: `drain`, `unchanged`, `counter`, the tickets.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{Mode, OFlags};

use super::PathId;
use super::hash::{self, ContentHash, FileStat};
use super::nodes::{Counter, FolderId, Kind, NodeId, Nodes, Struck};
use super::walk::{self, Walked};
use super::watch::{Event, Watch};
use crate::terms::as_path;
use crate::terms::now::now_stat_ns;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, or nothing a compiler could reach.
    Absent,
    Folder {
        identity: u64,
    },
    /// `hash` is there when content was asked for.
    File {
        stat: FileStat,
        hash: Option<ContentHash>,
    },
    /// A device, fifo or socket.
    Special,
    /// There, but its content can't be read now.
    Unreadable,
}

impl Seen {
    /// Which inode, for telling whether two paths mean one file.
    pub fn identity(&self) -> Option<u64> {
        match self {
            Seen::File { stat, .. } => Some(stat.identity()),
            Seen::Folder { identity } => Some(*identity),
            _ => None,
        }
    }
}

/// A name that a path leads through, or ends at.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    /// No other place and name has this number, ever.
    pub number: NameNumber,
    /// The physical path of its folder, which ends in `/`.
    pub folder: &'a [u8],
    pub name: &'a [u8],
    /// It is a file's, which may be written to by other names, too.
    pub is_file: bool,
}

/// See [`Name::number`].
pub type NameNumber = u64;

/// Hashes kept from earlier, so that a restarted daemon need not read every file again. A stat proves
/// nothing once the clock was set, so all comes with how often it was since the start.
pub trait Remembered: Send + Sync {
    /// The hash of the file at `path`, if it was remembered with exactly this stat, and the clock
    /// was not set since.
    fn recall(&self, path: &[u8], stat: &FileStat, settings: ClockSettings) -> Option<ContentHash>;
    /// The file was read. `stat` is None while it is too young to be known by its stat later.
    fn remember(
        &self,
        path: &[u8],
        stat: Option<&FileStat>,
        hash: &ContentHash,
        settings: ClockSettings,
    );
}

/// How often the system clock was set since the table was made.
pub type ClockSettings = u32;

/// Where a walk ended.
#[derive(Clone, Copy)]
pub(super) enum End {
    Nothing,
    Name(NodeId),
    Folder(FolderId),
    /// Below a folder that can't be watched.
    Unwatched,
    Unreadable,
}

/// What is asked most stands first, in one cache line: thousands are asked for at the end of each compile, when compilers
/// have pushed them out of the caches.
#[repr(C, align(64))]
pub(super) struct Entry {
    /// When it last may have changed.
    pub(super) changed: Counter,
    /// Since when the watch has vouched for all nodes of the chain, as far as they are known.
    pub(super) vouched: Counter,
    /// The same for what is written to the file at their end, by whatever name.
    pub(super) file_vouched: Counter,
    /// What was seen is still so, as far as the watch tells.
    pub(super) known: bool,
    /// The watch can't tell: look at each question.
    pub(super) volatile: bool,
    /// When that was seen.
    seen_after: ClockSettings,
    pub(super) seen: Seen,
    /// The nodes this path is registered with.
    pub(super) chain: Vec<NodeId>,
    pub(super) path: Box<[u8]>,
}

impl Entry {
    /// True when nothing can have happened to it since.
    fn is_unchanged(&self, since: Counter) -> bool {
        self.known && !self.volatile && self.changed <= since
    }
}

/// So many paths are gone through at a time: the table is locked meanwhile, and the loop needs it.
pub const PATHS_AT_ONCE: usize = 256;

pub(super) struct Inner {
    pub(super) watch: Watch,
    pub(super) nodes: Nodes,
    /// None: it can't be watched, and so nothing can.
    pub(super) root: Option<FolderId>,
    pub(super) entries: Vec<Entry>,
    by_path: HashMap<Box<[u8]>, PathId>,
    clock_settings: ClockSettings,
    version: Version,
}

/// See [`FileTable::version`].
pub type Version = u64;

pub struct FileTable {
    inner: Mutex<Inner>,
    remembered: Box<dyn Remembered>,
    watches_used_up: AtomicBool,
    inotify: Option<RawFd>,
}

/// How often a walk begins again before the path is taken for one that never rests.
const ATTEMPTS: usize = 16;

impl FileTable {
    /// Where nothing can be watched, every file is looked at anew each time.
    pub fn new(remembered: Box<dyn Remembered>) -> FileTable {
        let watch = Watch::new();
        let inotify = watch.descriptor().map(|watch| watch.as_raw_fd());
        let mut nodes = Nodes::new();
        let root = watch_root(&watch, &mut nodes);
        let inner = Inner {
            watch,
            nodes,
            root,
            entries: Vec::new(),
            by_path: HashMap::new(),
            clock_settings: 0,
            version: 0,
        };
        let watches_used_up = AtomicBool::new(false);
        FileTable { inner: Mutex::new(inner), remembered, watches_used_up, inotify }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// The inotify descriptor, to be polled by the event loop; None: there is none.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.inotify
    }

    /// The number of an absolute path.
    pub fn intern(&self, path: &[u8]) -> PathId {
        self.lock().intern(path)
    }

    pub fn path(&self, id: PathId) -> Vec<u8> {
        self.lock().entries[id.0 as usize].path.to_vec()
    }

    /// The path that the content of what is there is remembered by: the file's own, without `..` and
    /// symlinks on the way; as given where nothing is there.
    pub fn own_path(&self, id: PathId) -> Vec<u8> {
        let path = self.path(id);
        for _ in 0..ATTEMPTS {
            let Ok(walked) = self.walk(&path, false) else { continue };
            let inner = self.lock();
            if !walked.passed.iter().all(|here| walk::unchanged(&inner, here)) {
                continue;
            }
            let own = match walked.end {
                End::Name(node) => inner.nodes.full_name(node),
                End::Folder(folder) => inner
                    .nodes
                    .folder(folder)
                    .map(|folder| folder.path.strip_suffix(b"/").unwrap_or(&folder.path).to_vec()),
                End::Nothing => Some(path.clone()),
                End::Unwatched | End::Unreadable => break,
            };
            if let Some(own) = own {
                return own;
            }
        }
        match std::fs::canonicalize(as_path(&path)) {
            Ok(own) => own.into_os_string().into_encoded_bytes(),
            Err(_) => path,
        }
    }

    /// Takes in every change up to now.
    pub fn drain(&self) {
        self.lock().drain();
    }

    pub fn counter(&self) -> Counter {
        self.lock().nodes.counter
    }

    /// Moves when anything that `look` said before may be otherwise now: something happened to one of the paths it
    /// was asked for, or nobody would tell if it did. While it stays, all of that still holds, as far as changes were
    /// taken in (`drain`).
    pub fn version(&self) -> Version {
        self.lock().version
    }

    /// True when nothing at these paths can have changed since. Memory only.
    pub fn unchanged(&self, paths: impl IntoIterator<Item = PathId>, since: Counter) -> bool {
        let inner = self.lock();
        paths.into_iter().all(|id| inner.entries[id.0 as usize].is_unchanged(since))
    }

    /// The first of these paths of which memory does not tell that nothing is there, nor was since that count.
    pub fn first_not_absent(&self, paths: &[PathId], since: Counter) -> Option<usize> {
        let mut pieces = paths.chunks(PATHS_AT_ONCE).enumerate();
        pieces.find_map(|(piece, paths)| {
            let inner = self.lock();
            let is_absent = |id: &PathId| {
                let entry = &inner.entries[id.0 as usize];
                entry.is_unchanged(since) && entry.seen == Seen::Absent
            };
            let at = paths.iter().position(|id| !is_absent(id))?;
            Some(piece * PATHS_AT_ONCE + at)
        })
    }

    /// The names that lead to these paths, and to what is not there. False where the watch does not vouch for one of them.
    pub fn each_name(&self, paths: &[PathId], mut each: impl FnMut(Name<'_>)) -> bool {
        let inner = self.lock();
        let nodes = &inner.nodes;
        paths.iter().all(|id| {
            let entry = &inner.entries[id.0 as usize];
            entry.known
                && !entry.volatile
                && entry.chain.iter().all(|id| {
                    let node = nodes.node(*id);
                    let is_file = match &node.kind {
                        Kind::File(..) => true,
                        Kind::Folder(_) | Kind::Link { .. } | Kind::Absent => false,
                        Kind::Unknown | Kind::Unwatched | Kind::Special => return false,
                    };
                    let Some((folder, name)) = nodes.place(*id) else { return false };
                    each(Name { number: node.birth, folder, name, is_file });
                    true
                })
        })
    }

    /// `unchanged` for several lists at once; gives the count up to which that holds.
    pub fn still(&self, lists: &[&[PathId]], since: Counter) -> Option<Counter> {
        let inner = self.lock();
        let now = inner.nodes.counter;
        let still = |id: &PathId| inner.entries[id.0 as usize].is_unchanged(since);
        (now == since || lists.iter().all(|list| list.iter().all(still))).then_some(now)
    }

    /// True when the watch vouches for all of these: `unchanged` can hold for them later.
    pub fn watched(&self, paths: impl IntoIterator<Item = PathId>) -> bool {
        self.unchanged(paths, Counter::MAX)
    }

    /// What is at the path; with `content`, also the hash of a file. May touch the disk.
    pub fn look(&self, id: PathId, content: bool) -> Seen {
        let path = {
            let inner = self.lock();
            let entry = &inner.entries[id.0 as usize];
            if entry.known
                && !entry.volatile
                && !(content && matches!(entry.seen, Seen::File { hash: None, .. }))
            {
                return entry.seen;
            }
            entry.path.clone()
        };
        for _ in 0..ATTEMPTS {
            if let Ok(walked) = self.walk(&path, content)
                && let Some(seen) = self.settle(id, &path, walked, content)
            {
                return seen;
            }
        }
        self.lock().version += 1;
        walk::look_plainly(&path, content)
    }

    /// Writes a walk's end into the entry. None when something changed meanwhile.
    fn settle(&self, id: PathId, path: &[u8], walked: Walked, content: bool) -> Option<Seen> {
        let mut inner = self.lock();
        if !walked.passed.iter().all(|here| walk::unchanged(&inner, here)) {
            return None;
        }
        let mut volatile = false;
        let seen = match walked.end {
            End::Nothing => Seen::Absent,
            End::Unreadable => Seen::Unreadable,
            End::Folder(folder) => Seen::Folder { identity: inner.nodes.folder(folder)?.identity },
            End::Unwatched => {
                volatile = true;
                Seen::Absent
            }
            End::Name(node) => match inner.nodes.node(node).kind {
                Kind::File(_, None) if content => return None,
                Kind::File(stat, hash) => {
                    // Without a watch on the inode, it may be written to under another name.
                    volatile = hash.is_some() && inner.nodes.inode_watched_since(node).is_none();
                    Seen::File { stat, hash }
                }
                Kind::Special => Seen::Special,
                _ => return None,
            },
        };
        let settings = inner.clock_settings;
        let Inner { entries, nodes, .. } = &mut *inner;
        let entry = &mut entries[id.0 as usize];
        let earlier = (entry.seen_after == settings).then_some(entry.seen);
        for here in &walked.passed {
            if !entry.chain.contains(&here.node) {
                entry.chain.push(here.node);
                nodes.depend(here.node, id);
            }
        }
        // A later change of any of them strikes this path.
        let vouched = entry.chain.iter().map(|node| nodes.vouched_since(*node)).max();
        entry.vouched = vouched.unwrap_or_default();
        let file_vouched = match walked.end {
            End::Name(node) => nodes.inode_watched_since(node),
            _ => None,
        };
        entry.file_vouched = file_vouched.unwrap_or(Counter::MAX);
        // Some of them may have changed before anybody asked for this path.
        let changed = entry.chain.iter().map(|node| nodes.node(*node).changed).max();
        entry.changed = entry.changed.max(changed.unwrap_or_default());
        entry.known = true;
        entry.volatile = volatile;
        if !volatile {
            (entry.seen, entry.seen_after) = (seen, settings);
            return Some(seen);
        }
        inner.version += 1;
        drop(inner);
        let seen = self.look_volatile(path, earlier, content);
        let entry = &mut self.lock().entries[id.0 as usize];
        // Should the clock have been set meanwhile, this is not believed any more.
        (entry.seen, entry.seen_after) = (seen, settings);
        Some(seen)
    }

    /// A path the watch does not vouch for: stat it, and read it unless the stat proves it
    /// to be what it was.
    fn look_volatile(&self, path: &[u8], earlier: Option<Seen>, content: bool) -> Seen {
        let now = walk::look_plainly(path, false);
        let Seen::File { stat, .. } = now else { return now };
        if !content {
            return now;
        }
        if let Some(Seen::File { stat: before, hash: Some(hash) }) = earlier
            && before == stat
            && stat.settled_at(now_stat_ns())
        {
            return Seen::File { stat, hash: Some(hash) };
        }
        match self.read(path, &stat) {
            Ok((stat, hash @ Some(_))) => Seen::File { stat, hash },
            _ => walk::look_plainly(path, true),
        }
    }

    /// A file's hash: remembered, or read now.
    pub(super) fn read(
        &self,
        path: &[u8],
        stat: &FileStat,
    ) -> io::Result<(FileStat, Option<ContentHash>)> {
        let settings = self.lock().clock_settings;
        if let Some(hash) = self.remembered.recall(path, stat, settings) {
            return Ok((*stat, Some(hash)));
        }
        let (stat, hash) = hash::read_stored(path)?;
        if let Some(hash) = &hash {
            let settled = stat.settled_at(now_stat_ns()).then_some(&stat);
            self.remembered.remember(path, settled, hash, settings);
        }
        Ok((stat, hash))
    }

    /// The text of a file, if it still has this content.
    pub fn text(&self, id: PathId, hash: &ContentHash) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let keep = |piece: &[u8]| {
            text.extend_from_slice(piece);
            true
        };
        let (_, found) = hash::read(&self.path(id), keep).ok()?;
        (found.as_ref() == Some(hash)).then_some(text)
    }

    /// True when something may have happened to the path since that count.
    pub fn changed_since(&self, id: PathId, since: Counter) -> bool {
        self.lock().entries[id.0 as usize].changed > since
    }

    /// Numbers for `status`: paths known, folders watched.
    pub fn sizes(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.entries.len(), inner.nodes.folder_count())
    }

    pub(super) fn note_watch_failure(&self, error: &io::Error) {
        if !self.watches_used_up.swap(true, Ordering::Relaxed) {
            log::warn!(
                "a folder can't be watched ({error}); its files are checked with stat at each question. \
                 If watches are used up, raise fs.inotify.max_user_watches"
            );
        }
    }
}

fn watch_root(watch: &Watch, nodes: &mut Nodes) -> Option<FolderId> {
    use std::os::fd::AsFd;
    let watched = (|| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, Mode::empty())?;
        let stat = FileStat::of(&rustix::fs::fstat(&root)?);
        Ok::<_, io::Error>((watch.add(root.as_fd())?, stat))
    })();
    match watched {
        Ok((id, stat)) => Some(nodes.add_folder(id, None, b"/".to_vec(), &stat)),
        Err(error) => {
            log::error!("nothing can be watched, files are checked with stat: {error}");
            None
        }
    }
}

impl Inner {
    fn intern(&mut self, path: &[u8]) -> PathId {
        if let Some(id) = self.by_path.get(path) {
            return *id;
        }
        let id = PathId(self.entries.len() as u32);
        self.entries.push(Entry {
            path: path.into(),
            known: false,
            volatile: false,
            changed: 0,
            seen: Seen::Unreadable,
            seen_after: self.clock_settings,
            chain: Vec::new(),
            vouched: Counter::MAX,
            file_vouched: Counter::MAX,
        });
        self.by_path.insert(path.into(), id);
        id
    }

    pub(super) fn drain(&mut self) {
        let Inner { watch, nodes, entries, clock_settings, version, .. } = self;
        let mut lost = false;
        watch.drain(|event| match event {
            // A device is no other for it, and everybody writes to `/dev/null` all the time.
            Event::Written(id, name) if nodes.is_special(id, name) => {}
            Event::Name(id, name) | Event::Written(id, name) => {
                if let Some(struck) = nodes.strike_name(id, name, watch) {
                    apply(entries, version, struck);
                }
            }
            Event::Gone(id) => apply(entries, version, nodes.strike_gone(id, watch)),
            Event::Inode(id) => apply(entries, version, nodes.strike_inode(id, watch)),
            Event::Overflow | Event::Mounts => lost = true,
            // What the watch vouches for stays known; what a stat did does not.
            Event::Clock => *clock_settings += 1,
        });
        if lost {
            self.forget_all();
        }
    }

    /// Events were lost or mounts changed: every path is to be looked at again.
    fn forget_all(&mut self) {
        self.nodes.forget_all(&self.watch);
        self.version += 1;
        for entry in &mut self.entries {
            entry.known = false;
            entry.changed = self.nodes.counter;
            entry.chain.clear();
        }
        self.root = watch_root(&self.watch, &mut self.nodes);
    }
}

fn apply(entries: &mut [Entry], version: &mut Version, struck: Vec<Struck>) {
    for one in struck {
        for id in one.paths {
            *version += 1;
            let entry = &mut entries[id.0 as usize];
            entry.known = false;
            entry.changed = one.at;
            entry.chain.retain(|node| *node != one.node);
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
