//! Whether a result that is known fits: the input sets of an action against the files as they are now.

use super::hit::Found;
use super::result_key::{Contents, ContentsHash, date_slot, result_key};
use super::shared::{Folder, LiveResult, Shared};
use crate::files::{PathId, Seen};
use crate::protocol::message::{Content, Invocation};
use crate::session::reason::Reason;
use crate::store::record::{ManifestRecord, SetRecord};
use crate::terms::key::ActionKey;
use crate::tools::environment::Environment;
use crate::tools::places::Places;
use crate::tools::understood::Understood;

/// Looks for every unit's result.
pub(super) fn find_all(
    shared: &Shared,
    understood: &Understood,
    folder: &Folder,
    invocation: &Invocation,
    recache: bool,
) -> Vec<Result<Found, Reason>> {
    let find_one = |action| {
        if recache {
            return Err(Reason::Recache);
        }
        shared.storing.wait(action);
        find(shared, action, understood, folder, invocation)
    };
    understood.units.iter().map(find_one).collect()
}

/// Checks the input sets known of an action, newest first.
fn find(
    shared: &Shared,
    action: &ActionKey,
    understood: &Understood,
    folder: &Folder,
    invocation: &Invocation,
) -> Result<Found, Reason> {
    let manifest: ManifestRecord = shared.index.manifest(action).ok_or(Reason::NewAction)?;
    let mut reason = Reason::NewAction;
    let env = Environment::new(&invocation.env);
    for id in manifest.distinct() {
        reason = Reason::InputChanged;
        let Some(set) = shared.index.set(id) else { continue };
        if shared.spellings.sum(&set) != Some(set.spelling_sum) {
            continue;
        }
        let checked = check(shared, action, &set, folder, &understood.places, env);
        let (content, paths) = match checked {
            Ok(checked) => checked,
            Err(spelling) => {
                let path = shared.spellings.text(spelling).unwrap_or_default();
                log::debug!("another state of {}", String::from_utf8_lossy(&path));
                continue;
            }
        };
        let candidates =
            [result_key(&content, None), result_key(&content, Some(understood.text_context))];
        for key in candidates {
            let Some(result) = shared.result(&key) else { continue };
            if holds_any(&result, invocation) {
                shared.drop_result(&key);
                reason = Reason::ResultGone;
                continue;
            }
            // Told with each unit, it would be told too often.
            if understood.units.len() > 1
                && understood.meaning.is_said_once(understood, &result.text)
            {
                return Err(Reason::MixedDiagnostics);
            }
            let variables = set.env.iter().map(|name| name.to_vec()).collect();
            return Ok(Found { key, result, paths, dated: set.date, variables });
        }
    }
    Err(reason)
}

/// True when the client found one of the result's blobs damaged.
fn holds_any(result: &LiveResult, invocation: &Invocation) -> bool {
    result.record.outputs.iter().any(
        |output| matches!(&output.content, Content::Blob { id, .. } if invocation.damaged.contains(id)),
    )
}

/// The state of a set's inputs as a digest, if everything that must be there is, and nothing
/// that must not be is not; else the first path that is not as it must be.
fn check(
    shared: &Shared,
    action: &ActionKey,
    set: &SetRecord,
    folder: &Folder,
    places: &Places,
    env: Environment<'_>,
) -> Result<(ContentsHash, Vec<PathId>), u32> {
    let mut paths = Vec::with_capacity(set.read.len() + set.absent.len() + set.exists.len());
    let mut contents = Contents::begin(action, set, set.date.then(date_slot));
    for spelling in &set.read {
        let id = shared.path_id(folder, *spelling).ok_or(*spelling)?;
        let Seen::File { stat, hash: Some(hash) } = shared.table.look(id, true) else {
            return Err(*spelling);
        };
        let stamp = set.stamped.binary_search(spelling).is_ok().then_some(stat.mtime_ns);
        contents.add(&shared.spellings.text(*spelling).ok_or(*spelling)?, &hash.0, stamp);
        paths.push(id);
    }
    for name in &set.env {
        contents.add_variable(name, places.variable(env, name).as_deref());
    }
    for spelling in &set.absent {
        let id = shared.path_id(folder, *spelling).ok_or(*spelling)?;
        if shared.table.look(id, false) != Seen::Absent {
            return Err(*spelling);
        }
        paths.push(id);
    }
    for spelling in &set.exists {
        let id = shared.path_id(folder, *spelling).ok_or(*spelling)?;
        let seen = shared.table.look(id, false);
        if seen == Seen::Absent {
            return Err(*spelling);
        }
        contents.add_kind(&seen);
        paths.push(id);
    }
    for spelling in set.related.iter().chain(&set.linked) {
        paths.push(shared.path_id(folder, *spelling).ok_or(*spelling)?);
    }
    contents.add_relations(set, |spelling| shared.seen(folder, spelling))?;
    contents.add_own_paths(set, |spelling| shared.own_path(folder, spelling))?;
    Ok((contents.end(), paths))
}
