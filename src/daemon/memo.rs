//! Answers remembered by request: the warm path. An entry says which paths its answer
//! depends on and up to which change it was verified; answering costs one look-up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::about::About;
use crate::files::{Counter, PathId};
use crate::protocol::message::{Content, Delivery, Invocation};
use crate::terms::key::ResultKey;
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
    /// How often it was the answer, since it last went up on the board.
    pub(super) hits: u32,
}

/// Keys are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a request's key is one number")
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Boxed, so that a table that grows moves little.
type Generation = HashMap<RequestKey, Box<Memo>, BuildHasherDefault<AsItIs>>;

/// Memos that are no longer kept. There may be many: not to be dropped in the loop.
pub(super) struct Retired(#[allow(dead_code)] Vec<Generation>);

/// What a generation may take, in memory. Two are kept; when the younger is full, the older goes.
const GENERATION_BYTES: usize = 256 << 20;

pub(super) struct Memos {
    young: Generation,
    old: Generation,
    /// What the younger takes, as good as is known.
    young_bytes: usize,
    /// A part of all keys.
    age: u64,
    names: HashSet<&'static [u8]>,
}

impl Memos {
    pub(super) fn new() -> Memos {
        let names = names_that_matter();
        let (young, old) = (Generation::default(), Generation::default());
        Memos { young, old, young_bytes: 0, age: 0, names }
    }

    pub(super) fn key(&self, invocation: &Invocation) -> RequestKey {
        let mut hasher = Xxh3::new();
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u32).to_le_bytes());
            hasher.update(bytes);
        };
        add(&self.age.to_le_bytes());
        add(&invocation.argv);
        add(&invocation.cwd);
        let terminal = invocation.terminal;
        let input = terminal.and_then(|terminal| terminal.input);
        add(&[invocation.masquerade, terminal.is_some(), input.is_some()].map(u8::from));
        add(&terminal.map_or(0, |terminal| terminal.columns).to_le_bytes());
        add(&input.unwrap_or(0).to_le_bytes());
        add(&[invocation.stdout as u8, u8::from(invocation.declared.is_some())]);
        if let Some(declared) = &invocation.declared {
            for list in [&declared.inputs, &declared.outputs, &declared.variables] {
                add(&(list.len() as u32).to_le_bytes());
                list.iter().for_each(|word| add(word));
            }
        }
        for (name, value) in Environment::new(&invocation.env).iter() {
            if self.names.contains(name) {
                add(name);
                add(value);
            }
        }
        RequestKey(hasher.digest128())
    }

    pub(super) fn get(&mut self, key: RequestKey) -> Option<&mut Memo> {
        // What is used stays: it moves on to the younger.
        if let Some(memo) = self.old.remove(&key) {
            self.young_bytes += bytes(&memo);
            self.young.insert(key, memo);
        }
        self.young.get_mut(&key).map(|memo| &mut **memo)
    }

    /// Gives what is too much by now.
    #[must_use]
    pub(super) fn insert(&mut self, key: RequestKey, memo: Memo) -> Option<Retired> {
        let full = self.young_bytes >= GENERATION_BYTES;
        let retired = full.then(|| {
            self.young_bytes = 0;
            Retired(vec![std::mem::replace(&mut self.old, std::mem::take(&mut self.young))])
        });
        self.young_bytes += bytes(&memo);
        self.young.insert(key, Box::new(memo));
        retired
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn remove(&mut self, key: RequestKey) {
        self.young.remove(&key);
        self.old.remove(&key);
    }

    /// Forgets all, and what comes for questions asked before: answers to those may be on their way.
    #[must_use]
    pub(super) fn clear(&mut self) -> Retired {
        self.age += 1;
        self.young_bytes = 0;
        Retired(vec![std::mem::take(&mut self.young), std::mem::take(&mut self.old)])
    }
}

/// What a memo takes, with its places in the table and in the allocator.
fn bytes(memo: &Memo) -> usize {
    const EACH: usize = 256;
    let delivered = |delivery: &Arc<Delivery>| {
        let text: usize = delivery.text.iter().map(|chunk| EACH / 4 + chunk.bytes.len()).sum();
        let outputs = delivery.outputs.iter().map(|output| {
            let inline = match &output.content {
                Content::Inline(bytes) => bytes.len(),
                Content::Blob { .. } => 0,
            };
            EACH + output.path.len() + inline
        });
        EACH + text + outputs.sum::<usize>()
    };
    let paths = memo.input_paths.len() * size_of::<PathId>();
    let about = &memo.about;
    let named = about.sources.iter().chain(&about.outputs).chain([&about.program]);
    let about = size_of::<About>() + named.map(|name| EACH / 4 + name.len()).sum::<usize>();
    EACH + size_of::<Memo>() + about + paths + memo.deliveries.iter().map(delivered).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::{Chunk, Stream};

    fn memo(text_bytes: usize) -> Memo {
        let chunk = Chunk { stream: Stream::Stdout, bytes: vec![0; text_bytes] };
        Memo {
            about: Arc::default(),
            tool_paths: Arc::new([]),
            input_paths: Box::new([]),
            deliveries: vec![Arc::new(Delivery {
                outputs: Vec::new(),
                text: vec![chunk],
                status: 0,
            })],
            results: Vec::new(),
            variables: Box::new([]),
            saves_ns: 0,
            verified: 0,
            hits: 0,
        }
    }

    #[test]
    fn the_older_generation_goes_and_what_is_used_stays() {
        let mut memos = Memos::new();
        let mut gone = 0;
        // Each takes a quarter of a generation.
        for n in 0..12 {
            gone += usize::from(memos.insert(RequestKey(n), memo(GENERATION_BYTES / 4)).is_some());
            assert!(memos.get(RequestKey(0)).is_some(), "used all the time, gone at {n}");
        }
        assert_eq!(gone, 3);
        assert!(memos.get(RequestKey(1)).is_none());
        assert!(memos.get(RequestKey(11)).is_some());
        assert!(memos.len() <= 9, "{} memos", memos.len());
        drop(memos.clear());
        assert_eq!(memos.len(), 0);
    }
}
