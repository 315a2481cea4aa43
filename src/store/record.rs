//! What the index stores: each record is encoded with postcard and put into an envelope of a
//! schema byte and a checksum. Whatever does not decode is as good as absent.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::files::FileStat;
use crate::protocol::message::{Chunk, Content};
use crate::session::kind::Kind;
use crate::terms::blob::BlobId;
use crate::terms::key::{ActionKey, ResultKey, SetId};
use crate::terms::output::Role;

/// Raised with every change of a record's encoding.
pub const SCHEMA: u8 = 6;
/// More text than this goes into a blob (bytes, encoded).
pub const INLINE_TEXT: usize = 1024;
/// Input sets a manifest keeps.
pub const MANIFEST_SETS: usize = 16;

/// Something that can be put into the envelope.
pub trait Record: Serialize + DeserializeOwned {
    /// Never fails for these types; an empty answer would be read as absent.
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![SCHEMA; 9];
        if let Ok(mut out) = postcard::to_extend(self, std::mem::take(&mut out)) {
            let sum = xxh3_64(&out[9..]);
            out[1..9].copy_from_slice(&sum.to_le_bytes());
            return out;
        }
        Vec::new()
    }

    /// `None` for anything that `encode` of this schema did not write.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(9)?;
        if head[0] != SCHEMA || head[1..] != xxh3_64(body).to_le_bytes() {
            return None;
        }
        match postcard::take_from_bytes(body) {
            Ok((record, [])) => Some(record),
            _ => None,
        }
    }
}

/// One file of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredOutput {
    pub role: Role,
    pub executable: bool,
    pub content: Content,
    /// The content is a text out of which the names of its place were taken.
    pub folded: bool,
}

/// What the tool wrote to its two streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Text {
    Here(Vec<Chunk>),
    /// A blob that holds what `encode_text` gave.
    Stored(Content),
}

/// What one action made of one state of its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// Whose result this is, so that its manifest can go when its results do.
    pub action: ActionKey,
    /// The input set that it was found with.
    pub set: SetId,
    /// For people: what was compiled when it was stored.
    pub origin: Origin,
    pub outputs: Vec<StoredOutput>,
    pub text: Text,
    /// The tool's exit status.
    pub status: i32,
    /// The terminal situation the text belongs to; `None` when there is no text.
    pub text_context: Option<u64>,
    /// How long the tool ran.
    pub compile_ns: u64,
    /// Size of all outputs.
    pub bytes: u64,
    /// Seconds since 1970.
    pub created_s: u64,
    /// Seconds since 1970.
    pub used_s: u64,
}

/// The command that a result was stored for; another one may be served from it, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub kind: Kind,
    /// Absolute.
    #[serde(with = "serde_bytes")]
    pub program: Vec<u8>,
    /// Absolute.
    #[serde(with = "serde_bytes")]
    pub source: Vec<u8>,
    /// The main output, absolute.
    #[serde(with = "serde_bytes")]
    pub output: Vec<u8>,
    /// The checkout's root, where results are shared between checkouts; else empty.
    #[serde(with = "serde_bytes")]
    pub root: Vec<u8>,
}

/// The input sets seen of one action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// The one stored last comes first: at most `MANIFEST_SETS` different sets, each at most
    /// `STATES_OF_SET` times.
    pub sets: Vec<KnownSet>,
}

/// Results that are remembered of one input set, to tell what differs from the nearest.
pub const STATES_OF_SET: usize = 2;

/// One of an action's input sets, and a result stored with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSet {
    pub id: SetId,
    pub result: ResultKey,
    /// When that result was stored, nanoseconds since 1970.
    pub stored_ns: u64,
    /// Digests of the values of the set's variables then, in its order.
    pub variables: Vec<u32>,
}

