//! The files of a selection and what each contains.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::files::clock::Stamp;
use crate::files::{ContentHash, FileStat};

/// A path relative to the root, without a leading `/`.
pub type RelPath = Arc<[u8]>;

/// What a regular file contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub hash: ContentHash,
    /// Its owner may execute it.
    pub executable: bool,
}

/// What is at a path, in so far as a step could tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    File(Content),
    /// A symlink's text, and the file it leads to, if it leads to one.
    Link(#[serde(with = "serde_bytes")] Vec<u8>, Option<Content>),
    /// A fifo, socket or device, by the type bits of its mode.
    Special(u32),
    /// Can't be read, with the system's error number.
    Unreadable(i32),
}

/// One path's value, and how to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub value: Value,
    /// While a file (of a link: what it leads to) has exactly this stat, it has this content.
    /// None where a stat proves nothing.
    pub stat: Option<FileStat>,
}

/// The files of one selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    pub entries: BTreeMap<RelPath, Entry>,
}

/// Stands for the paths and values of a set; stats are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

/// How a path differs between two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Modified,
    Removed,
}

impl FileSet {
    fn values(&self) -> impl Iterator<Item = (&RelPath, &Value)> {
        self.entries.iter().map(|(path, entry)| (path, &entry.value))
    }

    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = Vec::with_capacity(64 << 10);
        for (path, value) in self.values() {
            put(&mut bytes, path);
            match value {
                Value::File(content) => {
                    bytes.push(0);
                    put_content(&mut bytes, content);
                }
                Value::Link(text, content) => {
                    bytes.push(1 + u8::from(content.is_some()));
                    put(&mut bytes, text);
                    if let Some(content) = content {
                        put_content(&mut bytes, content);
                    }
                }
                Value::Special(kind) => {
                    bytes.push(3);
                    bytes.extend(kind.to_le_bytes());
                }
                Value::Unreadable(error) => {
                    bytes.push(4);
                    bytes.extend(error.to_le_bytes());
                }
            }
            if bytes.len() > 60 << 10 {
                hasher.update(&bytes);
                bytes.clear();
            }
        }
        hasher.update(&bytes);
        Digest(*hasher.finalize().as_bytes())
    }

    /// The first path that can't be read, with the error number.
    pub fn unreadable(&self) -> Option<(&RelPath, i32)> {
        self.values().find_map(|(path, value)| match value {
            Value::Unreadable(error) => Some((path, *error)),
            _ => None,
        })
    }

    /// How `self` differs from the `earlier` set, in the order of paths.
    pub fn changes_since(&self, earlier: &FileSet) -> Vec<(RelPath, Change)> {
        let (mut new, mut old) = (self.values().peekable(), earlier.values().peekable());
        let mut changes = Vec::new();
        loop {
            let order = match (new.peek(), old.peek()) {
                (None, None) => return changes,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let here = if order.is_le() { new.next() } else { None };
            let before = if order.is_ge() { old.next() } else { None };
            match (here, before) {
                (Some((path, _)), None) => changes.push((path.clone(), Change::Created)),
                (None, Some((path, _))) => changes.push((path.clone(), Change::Removed)),
                (Some((path, now)), Some((_, then))) if now != then => {
                    changes.push((path.clone(), Change::Modified));
                }
                _ => {}
            }
        }
    }

    /// For disk and socket, with what the clocks say.
    pub fn encode(&self) -> Vec<u8> {
        let list: Vec<(&serde_bytes::Bytes, &Entry)> = self
            .entries
            .iter()
            .map(|(path, entry)| (serde_bytes::Bytes::new(path), entry))
            .collect();
        // Nothing in it can fail to be encoded, and a Vec grows.
        postcard::to_allocvec(&(Stamp::now(), list)).unwrap_or_default()
    }

    /// None for bytes that are no set. Once the system clock was set, its stats prove nothing.
    pub fn decode(bytes: &[u8]) -> Option<FileSet> {
        type List<'a> = Vec<(&'a serde_bytes::Bytes, Entry)>;
        let (stamp, list): (Stamp, List<'_>) = postcard::from_bytes(bytes).ok()?;
        let proven = stamp.vouches_until(&Stamp::now());
        let entries = list.into_iter().map(|(path, entry)| {
            let stat = entry.stat.filter(|_| proven);
            (Arc::from(&path[..]), Entry { stat, ..entry })
        });
        Some(FileSet { entries: entries.collect() })
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u32).to_le_bytes());
    bytes.extend(part);
}

fn put_content(bytes: &mut Vec<u8>, content: &Content) {
    bytes.push(u8::from(content.executable));
    bytes.extend(content.hash.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(byte: u8) -> Value {
        Value::File(Content { hash: ContentHash([byte; 32]), executable: false })
    }

    fn set(list: &[(&str, Value)]) -> FileSet {
        let entry = |value: &Value| Entry { value: value.clone(), stat: None };
        let entries = list.iter().map(|(path, value)| (Arc::from(path.as_bytes()), entry(value)));
        FileSet { entries: entries.collect() }
    }

    #[test]
    fn digests_tell_values_apart() {
        let content = Content { hash: ContentHash([1; 32]), executable: true };
        let sets = [
            set(&[]),
            set(&[("a", file(1))]),
            set(&[("a", file(2))]),
            set(&[("b", file(1))]),
            set(&[("a", Value::File(content))]),
            set(&[("a", Value::Link(b"x".to_vec(), None))]),
            set(&[("a", Value::Link(b"x".to_vec(), Some(content)))]),
            set(&[("a", Value::Link(b"y".to_vec(), Some(content)))]),
            set(&[("a", Value::Special(1))]),
            set(&[("a", Value::Unreadable(1))]),
            set(&[("a", file(1)), ("b", file(1))]),
        ];
        for (n, one) in sets.iter().enumerate() {
            for (m, other) in sets.iter().enumerate() {
                assert_eq!(one.digest() == other.digest(), n == m, "{n} {m}");
            }
        }
    }

    #[test]
    fn changes() {
        let old = set(&[("a", file(1)), ("b", file(1)), ("d", file(1))]);
        let new = set(&[("a", file(1)), ("b", file(2)), ("c", file(1))]);
        let found = new.changes_since(&old);
        let found: Vec<_> = found.iter().map(|(path, change)| (&**path, *change)).collect();
        assert_eq!(
            found,
            [(&b"b"[..], Change::Modified), (b"c", Change::Created), (b"d", Change::Removed)]
        );
    }

    #[test]
    fn sets_survive_encoding() {
        let mut one = set(&[("a", file(1)), ("b", Value::Link(b"a".to_vec(), None))]);
        one.entries.get_mut(&b"a"[..]).unwrap().stat =
            Some(FileStat { device: 1, inode: 2, size: 3, links: 1, mtime_ns: -5, ctime_ns: 6 });
        let bytes = one.encode();
        assert_eq!(FileSet::decode(&bytes), Some(one));
        assert_eq!(FileSet::decode(&bytes[..bytes.len() - 1]), None);
    }
}
