//! The files of all modules below a root file, and the places where they might be. A superset of
//! what rustfmt reads: both ways of naming a module's folder count for every file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::modules::declared;
use crate::files::{ContentHash, PathId, Seen};
use crate::tools::caller::Caller;

/// More files than any crate has.
const FILES_MAX: usize = 20_000;
/// More folders than any file's modules have.
const FOLDERS_MAX: usize = 256;
/// The kernel opens nothing under a longer name.
const PATH_BYTES_MAX: usize = 4096;

/// What was found at a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// A file of this content.
    File(ContentHash, Arc<[u8]>),
    Absent,
    Other,
}

/// Everything that decides which modules there are, by absolute path.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) places: BTreeMap<Vec<u8>, (PathId, Place)>,
}

impl Tree {
    /// Follows all declarations from a root file (absolute). None where a file can't be read.
    pub(super) fn of(caller: Caller<'_>, root: &[u8]) -> Option<Tree> {
        let mut tree = Tree::default();
        let mut todo = vec![root.to_vec()];
        while let Some(path) = todo.pop() {
            if tree.places.contains_key(&path) {
                continue;
            }
            let id = caller.table.intern(&path);
            let place = match caller.table.look(id, true) {
                Seen::Absent => Place::Absent,
                Seen::File { hash: Some(hash), .. } => {
                    let text = caller.table.text(id, &hash)?;
                    todo.extend(candidates(&path, &text)?);
                    Place::File(hash, text.into())
                }
                _ => Place::Other,
            };
            tree.places.insert(path, (id, place));
            if tree.places.len() > FILES_MAX {
                return None;
            }
        }
        // rustfmt looks whether there is one, and takes it for the folder of the root's modules.
        let folder = without_ending(root).to_vec();
        let id = caller.table.intern(&folder);
        let place = match caller.table.look(id, false) {
            Seen::Absent => Place::Absent,
            _ => Place::Other,
        };
        tree.places.entry(folder).or_insert((id, place));
        Some(tree)
    }

    /// The files, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Vec<u8>, PathId, &Arc<[u8]>)> {
        self.places.iter().filter_map(|(path, (id, place))| match place {
            Place::File(_, text) => Some((path, *id, text)),
            _ => None,
        })
    }

    /// Whether a file belongs to both.
    pub(super) fn overlaps(&self, other: &Tree) -> bool {
        let own: BTreeSet<PathId> = self.files().map(|(_, id, _)| id).collect();
        other.files().any(|(_, id, _)| own.contains(&id))
    }
}

fn without_ending(path: &[u8]) -> &[u8] {
    let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let dot = path[name..].iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
    dot.map_or(path, |dot| &path[..name + dot])
}

/// Where the modules that a file declares may be. None: in too many places.
pub(super) fn candidates(file: &[u8], text: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let slash = file.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let bases = [file[..slash].to_vec(), without_ending(file).to_vec()];
    let mut found = BTreeSet::new();
    for module in declared(text)? {
        let mut folders: Vec<Vec<u8>> = bases.to_vec();
        for names in &module.within {
            if folders.len() * names.len() > FOLDERS_MAX {
                return None;
            }
            let below =
                |folder: &Vec<u8>| names.iter().map(|name| join(folder, name)).collect::<Vec<_>>();
            folders = folders.iter().flat_map(below).collect();
            folders.retain(|folder| folder.len() <= PATH_BYTES_MAX);
        }
        for folder in &folders {
            let name = &module.name;
            found.insert([folder, &b"/"[..], name, b".rs"].concat());
            found.insert([folder, &b"/"[..], name, b"/mod.rs"].concat());
            found.extend(module.paths.iter().map(|path| join(folder, path)));
        }
        if found.len() > FILES_MAX {
            return None;
        }
    }
    Some(found)
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if name.starts_with(b"/") { name.to_vec() } else { [folder, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_naming_folders_count() {
        let found = candidates(b"/s/a.rs", b"mod b; mod c { #[path = \"p.rs\"] mod d; }").unwrap();
        let found: Vec<&str> =
            found.iter().map(|path| std::str::from_utf8(path).unwrap()).collect();
        let expected = [
            "/s/a/b.rs",
            "/s/a/b/mod.rs",
            "/s/a/c/d.rs",
            "/s/a/c/d/mod.rs",
            "/s/a/c/p.rs",
            "/s/b.rs",
            "/s/b/mod.rs",
            "/s/c/d.rs",
            "/s/c/d/mod.rs",
            "/s/c/p.rs",
        ];
        assert_eq!(found, expected);
        assert_eq!(without_ending(b"/x.y/main"), b"/x.y/main");
        assert_eq!(without_ending(b"/x/.rs"), b"/x/.rs");
    }

    #[test]
    fn texts_that_declare_beyond_measure_are_given_up() {
        let many_paths = "#[path=\"p\"] #[path=\"q\"] mod x {".repeat(40) + "mod a;";
        let deep = "mod x {".repeat(10_000) + &"mod a;".repeat(10_000);
        for text in [many_paths, deep, "mod a;".repeat(30_000)] {
            assert!(candidates(b"/s/a.rs", text.as_bytes()).is_none());
        }
    }
}
