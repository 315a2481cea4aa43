//! What the daemon needs of a command, whatever the tool: one trait, one implementation for
//! each family of tools.

use std::sync::Arc;

use parking_lot::Mutex;

use super::caller::Caller;
use super::environment::Environment;
use super::plan::{Discovery, Plan};
use super::toolchain::Toolchains;
use super::understood::Understood;
use crate::files::PathId;
use crate::inputs::resolve::{InputSet, Resolver, World};
use crate::inputs::search::SearchPath;
use crate::protocol::message::{Chunk, Content, RunReport, Stage};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role};

/// A command that may be cached. It makes one or more units, each a result of its own.
pub trait Meaning: Send + Sync + std::fmt::Debug {
    /// What messages and logs call a unit.
    fn name(&self, unit: usize) -> &[u8];

    /// The unit's source file, absolute or relative to the cwd.
    fn source(&self, unit: usize) -> &[u8];

    /// Whether the run that is planned would complain of a missing source in other words than the command as typed.
    fn must_have_source(&self) -> bool {
        false
    }

    /// The files of a unit, the main one first.
    fn outputs(&self, unit: usize) -> &[Output];

    /// Whether the tool wrote this output at all, whose content a run left behind. False for one
    /// that it found to be right already and did not touch: then a hit does not, either.
    fn is_touched(&self, _unit: usize, _content: &Content) -> bool {
        true
    }

    /// One run for these units. `temporary` gives a name of ours in the store's folder for
    /// temporary files, different for each ending.
    fn plan(&self, tool: &Understood, units: &[usize], temporary: &dyn Fn(&str) -> Vec<u8>)
    -> Plan;

    /// A command that stands for several: the compiles before a link. None: it runs as it is.
    fn split(&self, _asking: &Asking<'_>, _temporary: &dyn Fn(&str) -> Vec<u8>) -> Option<Split> {
        None
    }

    /// Before the run: looks at what the unit will probably read, so that its folders are
    /// watched while the tool runs and a change meanwhile is seen.
    fn look_ahead(&self, ground: &mut Ground<'_>, unit: usize);

    /// After a run that succeeded: all that the unit's result depends on.
    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason>;

    /// Whether a run that ended so and wrote this is a result to keep, not a failure.
    fn is_answer(&self, status: i32, _text: &[Chunk]) -> bool {
        status == 0
    }

    /// Paths of `Understood::depends` that the run itself wrote to. `inputs` makes sure that what it
    /// wrote comes of what was there.
    fn rewritten(&self, _unit: usize, _run: &RunReport) -> Vec<PathId> {
        Vec::new()
    }

    /// Whether one run serves several units, as long as nothing is said: else nobody could tell of
    /// which.
    fn runs_together(&self) -> bool {
        true
    }

    /// Whether some of this was said once for the whole command, and not of one of its units.
    fn is_said_once(&self, _tool: &Understood, _text: &[Chunk]) -> bool {
        false
    }

    /// Takes out of a text (an output, or messages) what differs where the same result is
    /// asked for in another place. None: the text is stored as it is.
    fn fold(&self, _unit: usize, _text: Text<'_>) -> Option<Vec<u8>> {
        None
    }

    /// Puts back for this command what `fold` took out.
    fn unfold(&self, _unit: usize, text: Text<'_>) -> Vec<u8> {
        text.bytes().to_vec()
    }
}

/// A text that may be folded.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    Output(Role, &'a [u8]),
    Message(&'a [u8]),
}

impl<'a> Text<'a> {
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Text::Output(_, bytes) | Text::Message(bytes) => bytes,
        }
    }
}

/// What a driver means when it is called by this name and with these arguments.
pub type CompileOf<'a> = dyn Fn(&[u8], &[Arg]) -> Option<Understood> + 'a;

/// Who wants to know what a command stands for.
pub struct Asking<'a> {
    pub caller: Caller<'a>,
    pub toolchains: &'a Toolchains,
    /// The whole command.
    pub tool: &'a Understood,
    /// The caller's gcc or clang, called by this name and with these arguments instead. None: that runs as it is.
    pub compile: &'a CompileOf<'a>,
}

/// The commands that one stands for.
#[derive(Debug)]
pub struct Split {
    pub pieces: Vec<Piece>,
    /// Of the whole's one unit, once all pieces are made.
    pub last: Plan,
}

/// A command of one unit, whose main output is only needed until the last one has run.
#[derive(Debug)]
pub struct Piece {
    pub understood: Understood,
    /// Where that output goes.
    pub output: Arg,
}

impl Piece {
    /// Its run, into that file.
    pub fn plan(&self, temporary: &dyn Fn(&str) -> Vec<u8>) -> Plan {
        let mut plan = self.understood.meaning.plan(&self.understood, &[0], temporary);
        plan.run.argv.extend([b"-o".to_vec(), self.output.clone()]);
        plan.run.stage = Stage::Piece;
        for output in plan.run.units.iter_mut().flat_map(|unit| &mut unit.outputs) {
            output.path.clone_from(&self.output);
        }
        plan
    }
}

/// What a tool may ask of its surroundings.
pub struct Ground<'a> {
    pub tool: &'a Understood,
    /// Files as seen from the caller's cwd.
    pub world: &'a mut dyn World,
    /// The resolver kept for a search path and this cwd.
    pub resolver: &'a dyn Fn(&SearchPath) -> Arc<Mutex<Resolver>>,
    /// The bytes of an output that was taken in.
    pub stored: &'a dyn Fn(&Content) -> Option<Vec<u8>>,
    /// The caller's environment.
    pub env: Environment<'a>,
}
