//! A set the kernel keeps us informed about. Asking again costs one look at the event queue,
//! however many files there are.
//!
//! Every folder is watched before it is listed, every file's inode before it is read (it may
//! be written to under a name elsewhere), and the queue is drained before each answer. What
//! can't be watched (what lies behind links, foreign file systems, what the limits leave out)
//! is looked at for each question. When events were lost, or something was mounted on the
//! way, the tree is of no more use: plant a new one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::scan::{Guard, Identity, Scan, child, identity};
use super::selection::Matcher;
use super::set::{Digest, FileSet, RelPath};
use crate::files::trust;
use crate::files::watch::{Event, Watch, WatchId};

/// Rounds of looking again while files change under the look.
const ROUNDS_MAX: usize = 4;

/// How many inodes all trees together may watch.
pub struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// Three quarters of what the system allows: the rest is for the compiles' inputs.
    pub fn of_system() -> Budget {
        let allowed = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches");
        let allowed = allowed.ok().and_then(|text| text.trim().parse::<usize>().ok());
        Budget { left: AtomicUsize::new(allowed.unwrap_or(8192) / 4 * 3) }
    }

    fn take(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self, count: usize) {
        self.left.fetch_add(count, Ordering::Relaxed);
    }

    /// True when little is left.
    pub fn is_low(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 1000
    }
}

/// The tree can't tell any more.
#[derive(Debug)]
pub struct Lost;

/// A watched selection of a folder.
pub struct Tree {
    root: Vec<u8>,
    root_identity: Identity,
    mounts: u64,
    matcher: Matcher,
    /// Stats may prove content where the watch does not.
    trust_stats: bool,
    set: FileSet,
    digest: Digest,
    /// Nothing in the set is unreadable.
    readable: bool,
    watched: Watched,
}

/// A set at one moment.
pub struct Moment<'a> {
    pub set: &'a FileSet,
    pub digest: Digest,
    /// False when something can't be read, by this process at least.
    pub readable: bool,
}

/// What is watched, and what is not.
struct Watched {
    watch: Watch,
    budget: Arc<Budget>,
    /// The paths of each watched inode: hard links, bind mounts.
    paths: HashMap<WatchId, Vec<RelPath>>,
    ids: BTreeMap<RelPath, WatchId>,
    untold: BTreeSet<RelPath>,
}

impl Tree {
    /// Looks at everything, watching it first. `known` is as for `Scan`. Fails when the root
    /// is no folder, nothing can be watched, or `stop` was set.
    pub fn plant(
        root: &[u8],
        matcher: Matcher,
        known: &[FileSet],
        trust_stats: bool,
        budget: Arc<Budget>,
        stop: &AtomicBool,
    ) -> io::Result<Tree> {
        let root_identity = identity(&rustix::fs::stat(root)?);
        let watch = Watch::new();
        if watch.descriptor().is_none() {
            return Err(rustix::io::Errno::MFILE.into());
        }
        let mut tree = Tree {
            root: root.to_vec(),
            root_identity,
            mounts: mounts_near(root)?,
            matcher,
            trust_stats,
            set: FileSet::default(),
            digest: FileSet::default().digest(),
            readable: true,
            watched: Watched {
                watch,
                budget,
                paths: HashMap::new(),
                ids: BTreeMap::new(),
                untold: BTreeSet::new(),
            },
        };
        let Tree { root, matcher, set, watched, .. } = &mut tree;
        Scan::new(root, matcher, known.iter().collect(), set, watched, stop).all()?;
        tree.conclude();
        Ok(tree)
    }

