//! Why a unit was not a hit: compares it with what the index knows of the same action, or of
//! the nearest other command. Done after the compile, in a worker, where nobody waits for it.

use std::collections::HashMap;

use super::about;
use super::compare::{Compared, compare, reason_for};
use super::known::{self, Eviction, Known, recall};
use super::shared::{Folder, Shared};
use crate::files::{PathId, Seen};
use crate::session::cause::{Cause, Difference, text};
use crate::session::reason::Reason;
use crate::store::record::{FileRecord, KnownSet, SetRecord};
use crate::terms::key::ActionKey;
use crate::tools::environment::Environment;
use crate::tools::places::{PLACES_VARIABLE, Places};
use crate::tools::refusal::Refusal;
use crate::tools::understood::Understood;

/// States that are compared with the one at hand, the latest first.
const STATES_COMPARED: usize = 6;

/// What `find` said, with what exactly differs. `reason` is `NewAction`, `InputChanged`,
/// `ResultGone` or `Recache`.
pub(super) fn cause(
    shared: &Shared,
    understood: &Understood,
    folder: &Folder,
    env: Environment<'_>,
    unit: usize,
    reason: Reason,
) -> Cause {
    let explain = Explain { shared, understood, folder, env, files: HashMap::new() };
    let (reason, differences) = match reason {
        Reason::NewAction => explain.new_action(unit),
        Reason::InputChanged => explain.other_state(&understood.units[unit]),
        other => (other, Vec::new()),
    };
    Cause::new(understood.meaning.name(unit), reason, differences)
}

/// Why the results belong to one checkout, where they were asked to fit all.
pub(super) fn not_shared(understood: &Understood) -> Option<Cause> {
    let Refusal { reason, argument } = understood.sharing.refusal()?;
    let argument =
        argument.as_ref().map(|argument| Difference::Argument { argument: text(argument) });
    Some(Cause::new(b"", *reason, argument.into_iter().collect()))
}

struct Explain<'a> {
    shared: &'a Shared,
    understood: &'a Understood,
    folder: &'a Folder,
    env: Environment<'a>,
    /// What is known of files, by spelling.
    files: HashMap<u32, Option<(PathId, Option<FileRecord>)>>,
}

