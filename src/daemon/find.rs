//! Whether a result that is known fits: the input sets of an action against the files as they are now.

use super::hit::Found;
use super::result_key::{date_slot, result_key};
use super::shared::{Folder, LiveResult, Shared};
use super::state::{Fit, Unfit, state};
use crate::protocol::message::{Content, Invocation};
use crate::session::reason::Reason;
use crate::store::record::ManifestRecord;
use crate::terms::key::ActionKey;
use crate::tools::environment::Environment;
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
        let date_slot = set.date.then(date_slot);
        let Fit { contents, paths } =
            match state(shared, folder, env, action, &set, date_slot, None) {
                Ok(fit) => fit,
                Err(Unfit::Other(id)) => {
                    let path = shared.table.path(id);
                    log::debug!("another state of {}", String::from_utf8_lossy(&path));
                    continue;
                }
                Err(Unfit::Lost) => continue,
            };
        let candidates =
            [result_key(&contents, None), result_key(&contents, Some(understood.text_context))];
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