/// One input set. Numbers stand for path spellings, sorted and without repeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Content was read.
    #[serde(with = "ascending")]
    pub read: Vec<u32>,
    /// Was looked for and not there.
    #[serde(with = "ascending")]
    pub absent: Vec<u32>,
    /// Was only looked for, and there: whether as a file or as a folder is in the key.
    #[serde(with = "ascending")]
    pub exists: Vec<u32>,
    /// Its modification time was read.
    #[serde(with = "ascending")]
    pub stamped: Vec<u32>,
    /// Which of these are one file or folder is in the key.
    #[serde(with = "ascending")]
    pub related: Vec<u32>,
    /// Which of these have one modification time is in the key.
    #[serde(with = "ascending")]
    pub coeval: Vec<u32>,
    /// What the own path of these is, without symlinks, is in the key.
    #[serde(with = "ascending")]
    pub linked: Vec<u32>,
    /// Names of the variables that were read.
    pub env: Vec<serde_bytes::ByteBuf>,
    /// The result depends on the date.
    pub date: bool,
    /// What `sum_spellings` gave when the set was made.
    pub spelling_sum: u64,
}

/// A file whose content is or was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The stat that vouches for the content; None while the file was too young for that.
    pub stat: Option<FileStat>,
    /// In which era of the system clock: a new one begins when it is set.
    pub era: u32,
    /// blake3 of the content.
    pub hash: [u8; 32],
    /// When that content was first seen, nanoseconds since 1970.
    pub since_ns: u64,
    /// What it was before, the latest first; at most `VERSIONS`.
    pub earlier: Vec<Version>,
}

/// Earlier contents that are kept of a file.
pub const VERSIONS: usize = 4;

/// What a file once was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// blake3 of the content.
    pub hash: [u8; 32],
    /// When it was first seen, nanoseconds since 1970.
    pub since_ns: u64,
}

impl FileRecord {
    /// A file seen for the first time, or with the content it had, or with another.
    pub fn seen(
        earlier: Option<FileRecord>,
        stat: Option<FileStat>,
        era: u32,
        hash: [u8; 32],
        now_ns: u64,
    ) -> FileRecord {
        match earlier {
            Some(record) if record.hash == hash => FileRecord { stat, era, ..record },
            Some(mut record) => {
                let before = Version { hash: record.hash, since_ns: record.since_ns };
                record.earlier.insert(0, before);
                record.earlier.truncate(VERSIONS);
                FileRecord { stat, era, hash, since_ns: now_ns, earlier: record.earlier }
            }
            None => FileRecord { stat, era, hash, since_ns: now_ns, earlier: Vec::new() },
        }
    }

    /// What its content was at that time, as far back as is kept.
    pub fn hash_at(&self, at_ns: u64) -> Option<[u8; 32]> {
        if self.since_ns <= at_ns {
            return Some(self.hash);
        }
        self.earlier.iter().find(|version| version.since_ns <= at_ns).map(|version| version.hash)
    }
}

/// The commands last seen of one source, or for one output: what a new one is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KnownRecord {
    /// The latest first; at most `KNOWN_ACTIONS`.
    pub actions: Vec<KnownAction>,
}

/// Commands that are kept of one source.
pub const KNOWN_ACTIONS: usize = 4;

/// One command, by the parts of its key. Numbers stand for spellings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownAction {
    pub action: ActionKey,
    /// The tool's file.
    pub program: u32,
    /// The main output, absolute but for the root of a checkout that shares.
    pub output: u32,
    /// That root.
    pub root: u32,
    /// Number of the part (`tools::key_parts`), and its text.
    pub parts: Vec<(u8, u32)>,
    /// What the texts add up to: guards against numbers that the index lost and gave away again.
    pub sum: u64,
    /// When it was stored, nanoseconds since 1970.
    pub stored_ns: u64,
}

impl KnownRecord {
    /// Puts an action first, new or not; the oldest falls off.
    pub fn push(&mut self, action: KnownAction) {
        self.actions.retain(|other| other.action != action.action || other.output != action.output);
        self.actions.insert(0, action);
        self.actions.truncate(KNOWN_ACTIONS);
    }
}

impl Record for ResultRecord {}
impl Record for ManifestRecord {}
impl Record for SetRecord {}
impl Record for FileRecord {}
impl Record for KnownRecord {}
impl Record for Vec<Chunk> {}
/// Paths as some action wrote them.
impl Record for Vec<Option<serde_bytes::ByteBuf>> {}

