//! The state of an input set: what its inputs are now, as a digest. One walk serves finding and storing, so
//! that what is stored is found again.

use super::result_key::{Contents, ContentsHash};
use super::shared::{Folder, Shared};
use crate::files::ticket::Opened;
use crate::files::{Counter, PathId, Seen};
use crate::store::record::SetRecord;
use crate::terms::key::ActionKey;
use crate::tools::environment::Environment;

/// Every input is as it must be.
pub(super) struct Fit {
    pub(super) contents: ContentsHash,
    /// Of all inputs, but for those whose age alone counts: they are among the others.
    pub(super) paths: Vec<PathId>,
}

/// Why there is no such state.
pub(super) enum Unfit {
    /// Another thing is there than must be, or was for a while.
    Other(PathId),
    /// The index lost what the set says.
    Lost,
}

/// The state of a set for a command in `folder`, with `env`. `date_slot`: where the date is part of it.
/// `during`: the compile that the set tells of; nothing may have changed since that began.
pub(super) fn state(
    shared: &Shared,
    folder: &Folder,
    env: Environment<'_>,
    action: &ActionKey,
    set: &SetRecord,
    date_slot: Option<u64>,
    during: Option<&Opened>,
) -> Result<Fit, Unfit> {
    let table = &shared.table;
    let find = |spelling: &u32| shared.path_id(folder, *spelling).ok_or(Unfit::Lost);
    let is_as_it_was = |id| during.is_none_or(|opened| table.unchanged_during(id, opened));
    let is_untouched = |id| during.is_none_or(|opened| !table.changed_since(id, opened.since));
    let mut paths = Vec::with_capacity(set.read.len() + set.absent.len() + set.exists.len());
    let mut contents = Contents::begin(action, set, date_slot);
    for spelling in &set.read {
        let id = find(spelling)?;
        let Seen::File { stat, hash: Some(hash) } = table.look(id, true) else {
            return Err(Unfit::Other(id));
        };
        if !is_as_it_was(id) {
            return Err(Unfit::Other(id));
        }
        let stamp = set.stamped.binary_search(spelling).is_ok().then_some(stat.mtime_ns);
        let spelled = |text: &[u8]| contents.add(text, &hash.0, stamp);
        shared.spellings.with(*spelling, spelled).ok_or(Unfit::Lost)?;
        paths.push(id);
    }
    for name in &set.env {
        contents.add_variable(name, folder.places.variable(env, name).as_deref());
    }
    let absent = shared.path_ids(folder, &set.absent).ok_or(Unfit::Lost)?;
    let since = during.map_or(Counter::MAX, |opened| opened.since);
    let mut rest = &absent[..];
    while let Some(at) = table.first_not_absent(rest, since) {
        let id = rest[at];
        if table.look(id, false) != Seen::Absent || !is_untouched(id) {
            return Err(Unfit::Other(id));
        }
        rest = &rest[at + 1..];
    }
    paths.extend(absent);
    for spelling in &set.exists {
        let id = find(spelling)?;
        let seen = table.look(id, false);
        // A file that came while the compiler ran may have come too late for it. No event tells that where nothing
        // is watched, but its change time does.
        let came = matches!(seen, Seen::File { .. }) && !is_as_it_was(id);
        if seen == Seen::Absent || came || !is_untouched(id) {
            return Err(Unfit::Other(id));
        }
        contents.add_kind(&seen);
        paths.push(id);
    }
    let relations = contents.add_relations(set, |spelling| shared.seen(folder, spelling));
    relations.map_err(|_| Unfit::Lost)?;
    let own_paths = contents.add_own_paths(set, |spelling| shared.own_path(folder, spelling));
    own_paths.map_err(|_| Unfit::Lost)?;
    // After these looks, which may have seen what came later.
    for spelling in set.related.iter().chain(&set.linked) {
        let id = find(spelling)?;
        if !is_untouched(id) {
            return Err(Unfit::Other(id));
        }
        paths.push(id);
    }
    Ok(Fit { contents: contents.end(), paths })
}
