//! Answering an invocation the long way, in a worker: understand it, check the inputs of
//! what is known of it, and plan a run where nothing fits.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::about::{self, About};
use super::find::find_all;
use super::hit::{Found, Hit, delivery, with_stats};
use super::memo::RequestKey;
use super::pieces::{self, LookedFor};
use super::result_key::date_slot;
use super::shared::Shared;
use super::{explain, ground};
use crate::files::ticket::Opened;
use crate::files::{Counter, Seen};
use crate::protocol::message::{Invocation, Step, Work};
use crate::protocol::told::{ExplainedUnit, Explanation};
use crate::session::cause::{Cause, Difference, text};
use crate::session::kind::Tool;
use crate::session::reason::Reason;
use crate::settings::Settings;
use crate::terms::key::{ActionKey, ResultKey};
use crate::terms::now::now_stat_ns;
use crate::terms::priority::{Niceness, Priority};
use crate::tools::archive::is_archiver;
use crate::tools::environment::Environment;
use crate::tools::find::{absolute, base};
use crate::tools::gcc::strict_paths::{self, StrictPaths};
use crate::tools::link::is_linker;
use crate::tools::meaning::Split;
use crate::tools::plan::Plan;
use crate::tools::refusal::Refusal;
use crate::tools::rust::is_rust;
use crate::tools::rustfmt::is_rustfmt;
use crate::tools::tidy::is_tidy;
use crate::tools::understand::understand;
use crate::tools::understood::Understood;

/// The answer, and what the loop keeps of it.
pub(super) enum Outcome {
    Plain(Refusal, Option<Niceness>),
    /// Nothing may run: the line to tell.
    Refused(String),
    Hit(Hit),
    Miss {
        work: Work,
        ticket: Box<Ticket>,
        results: Vec<ResultKey>,
    },
}

/// A compile under way.
pub(super) struct Ticket {
    pub(super) id: u64,
    /// Names the question, unless memory must not answer it.
    pub(super) request: Option<RequestKey>,
    pub(super) opened: Opened,
    /// The count when the command began to be understood.
    pub(super) understood_at: Counter,
    pub(super) understood: Understood,
    pub(super) plans: Vec<Plan>,
    /// The commands whose outputs the one plan there is then needs.
    pub(super) pieces: Vec<LookedFor>,
    /// What there is to tell of it; with the results that were found.
    pub(super) about: About,
    /// The units that were not found, and why.
    pub(super) missed: Vec<(usize, Reason)>,
    pub(super) date_slot: u64,
    /// The caller's environment.
    pub(super) env: Vec<u8>,
    /// `ZCCACHE_READONLY`: to be run, not to be stored.
    pub(super) readonly: bool,
    /// `Work::stays`
    pub(super) stays: bool,
}

impl Ticket {
    /// Asked to be made anew, whatever is known of it.
    pub(super) fn recaches(&self) -> bool {
        self.missed.iter().any(|(_, reason)| *reason == Reason::Recache)
    }

    /// The actions that this compile may bring results for.
    pub(super) fn actions(&self) -> Vec<ActionKey> {
        let discoveries = self.plans.iter().flat_map(|plan| &plan.discoveries);
        let own = discoveries.map(|discovery| self.understood.units[discovery.unit]);
        let missing = self.pieces.iter().filter(|piece| piece.plan().is_some());
        own.chain(missing.map(|piece| piece.understood.units[0])).collect()
    }
}

