//! Answers remembered by request: the warm path. An entry says which paths its answer
//! depends on and up to which change it was verified; answering costs one look-up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::about::About;
use super::packed::PackedMemos;
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
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq))]
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
pub(super) struct AsItIs(u64);

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

pub(super) type ByRequest<T> = HashMap<RequestKey, T, BuildHasherDefault<AsItIs>>;

/// Boxed, so that a table that grows moves little.
type Generation = ByRequest<Box<Memo>>;

/// Memos that were not asked for in a while: to be packed and given back. Meanwhile they answer as before, so that
/// nobody has to wait for what is known.
#[derive(Clone)]
pub(super) struct Retired {
    generation: Arc<Generation>,
    /// Packed ones that are better put together.
    packed: Vec<Arc<PackedMemos>>,
    age: u64,
}

impl Retired {
    /// For workers.
    pub(super) fn pack(&self) -> PackedMemos {
        let mut packed = PackedMemos::default();
        // The newest last, for of two with one key the later stays.
        self.packed.iter().rev().for_each(|other| packed.merge(other));
        packed.add(&self.generation);
        packed
    }

    /// A copy, for a worker reads it, too. What becomes of it there is as good, only older.
    fn get(&self, key: RequestKey) -> Option<Box<Memo>> {
        let packed = || self.packed.iter().find_map(|memos| memos.get(key)).map(Box::new);
        self.generation.get(&key).cloned().or_else(packed)
    }

    fn len(&self) -> usize {
        self.generation.len() + self.packed.iter().map(|memos| memos.len()).sum::<usize>()
    }
}

/// Memos that are no longer kept. There may be many: not to be dropped in the loop.
#[derive(Default)]
pub(super) struct Forgotten {
    generations: Vec<Generation>,
    packed: Vec<PackedMemos>,
    retired: Vec<Retired>,
}

/// What may be kept, in bytes of memory.
#[derive(Clone, Copy)]
struct Limits {
    /// Of memos as they are used. There are two generations; when the younger is full, the older is packed.
    generation: usize,
    /// All those that were packed. The oldest go.
    packed: usize,
}

const LIMITS: Limits = Limits { generation: 160 << 20, packed: 448 << 20 };

pub(super) struct Memos {
    limits: Limits,
    young: Generation,
    old: Generation,
    /// What the younger takes, as good as is known.
    young_bytes: usize,
    /// One at a time.
    packing: Option<Retired>,
    /// The newest comes first.
    packed: Vec<PackedMemos>,
    /// A part of all keys.
    age: u64,
    names: HashSet<&'static [u8]>,
}

impl Memos {
    pub(super) fn new() -> Memos {
        Memos {
            limits: LIMITS,
            young: Generation::default(),
            old: Generation::default(),
            young_bytes: 0,
            packing: None,
            packed: Vec::new(),
            age: 0,
            names: names_that_matter(),
        }
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
        // What is used stays: it moves on to the youngest.
        if !self.young.contains_key(&key) {
            let memo = self.take(key)?;
            self.young_bytes += bytes(&memo);
            self.young.insert(key, memo);
        }
        self.young.get_mut(&key).map(|memo| &mut **memo)
    }

    /// One that is not young. The newest, should there be several.
    fn take(&mut self, key: RequestKey) -> Option<Box<Memo>> {
        let packing = || self.packing.as_ref()?.get(key);
        let packed = || self.packed.iter_mut().find_map(|memos| memos.take(key)).map(Box::new);
        self.old.remove(&key).or_else(packing).or_else(packed)
    }

    pub(super) fn insert(&mut self, key: RequestKey, memo: Memo) {
        self.young_bytes += bytes(&memo);
        self.young.insert(key, Box::new(memo));
    }

    /// What is to be packed by now. To be asked after `insert` and `get`.
    #[must_use]
    pub(super) fn retire(&mut self) -> Option<Retired> {
        if self.young_bytes < self.limits.generation || self.packing.is_some() {
            return None;
        }
        self.young_bytes = 0;
        let generation = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        // Who is looked for is looked for in each.
        let few = self.limits.packed / 16;
        let merges = |memos: &mut PackedMemos| memos.is_thin() || memos.size() < few;
        let packed: Vec<_> = self.packed.extract_if(.., merges).map(Arc::new).collect();
        if generation.is_empty() && packed.is_empty() {
            return None;
        }
        let retired = Retired { generation: Arc::new(generation), packed, age: self.age };
        self.packing = Some(retired.clone());
        Some(retired)
    }

    /// Takes back what was retired, and gives what is too much by now.
    #[must_use]
    pub(super) fn take_back(&mut self, retired: Retired, packed: PackedMemos) -> Forgotten {
        let mut forgotten = Forgotten::default();
        if retired.age != self.age {
            forgotten.packed.push(packed);
        } else {
            forgotten.retired.extend(self.packing.take());
            let mut room = self.limits.packed;
            for memos in [packed].into_iter().chain(std::mem::take(&mut self.packed)) {
                if memos.size() <= room {
                    room -= memos.size();
                    self.packed.push(memos);
                } else {
                    forgotten.packed.push(memos);
                }
            }
        }
        forgotten.retired.push(retired);
        forgotten
    }

    pub(super) fn len(&self) -> usize {
        let packed: usize = self.packed.iter().map(PackedMemos::len).sum();
        let packing = self.packing.as_ref().map_or(0, Retired::len);
        self.young.len() + self.old.len() + packing + packed
    }

