//! After a compile: find out what it read, make sure none of that changed meanwhile, and
//! write the result down. Runs in a worker; nobody waits for it but a repeat of the same
//! compile.

use super::about::{self, About};
use super::explain::{self, variable_digest};
use super::ground::on_ground;
use super::hit::{Found, Hit};
use super::known;
use super::lookup::Ticket;
use super::memo::Memo;
use super::pieces::{Beneath, State};
use super::result_key::{date_slot, result_key};
use super::shared::{Folder, LiveResult, Shared};
use super::state::{Fit, Unfit, state};
use crate::files::PathId;
use crate::inputs::resolve::{InputSet, PathRef};
use crate::protocol::message::{Chunk, Content, Exit, Report, RunReport, TakenUnit};
use crate::session::cause::{Cause, Difference, text};
use crate::session::reason::Reason;
use crate::store::index::Batch;
use crate::store::record::{
    KnownSet, ManifestRecord, ResultRecord, SetRecord, StoredOutput, Text, encode_text,
};
use crate::sys::fault::{self, Point};
use crate::terms::key::SetId;
use crate::terms::now::{now_ns, now_s};
use crate::terms::output::{Output, Role};
use crate::tools::environment::Environment;
use crate::tools::meaning;
use crate::tools::places::PLACES_VARIABLE;
use crate::tools::plan::{Discovery, Plan};
use crate::tools::understood::Understood;

/// What became of a compile.
pub(super) struct Finished {
    /// Why units were missed, and why some were not stored.
    pub(super) causes: Vec<Cause>,
    /// With the results that were found or stored.
    pub(super) about: About,
    /// Nothing was refused.
    pub(super) is_stored: bool,
    /// What answers the same question from now on.
    pub(super) memo: Option<Memo>,
}

impl Finished {
    /// When finding out panicked.
    pub(super) fn fault() -> Finished {
        let cause = Cause::new(b"", Reason::InternalFault, Vec::new());
        Finished { causes: vec![cause], about: About::default(), is_stored: false, memo: None }
    }
}

/// Stores what a report brings.
pub(super) fn finish(shared: &Shared, ticket: &mut Ticket, report: &Report) -> Finished {
    // Before the results are written: they take the place of what the misses are compared with.
    let mut causes = why_missed(shared, ticket);
    let mut about = std::mem::take(&mut ticket.about);
    let mut is_stored = true;
    let mut not_stored = |understood: &Understood, unit: usize, why: NotStored| {
        let name = understood.meaning.name(unit);
        log::debug!("not stored: {}: {}", why.reason, String::from_utf8_lossy(name));
        causes.push(Cause::new(name, why.reason, why.difference.into_iter().collect()));
        is_stored = false;
    };
    let mut runs = report.runs.iter();
    let mut beneath = Beneath::default();
    for piece in &ticket.pieces {
        let made = match &piece.state {
            State::Found(found) => Ok((found.result.clone(), piece.text())),
            State::Missing(plan) => {
                let Some(run) = runs.next() else { break };
                let stored =
                    store(shared, ticket, &piece.understood, plan, &plan.discoveries[0], run, None);
                stored.map(|found| (found.result, run.text.clone()))
            }
        };
        match made {
            Ok((result, text)) => beneath.add(shared, &result, text),
            Err(why) => {
                beneath.is_whole = false;
                not_stored(&piece.understood, 0, why);
            }
        }
    }
    let understood = &ticket.understood;
    let beneath = (!ticket.pieces.is_empty()).then_some(&beneath);
    let mut found = Vec::new();
    for (plan, run) in ticket.plans.iter().zip(runs) {
        for discovery in &plan.discoveries {
            match store(shared, ticket, understood, plan, discovery, run, beneath) {
                Ok(stored) => {
                    about.served(stored.key, &stored.result);
                    found.push((discovery.unit, stored));
                }
                Err(why) => not_stored(understood, discovery.unit, why),
            }
        }
    }
    let memo = memo(shared, ticket, &mut found, &about);
    Finished { causes, about, is_stored, memo }
}

/// What the loop may remember if all units of the command were just stored.
fn memo(
    shared: &Shared,
    ticket: &Ticket,
    stored: &mut [(usize, Found)],
    about: &About,
) -> Option<Memo> {
    // Made anew once more if asked the same way once more.
    if stored.len() != ticket.understood.units.len() || ticket.recaches() {
        return None;
    }
    stored.sort_unstable_by_key(|(unit, _)| *unit);
    let found: Vec<&Found> = stored.iter().map(|(_, found)| found).collect();
    let env = Environment::new(&ticket.env);
    let hit = Hit::of(shared, &ticket.understood, &found, about.clone(), env, ticket.understood_at);
    hit.memo
}

