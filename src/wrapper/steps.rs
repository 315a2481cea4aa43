//! Doing what the daemon's answer says.

use super::gather;
use super::run::{self, Ran, Surroundings};
use super::scratch::Scratch;
use super::text::Held;
use crate::protocol::message::{Delivery, Exit, Report, Stage, Step, Work};
use crate::settings::Settings;
use crate::store::blob::BlobDir;
use crate::store::deliver::{DeliverError, Target, deliver};
use crate::sys::fault::{self, Point};
use crate::sys::priority::take_on;
use crate::sys::signals::{Before, StandIn};
use crate::terms::blob::BlobId;
use crate::terms::blob::BlobStat;
use crate::terms::output::LinkMode;

/// How the steps went.
#[derive(Debug)]
pub enum Outcome {
    /// All is in place; the text is held, and the report is there if it says anything.
    Done { exit: Exit, report: Option<Report> },
    /// These blobs can't be used: ask again.
    Damaged(Vec<BlobId>),
    /// Run the user's own command.
    Plain,
}

/// Does all steps. A failed run does not keep the others back, as a driver with several
/// sources goes on too; one that a signal ended does.
pub fn perform(
    work: &Work,
    call: &gather::Call<'_>,
    settings: &Settings,
    broken_pipe: Option<&Before>,
    held: &mut Held,
) -> Outcome {
    let Some(root) = settings.cache_root.as_deref() else { return Outcome::Plain };
    // In this order: the files are gone before a signal that came too late ends us.
    let stand_in = (!work.scratch.is_empty()).then(StandIn::begin);
    let Ok(_scratch) = Scratch::make(&work.scratch) else { return Outcome::Plain };
    let blobs = BlobDir::new(root);
    let umask = gather::umask();
    let stand_in = stand_in.as_ref();
    let around = Surroundings { call, blobs: &blobs, umask, broken_pipe, stand_in };
    let mut exit = Exit::Status(0);
    let link_mode = settings.link_mode.unwrap_or(work.link_mode);
    let mut report =
        Report { ticket: work.ticket, blobs: vec![], runs: vec![], niceness_refused: None };
    if work.steps.iter().any(|step| matches!(step, Step::Run(_)))
        && let Some(Err(error)) = work.niceness.map(take_on)
    {
        report.niceness_refused = error.raw_os_error();
    }
    let mut whole = true;
    for step in &work.steps {
        let ended = match step {
            Step::Run(run) if run.stage == Stage::Last && exit != Exit::Status(0) => break,
            Step::Deliver(delivery) => {
                match hand_out(delivery, &blobs, umask, link_mode, work.fine_times) {
                    Ok(changed) => report.blobs.extend(changed),
                    Err(outcome) => return outcome,
                }
                held.hold(delivery.text.clone());
                Exit::Status(delivery.status)
            }
            Step::Run(run) => match run::run(run, &around, held) {
                Ran::Ended(ran) if run.stage == Stage::Piece && !is_usual(ran.exit) => {
                    return Outcome::Plain;
                }
                Ran::Ended(ran) => {
                    if !run::passes_text(run) {
                        held.hold(ran.text.clone());
                    }
                    let ended = ran.exit;
                    report.runs.push(ran);
                    ended
                }
                Ran::Streamed(ended) => {
                    whole = false;
                    ended
                }
                Ran::Plain => return Outcome::Plain,
            },
        };
        if exit == Exit::Status(0) {
            exit = ended;
        }
        if matches!(ended, Exit::Signal(_)) {
            whole &= work.steps.len() == 1;
            break;
        }
    }
    let says_something = !report.runs.is_empty() || !report.blobs.is_empty();
    Outcome::Done { exit, report: (whole && says_something).then_some(report) }
}

/// Whether a compiler ended as it does for its sources' sake: after that a driver goes on with the
/// next one.
fn is_usual(exit: Exit) -> bool {
    matches!(exit, Exit::Status(0 | 1) | Exit::Signal(_))
}

/// Puts a hit's files in place; gives the blobs whose stat that changed.
fn hand_out(
    delivery: &Delivery,
    blobs: &BlobDir,
    umask: u32,
    link_mode: LinkMode,
    fine_times: bool,
) -> Result<Vec<(BlobId, Option<BlobStat>)>, Outcome> {
    let mut changed = Vec::new();
    let mut damaged = Vec::new();
    for output in &delivery.outputs {
        let target = Target {
            path: &output.path,
            style: output.style,
            executable: output.executable,
            umask,
        };
        fault::at(Point::Deliver);
        match deliver(blobs, &output.content, &target, link_mode, fine_times) {
            Ok(change) => changed.extend(change),
            Err(DeliverError::Damaged(id)) => damaged.push(id),
            // The tool will fail there as well, and says so in its own words.
            Err(DeliverError::Output(_)) => return Err(Outcome::Plain),
        }
    }
    if damaged.is_empty() { Ok(changed) } else { Err(Outcome::Damaged(damaged)) }
}
