//! What the settings file says, known without reading it: the watch tells when it changed.
//!
//! The loop asks `is_current`, from memory; where that fails a worker reads the file again
//! before anything is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::files::{Counter, FileTable, PathId};
use crate::protocol::message::Invocation;
use crate::settings::file::{self, ConfigFile};
use crate::terms::output::LinkMode;
use crate::tools::environment::Environment;

/// Where no watch vouches for the file, it is read again after this long.
const UNWATCHED: Duration = Duration::from_secs(1);

pub(super) struct Configured {
    root: Vec<u8>,
    path: PathId,
    state: Mutex<State>,
}

struct State {
    file: Arc<ConfigFile>,
    /// The file had not changed at that count.
    verified: Counter,
    /// None: the watch vouches for it.
    read_again: Option<Instant>,
}

impl Configured {
    pub(super) fn new(root: &[u8], table: &FileTable) -> Configured {
        let path = table.intern(file::path(root).as_os_str().as_encoded_bytes());
        let state = read(root, path, table);
        Configured { root: root.to_vec(), path, state: Mutex::new(state) }
    }

    pub(super) fn path(&self) -> PathId {
        self.path
    }

    /// Whether what is known is what the file says now.
    pub(super) fn is_current(&self, table: &FileTable) -> bool {
        let mut state = self.state.lock();
        if let Some(again) = state.read_again {
            return Instant::now() < again;
        }
        match table.still(&[&[self.path]], state.verified) {
            Some(now) => {
                state.verified = now;
                true
            }
            None => false,
        }
    }

    /// Reads the file again. For workers.
    pub(super) fn refresh(&self, table: &FileTable) {
        let fresh = read(&self.root, self.path, table);
        *self.state.lock() = fresh;
    }

    pub(super) fn file(&self) -> Arc<ConfigFile> {
        self.state.lock().file.clone()
    }

    /// Adds the file's settings to a caller's environment, where that does not set them.
    pub(super) fn complete(&self, env: &mut Vec<u8>) {
        let file = self.file();
        let mut added = Vec::new();
        for entry in file.compile_entries() {
            let name = entry.setting.variable.as_bytes();
            if !Environment::new(env).is_set(name) {
                added.extend([name, b"=", &entry.value, b"\0"].concat());
            }
        }
        // In front, where it counts before an empty one.
        if !added.is_empty() {
            env.splice(0..0, added);
        }
    }

    /// `complete` for an invocation that others may hold.
    pub(super) fn complete_shared(&self, invocation: &mut Arc<Invocation>) {
        if self.file().compile_entries().next().is_some() {
            self.complete(&mut Arc::make_mut(invocation).env);
        }
    }

    /// What the file says on sharing files, for callers whose environment does not.
    pub(super) fn link_mode(&self) -> LinkMode {
        let file = self.file();
        let entry = file.entry("ZCCACHE_LINK_MODE");
        entry.and_then(|entry| LinkMode::parse(&entry.value)).unwrap_or_default()
    }
}

fn read(root: &[u8], path: PathId, table: &FileTable) -> State {
    let verified = table.counter();
    table.look(path, false);
    let file = ConfigFile::read(root);
    for fault in &file.faults {
        log::warn!("{fault}");
    }
    let read_again = (!table.watched([path])).then(|| Instant::now() + UNWATCHED);
    State { file: Arc::new(file), verified, read_again }
}
