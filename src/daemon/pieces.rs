//! A command that stands for several others: its pieces are looked for and run each by itself, into
//! files that are only there meanwhile, and what the last one makes of them is the command's result.

use super::find::find_all;
use super::hit::{self, Found, with_stats};
use super::shared::{LiveResult, Shared};
use crate::inputs::resolve::{InputSet, PathRef};
use crate::protocol::message::{Chunk, Delivery, Invocation, Step};
use crate::store::record::SetRecord;
use crate::terms::Arg;
use crate::terms::key::ResultKey;
use crate::terms::output::WriteStyle;
use crate::tools::caller::Caller;
use crate::tools::environment::Environment;
use crate::tools::meaning::{Asking, Piece, Split};
use crate::tools::places::PLACES_VARIABLE;
use crate::tools::plan::Plan;
use crate::tools::understand::compile_of;
use crate::tools::understood::Understood;

/// A piece, once it was looked for.
pub(super) struct LookedFor {
    pub(super) understood: Understood,
    /// Where its output goes.
    pub(super) output: Arg,
    pub(super) state: State,
}

pub(super) enum State {
    Found(Box<Found>),
    Missing(Box<Plan>),
}

impl LookedFor {
    /// Its run, if it was not found.
    pub(super) fn plan(&self) -> Option<&Plan> {
        match &self.state {
            State::Found(_) => None,
            State::Missing(plan) => Some(plan),
        }
    }

    pub(super) fn key(&self) -> Option<ResultKey> {
        match &self.state {
            State::Found(found) => Some(found.key),
            State::Missing(_) => None,
        }
    }

    pub(super) fn step(&self, shared: &Shared) -> Step {
        match &self.state {
            State::Missing(plan) => Step::Run(plan.run.clone()),
            State::Found(found) => {
                let mut delivery = with_stats(shared, &self.delivery(found));
                for output in &mut delivery.outputs {
                    output.path.clone_from(&self.output);
                    // The file is there already, and a link to a blob would not last.
                    output.style = WriteStyle::InPlace;
                }
                Step::Deliver(delivery)
            }
        }
    }

    /// What was said when it was made, if it was found.
    pub(super) fn text(&self) -> Vec<Chunk> {
        match &self.state {
            State::Found(found) => self.delivery(found).text,
            State::Missing(_) => Vec::new(),
        }
    }

    fn delivery(&self, found: &Found) -> Delivery {
        hit::delivery(&self.understood, 0, &found.result)
    }
}

/// What a command stands for. None: it runs as it is.
pub(super) fn split(
    shared: &Shared,
    invocation: &Invocation,
    tool: &Understood,
    ticket: u64,
) -> Option<Split> {
    let env = Environment::new(&invocation.env);
    let caller = Caller { table: &shared.table, env, cwd: &invocation.cwd };
    let toolchains = &shared.toolchains;
    let compile = |called: &[u8], args: &[Arg]| {
        compile_of(caller, toolchains, tool, called, invocation.terminal, args)
    };
    let asking = Asking { caller, toolchains, tool, compile: &compile };
    tool.meaning.split(&asking, &|ending| shared.temporary(ticket, 0, ending))
}

/// Looks for a piece's result, and plans its run where there is none.
pub(super) fn look(
    shared: &Shared,
    invocation: &Invocation,
    (at, piece): (usize, Piece),
    recache: bool,
    ticket: u64,
) -> LookedFor {
    let understood = &piece.understood;
    let folder = shared.folder(&understood.cwd, &understood.places);
    let found = find_all(shared, understood, &folder, invocation, recache);
    let state = match found.into_iter().next() {
        Some(Ok(found)) => State::Found(Box::new(found)),
        _ => {
            // The last one is named by 0.
            let temporary = |ending: &str| shared.temporary(ticket, at + 1, ending);
            State::Missing(Box::new(piece.plan(&temporary)))
        }
    };
    let Piece { understood, output } = piece;
    LookedFor { understood, output, state }
}

/// What the pieces of a command come from and said, in their order.
pub(super) struct Beneath {
    sets: Vec<SetRecord>,
    pub(super) text: Vec<Chunk>,
    pub(super) took_ns: u64,
    /// False when something of it is not known.
    pub(super) is_whole: bool,
}

impl Default for Beneath {
    fn default() -> Beneath {
        Beneath { sets: Vec::new(), text: Vec::new(), took_ns: 0, is_whole: true }
    }
}

impl Beneath {
    pub(super) fn add(&mut self, shared: &Shared, result: &LiveResult, text: Vec<Chunk>) {
        let set = shared.index.set(result.record.set);
        match set.filter(|set| shared.spellings.sum(set) == Some(set.spelling_sum)) {
            Some(set) => self.sets.push(set),
            None => self.is_whole = false,
        }
        self.text.extend(text);
        self.took_ns += result.record.compile_ns;
    }

    /// Adds all that the pieces depend on. They were understood in the same folder, so that a path
    /// has the same number.
    pub(super) fn add_to(&self, inputs: &mut InputSet) {
        let refs = |list: &[u32]| list.iter().map(|number| PathRef(*number)).collect::<Vec<_>>();
        for set in &self.sets {
            inputs.read.extend(refs(&set.read));
            inputs.absent.extend(refs(&set.absent));
            inputs.exists.extend(refs(&set.exists));
            inputs.stamped.extend(refs(&set.stamped));
            inputs.related.extend(refs(&set.related));
            inputs.coeval.extend(refs(&set.coeval));
            inputs.linked.extend(refs(&set.linked));
            inputs.env.extend(set.env.iter().map(|name| name.to_vec()));
            inputs.date |= set.date;
        }
        // Of a place that is always this one.
        inputs.env.retain(|name| *name != PLACES_VARIABLE);
        inputs.sort();
    }
}
