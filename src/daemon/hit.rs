//! What a hit is made of: results, found or just stored, become what the client is to be handed and what the
//! loop may remember of it.

use std::sync::Arc;

use super::about::About;
use super::memo::{Memo, Variable};
use super::shared::{LiveResult, Shared};
use crate::files::{Counter, PathId};
use crate::protocol::message::{Chunk, Content, Delivered, Delivery};
use crate::terms::key::ResultKey;
use crate::terms::output::Role;
use crate::tools::environment::Environment;
use crate::tools::meaning::Text;
use crate::tools::places::PLACES_VARIABLE;
use crate::tools::understood::Understood;

/// A unit's result, and what it depends on.
pub(super) struct Found {
    pub(super) key: ResultKey,
    pub(super) result: Arc<LiveResult>,
    /// Everything that was read, looked for or missing.
    pub(super) paths: Vec<PathId>,
    /// It holds for a stretch of time only.
    pub(super) dated: bool,
    /// Names of the variables it depends on.
    pub(super) variables: Vec<Vec<u8>>,
}

/// All units of a command were found.
pub(super) struct Hit {
    pub(super) deliveries: Vec<Arc<Delivery>>,
    pub(super) results: Vec<ResultKey>,
    /// Compile time that it saves.
    pub(super) saves_ns: u64,
    pub(super) about: Arc<About>,
    /// None: it is to be found out anew each time.
    pub(super) memo: Option<Memo>,
}

impl Hit {
    /// Of the results of all units, in their order. `about` tells of them already. They were seen to be the right
    /// ones after `verified`, the count before anything of the command was looked at.
    pub(super) fn of(
        shared: &Shared,
        understood: &Understood,
        found: &[&Found],
        mut about: About,
        env: Environment<'_>,
        verified: Counter,
    ) -> Hit {
        let deliveries: Vec<_> = (found.iter().enumerate())
            .map(|(unit, found)| Arc::new(delivery(understood, unit, &found.result)))
            .collect();
        let results: Vec<ResultKey> = found.iter().map(|found| found.key).collect();
        let saves_ns = found.iter().map(|found| found.result.record.compile_ns).sum();
        let mut paths: Vec<PathId> = found.iter().flat_map(|found| &found.paths).copied().collect();
        paths.extend_from_slice(&understood.before);
        paths.sort_unstable();
        paths.dedup();
        // What depends on the clock, or on files no watch vouches for, is checked each time.
        let lasting = !found.iter().any(|found| found.dated)
            && !understood.scripted
            && shared.table.unchanged(paths.iter().chain(&understood.depends).copied(), verified);
        let variables = variables_of(found, env);
        about.variables = variables.iter().map(|(name, _)| name.clone()).collect();
        let about = Arc::new(about);
        let memo = lasting.then(|| Memo {
            about: about.clone(),
            tool_paths: shared.shared_paths(&understood.depends),
            input_paths: paths.into(),
            deliveries: deliveries.clone(),
            results: results.clone(),
            saves_ns,
            variables,
            verified,
            hits: 0,
        });
        Hit { deliveries, results, saves_ns, about, memo }
    }
}

/// The variables that some inputs depend on, with their values now.
fn variables_of(hits: &[&Found], env: Environment<'_>) -> Box<[Variable]> {
    let mut names: Vec<&Vec<u8>> = hits.iter().flat_map(|found| &found.variables).collect();
    names.sort_unstable();
    names.dedup();
    // Part of the request itself.
    names.retain(|name| *name != PLACES_VARIABLE);
    let value = |name: &Vec<u8>| (name.clone(), env.get(name).map(<[u8]>::to_vec));
    names.into_iter().map(value).collect()
}

/// Where the outputs of a result go for this command, in the order in which they are put there. The main one is the
/// last: where another can't be written nothing has appeared that looks as if the tool had succeeded.
pub(super) fn delivery(understood: &Understood, unit: usize, result: &LiveResult) -> Delivery {
    let outputs = understood.meaning.outputs(unit).iter().filter_map(|output| {
        let stored = result.record.outputs.iter().find(|stored| stored.role == output.role)?;
        if !understood.meaning.is_touched(unit, &stored.content) {
            return None;
        }
        let folded = result.folded.iter().find(|(role, _)| *role == output.role);
        let delivered = Delivered {
            path: output.path.clone(),
            style: output.style,
            executable: stored.executable,
            content: match folded {
                Some((_, text)) => Content::Inline(
                    understood.meaning.unfold(unit, Text::Output(output.role, text)),
                ),
                None => stored.content.clone(),
            },
        };
        Some((output.role, delivered))
    });
    let (main, mut outputs): (Vec<_>, Vec<_>) = outputs.partition(|(role, _)| *role == Role::Main);
    outputs.extend(main);
    let outputs = outputs.into_iter().map(|(_, output)| output).collect();
    let unfolded = |chunk: &Chunk| Chunk {
        stream: chunk.stream,
        bytes: understood.meaning.unfold(unit, Text::Message(&chunk.bytes)),
    };
    let text: Vec<Chunk> = result.text.iter().map(unfolded).collect();
    Delivery { outputs, text, status: result.record.status }
}

/// A delivery with what is known of its blobs by now.
pub(super) fn with_stats(shared: &Shared, delivery: &Delivery) -> Delivery {
    let mut delivery = delivery.clone();
    for output in &mut delivery.outputs {
        if let Content::Blob { id, seen, .. } = &mut output.content {
            *seen = shared.blob_stat(id, *seen);
        }
    }
    delivery
}
