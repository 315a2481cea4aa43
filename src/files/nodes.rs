//! The names in watched folders, what is known to be there, and which paths lead through
//! them. An event turns one name Unknown and marks every path that leads through it.

use std::collections::HashMap;

use super::PathId;
use super::hash::{ContentHash, FileStat};
use super::watch::{Watch, WatchId};

/// Counts changes; a later change has a higher number.
pub type Counter = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FolderId(u32);

/// What is at a name.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// To be looked at.
    Unknown,
    Absent,
    Folder(FolderId),
    /// A folder that can't be watched: nothing below it is ever remembered.
    Unwatched,
    /// A symlink: where it leads, and its own change time.
    Link {
        text: Box<[u8]>,
        ctime_ns: i64,
    },
    /// A file; the hash once somebody needed it.
    File(FileStat, Option<ContentHash>),
    /// A device, fifo or socket.
    Special,
}

pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) folder: FolderId,
    name: Box<[u8]>,
    /// When an event last struck this name.
    pub(super) changed: Counter,
    /// Tells this node from a later one in the same place.
    pub(super) birth: u64,
    /// The watch on a file's inode, and since when: by other links to it, it may have been written to before.
    inode: Option<(WatchId, Counter)>,
    dependents: Vec<PathId>,
}

pub(super) struct Folder {
    watch: WatchId,
    /// Watched since then; what happened before is not known.
    pub(super) since: Counter,
    pub(super) parent: FolderId,
    /// Its physical path, without symlinks, ending in `/`.
    pub(super) path: Box<[u8]>,
    /// Of its inode.
    pub(super) identity: u64,
    /// As it began to be watched. Moves with a rename of the folder, but also with each new name in it.
    ctime_ns: i64,
    names: HashMap<Box<[u8]>, NodeId>,
}

/// What an event did to the paths; the table applies it.
pub(super) struct Struck {
    pub(super) node: NodeId,
    pub(super) paths: Vec<PathId>,
    pub(super) at: Counter,
}

/// Names that changed in watched folders while compiles were under way, although nobody had
/// asked for them: a compile may have been the first to read them.
#[derive(Default)]
struct Strays {
    open_tickets: usize,
    changed: HashMap<FolderId, HashMap<Box<[u8]>, Counter>>,
    count: usize,
    /// Before this, changes may have gone unrecorded.
    floor: Counter,
}

const STRAYS_MAX: usize = 200_000;

pub(super) struct Nodes {
    pub(super) counter: Counter,
    nodes: Vec<Node>,
    free_nodes: Vec<NodeId>,
    folders: Vec<Option<Folder>>,
    free_folders: Vec<FolderId>,
    by_watch: HashMap<WatchId, FolderId>,
    /// The names of each watched file.
    by_inode: HashMap<WatchId, Vec<NodeId>>,
    strays: Strays,
    births: u64,
}

