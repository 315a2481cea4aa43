//! What was seen below the roots, and what is different now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Batch, Config, Error};
use crate::fp::selection::{Matcher, Place};

/// Is told of every folder before it is listed, and when it is gone.
pub(super) trait Ears {
    /// True when changes of the folder's names will be told from now on.
    fn listen(&mut self, folder: &Path) -> bool;
    fn leave(&mut self, folder: &Path);
}

/// For those who only look.
pub(super) struct NoEars;

impl Ears for NoEars {
    fn listen(&mut self, _: &Path) -> bool {
        false
    }
    fn leave(&mut self, _: &Path) {}
}

type Identity = (u64, u64);

/// A file's looks: different when it was written to.
#[derive(Clone, Copy, PartialEq)]
struct Looks {
    identity: Identity,
    mode: u32,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

struct Root {
    /// As the user spelled it, for the batches.
    given: PathBuf,
    /// Absolute: so the paths of events begin.
    path: PathBuf,
}

#[derive(Clone, Copy)]
struct Folder {
    identity: Identity,
    told: bool,
}

pub(super) struct Model<E> {
    pub(super) ears: E,
    roots: Vec<Root>,
    matcher: Matcher,
    files: BTreeMap<PathBuf, Looks>,
    folders: BTreeMap<PathBuf, Folder>,
    by_identity: HashMap<Identity, PathBuf>,
    /// Folders found elsewhere: their old paths are to be looked at, too.
    moved: Vec<PathBuf>,
}

impl<E: Ears> Model<E> {
    /// Looks at everything for the first time.
    pub(super) fn new(config: &Config, ears: E) -> Result<Model<E>, Error> {
        let matcher = config.selection().matcher().map_err(Error::Glob)?;
        let mut roots = Vec::new();
        for given in &config.roots {
            let path = std::path::absolute(given)?;
            if !path.is_dir() {
                return Err(Error::Root(given.clone()));
            }
            roots.push(Root { given: given.clone(), path });
        }
        let mut model = Model {
            ears,
            roots,
            matcher,
            files: BTreeMap::new(),
            folders: BTreeMap::new(),
            by_identity: HashMap::new(),
            moved: Vec::new(),
        };
        for path in model.root_paths() {
            model.look(&path);
        }
        Ok(model)
    }

    pub(super) fn folder_count(&self) -> usize {
        self.folders.len()
    }

    /// Looks at everything again.
    pub(super) fn refresh_all(&mut self) -> Batch {
        let roots = self.root_paths().into_iter().collect();
        self.refresh(roots, &BTreeSet::new())
    }

    fn root_paths(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|root| root.path.clone()).collect()
    }

    /// Looks at what nobody tells about: folders without ears, and roots that were not there.
    pub(super) fn refresh_untold(&mut self) -> Batch {
        let untold = self.folders.iter().filter(|(_, folder)| !folder.told);
        let mut paths: BTreeSet<PathBuf> = untold.map(|(path, _)| path.clone()).collect();
        let gone = |path: &PathBuf| !self.folders.contains_key(path);
        paths.extend(self.root_paths().into_iter().filter(gone));
        self.refresh(paths, &BTreeSet::new())
    }

    /// Looks again at these paths and all below them. A file in `written` was written to, even
    /// if it looks as before.
    pub(super) fn refresh(
        &mut self,
        mut paths: BTreeSet<PathBuf>,
        written: &BTreeSet<PathBuf>,
    ) -> Batch {
        let mut before = BTreeMap::new();
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop_first() {
            // What is above includes what is below.
            if path.ancestors().any(|above| seen.contains(above)) {
                continue;
            }
            let old = take_below(&mut self.files, &path);
            before.extend(old);
            let folders = take_below(&mut self.folders, &path);
            self.look(&path);
            for (folder, about) in folders {
                if !self.folders.contains_key(&folder) {
                    self.ears.leave(&folder);
                    if self.by_identity.get(&about.identity) == Some(&folder) {
                        self.by_identity.remove(&about.identity);
                    }
                }
            }
            seen.insert(path);
            paths.extend(self.moved.drain(..).filter(|path| !seen.contains(path)));
        }
        let mut batch = Batch::default();
        for (path, looks) in &before {
            match self.files.get(path) {
                None => batch.removed.push(self.shown(path)),
                Some(now) if now != looks || written.contains(path) => {
                    batch.changed.push(self.shown(path));
                }
                Some(_) => {}
            }
        }
        for path in &seen {
            let now = self.files.range(path.clone()..).take_while(|(p, _)| p.starts_with(path));
            let new = now.map(|(path, _)| path).filter(|path| !before.contains_key(*path));
            batch.created.extend(new.map(|path| self.shown(path)));
        }
        for list in [&mut batch.created, &mut batch.changed, &mut batch.removed] {
            list.sort();
            list.dedup();
        }
        batch
    }