/// `request`: what to remember the answer by, once there is one.
pub(super) fn answer(
    shared: &Shared,
    invocation: &Invocation,
    request: Option<RequestKey>,
) -> Outcome {
    let verified = shared.table.counter();
    let (asked, _) = Settings::from_block(&invocation.env, Some(&invocation.cwd));
    if asked.disable {
        return Outcome::Plain(Reason::Disabled.into(), None);
    }
    let understood = understand(invocation, &shared.table, &shared.toolchains);
    // After the response files are watched: a hit is remembered for these paths as they are.
    if let Err(line) = paths_are_allowed(invocation, &asked) {
        return Outcome::Refused(line);
    }
    let understood = match understood {
        Ok(understood) => understood,
        Err(refusal) => return Outcome::Plain(refusal, niceness(shared, &asked)),
    };
    let env = Environment::new(&invocation.env);
    let folder = shared.folder(&understood.cwd, &understood.places);
    let found = find_all(shared, &understood, &folder, invocation, asked.recache);
    let mut about = About::of(&understood);
    found.iter().flatten().for_each(|found| about.served(found.key, &found.result));
    if found.iter().all(Result::is_ok) {
        let found: Vec<&Found> = found.iter().flatten().collect();
        return Outcome::Hit(Hit::of(shared, &understood, &found, about, env, verified));
    }
    if lacks_a_source(shared, &understood, &found) {
        return Outcome::Plain(Reason::CompilerFailed.into(), niceness(shared, &asked));
    }
    for (unit, found) in found.iter().enumerate() {
        if found.is_err() {
            ground::on_ground(shared, &understood, &folder, &invocation.env, |ground| {
                understood.meaning.look_ahead(ground, unit);
            });
        }
    }
    let missed = missed(&found);
    let id = shared.ticket();
    let split = pieces::split(shared, invocation, &understood, id);
    // Before pieces are looked for: what they depend on must not change from then on.
    let opened = shared.table.open_ticket();
    let date_slot = date_slot();
    let mut scratch = Vec::new();
    let mut results: Vec<ResultKey> = found.iter().flatten().map(|found| found.key).collect();
    let (steps, plans, pieces) = match split {
        None => {
            let (steps, plans) = plan_steps(shared, &understood, &found, id);
            (steps, plans, Vec::new())
        }
        Some(Split { pieces, last }) => {
            let look = |piece| pieces::look(shared, invocation, piece, asked.recache, id);
            let pieces: Vec<_> = pieces.into_iter().enumerate().map(look).collect();
            scratch.extend(pieces.iter().map(|piece| piece.output.clone()));
            results.extend(pieces.iter().filter_map(LookedFor::key));
            let steps = pieces.iter().map(|piece| piece.step(shared));
            let steps = steps.chain([Step::Run(last.run.clone())]).collect();
            (steps, vec![last], pieces)
        }
    };
    let stays = missed.iter().any(|(unit, _)| is_probe(shared, &understood, *unit));
    let ticket = Ticket {
        id,
        request,
        opened,
        understood_at: verified,
        pieces,
        understood,
        plans,
        about,
        missed,
        date_slot,
        env: invocation.env.clone(),
        readonly: asked.readonly,
        stays,
    };
    let link_mode = shared.configured.link_mode();
    let niceness = niceness(shared, &asked);
    let fine_times = shared.fine_times;
    let work = Work { ticket: id, steps, fine_times, link_mode, niceness, scratch, stays };
    Outcome::Miss { work, ticket: Box::new(ticket), results }
}

/// The units that were not found.
fn missed(found: &[Result<Found, Reason>]) -> Vec<(usize, Reason)> {
    let units = found.iter().enumerate();
    units.filter_map(|(unit, found)| Some((unit, *found.as_ref().err()?))).collect()
}

/// Whether a source is not there that must be: of several, clang then compiles none, and gcc the others.
fn lacks_a_source(
    shared: &Shared,
    understood: &Understood,
    found: &[Result<Found, Reason>],
) -> bool {
    let is_gone = |unit: usize| source(shared, understood, unit) == Seen::Absent;
    let must_be = found.len() > 1 || understood.meaning.must_have_source();
    must_be && (0..found.len()).any(|unit| found[unit].is_err() && is_gone(unit))
}

/// Whether a source in C was written just now (by its change time, which nobody can set). Such a one is often gone right
/// after its compile: `configure` and its like write a probe, compile it and remove it, hundreds of times. What rustc
/// compiles stays, and takes longer to store.
fn is_probe(shared: &Shared, understood: &Understood, unit: usize) -> bool {
    const YOUNG_NS: u64 = 2_000_000_000;
    if !matches!(understood.kind.tool, Tool::Gcc | Tool::Clang) {
        return false;
    }
    match source(shared, understood, unit) {
        Seen::File { stat, .. } => stat.ctime_ns.abs_diff(now_stat_ns()) < YOUNG_NS,
        _ => false,
    }
}

/// What is there under a unit's source.
fn source(shared: &Shared, understood: &Understood, unit: usize) -> Seen {
    shared.table.look(shared.table.intern(&about::source(understood, unit)), false)
}