/// A compile whose report never came.
pub(super) fn abandon(shared: &Shared, ticket: &mut Ticket) -> Finished {
    let mut causes = why_missed(shared, ticket);
    causes.push(Cause::new(b"", Reason::Unreported, Vec::new()));
    let about = std::mem::take(&mut ticket.about);
    Finished { causes, about, is_stored: false, memo: None }
}

fn why_missed(shared: &Shared, ticket: &Ticket) -> Vec<Cause> {
    let understood = &ticket.understood;
    let folder = shared.folder(&understood.cwd, &understood.places);
    let env = Environment::new(&ticket.env);
    let missed = ticket.missed.iter();
    missed
        .map(|(unit, reason)| explain::cause(shared, understood, &folder, env, *unit, *reason))
        .chain(explain::not_shared(understood))
        .collect()
}

/// Why a result was not kept, and which path is to blame.
struct NotStored {
    reason: Reason,
    difference: Option<Difference>,
}

impl From<Reason> for NotStored {
    fn from(reason: Reason) -> NotStored {
        NotStored { reason, difference: None }
    }
}

fn changed_meanwhile(shared: &Shared, id: PathId) -> NotStored {
    let path = text(&shared.table.path(id));
    log::debug!("changed during the compile: {path}");
    let difference = Some(Difference::ChangedMeanwhile { path });
    NotStored { reason: Reason::ChangedDuringCompile, difference }
}

fn not_taken(output: &Output) -> NotStored {
    let difference = Some(Difference::NotTaken { path: text(&output.path) });
    NotStored { reason: Reason::OutputMissing, difference }
}

/// Stores a unit's result. `beneath`: what its pieces come from.
fn store(
    shared: &Shared,
    ticket: &Ticket,
    understood: &Understood,
    plan: &Plan,
    discovery: &Discovery,
    run: &RunReport,
    beneath: Option<&Beneath>,
) -> Result<Found, NotStored> {
    let action = understood.units[discovery.unit];
    let status = match run.exit {
        Exit::Status(status) if understood.meaning.is_answer(status, &run.text) => status,
        _ => return Err(Reason::CompilerFailed.into()),
    };
    // Told again with each unit, if they were run apart or stored apart.
    let is_said_once =
        understood.units.len() > 1 && understood.meaning.is_said_once(understood, &run.text);
    if is_said_once {
        return Err(Reason::MixedDiagnostics.into());
    }
    if plan.discoveries.len() > 1 && status != 0 {
        shared.separate.lock().insert(action);
        return Err(Reason::MixedDiagnostics.into());
    }
    if ticket.readonly {
        return Err(Reason::ReadOnly.into());
    }
    if run.made_besides {
        return Err(Reason::SideFiles.into());
    }
    // A response file, or a part of the tool itself, that is another by now.
    shared.table.drain();
    let changed = |id: &&PathId| shared.table.changed_since(**id, ticket.understood_at);
    let rewritten = understood.meaning.rewritten(discovery.unit, run);
    let kept = |id: &&PathId| !rewritten.contains(*id);
    if let Some(id) = understood.depends.iter().filter(kept).find(changed) {
        return Err(changed_meanwhile(shared, *id));
    }
    if plan.discoveries.len() > 1 && !run.text.is_empty() {
        shared.separate.lock().insert(action);
        return Err(Reason::MixedDiagnostics.into());
    }
    let taken = run.units.iter().find(|taken| taken.unit as usize == discovery.unit);
    let mut outputs = collect_outputs(taken.ok_or(Reason::OutputMissing)?, plan, discovery.unit)?;
    let folder = shared.folder(&understood.cwd, &understood.places);
    let mut inputs = on_ground(shared, understood, &folder, &ticket.env, |ground| {
        understood.meaning.inputs(ground, discovery, run)
    })?;
    let mut said = run.text.clone();
    let mut took_ns = run.took_ns;
    if let Some(beneath) = beneath {
        if !beneath.is_whole {
            return Err(Reason::DependencyOutput.into());
        }
        beneath.add_to(&mut inputs);
        said.splice(0..0, beneath.text.iter().cloned());
        took_ns += beneath.took_ns;
    }
    if inputs.time || (inputs.date && date_slot() != ticket.date_slot) {
        return Err(Reason::TimeMacro.into());
    }
    let folded = fold_outputs(shared, understood, discovery.unit, &mut outputs)?;
    let text = said.iter().map(|chunk| Chunk {
        stream: chunk.stream,
        bytes: (understood.meaning.fold(discovery.unit, meaning::Text::Message(&chunk.bytes)))
            .unwrap_or_else(|| chunk.bytes.clone()),
    });
    let made = Made { outputs, folded, text: text.collect(), status, took_ns };
    if made.names_root(shared, understood) {
        inputs.env.push(PLACES_VARIABLE.to_vec());
        inputs.env.sort_unstable();
        inputs.env.dedup();
    }
    write_down(shared, ticket, understood, discovery.unit, &folder, &inputs, made)
}

