//! Answers remembered by request: the warm path. An entry says which paths its answer
//! depends on and up to which change it was verified; answering costs one look-up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::about::About;
use crate::files::{Counter, PathId};
use crate::protocol::message::{Delivery, Invocation};
use crate::store::key::ResultKey;
use crate::tools::environment::{Environment, names_that_matter};

/// Names one request: everything an answer may depend on, but for the files.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RequestKey(u128);

/// A variable's name, and its value unless it was unset.
pub(super) type Variable = (Vec<u8>, Option<Vec<u8>>);

/// A remembered hit.
pub(super) struct Memo {
    /// Paths of the tool and the command line, shared between many requests.
    pub(super) tool_paths: Arc<[PathId]>,
    /// Paths of the input sets.
    pub(super) input_paths: Box<[PathId]>,
    pub(super) deliveries: Vec<Arc<Delivery>>,
    pub(super) results: Vec<ResultKey>,
    /// What the journal tells of it.
    pub(super) about: Arc<About>,
    /// Variables that the inputs depend on, beside those in the request's key.
    pub(super) variables: Box<[Variable]>,
    /// Compile time that one hit saves.
    pub(super) saves_ns: u64,
    /// Nothing it depends on had changed at that count.
    pub(super) verified: Counter,
}

/// More than this many are not kept; the older half goes.
const MEMOS_MAX: usize = 400_000;

pub(super) struct Memos {
    young: HashMap<RequestKey, Memo>,
    old: HashMap<RequestKey, Memo>,
    names: HashSet<&'static [u8]>,
}

impl Memos {
    pub(super) fn new() -> Memos {
        let names = names_that_matter();
        Memos { young: HashMap::new(), old: HashMap::new(), names }
    }

    pub(super) fn key(&self, invocation: &Invocation) -> RequestKey {
        let mut hasher = Xxh3::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
        };
        add(&invocation.argv);
        add(&invocation.cwd);
        add(&[u8::from(invocation.masquerade), u8::from(invocation.terminal.is_some())]);
        add(&invocation.terminal.unwrap_or(0).to_le_bytes());
        for (name, value) in Environment::new(&invocation.env).iter() {
            if self.names.contains(name) {
                add(name);
                add(value);
            }
        }
        RequestKey(hasher.digest128())
    }

    pub(super) fn get(&mut self, key: RequestKey) -> Option<&mut Memo> {
        if let Some(memo) = self.old.remove(&key) {
            self.insert(key, memo);
        }
        self.young.get_mut(&key)
    }

    pub(super) fn insert(&mut self, key: RequestKey, memo: Memo) {
        if self.young.len() >= MEMOS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, memo);
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn remove(&mut self, key: RequestKey) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    pub(super) fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
    }
}