/// What would become of an invocation, without doing any of it.
pub(super) fn explain(shared: &Shared, mut invocation: Invocation) -> Explanation {
    // Asked before the loop has drained the watch in this turn.
    shared.table.drain();
    shared.configured.refresh(&shared.table);
    shared.configured.complete(&mut invocation.env);
    let invocation = &invocation;
    let (asked, _) = Settings::from_block(&invocation.env, Some(&invocation.cwd));
    let forbidden = match paths_are_allowed(invocation, &asked) {
        _ if asked.disable => Some(Reason::Disabled),
        Err(_) => Some(Reason::StrictPaths),
        Ok(()) => None,
    };
    if let Some(reason) = forbidden {
        let cause = Cause::new(b"", reason, vec![]);
        return Explanation { causes: vec![cause], ..Explanation::default() };
    }
    let understood = match understand(invocation, &shared.table, &shared.toolchains) {
        Ok(understood) => understood,
        Err(Refusal { reason, argument }) => {
            let argument =
                argument.map(|argument| Difference::Argument { argument: text(&argument) });
            let cause = Cause::new(b"", reason, argument.into_iter().collect());
            return Explanation { causes: vec![cause], ..Explanation::default() };
        }
    };
    let folder = shared.folder(&understood.cwd, &understood.places);
    let found = find_all(shared, &understood, &folder, invocation, asked.recache);
    let env = Environment::new(&invocation.env);
    let mut units = Vec::new();
    let mut causes: Vec<Cause> = explain::not_shared(&understood).into_iter().collect();
    for (unit, found) in found.iter().enumerate() {
        let parts = understood.parts[unit].iter().map(|(part, bytes)| {
            let value = if part.is_hash() { hex(bytes) } else { text(bytes) };
            (part.name().to_owned(), value)
        });
        let mut explained = ExplainedUnit {
            name: text(understood.meaning.name(unit)),
            action: hex(&understood.units[unit].0),
            parts: parts.collect(),
            outputs: (understood.meaning.outputs(unit).iter())
                .map(|output| text(&absolute(&understood.cwd, &output.path)))
                .collect(),
            ..ExplainedUnit::default()
        };
        match found {
            Ok(found) => {
                explained.key = Some(hex(&found.key.0));
                explained.inputs = found.paths.len() as u64;
                explained.compile_ns = found.result.record.compile_ns;
                explained.bytes = found.result.record.bytes;
            }
            Err(reason) => {
                causes.push(explain::cause(shared, &understood, &folder, env, unit, *reason));
            }
        }
        units.push(explained);
    }
    Explanation { compiler: text(&understood.program), kind: understood.kind, units, causes }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks the command by the caller's strict paths.
fn paths_are_allowed(invocation: &Invocation, asked: &Settings) -> Result<(), String> {
    let mode = asked.strict_paths.clone().map_err(|bad| bad.to_string())?;
    let mut argv = invocation.argv.split(|byte| *byte == 0);
    let tool = argv.next().unwrap_or_default();
    let tool = base(tool);
    let takes_none =
        is_rust(tool) || is_rustfmt(tool) || is_tidy(tool) || is_linker(tool) || is_archiver(tool);
    if mode == StrictPaths::Off || invocation.declared.is_some() || takes_none {
        return Ok(());
    }
    let mut args: Vec<Vec<u8>> = argv.map(<[u8]>::to_vec).collect();
    // Behind the last NUL.
    args.pop();
    strict_paths::check(mode, tool, &args, &mut |path| {
        std::fs::read(OsStr::from_bytes(&absolute(&invocation.cwd, path))).ok()
    })
}

/// What a compiler of this caller is to run at.
fn niceness(shared: &Shared, asked: &Settings) -> Option<Niceness> {
    let priority = asked.compile_priority.clone().unwrap_or_else(|bad| {
        log::warn!("{bad}; low is used");
        Priority::Low
    });
    priority.niceness(|| shared.processor.is_saturated())
}

/// In the order of the sources: deliveries for what was found, runs for the rest. One run for
/// all of them where their messages can be told apart, which they can when there are none.
fn plan_steps(
    shared: &Shared,
    understood: &Understood,
    found: &[Result<Found, Reason>],
    id: u64,
) -> (Vec<Step>, Vec<Plan>) {
    let missing: Vec<usize> = (0..found.len()).filter(|unit| found[*unit].is_err()).collect();
    let silent = found.iter().flatten().all(|found| found.result.text.is_empty());
    let together = silent && understood.meaning.runs_together() && {
        let separate = shared.separate.lock();
        !missing.iter().any(|unit| separate.contains(&understood.units[*unit]))
    };
    let mut steps = Vec::new();
    let mut plans = Vec::new();
    let mut run = |units: &[usize], steps: &mut Vec<Step>| {
        let temporary = |ending: &str| shared.temporary(id, units[0], ending);
        let plan = understood.meaning.plan(understood, units, &temporary);
        steps.push(Step::Run(plan.run.clone()));
        plans.push(plan);
    };
    for (unit, found) in found.iter().enumerate() {
        match found {
            Ok(found) => steps.push(Step::Deliver(with_stats(
                shared,
                &delivery(understood, unit, &found.result),
            ))),
            Err(_) if !together => run(&[unit], &mut steps),
            Err(_) if unit == missing[0] => run(&missing, &mut steps),
            Err(_) => {}
        }
    }
    (steps, plans)
}