    /// A path as the user would spell it.
    fn shown(&self, path: &Path) -> PathBuf {
        let root = self.root_of(path);
        let below =
            root.and_then(|root| Some(root.given.join(path.strip_prefix(&root.path).ok()?)));
        below.unwrap_or_else(|| path.to_owned())
    }

    /// Takes in what is at one path, and all below it.
    fn look(&mut self, path: &Path) {
        let Some((place, is_root)) = self.place_above(path) else { return };
        let meta = if is_root { path.metadata() } else { path.symlink_metadata() };
        if let Ok(meta) = meta {
            self.enter(path, &meta, place, is_root);
        }
    }

    /// The place of the folder that a path is in. None below what is left out.
    fn place_above(&self, path: &Path) -> Option<(Place, bool)> {
        let root = self.root_of(path)?;
        let mut place = self.matcher.top();
        let relative = path.strip_prefix(&root.path).ok()?;
        let mut above: Vec<&Path> = relative.ancestors().skip(1).collect();
        above.reverse();
        for folder in above.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
            place = self.matcher.place(folder.as_os_str().as_bytes(), true, place);
            if place == Place::Out {
                return None;
            }
        }
        Some((place, relative.as_os_str().is_empty()))
    }

    /// The innermost root, where one lies in another.
    fn root_of(&self, path: &Path) -> Option<&Root> {
        let holding = self.roots.iter().filter(|root| path.starts_with(&root.path));
        holding.max_by_key(|root| root.path.components().count())
    }

    fn enter(&mut self, path: &Path, meta: &Metadata, above: Place, is_root: bool) {
        let place = if is_root {
            self.matcher.top()
        } else {
            let Some(root) = self.root_of(path) else { return };
            let Ok(relative) = path.strip_prefix(&root.path) else { return };
            self.matcher.place(relative.as_os_str().as_bytes(), meta.is_dir(), above)
        };
        match place {
            Place::Out => {}
            _ if meta.is_dir() => self.enter_folder(path, meta, place),
            Place::Above => {}
            Place::In => {
                self.files.insert(path.to_owned(), looks(meta));
            }
        }
    }

    fn enter_folder(&mut self, path: &Path, meta: &Metadata, place: Place) {
        let identity = (meta.dev(), meta.ino());
        if let Some(old) = self.by_identity.get(&identity)
            && old != path
        {
            // Ears know a folder by its inode: they must let go of its old path first.
            let old = old.clone();
            self.ears.leave(&old);
            self.moved.push(old);
        }
        let told = self.ears.listen(path);
        self.by_identity.insert(identity, path.to_owned());
        self.folders.insert(path.to_owned(), Folder { identity, told });
        let Ok(names) = path.read_dir() else { return };
        for name in names.flatten() {
            let child = path.join(name.file_name());
            // One that is a root itself is looked at as such.
            if self.roots.iter().any(|root| root.path == child) {
                continue;
            }
            if let Ok(meta) = child.symlink_metadata() {
                self.enter(&child, &meta, place, false);
            }
        }
    }
}

/// Takes a path and all below it out of a map. Paths are in the order of their components, so
/// these stand together.
fn take_below<T>(map: &mut BTreeMap<PathBuf, T>, path: &Path) -> BTreeMap<PathBuf, T> {
    let below = map.range(path.to_owned()..).map(|(other, _)| other);
    let below: Vec<PathBuf> = below.take_while(|other| other.starts_with(path)).cloned().collect();
    below.iter().filter_map(|other| map.remove_entry(other)).collect()
}

fn looks(meta: &Metadata) -> Looks {
    Looks {
        identity: (meta.dev(), meta.ino()),
        mode: meta.mode(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    }
}
