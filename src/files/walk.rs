//! From a path to what is there: component by component through the known names, looking
//! at the disk only for those that are Unknown, and watching every folder before anything
//! in it is looked at. Symlinks are followed here, hop by hop, so that each hop's folder is
//! watched as well.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::hash::{self, FileStat};
use super::nodes::{Counter, FolderId, Kind, NodeId};
use super::table::{End, FileTable, Inner, Seen};
use super::trust;
use super::watch::WatchId;

/// As many symlinks as the kernel follows.
const HOPS_MAX: usize = 40;

/// A node as it was when the walk passed it.
pub(super) struct Passed {
    pub(super) node: NodeId,
    birth: u64,
    changed: Counter,
}

/// Where a path leads.
pub(super) struct Walked {
    pub(super) passed: Vec<Passed>,
    pub(super) end: End,
}

/// What the disk says of one name.
enum Found {
    Kind(Kind),
    /// To be watched.
    Folder {
        opened: OwnedFd,
        stat: FileStat,
    },
    /// To be watched, and then looked at.
    File,
}

/// The walk met a change; begin again.
pub(super) struct Again;

impl FileTable {
    /// Leads `path` to its end. Called without the lock; the disk is touched without it.
    pub(super) fn walk(&self, path: &[u8], content: bool) -> Result<Walked, Again> {
        let mut pending: Vec<Vec<u8>> = Vec::new();
        push_components(&mut pending, path);
        let mut passed: Vec<Passed> = Vec::new();
        let mut hops = 0;
        let mut inner = self.lock();
        let Some(root) = inner.root else { return finish(&mut inner, passed, End::Unwatched) };
        let mut folder = root;
        let mut last = None;
        while let Some(name) = pending.pop() {
            if name == b".." {
                folder = inner.nodes.folder(folder).ok_or(Again)?.parent;
                last = None;
                continue;
            }
            let node = inner.nodes.name(folder, &name).ok_or(Again)?;
            let now = inner.nodes.node(node);
            let here = Passed { node, birth: now.birth, changed: now.changed };
            if matches!(now.kind, Kind::Unknown) {
                let full = inner.nodes.full_name(node).ok_or(Again)?;
                drop(inner);
                let found = self.inspect(&full);
                inner = self.lock();
                inner.drain();
                if !unchanged(&inner, &here) {
                    return Err(Again);
                }
                // Another worker may have looked at the same name, and already further.
                if matches!(inner.nodes.node(node).kind, Kind::Unknown) {
                    self.enter(&mut inner, node, folder, full, found);
                }
            }
            passed.push(here);
            last = Some(node);
            match &inner.nodes.node(node).kind {
                Kind::Folder(child) => folder = *child,
                Kind::Link { text, .. } => {
                    hops += 1;
                    if hops > HOPS_MAX {
                        return finish(&mut inner, passed, End::Nothing);
                    }
                    if text.first() == Some(&b'/') {
                        folder = inner.root.ok_or(Again)?;
                    }
                    let text = text.clone();
                    push_components(&mut pending, &text);
                    last = None;
                    continue;
                }
                Kind::Unwatched => return finish(&mut inner, passed, End::Unwatched),
                Kind::Absent => return finish(&mut inner, passed, End::Nothing),
                Kind::File(..) | Kind::Special if !pending.is_empty() => {
                    return finish(&mut inner, passed, End::Nothing);
                }
                Kind::File(..) | Kind::Special => {}
                Kind::Unknown => return Err(Again),
            }
        }
        let end = match last {
            Some(node) if !matches!(inner.nodes.node(node).kind, Kind::Folder(_)) => {
                End::Name(node)
            }
            _ => End::Folder(folder),
        };
        if content
            && let End::Name(node) = end
            && let Kind::File(stat, None) = inner.nodes.node(node).kind
        {
            let full = inner.nodes.full_name(node).ok_or(Again)?;
            drop(inner);
            let read = self.read(&full, &stat);
            inner = self.lock();
            inner.drain();
            if !passed.iter().all(|here| unchanged(&inner, here)) {
                return Err(Again);
            }
            match read {
                Ok((stat, Some(hash))) => inner.nodes.set_kind(node, Kind::File(stat, Some(hash))),
                Ok((_, None)) => return Err(Again),
                Err(_) => return finish(&mut inner, passed, End::Unreadable),
            }
        }
        finish(&mut inner, passed, end)
    }

