//! The commands last seen of each source and output, as the index keeps them: written after
//! a miss, read when the next one is explained, never looked at for a hit.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::about;
use super::shared::Shared;
use crate::session::cause::Difference;
use crate::session::kind::Tool;
use crate::store::index::{Batch, KnownBy};
use crate::store::record::KnownAction;
use crate::terms::key::ActionKey;
use crate::terms::now::now_ns;
use crate::tools::key_parts::Part;
use crate::tools::understood::Understood;

/// Sources and outputs that are remembered; beyond this the older half is forgotten.
pub(super) const KNOWN_MAX: usize = 100_000;

/// A known command, read back.
pub(super) struct Known {
    pub(super) action: ActionKey,
    pub(super) program: Arc<[u8]>,
    pub(super) output: Arc<[u8]>,
    /// The checkout it was seen in, if that shares.
    pub(super) root: Arc<[u8]>,
    pub(super) stored_ns: u64,
    parts: Vec<(Part, Arc<[u8]>)>,
}

impl Known {
    pub(super) fn parts(&self) -> Vec<(Part, &[u8])> {
        self.parts.iter().map(|(part, text)| (*part, &**text)).collect()
    }
}

/// Adds a unit's command to a batch. The spellings it uses must be saved with the same batch,
/// after this.
pub(super) fn remember(shared: &Shared, understood: &Understood, unit: usize, batch: &mut Batch) {
    let (source, output) = names(understood, unit);
    let number = |text: &[u8]| shared.spellings.number(text);
    // A variable that is not set is told by its being missing.
    let worth = |(part, text): &(Part, &[u8])| *part != Part::Variable || text.contains(&b'=');
    let parts = understood.parts[unit].iter().filter(worth);
    let mut action = KnownAction {
        action: understood.units[unit],
        program: number(&understood.program),
        output: number(&output),
        root: number(about::root(understood)),
        parts: parts.map(|(part, text)| (part as u8, number(text))).collect(),
        sum: 0,
        stored_ns: now_ns(),
    };
    let Some(sum) = sum(shared, &action) else { return };
    action.sum = sum;
    for by in kept_by(&source, &output) {
        let mut record = shared.index.known(by).unwrap_or_default();
        record.push(action.clone());
        batch.put_known(by, &record);
    }
}

/// Some tools make no output.
fn kept_by<'a>(source: &'a [u8], output: &'a [u8]) -> impl Iterator<Item = KnownBy<'a>> {
    let output = (!output.is_empty()).then_some(KnownBy::Output(output));
    [KnownBy::Source(source)].into_iter().chain(output)
}

/// A unit's source and main output, as all checkouts that share have them.
pub(super) fn names(understood: &Understood, unit: usize) -> (Vec<u8>, Vec<u8>) {
    let places = &understood.places;
    let mut source = places.spell_root(&about::source(understood, unit));
    // What one tool says of a source is nothing to compare another's with, nor a compile.
    let tool = understood.kind.tool;
    if matches!(tool, Tool::ClangTidy | Tool::Iwyu | Tool::Rustfmt | Tool::Exec) {
        source = [tool.name().as_bytes(), b"\0", &source].concat();
    }
    (source, places.spell_root(&about::main_output(understood, unit)))
}

/// The commands known of a unit's source, then those of its output; newest first.
pub(super) fn recall(shared: &Shared, understood: &Understood, unit: usize) -> Vec<Known> {
    let (source, output) = names(understood, unit);
    let actions = kept_by(&source, &output).filter_map(|by| shared.index.known(by));
    let actions = actions.flat_map(|record| record.actions);
    actions.filter_map(|action| read(shared, &action)).collect()
}

/// None where the index lost a part of it.
fn read(shared: &Shared, known: &KnownAction) -> Option<Known> {
    if sum(shared, known) != Some(known.sum) {
        return None;
    }
    let part =
        |(part, number): &(u8, u32)| Some((Part::of(*part)?, shared.spellings.text(*number)?));
    Some(Known {
        action: known.action,
        program: shared.spellings.text(known.program)?,
        output: shared.spellings.text(known.output)?,
        root: shared.spellings.text(known.root)?,
        stored_ns: known.stored_ns,
        parts: known.parts.iter().map(part).collect::<Option<_>>()?,
    })
}

fn sum(shared: &Shared, known: &KnownAction) -> Option<u64> {
    let mut sum = Xxh3::new();
    let numbers = known.parts.iter().map(|(_, number)| *number);
    for number in numbers.chain([known.program, known.output, known.root]) {
        sum.update(&shared.spellings.hash(number)?.to_le_bytes());
    }
    Some(sum.digest())
}

/// When the store last had to remove results, and to stay below which limit.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Eviction {
    pub(super) at_ns: u64,
    pub(super) limit_bytes: u64,
}

const EVICTION: &str = "eviction";

impl Eviction {
    pub(super) fn note(shared: &Shared, limit_bytes: u64) {
        let this = Eviction { at_ns: now_ns(), limit_bytes };
        if let Ok(bytes) = serde_json::to_vec(&this) {
            shared.index.put_counter(EVICTION, &bytes);
        }
    }

    /// The last one, if it came after that moment.
    pub(super) fn after(shared: &Shared, stored_ns: u64) -> Option<Difference> {
        let bytes = shared.index.counter(EVICTION)?;
        let last: Eviction = serde_json::from_slice(&bytes).ok()?;
        (last.at_ns >= stored_ns).then_some(Difference::Eviction {
            at_us: last.at_ns / 1000,
            limit_bytes: last.limit_bytes,
        })
    }
}