impl ResultRecord {
    /// The blobs it needs, each once.
    pub fn blobs(&self) -> Vec<BlobId> {
        let text = match &self.text {
            Text::Stored(content) => Some(content),
            Text::Here(_) => None,
        };
        let contents = self.outputs.iter().map(|output| &output.content).chain(text);
        let mut blobs: Vec<BlobId> = contents
            .filter_map(|content| match content {
                Content::Blob { id, .. } => Some(*id),
                Content::Inline(_) => None,
            })
            .collect();
        blobs.sort_unstable();
        blobs.dedup();
        blobs
    }
}

impl ManifestRecord {
    /// Puts a state first, new or not; the oldest falls off.
    pub fn push(&mut self, state: KnownSet) {
        self.sets.retain(|other| other.result != state.result);
        self.sets.insert(0, state);
        let mut counts: Vec<(SetId, usize)> = Vec::new();
        self.sets.retain(|state| match counts.iter_mut().find(|(id, _)| *id == state.id) {
            Some((_, count)) => {
                *count += 1;
                *count <= STATES_OF_SET
            }
            None => {
                counts.push((state.id, 1));
                counts.len() <= MANIFEST_SETS
            }
        });
    }

    /// The different sets, in order.
    pub fn distinct(&self) -> impl Iterator<Item = SetId> {
        let earlier = |at: usize| self.sets[..at].iter().any(|other| other.id == self.sets[at].id);
        (0..self.sets.len()).filter(move |at| !earlier(*at)).map(|at| self.sets[at].id)
    }
}

impl SetRecord {
    /// All its lists of paths.
    pub fn lists(&self) -> [&Vec<u32>; 7] {
        let SetRecord { read, absent, exists, stamped, related, coeval, linked, .. } = self;
        [read, absent, exists, stamped, related, coeval, linked]
    }

    /// A checksum of the paths that the numbers stand for, given the `spelling_hash` of each; `None` if one is unknown.
    ///
    /// A damaged index may come back with some entries lost and others not (measured: one damage in
    /// six). A lost number is then given to another path, and the sets that still use it would name
    /// files nobody read. So a set that comes from the index counts only if this is `spelling_sum`.
    pub fn sum_spellings(&self, mut hash: impl FnMut(u32) -> Option<u64>) -> Option<u64> {
        let mut sum = Xxh3::new();
        for numbers in self.lists() {
            sum.update(&(numbers.len() as u64).to_le_bytes());
            for &number in numbers {
                sum.update(&hash(number)?.to_le_bytes());
            }
        }
        Some(sum.digest())
    }
}

/// What stands for a spelling in such sums.
pub fn spelling_hash(spelling: &[u8]) -> u64 {
    xxh3_64(spelling)
}

/// Text as the bytes of a blob. Text that encodes to more than `INLINE_TEXT` bytes belongs into one.
pub fn encode_text(text: &Vec<Chunk>) -> Vec<u8> {
    text.encode()
}

/// What `encode_text` was given; `None` for any other bytes.
pub fn decode_text(bytes: &[u8]) -> Option<Vec<Chunk>> {
    Record::decode(bytes)
}