    /// What is at a physical path whose parent folder is watched. A folder is watched before
    /// its name is believed.
    fn inspect(&self, path: &[u8]) -> Found {
        let stat = match rustix::fs::lstat(path) {
            Ok(stat) => stat,
            Err(error) if absent_or_unreadable(error) == Seen::Absent => {
                return Found::Kind(Kind::Absent);
            }
            // Nothing to remember: the next look may find it.
            Err(_) => return Found::Kind(Kind::Unwatched),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Found::File,
            FileType::Symlink => match rustix::fs::readlink(path, Vec::new()) {
                Ok(text) => Found::Kind(Kind::Link {
                    text: text.as_bytes().into(),
                    ctime_ns: FileStat::of(&stat).ctime_ns,
                }),
                Err(_) => Found::Kind(Kind::Absent),
            },
            FileType::Directory => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let Ok(folder) = rustix::fs::open(path, flags, Mode::empty()) else {
                    return Found::Kind(Kind::Unwatched);
                };
                if !trust::reports_all_changes(folder.as_fd()) {
                    return Found::Kind(Kind::Unwatched);
                }
                Found::Folder { opened: folder, stat: FileStat::of(&stat) }
            }
            _ => Found::Kind(Kind::Special),
        }
    }

    /// Writes down what was found at a name. Its watch is made and entered in one piece: two names of one inode have
    /// one watch, which ends with the last of them that is known.
    fn enter(
        &self,
        inner: &mut Inner,
        node: NodeId,
        parent: FolderId,
        full: Vec<u8>,
        found: Found,
    ) {
        let kind = match found {
            Found::Kind(kind) => kind,
            Found::File => self.enter_file(inner, node, &full),
            Found::Folder { opened, stat } => match inner.watch.add(opened.as_fd()) {
                Ok(watch) => enter_folder(inner, parent, [&full[..], b"/"].concat(), watch, &stat),
                Err(error) => {
                    self.note_watch_failure(&error);
                    Kind::Unwatched
                }
            },
        };
        inner.nodes.set_kind(node, kind);
    }

    /// A file's inode is watched before what `stat` says is believed: it may be written to under another name.
    fn enter_file(&self, inner: &mut Inner, node: NodeId, path: &[u8]) -> Kind {
        match inner.watch.add_file(path) {
            Ok(watch) => inner.nodes.watch_inode(node, watch),
            Err(error) => self.note_watch_failure(&error),
        }
        match rustix::fs::lstat(path) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                Kind::File(FileStat::of(&stat), None)
            }
            // Another one by now, or gone, which the folder will have told.
            _ => Kind::Unknown,
        }
    }
}

/// Asks the kernel, without watching anything: for paths that can't be watched, or are not to be.
pub fn look_plainly(path: &[u8], content: bool) -> Seen {
    let stat = match rustix::fs::stat(path) {
        Ok(stat) => stat,
        Err(error) => return absent_or_unreadable(error),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Seen::Folder { identity: FileStat::of(&stat).identity() },
        FileType::RegularFile if !content => Seen::File { stat: FileStat::of(&stat), hash: None },
        FileType::RegularFile => {
            // Twice at most: a file that changes under each reading is nobody's input.
            for _ in 0..2 {
                match hash::read_stored(path) {
                    Ok((stat, Some(hash))) => return Seen::File { stat, hash: Some(hash) },
                    Ok((_, None)) => {}
                    Err(_) => return Seen::Unreadable,
                }
            }
            Seen::Unreadable
        }
        _ => Seen::Special,
    }
}

fn enter_folder(
    inner: &mut Inner,
    parent: FolderId,
    path: Vec<u8>,
    watch: WatchId,
    stat: &FileStat,
) -> Kind {
    match inner.nodes.folder_of_watch(watch) {
        None => Kind::Folder(inner.nodes.add_folder(watch, Some(parent), path, stat)),
        // The same inode under a second path (a bind mount): its `..` differs, so the
        // second path is not followed through the first one's folder.
        Some(known) if inner.nodes.folder(known).is_none_or(|f| *f.path != *path) => {
            Kind::Unwatched
        }
        Some(known) => Kind::Folder(known),
    }
}

/// The last word: nothing that was passed may have changed until now.
fn finish(inner: &mut Inner, passed: Vec<Passed>, end: End) -> Result<Walked, Again> {
    inner.drain();
    if passed.iter().all(|here| unchanged(inner, here)) {
        Ok(Walked { passed, end })
    } else {
        Err(Again)
    }
}

pub(super) fn unchanged(inner: &Inner, here: &Passed) -> bool {
    let now = inner.nodes.node_checked(here.node);
    now.is_some_and(|now| now.birth == here.birth && now.changed == here.changed)
}

/// Whether the folders and links on the way to a path are older than a moment, for paths that nothing watches. A folder
/// in which a name came or went since is let pass: outputs do that, and a rename of the folder itself does not.
pub(super) fn way_is_older(path: &[u8], bound_ns: i64) -> bool {
    let mut pending: Vec<Vec<u8>> = Vec::new();
    push_components(&mut pending, path);
    let mut folder = b"/".to_vec();
    let mut hops = 0;
    while let Some(name) = pending.pop() {
        let here = [&folder[..], &name].concat();
        let Ok(stat) = rustix::fs::lstat(&here[..]) else { return false };
        let times = FileStat::of(&stat);
        let is_older = times.ctime_ns < bound_ns;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let Ok(text) = rustix::fs::readlink(&here[..], Vec::new()) else { return false };
                hops += 1;
                if !is_older || hops > HOPS_MAX {
                    return false;
                }
                if text.as_bytes().first() == Some(&b'/') {
                    folder = b"/".to_vec();
                }
                push_components(&mut pending, text.as_bytes());
            }
            FileType::Directory if !is_older && times.ctime_ns != times.mtime_ns => return false,
            FileType::Directory => folder = [&here[..], b"/"].concat(),
            // The end, or there is no way on.
            _ => return pending.is_empty(),
        }
    }
    true
}

/// Last component first, without empty ones and `.`.
fn push_components(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    for part in path.rsplit(|byte| *byte == b'/') {
        if !part.is_empty() && part != b"." {
            pending.push(part.to_vec());
        }
    }
}

fn absent_or_unreadable(error: Errno) -> Seen {
    match error {
        Errno::IO | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::STALE => Seen::Unreadable,
        // A compiler that may not search a folder does not find the file either.
        _ => Seen::Absent,
    }
}