impl Nodes {
    pub(super) fn new() -> Nodes {
        Nodes {
            counter: 1,
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            folders: Vec::new(),
            free_folders: Vec::new(),
            by_watch: HashMap::new(),
            by_inode: HashMap::new(),
            strays: Strays::default(),
            births: 0,
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_checked(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    pub(super) fn set_kind(&mut self, id: NodeId, kind: Kind) {
        self.nodes[id.0 as usize].kind = kind;
    }

    pub(super) fn folder(&self, id: FolderId) -> Option<&Folder> {
        self.folders.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn folder_count(&self) -> usize {
        self.by_watch.len()
    }

    pub(super) fn folder_of_watch(&self, watch: WatchId) -> Option<FolderId> {
        self.by_watch.get(&watch).copied()
    }

    /// Enters a newly watched folder. `parent` None: the root.
    pub(super) fn add_folder(
        &mut self,
        watch: WatchId,
        parent: Option<FolderId>,
        path: Vec<u8>,
        stat: &FileStat,
    ) -> FolderId {
        let id = self.free_folders.pop().unwrap_or_else(|| {
            self.folders.push(None);
            FolderId(self.folders.len() as u32 - 1)
        });
        let folder = Folder {
            watch,
            since: self.counter,
            parent: parent.unwrap_or(id),
            path: path.into(),
            identity: stat.identity(),
            ctime_ns: stat.ctime_ns,
            names: HashMap::new(),
        };
        self.folders[id.0 as usize] = Some(folder);
        self.by_watch.insert(watch, id);
        id
    }

    /// The node of a name, made if nobody asked for it before. None when the folder is gone.
    pub(super) fn name(&mut self, folder: FolderId, name: &[u8]) -> Option<NodeId> {
        let slot = self.folders.get_mut(folder.0 as usize)?.as_mut()?;
        if let Some(id) = slot.names.get(name) {
            return Some(*id);
        }
        self.births += 1;
        let changed = self.strays.changed.get(&folder).and_then(|names| names.get(name)).copied();
        let node = Node {
            kind: Kind::Unknown,
            folder,
            name: name.into(),
            changed: changed.unwrap_or(0),
            birth: self.births,
            inode: None,
            dependents: Vec::new(),
        };
        let id = match self.free_nodes.pop() {
            Some(id) => {
                self.nodes[id.0 as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                NodeId(self.nodes.len() as u32 - 1)
            }
        };
        slot.names.insert(name.into(), id);
        Some(id)
    }

    pub(super) fn depend(&mut self, id: NodeId, path: PathId) {
        self.nodes[id.0 as usize].dependents.push(path);
    }

    /// Since when every write to the file of this name strikes it. None where nothing tells.
    pub(super) fn inode_watched_since(&self, id: NodeId) -> Option<Counter> {
        self.node(id).inode.map(|(_, since)| since)
    }

    /// Since when this name certainly did not change, where the changes of then are on record.
    pub(super) fn vouched_since(&self, id: NodeId) -> Counter {
        let node = self.node(id);
        self.folder(node.folder).map_or(Counter::MAX, |folder| folder.since.max(node.changed))
    }

    /// When what is at this name last changed or came there, by its own change time: of a link that of the link. None
    /// where nothing is, or nothing is known.
    pub(super) fn ctime_ns(&self, id: NodeId) -> Option<i64> {
        match &self.node(id).kind {
            Kind::Link { ctime_ns, .. } => Some(*ctime_ns),
            Kind::Folder(folder) => Some(self.folder(*folder)?.ctime_ns),
            Kind::File(stat, _) => Some(stat.ctime_ns),
            Kind::Unknown | Kind::Absent | Kind::Unwatched | Kind::Special => None,
        }
    }

    /// True when every change from then on is on record, also of names that nobody had asked for.
    pub(super) fn records_since(&self, since: Counter) -> bool {
        self.strays.floor <= since
    }

    /// Whether a name is known to be that of a device, fifo or socket.
    pub(super) fn is_special(&self, watch: WatchId, name: &[u8]) -> bool {
        let folder = self.by_watch.get(&watch).and_then(|folder| self.folder(*folder));
        let node = folder.and_then(|folder| folder.names.get(name));
        node.is_some_and(|node| matches!(self.node(*node).kind, Kind::Special))
    }

    /// An event for a name. None when nobody depends on it.
    pub(super) fn strike_name(
        &mut self,
        watch: WatchId,
        name: &[u8],
        kernel: &Watch,
    ) -> Option<Vec<Struck>> {
        let folder = *self.by_watch.get(&watch)?;
        match self.folder(folder)?.names.get(name) {
            Some(id) => Some(self.strike(*id, kernel)),
            None => {
                self.record_stray(folder, name);
                None
            }
        }
    }

    /// A watched folder or file is gone, or elsewhere.
    pub(super) fn strike_gone(&mut self, watch: WatchId, kernel: &Watch) -> Vec<Struck> {
        match self.by_watch.get(&watch).copied() {
            Some(folder) => self.drop_folder(folder, kernel),
            None => self.strike_inode(watch, kernel),
        }
    }

    /// An event for a watched file's inode, under whatever name. A folder's own attributes
    /// are told by its parent folder, too, and by name.
    pub(super) fn strike_inode(&mut self, watch: WatchId, kernel: &Watch) -> Vec<Struck> {
        let nodes = self.by_inode.get(&watch).cloned().unwrap_or_default();
        nodes.into_iter().flat_map(|node| self.strike(node, kernel)).collect()
    }

    /// From now on, events for this inode strike the node.
    pub(super) fn watch_inode(&mut self, id: NodeId, watch: WatchId) {
        let node = &mut self.nodes[id.0 as usize];
        if node.inode.is_none_or(|(known, _)| known != watch) {
            node.inode = Some((watch, self.counter));
            self.by_inode.entry(watch).or_default().push(id);
        }
    }

    fn unwatch_inode(&mut self, id: NodeId, kernel: &Watch) {
        let Some((watch, _)) = self.nodes[id.0 as usize].inode.take() else { return };
        if let Some(nodes) = self.by_inode.get_mut(&watch) {
            nodes.retain(|node| *node != id);
            if nodes.is_empty() {
                self.by_inode.remove(&watch);
                kernel.remove(watch);
            }
        }
    }

    fn strike(&mut self, id: NodeId, kernel: &Watch) -> Vec<Struck> {
        self.counter += 1;
        let at = self.counter;
        self.unwatch_inode(id, kernel);
        let node = &mut self.nodes[id.0 as usize];
        node.changed = at;
        let paths = std::mem::take(&mut node.dependents);
        let kind = std::mem::replace(&mut node.kind, Kind::Unknown);
        let mut struck = vec![Struck { node: id, paths, at }];
        if let Kind::Folder(folder) = kind {
            struck.extend(self.drop_folder(folder, kernel));
        }
        struck
    }

    /// Forgets a folder and all below it. The paths that led through them are struck.
    fn drop_folder(&mut self, id: FolderId, kernel: &Watch) -> Vec<Struck> {
        let mut struck = Vec::new();
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let Some(folder) = self.folders.get_mut(id.0 as usize).and_then(Option::take) else {
                continue;
            };
            kernel.remove(folder.watch);
            self.by_watch.remove(&folder.watch);
            if let Some(gone) = self.strays.changed.remove(&id) {
                self.strays.count -= gone.len();
            }
            self.counter += 1;
            // The name that led here must be looked at again.
            if folder.parent != id
                && let Some(name) =
                    folder.path.strip_suffix(b"/").and_then(|p| p.rsplit(|b| *b == b'/').next())
                && let Some(node) =
                    self.folder(folder.parent).and_then(|parent| parent.names.get(name)).copied()
                && matches!(self.node(node).kind, Kind::Folder(child) if child == id)
            {
                let slot = &mut self.nodes[node.0 as usize];
                slot.kind = Kind::Unknown;
                slot.changed = self.counter;
                let paths = std::mem::take(&mut slot.dependents);
                struck.push(Struck { node, paths, at: self.counter });
            }
            for node_id in folder.names.into_values() {
                self.unwatch_inode(node_id, kernel);
                let node = &mut self.nodes[node_id.0 as usize];
                node.changed = self.counter;
                let paths = std::mem::take(&mut node.dependents);
                struck.push(Struck { node: node_id, paths, at: self.counter });
                if let Kind::Folder(child) = std::mem::replace(&mut node.kind, Kind::Unknown) {
                    pending.push(child);
                }
                self.free_nodes.push(node_id);
            }
            self.free_folders.push(id);
        }
        struck
    }

    /// Everything may have changed: forget all folders but not the paths.
    pub(super) fn forget_all(&mut self, kernel: &Watch) {
        for folder in self.folders.drain(..).flatten() {
            kernel.remove(folder.watch);
        }
        for watch in self.by_inode.drain() {
            kernel.remove(watch.0);
        }
        self.nodes.clear();
        self.free_nodes.clear();
        self.free_folders.clear();
        self.by_watch.clear();
        self.strays.changed.clear();
        self.strays.count = 0;
        self.counter += 1;
        self.strays.floor = self.counter;
    }

    fn record_stray(&mut self, folder: FolderId, name: &[u8]) {
        let strays = &mut self.strays;
        if strays.open_tickets == 0 {
            return;
        }
        self.counter += 1;
        if strays.count >= STRAYS_MAX {
            strays.changed.clear();
            strays.count = 0;
            strays.floor = self.counter;
        }
        let names = strays.changed.entry(folder).or_default();
        if names.insert(name.into(), self.counter).is_none() {
            strays.count += 1;
        }
    }

    /// A compile starts: from now on, changes of names nobody asked for are kept. Gives the count that it starts at;
    /// what begins to be watched from now on has a later one.
    pub(super) fn open_ticket(&mut self) -> Counter {
        if self.strays.open_tickets == 0 {
            self.strays.floor = self.counter;
        }
        self.strays.open_tickets += 1;
        self.counter += 1;
        self.counter - 1
    }

    pub(super) fn close_ticket(&mut self) {
        self.strays.open_tickets = self.strays.open_tickets.saturating_sub(1);
        if self.strays.open_tickets == 0 {
            self.strays.changed.clear();
            self.strays.count = 0;
            self.counter += 1;
            self.strays.floor = self.counter;
        }
    }

    /// The folder's path and the name in it.
    pub(super) fn place(&self, id: NodeId) -> Option<(&[u8], &[u8])> {
        let node = self.node(id);
        Some((&self.folder(node.folder)?.path, &node.name))
    }

    pub(super) fn full_name(&self, id: NodeId) -> Option<Vec<u8>> {
        self.place(id).map(|(folder, name)| [folder, name].concat())
    }
}