    /// The set as it is now: everything that changed before this call is in it.
    pub fn now(&mut self, stop: &AtomicBool) -> Result<Moment<'_>, Lost> {
        let here = rustix::fs::stat(&self.root[..]).map_err(|_| Lost)?;
        if identity(&here) != self.root_identity {
            return Err(Lost);
        }
        let mut changed = false;
        let mut stale = self.watched.untold.clone();
        for _ in 0..ROUNDS_MAX {
            stale.append(&mut self.struck()?);
            if stale.is_empty() {
                break;
            }
            changed |= self.look_again(&std::mem::take(&mut stale), stop).map_err(|_| Lost)?;
        }
        if changed {
            self.conclude();
        }
        Ok(Moment { set: &self.set, digest: self.digest, readable: self.readable })
    }

    fn conclude(&mut self) {
        self.digest = self.set.digest();
        self.readable = self.set.unreadable().is_none();
    }

    /// What is known, for the next tree.
    pub fn into_set(mut self) -> FileSet {
        std::mem::take(&mut self.set)
    }

    /// The paths that events have struck.
    fn struck(&mut self) -> Result<BTreeSet<RelPath>, Lost> {
        let Watched { watch, paths, .. } = &self.watched;
        let (mut struck, mut lost, mut mounts) = (BTreeSet::new(), false, false);
        watch.drain(|event| match event {
            Event::Name(id, name) | Event::Written(id, name) => {
                for folder in paths.get(&id).into_iter().flatten() {
                    struck.insert(child(folder, name));
                }
            }
            Event::Gone(id) | Event::Inode(id) => {
                struck.extend(paths.get(&id).into_iter().flatten().cloned());
            }
            Event::Overflow | Event::Clock => lost = true,
            Event::Mounts => mounts = true,
        });
        if lost || mounts && mounts_near(&self.root).ok() != Some(self.mounts) {
            return Err(Lost);
        }
        Ok(struck)
    }

    /// Looks at these paths and all below them. True when the set is another one now.
    fn look_again(&mut self, stale: &BTreeSet<RelPath>, stop: &AtomicBool) -> io::Result<bool> {
        let mut changed = false;
        let mut done: Option<&RelPath> = None;
        for path in stale {
            // A folder's look includes what is below it.
            if done.is_some_and(|done| is_below(path, done)) {
                continue;
            }
            done = Some(path);
            let before = FileSet { entries: self.take_out(path) };
            // Where nobody tells of changes, not even of those of folders above.
            let told = !self.watched.is_untold_above(path);
            let known = if self.trust_stats { vec![&before] } else { Vec::new() };
            let Tree { root, matcher, set, watched, .. } = &mut *self;
            Scan::new(root, matcher, known, set, watched, stop).again(path, told)?;
            changed |= !before.entries.iter().eq(range(&self.set.entries, path));
        }
        Ok(changed)
    }

    /// Forgets a path and all below it, and stops watching it. Gives what it was.
    fn take_out(&mut self, path: &RelPath) -> BTreeMap<RelPath, super::set::Entry> {
        let paths: Vec<RelPath> =
            range(&self.watched.ids, path).map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.watched.forget(&path);
        }
        self.watched.untold.retain(|other| !(other == path || is_below(other, path)));
        let taken: Vec<RelPath> =
            range(&self.set.entries, path).map(|(path, _)| path.clone()).collect();
        taken.iter().filter_map(|path| self.set.entries.remove_entry(path)).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.watched.budget.give_back(self.watched.paths.len());
    }
}

impl Watched {
    fn remember(&mut self, path: &RelPath, id: WatchId) {
        let paths = self.paths.entry(id).or_default();
        if !paths.contains(path) {
            paths.push(path.clone());
        }
        self.ids.insert(path.clone(), id);
    }

    fn forget(&mut self, path: &RelPath) {
        let Some(id) = self.ids.remove(path) else { return };
        if let Some(paths) = self.paths.get_mut(&id) {
            paths.retain(|other| other != path);
            if paths.is_empty() {
                self.paths.remove(&id);
                self.watch.remove(id);
                self.budget.give_back(1);
            }
        }
    }

    fn is_untold_above(&self, path: &[u8]) -> bool {
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut above = above.map(|(end, _)| &path[..end]);
        self.untold.contains(&b""[..]) || above.any(|above| self.untold.contains(above))
    }

    /// Enters what the kernel gave us for this path.
    fn entered(&mut self, path: &RelPath, added: io::Result<WatchId>) -> bool {
        match added {
            Ok(id) => {
                if self.paths.contains_key(&id) {
                    // The same inode under another name.
                    self.budget.give_back(1);
                }
                self.remember(path, id);
                true
            }
            Err(_) => {
                self.budget.give_back(1);
                false
            }
        }
    }
}

impl Guard for &mut Watched {
    fn folder(&mut self, path: &RelPath, folder: BorrowedFd<'_>) -> bool {
        if !trust::reports_all_changes(folder) || !self.budget.take() {
            return false;
        }
        let added = self.watch.add(folder);
        self.entered(path, added)
    }

    fn file(&mut self, path: &RelPath, full: &[u8]) -> bool {
        if !self.budget.take() {
            return false;
        }
        let added = self.watch.add_file(full);
        self.entered(path, added)
    }

    fn untold(&mut self, path: &RelPath) {
        self.untold.insert(path.clone());
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// A path and all below it.
fn range<'a, T>(
    map: &'a BTreeMap<RelPath, T>,
    path: &'a RelPath,
) -> impl Iterator<Item = (&'a RelPath, &'a T)> {
    // Everything when it is the root; else the path itself, and what begins with it and `/`.
    let own = (!path.is_empty()).then(|| map.get_key_value(path)).flatten();
    let from: RelPath =
        if path.is_empty() { path.clone() } else { [path, &b"/"[..]].concat().into() };
    let below = map.range(from..).take_while(move |(other, _)| is_below(other, path));
    own.into_iter().chain(below)
}

/// Stands for the mounts on the way to a folder and below it.
fn mounts_near(root: &[u8]) -> io::Result<u64> {
    let real = rustix::fs::open(
        root,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    use std::os::fd::AsRawFd;
    let real = rustix::fs::readlink(format!("/proc/self/fd/{}", real.as_raw_fd()), Vec::new())?;
    let real = real.as_bytes();
    let all = std::fs::read("/proc/self/mountinfo")?;
    let near = |line: &&[u8]| {
        let point = line.split(|byte| *byte == b' ').nth(4).unwrap_or_default();
        // An escaped one: taken for near rather than understood.
        point.contains(&b'\\')
            || point == b"/"
            || point == real
            || is_below(real, point)
            || is_below(point, real)
    };
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for line in all.split(|byte| *byte == b'\n').filter(near) {
        hasher.update(line);
    }
    Ok(hasher.digest())
}