/// What is to be stored.
struct Made {
    outputs: Vec<StoredOutput>,
    folded: Vec<(Role, Vec<u8>)>,
    text: Vec<Chunk>,
    status: i32,
    took_ns: u64,
}

impl Made {
    /// True where results are shared between checkouts and this one names its own all the same.
    /// A file that can't be read is as good as one that does.
    fn names_root(&self, shared: &Shared, understood: &Understood) -> bool {
        let places = &understood.places;
        if places.roots().is_empty() {
            return false;
        }
        let names = |bytes: &[u8]| places.root_is_named_in(bytes);
        let file = |output: &StoredOutput| {
            shared.read_blob(&output.content).is_none_or(|bytes| names(&bytes))
        };
        self.text.iter().any(|chunk| names(&chunk.bytes)) || self.outputs.iter().any(file)
    }
}

/// Takes the names of this place out of outputs where that can be done; gives their new texts.
fn fold_outputs(
    shared: &Shared,
    understood: &Understood,
    unit: usize,
    outputs: &mut [StoredOutput],
) -> Result<Vec<(Role, Vec<u8>)>, Reason> {
    let mut folded = Vec::new();
    for output in outputs.iter_mut().filter(|output| output.role.lists_paths()) {
        let text = shared.read_blob(&output.content).ok_or(Reason::OutputMissing)?;
        let text = meaning::Text::Output(output.role, &text);
        let Some(text) = understood.meaning.fold(unit, text) else { continue };
        output.folded = true;
        output.content = if text.len() <= crate::store::record::INLINE_TEXT {
            Content::Inline(text.clone())
        } else {
            let taken = shared.blobs.take_bytes(&text, 0o600);
            let (id, size, stat) = taken.map_err(|_| Reason::OutputMissing)?;
            Content::Blob { id, size, seen: Some(stat) }
        };
        folded.push((output.role, text));
    }
    Ok(folded)
}

fn collect_outputs(
    taken: &TakenUnit,
    plan: &Plan,
    unit: usize,
) -> Result<Vec<StoredOutput>, NotStored> {
    let planned = plan.run.units.iter().find(|planned| planned.unit as usize == unit);
    let planned = planned.ok_or(Reason::OutputMissing)?;
    let mut outputs = Vec::new();
    for output in &planned.outputs {
        match taken.outputs.iter().find(|taken| taken.role == output.role) {
            Some(taken) => outputs.push(StoredOutput {
                role: taken.role,
                executable: taken.executable,
                content: taken.content.clone().ok_or_else(|| not_taken(output))?,
                folded: false,
            }),
            None if output.required => return Err(not_taken(output)),
            None => {}
        }
    }
    Ok(outputs)
}

