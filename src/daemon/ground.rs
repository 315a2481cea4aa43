//! The surroundings a tool asks about its inputs: the file table as seen from one cwd.

use std::sync::Arc;

use super::shared::{Folder, Shared};
use crate::files::{ContentHash, Seen};
use crate::inputs::resolve::{PathRef, Presence, World};
use crate::inputs::scan::Scan;
use crate::inputs::search::SearchPath;
use crate::protocol::message::Content;
use crate::tools::environment::Environment;
use crate::tools::meaning::Ground;
use crate::tools::understood::Understood;

/// Gives a tool its surroundings.
pub(super) fn on_ground<T>(
    shared: &Shared,
    understood: &Understood,
    folder: &Folder,
    env: &[u8],
    then: impl FnOnce(&mut Ground<'_>) -> T,
) -> T {
    let mut world = Disk { shared, folder };
    let resolver =
        |search: &SearchPath| shared.resolver(&understood.cwd, &understood.places, search);
    let env = Environment::new(env);
    let stored = |content: &Content| shared.read_blob(content);
    then(&mut Ground {
        tool: understood,
        world: &mut world,
        resolver: &resolver,
        stored: &stored,
        env,
    })
}

/// The resolver's view of the file table, for one cwd.
struct Disk<'a> {
    shared: &'a Shared,
    folder: &'a Folder,
}

impl Disk<'_> {
    fn look(&self, path: PathRef, content: bool) -> Seen {
        match self.shared.path_id(self.folder, path.0) {
            Some(id) => self.shared.table.look(id, content),
            None => Seen::Unreadable,
        }
    }
}

impl World for Disk<'_> {
    fn version(&self) -> u64 {
        self.shared.table.version()
    }

    fn intern(&mut self, spelled: &[u8]) -> PathRef {
        PathRef(self.shared.spellings.number(spelled))
    }

    fn spelled(&self, path: PathRef) -> Arc<[u8]> {
        self.shared.spellings.text(path.0).unwrap_or_else(|| Arc::from(&b""[..]))
    }

    fn presence(&mut self, path: PathRef) -> Presence {
        let seen = self.look(path, false);
        match (seen, seen.identity()) {
            (Seen::Absent, _) => Presence::Absent,
            (Seen::Folder { .. }, Some(identity)) => Presence::Folder(identity),
            // Devices and unreadable files: each is only itself.
            (_, identity) => Presence::File(identity.unwrap_or(u64::MAX - u64::from(path.0))),
        }
    }

    fn own_path(&self, path: PathRef) -> Option<Vec<u8>> {
        let id = self.shared.path_id(self.folder, path.0)?;
        let own = self.shared.table.own_path(id);
        (own != self.shared.table.path(id)).then_some(own)
    }

    fn content(&mut self, path: PathRef) -> Option<(ContentHash, u64)> {
        match self.look(path, true) {
            Seen::File { stat, hash: Some(hash) } => Some((hash, stat.size)),
            _ => None,
        }
    }

    fn dated(&mut self, path: PathRef) -> Option<(u64, i64)> {
        match self.look(path, false) {
            Seen::File { stat, .. } => Some((stat.size, stat.mtime_s())),
            _ => None,
        }
    }

    fn scan(&mut self, path: PathRef, assembly: bool) -> Option<Arc<Scan>> {
        let id = self.shared.path_id(self.folder, path.0)?;
        match self.shared.table.look(id, true) {
            Seen::File { hash: Some(hash), .. } => self.shared.scan(id, hash, assembly),
            _ => None,
        }
    }
}