    /// For one that was just looked at: it is among the youngest.
    pub(super) fn remove(&mut self, key: RequestKey) {
        self.young.remove(&key);
    }

    /// Forgets all, and what comes for questions asked before: answers to those may be on their way.
    #[must_use]
    pub(super) fn clear(&mut self) -> Forgotten {
        self.age += 1;
        self.young_bytes = 0;
        let mut forgotten = Forgotten::default();
        forgotten.generations.extend([&mut self.young, &mut self.old].map(std::mem::take));
        forgotten.packed.append(&mut self.packed);
        forgotten.retired.extend(self.packing.take());
        forgotten
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

    /// As the loop and its workers do.
    fn retire(memos: &mut Memos) {
        if let Some(retired) = memos.retire() {
            let packed = retired.pack();
            drop(memos.take_back(retired, packed));
        }
    }

    fn insert(memos: &mut Memos, key: u128, memo: Memo) {
        memos.insert(RequestKey(key), memo);
        retire(memos);
    }

    fn is_known(memos: &mut Memos, key: u128) -> bool {
        let known = memos.get(RequestKey(key)).is_some();
        retire(memos);
        known
    }

    #[test]
    fn what_is_used_stays_and_the_rest_is_packed() {
        const EACH: usize = 100_000;
        // Four memos in a generation, a dozen of them packed, or half as many and as many holes.
        let limits = Limits { generation: 4 * EACH, packed: 13 * EACH };
        let mut memos = Memos { limits, ..Memos::new() };
        let unpacked = |memos: &Memos| memos.young.len() + memos.old.len();
        for n in 0..12 {
            insert(&mut memos, n, memo(EACH));
            assert!(is_known(&mut memos, 0) && unpacked(&memos) <= 8);
        }
        let unpacked_now =
            [&memos.young, &memos.old].map(|memos| memos.contains_key(&RequestKey(0)));
        assert_ne!(unpacked_now, [false, false], "what is used stays");
        // Packed ones are as good, and make others go.
        assert!((0..12).all(|n| is_known(&mut memos, n) && unpacked(&memos) <= 8));
        assert_eq!(memos.len(), 12);
        for n in 12..40 {
            insert(&mut memos, n, memo(EACH));
        }
        assert!(!is_known(&mut memos, 1) && is_known(&mut memos, 39));
        assert!(memos.len() <= 20, "{} memos", memos.len());
        drop(memos.clear());
        assert_eq!(memos.len(), 0);
    }

    #[test]
    fn what_is_being_packed_answers() {
        const EACH: usize = 10_000;
        let limits = Limits { generation: 2 * EACH, packed: 100 * EACH };
        let mut memos = Memos { limits, ..Memos::new() };
        for n in 0..4 {
            insert(&mut memos, n, memo(EACH));
        }
        let fill = |memos: &mut Memos, numbers: std::ops::Range<u128>| {
            numbers.for_each(|n| memos.insert(RequestKey(n), memo(EACH)));
            memos.retire()
        };
        let retired = fill(&mut memos, 4..6).expect("two generations are full");
        let packed = retired.pack();
        assert!((0..6).all(|n| memos.get(RequestKey(n)).is_some()), "those packed before, too");
        assert!(fill(&mut memos, 6..20).is_none(), "one at a time");
        drop(memos.take_back(retired, packed));
        assert!((0..20).all(|n| memos.get(RequestKey(n)).is_some()));
        let late = memos.retire().expect("it was put off");
        drop(memos.clear());
        assert!(memos.retire().is_none() && memos.len() == 0);
        let packed = late.pack();
        drop(memos.take_back(late, packed));
        assert_eq!(memos.len(), 0, "what comes late stays forgotten");
    }

    #[test]
    fn a_packed_memo_is_the_same() {
        let about = About { program: b"/usr/bin/gcc".to_vec(), bytes: 7, ..About::default() };
        let one = |variables: Box<[Variable]>| Memo {
            tool_paths: Arc::new([PathId(9), PathId(2)]),
            input_paths: Box::new([PathId(3), PathId(70_000)]),
            results: vec![ResultKey([5; 32])],
            about: Arc::new(about.clone()),
            variables,
            saves_ns: 11,
            verified: 12,
            hits: 0,
            ..memo(3)
        };
        let variables = || [(b"A".to_vec(), None), (b"B".to_vec(), Some(b"b".to_vec()))].into();
        let generation = |memos: Vec<(u128, Memo)>| {
            memos.into_iter().map(|(key, memo)| (RequestKey(key), Box::new(memo))).collect()
        };
        let mut first = PackedMemos::default();
        first.add(&generation(vec![(1, one(variables())), (2, one(Box::default())), (3, memo(9))]));
        assert!(first.take(RequestKey(3)).is_some_and(|found| found == memo(9)));
        let mut packed = PackedMemos::default();
        packed.add(&generation(vec![(4, memo(5))]));
        packed.merge(&first);
        assert_eq!(packed.len(), 3);
        assert!(packed.take(RequestKey(4)).is_some_and(|found| found == memo(5)));
        assert!(packed.take(RequestKey(2)).is_some_and(|memo| memo == one(Box::default())));
        assert!(packed.take(RequestKey(1)).is_some_and(|memo| memo == one(variables())));
        assert!(packed.take(RequestKey(1)).is_none() && packed.len() == 0);
    }
}