/// Ascending numbers as the steps between them: postcard gives a small number one byte.
mod ascending {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(numbers: &[u32], to: S) -> Result<S::Ok, S::Error> {
        let mut last = 0;
        to.collect_seq(numbers.iter().map(|&number| {
            let step = number.wrapping_sub(last);
            last = number;
            step
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
        let mut numbers = Vec::<u32>::deserialize(from)?;
        let mut last = 0u32;
        for number in &mut numbers {
            last = last.checked_add(*number).ok_or_else(|| D::Error::custom("not ascending"))?;
            *number = last;
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Stream;
    use crate::terms::blob::BlobStat;
    use crate::testing::Random;

    fn result() -> ResultRecord {
        let seen = BlobStat { inode: 9, size: 70_000, mtime_ns: -5, ctime_ns: i64::MAX };
        ResultRecord {
            action: ActionKey([7; 32]),
            set: SetId(5),
            origin: Origin { program: b"/bin/gcc".to_vec(), ..Origin::default() },
            outputs: vec![
                StoredOutput {
                    role: Role::Main,
                    executable: false,
                    content: Content::Blob { id: BlobId([3; 32]), size: 70_000, seen: Some(seen) },
                    folded: false,
                },
                StoredOutput {
                    role: Role::Other(300),
                    executable: true,
                    content: Content::Inline(b"a.o: a.c\n".to_vec()),
                    folded: true,
                },
            ],
            text: Text::Here(vec![Chunk { stream: Stream::Stderr, bytes: b"warning".to_vec() }]),
            status: 0,
            text_context: Some(80),
            compile_ns: 1,
            bytes: 2,
            created_s: 3,
            used_s: 4,
        }
    }

    #[test]
    fn every_record_comes_back() {
        assert_eq!(ResultRecord::decode(&result().encode()), Some(result()));
        let set = SetRecord {
            read: (0..700).map(|n| n * 3).chain([u32::MAX]).collect(),
            absent: vec![0],
            env: vec![b"LANG".to_vec().into()],
            date: true,
            ..SetRecord::default()
        };
        let bytes = set.encode();
        assert!(bytes.len() < 800, "{} bytes", bytes.len());
        assert_eq!(SetRecord::decode(&bytes), Some(set));
        let set = SetRecord { read: vec![1, 2], absent: vec![3], ..SetRecord::default() };
        let sum = |names: &[&str]| {
            set.sum_spellings(|id| Some(spelling_hash(names.get(id as usize)?.as_bytes())))
        };
        let names = ["zero", "one", "two", "three"];
        assert!(sum(&names).is_some());
        assert_ne!(sum(&names), sum(&["zero", "one", "other", "three"]));
        assert_eq!(sum(&names[..3]), None);
        let known = |id, result| KnownSet {
            id: SetId(id),
            result: ResultKey([result; 32]),
            stored_ns: id,
            variables: vec![7],
        };
        let mut manifest = ManifestRecord::default();
        (0..40).for_each(|n| manifest.push(known(n, n as u8)));
        for result in [30, 100, 101, 100] {
            manifest.push(known(30, result));
        }
        assert_eq!(manifest.distinct().count(), MANIFEST_SETS);
        assert_eq!(manifest.sets.len(), MANIFEST_SETS + 1);
        assert_eq!(manifest.sets[..3], [known(30, 100), known(30, 101), known(39, 39)]);
        assert_eq!(manifest.distinct().nth(1), Some(SetId(39)));
        assert_eq!(ManifestRecord::decode(&manifest.encode()), Some(manifest));
    }

    #[test]
    fn a_file_has_a_past() {
        let first = FileRecord::seen(None, None, 0, [1; 32], 10);
        let same = FileRecord::seen(Some(first.clone()), None, 0, [1; 32], 20);
        assert_eq!(same, first);
        let mut file = same;
        for n in 2..9 {
            file = FileRecord::seen(Some(file), None, 0, [n; 32], u64::from(n) * 10);
        }
        assert_eq!(file.earlier.len(), VERSIONS);
        assert_eq!(file.hash_at(1000), Some([8; 32]));
        assert_eq!(file.hash_at(79), Some([7; 32]));
        assert_eq!(file.hash_at(40), Some([4; 32]));
        assert_eq!(file.hash_at(39), None);
    }

    #[test]
    fn random_bytes_are_absent() {
        let mut random = Random(1);
        for round in 0..20_000 {
            let len = random.below(300);
            let mut bytes = random.bytes(len);
            if round % 2 == 0 && bytes.len() >= 9 {
                // Behind a good envelope, so that the decoder itself has to cope.
                bytes[0] = SCHEMA;
                let sum = xxh3_64(&bytes[9..]);
                bytes[1..9].copy_from_slice(&sum.to_le_bytes());
                let _ = (SetRecord::decode(&bytes), FileRecord::decode(&bytes));
                let _ = (ResultRecord::decode(&bytes), decode_text(&bytes));
            } else {
                assert_eq!(ResultRecord::decode(&bytes), None);
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = result().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ResultRecord::decode(&bad), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(ResultRecord::decode(&bytes[..len]), None);
        }
    }
}