/// Makes sure the inputs are what they were, and writes result, set and manifest.
fn write_down(
    shared: &Shared,
    ticket: &Ticket,
    understood: &Understood,
    unit: usize,
    folder: &Folder,
    inputs: &InputSet,
    made: Made,
) -> Result<Found, NotStored> {
    let action = understood.units[unit];
    let env = Environment::new(&ticket.env);
    let set = set_of(shared, inputs)?;
    log::debug!(
        "inputs of {}: {} read, {} absent, {} looked for",
        String::from_utf8_lossy(understood.meaning.name(unit)),
        set.read.len(),
        set.absent.len(),
        set.exists.len()
    );
    let date_slot = set.date.then_some(ticket.date_slot);
    let during = Some(&ticket.opened);
    let state = state(shared, folder, env, &action, &set, date_slot, during);
    let Fit { contents, paths } = state.map_err(|unfit| match unfit {
        Unfit::Other(id) => changed_meanwhile(shared, id),
        Unfit::Lost => Reason::InternalFault.into(),
    })?;
    for path in &inputs.passed {
        let id = shared.path_id(folder, path.0).ok_or(Reason::InternalFault)?;
        if shared.table.changed_since(id, ticket.opened.since) {
            return Err(changed_meanwhile(shared, id));
        }
    }
    for path in &inputs.doubtful {
        let id = shared.path_id(folder, path.0).ok_or(Reason::InternalFault)?;
        if !shared.table.unchanged_during(id, &ticket.opened) {
            return Err(changed_meanwhile(shared, id));
        }
    }
    let Made { outputs, folded, text, status, took_ns } = made;
    let text_context = (!text.is_empty()).then_some(understood.text_context);
    let key = result_key(&contents, text_context);
    let now = now_s();
    let record = ResultRecord {
        action,
        set: set_id(&set),
        origin: about::origin(understood, unit),
        bytes: outputs.iter().map(|output| size(&output.content)).sum(),
        outputs,
        text: keep_text(shared, &text)?,
        status,
        text_context,
        compile_ns: took_ns,
        created_s: now,
        used_s: now,
    };
    let value = |name: &serde_bytes::ByteBuf| understood.places.variable(env, name);
    let known_set = KnownSet {
        id: record.set,
        result: key,
        stored_ns: now_ns(),
        variables: set.env.iter().map(|name| variable_digest(value(name).as_deref())).collect(),
    };
    let _held = shared.manifests.lock();
    let mut batch = Batch::default();
    known::remember(shared, understood, unit, &mut batch);
    shared.spellings.save(&mut batch);
    batch.put_set(record.set, &set);
    let mut manifest: ManifestRecord = shared.index.manifest(&action).unwrap_or_default();
    manifest.push(known_set);
    batch.put_manifest(&action, &manifest);
    batch.put_result(&key, &record);
    if ticket.recaches() && text_context.is_some() {
        // The one it is to replace would be found before it, if that has no messages.
        shared.drop_result(&result_key(&contents, None));
    }
    fault::at(Point::Store);
    shared.index.apply(batch);
    fault::at(Point::Stored);
    for output in &record.outputs {
        if let Content::Blob { id, seen, .. } = &output.content {
            shared.set_blob_stat(*id, *seen);
        }
    }
    let result = shared.keep_result(key, LiveResult { record, text, folded });
    Ok(Found { key, result, paths, dated: inputs.date, variables: inputs.env.clone() })
}

/// Inputs as the index keeps them.
fn set_of(shared: &Shared, inputs: &InputSet) -> Result<SetRecord, Reason> {
    let numbers = |paths: &[PathRef]| paths.iter().map(|path| path.0).collect::<Vec<u32>>();
    let mut set = SetRecord {
        read: numbers(&inputs.read),
        absent: numbers(&inputs.absent),
        exists: numbers(&inputs.exists),
        stamped: numbers(&inputs.stamped),
        related: numbers(&inputs.related),
        coeval: numbers(&inputs.coeval),
        linked: numbers(&inputs.linked),
        env: inputs.env.iter().map(|name| name.clone().into()).collect(),
        date: inputs.date,
        spelling_sum: 0,
    };
    set.spelling_sum = shared.spellings.sum(&set).ok_or(Reason::InternalFault)?;
    Ok(set)
}

fn size(content: &Content) -> u64 {
    match content {
        Content::Inline(bytes) => bytes.len() as u64,
        Content::Blob { size, .. } => *size,
    }
}

/// Long text goes into a blob.
fn keep_text(shared: &Shared, text: &Vec<Chunk>) -> Result<Text, Reason> {
    let bytes = encode_text(text);
    if bytes.len() <= crate::store::record::INLINE_TEXT {
        return Ok(Text::Here(text.clone()));
    }
    let (id, size, stat) =
        shared.blobs.take_bytes(&bytes, 0o600).map_err(|_| Reason::OutputMissing)?;
    Ok(Text::Stored(Content::Blob { id, size, seen: Some(stat) }))
}

/// Equal sets share one entry.
fn set_id(set: &SetRecord) -> SetId {
    use crate::store::record::Record;
    SetId(xxhash_rust::xxh3::xxh3_64(&set.encode()))
}
