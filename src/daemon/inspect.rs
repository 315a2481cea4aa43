//! One stored result, put into words. Needs nothing but the index.

use crate::protocol::message::Content;
use crate::protocol::told::Inspected;
use crate::session::cause::text;
use crate::store::index::Index;
use crate::store::record::{ResultRecord, Text, encode_text};
use crate::terms::key::ResultKey;

/// More results than this are not told: the key's beginning is too short.
pub(super) const RESULTS_MAX: usize = 10;

/// The results whose keys begin with these bytes.
pub(super) fn results(index: &Index, start: &[u8]) -> Vec<Inspected> {
    let found = index.results_beginning(start, RESULTS_MAX);
    found.iter().map(|(key, record)| inspected(index, key, record)).collect()
}

fn inspected(index: &Index, key: &ResultKey, record: &ResultRecord) -> Inspected {
    let hex = |hash: &[u8; 32]| blake3::Hash::from_bytes(*hash).to_hex().to_string();
    let set = index.set(record.set).unwrap_or_default();
    let names = |numbers: &[u32]| -> Vec<String> {
        numbers.iter().filter_map(|number| index.spelling(*number)).map(shown).collect()
    };
    let outputs = record.outputs.iter().map(|output| {
        let (size, blob) = match &output.content {
            Content::Inline(bytes) => (bytes.len() as u64, None),
            Content::Blob { id, size, .. } => (*size, Some(hex(&id.0))),
        };
        (format!("{:?}", output.role), size, blob, output.executable)
    });
    let text_bytes = match &record.text {
        Text::Here(chunks) if chunks.is_empty() => 0,
        Text::Here(chunks) => encode_text(chunks).len() as u64,
        Text::Stored(Content::Blob { size, .. }) => *size,
        Text::Stored(Content::Inline(bytes)) => bytes.len() as u64,
    };
    Inspected {
        key: hex(&key.0),
        action: hex(&record.action.0),
        kind: record.origin.kind,
        compiler: text(&record.origin.program),
        source: text(&record.origin.source),
        outputs: outputs.collect(),
        text_bytes,
        read: names(&set.read),
        absent: names(&set.absent),
        variables: set.env.iter().map(|name| text(name)).collect(),
        compile_ns: record.compile_ns,
        bytes: record.bytes,
        created_s: record.created_s,
        used_s: record.used_s,
    }
}

/// A path in a place begins with a control byte and the place's number.
fn shown(spelling: Vec<u8>) -> String {
    match spelling.strip_prefix(b"\x01") {
        Some(rest) => format!("(folder {})", text(rest)),
        None => text(&spelling),
    }
}