impl Explain<'_> {
    /// The nearest command known of the source or the output.
    fn new_action(&self, unit: usize) -> (Reason, Vec<Difference>) {
        let known = recall(self.shared, self.understood, unit);
        let action = &self.understood.units[unit];
        if let Some(same) = known.iter().find(|known| known.action == *action) {
            return self.lost(same.stored_ns);
        }
        let now: Vec<_> = self.understood.parts[unit].iter().collect();
        let (_, own_output) = known::names(self.understood, unit);
        let compared = known.iter().map(|known| (known, compare(&known.parts(), &now)));
        let nearest = compared.min_by_key(|(known, compared)| {
            (*known.output != own_output[..], compared.differences.len())
        });
        let Some((known, compared)) = nearest else { return (Reason::NewAction, Vec::new()) };
        let differences = self.with_tool(known, compared);
        let reason = match reason_for(&differences) {
            Reason::ToolChanged if *known.root != *about::root(self.understood) => {
                Reason::ToolchainMismatch
            }
            reason => reason,
        };
        (reason, differences)
    }

    /// Adds what made the tool another one, unless a flag explains that.
    fn with_tool(&self, known: &Known, compared: Compared) -> Vec<Difference> {
        let Compared { mut differences, other_tool } = compared;
        if !other_tool {
            return differences;
        }
        let mut tool = Vec::new();
        if *known.program != self.understood.program[..] {
            let (before, after) = (text(&known.program), text(&self.understood.program));
            tool.push(Difference::Tool { before, after });
        }
        for id in &self.understood.depends {
            let path = self.shared.table.path(*id);
            let Some(record) = self.past(*id) else { continue };
            let now = self.shared.table.look(*id, true);
            if let Seen::File { hash: Some(hash), .. } = now
                && record.hash_at(known.stored_ns).is_some_and(|before| before != hash.0)
            {
                tool.push(Difference::ToolFile { path: text(&path) });
            }
        }
        if tool.is_empty() && differences.is_empty() {
            let name = text(&self.understood.program);
            tool.push(Difference::Tool { before: name.clone(), after: name });
        }
        tool.append(&mut differences);
        tool
    }

    /// The action is known in other states: the one that differs least.
    fn other_state(mut self, action: &ActionKey) -> (Reason, Vec<Difference>) {
        let manifest = self.shared.index.manifest(action).unwrap_or_default();
        let mut nearest: Option<(KnownSet, SetRecord, Vec<Difference>)> = None;
        let (mut is_elsewhere, mut names_its_folder) = (false, false);
        for known in manifest.sets.iter().take(STATES_COMPARED) {
            let Some(set) = self.shared.index.set(known.id) else { continue };
            if self.shared.spellings.sum(&set) != Some(set.spelling_sum) {
                continue;
            }
            let elsewhere = self.other_checkout(known);
            let differences = match &elsewhere {
                Some(places) => self.between_checkouts(&set, places),
                None => self.inputs(&set, known),
            };
            let better = nearest.as_ref().is_none_or(|(.., best)| differences.len() < best.len());
            if better {
                is_elsewhere = elsewhere.is_some();
                names_its_folder = set.env.iter().any(|name| **name == *PLACES_VARIABLE);
                nearest = Some((known.clone(), set, differences));
            }
        }
        match nearest {
            None => (Reason::ResultGone, Vec::new()),
            Some((.., differences)) if is_elsewhere && !differences.is_empty() => {
                (Reason::ContentHashMismatch, differences)
            }
            Some(_) if is_elsewhere && names_its_folder => (Reason::PathSensitiveArg, Vec::new()),
            Some((known, set, differences)) if differences.is_empty() => {
                self.same_inputs(&known, &set, action)
            }
            Some((.., differences)) => (reason_for(&differences), differences),
        }
    }

    /// The places of the checkout that a result was made in, if that is another one.
    fn other_checkout(&self, known: &KnownSet) -> Option<Places> {
        let root = self.shared.index.result(&known.result)?.origin.root;
        let is_other = !root.is_empty() && root != about::root(self.understood);
        is_other.then(|| self.understood.places.in_checkout(&[root]))
    }

    /// What differs between this checkout and another one, as they are now.
    fn between_checkouts(&self, set: &SetRecord, other: &Places) -> Vec<Difference> {
        let mut found = Vec::new();
        let understood = self.understood;
        // Paths may be spelled from the working folder on, which moves with the checkout.
        let cwd = other.unspell(&understood.places.spell_root(&understood.cwd));
        let there = self.shared.folder(&cwd, other);
        let look = |folder: &Folder, spelling: u32| {
            let id = self.shared.path_id(folder, spelling)?;
            Some((text(&self.shared.table.path(id)), self.shared.table.look(id, true)))
        };
        for spelling in set.read.iter().chain(&set.absent) {
            let (ours, theirs) = (look(self.folder, *spelling), look(&there, *spelling));
            let (Some((path, ours)), Some((_, theirs))) = (ours, theirs) else { continue };
            match (ours, theirs) {
                (Seen::File { hash: Some(ours), stat }, Seen::File { hash: Some(theirs), .. })
                    if ours != theirs =>
                {
                    found.push(Difference::Content {
                        path,
                        before: Some(hex(theirs.0)),
                        after: hex(ours.0),
                        changed_us: u64::try_from(stat.mtime_ns / 1000).unwrap_or(0),
                    })
                }
                (Seen::Absent, Seen::File { .. }) => found.push(Difference::Gone { path }),
                (Seen::File { .. }, Seen::Absent) => found.push(Difference::Appeared { path }),
                _ => {}
            }
        }
        found
    }

    /// Nothing that was read differs: then it is the kind of terminal, the date, an
    /// mtime, or the result is gone.
    fn same_inputs(
        &self,
        known: &KnownSet,
        set: &SetRecord,
        action: &ActionKey,
    ) -> (Reason, Vec<Difference>) {
        let Some(result) = self.shared.index.result(&known.result) else {
            return self.lost(known.stored_ns);
        };
        let context = Some(self.understood.text_context);
        if result.action != *action {
            (Reason::ResultGone, Vec::new())
        } else if result.text_context.is_some() && result.text_context != context {
            (Reason::MessageStyle, Vec::new())
        } else if set.date {
            (Reason::DateChanged, Vec::new())
        } else if !set.stamped.is_empty() || !set.coeval.is_empty() {
            (Reason::InputTouched, Vec::new())
        } else if !(set.exists.is_empty() && set.related.is_empty() && set.linked.is_empty()) {
            // A file where a folder was, or what was one is two, or a link leads elsewhere.
            (Reason::InputChanged, Vec::new())
        } else {
            (Reason::ResultGone, Vec::new())
        }
    }

    /// A result that was stored at that time and is not there.
    fn lost(&self, stored_ns: u64) -> (Reason, Vec<Difference>) {
        match Eviction::after(self.shared, stored_ns) {
            Some(eviction) => (Reason::Evicted, vec![eviction]),
            None => (Reason::ResultGone, Vec::new()),
        }
    }

    /// What differs between now and the moment a set's result was stored.
    fn inputs(&mut self, set: &SetRecord, known: &KnownSet) -> Vec<Difference> {
        let mut found = Vec::new();
        for spelling in &set.absent {
            if self.seen(*spelling, false).is_some_and(|seen| seen != Seen::Absent) {
                found.push(Difference::Appeared { path: self.path(*spelling) });
            }
        }
        for spelling in &set.read {
            match self.seen(*spelling, true) {
                Some(Seen::File { stat, hash: Some(hash) }) => {
                    let Some((_, record)) = self.file(*spelling) else { continue };
                    let before = record.as_ref().and_then(|record| record.hash_at(known.stored_ns));
                    if record.is_some() && before != Some(hash.0) {
                        found.push(Difference::Content {
                            path: self.path(*spelling),
                            before: before.map(hex),
                            after: hex(hash.0),
                            changed_us: u64::try_from(stat.mtime_ns / 1000).unwrap_or(0),
                        });
                    }
                }
                Some(_) => found.push(Difference::Gone { path: self.path(*spelling) }),
                None => {}
            }
        }
        for spelling in &set.exists {
            if self.seen(*spelling, false) == Some(Seen::Absent) {
                found.push(Difference::Vanished { path: self.path(*spelling) });
            }
        }
        let places = &self.understood.places;
        for (name, before) in set.env.iter().zip(&known.variables) {
            let now = places.variable(self.env, name);
            if **name != *PLACES_VARIABLE && variable_digest(now.as_deref()) != *before {
                let name = text(name);
                found.push(Difference::Variable { name, before: None, after: None, hidden: true });
            }
        }
        found
    }

    fn seen(&mut self, spelling: u32, content: bool) -> Option<Seen> {
        let id = self.shared.path_id(self.folder, spelling)?;
        Some(self.shared.table.look(id, content))
    }

    /// What was kept of a file's past.
    fn file(&mut self, spelling: u32) -> Option<(PathId, Option<FileRecord>)> {
        if let Some(known) = self.files.get(&spelling) {
            return known.clone();
        }
        let found = self.shared.path_id(self.folder, spelling).map(|id| (id, self.past(id)));
        self.files.insert(spelling, found.clone());
        found
    }

    /// The same by path. It is kept under the file's own name, or, of what no watch vouches for, under the
    /// one it was read by.
    fn past(&self, id: PathId) -> Option<FileRecord> {
        let Shared { index, table, .. } = self.shared;
        index.file(&table.own_path(id)).or_else(|| index.file(&table.path(id)))
    }

    /// Absolute.
    fn path(&self, spelling: u32) -> String {
        let id = self.shared.path_id(self.folder, spelling);
        id.map_or(String::new(), |id| text(&self.shared.table.path(id)))
    }
}

/// Tells two values of a variable apart without keeping them.
pub(super) fn variable_digest(value: Option<&[u8]>) -> u32 {
    value.map_or(0, |value| xxhash_rust::xxh3::xxh3_64(value).max(1) as u32)
}

/// The first 16 digits of a hash.
fn hex(hash: [u8; 32]) -> String {
    blake3::Hash::from_bytes(hash).to_hex()[..16].to_owned()
}
