//! How a miss is run, and how its inputs are told afterwards.

use super::understood::Understood;
use crate::protocol::message::{ReadBack, Run};
use crate::terms::Arg;

/// A run and how to read what it brings back.
#[derive(Debug)]
pub struct Plan {
    pub run: Run,
    /// One for each unit of the run, in the same order.
    pub discoveries: Vec<Discovery>,
}

/// Where a unit's inputs are told, as positions in `Run::read_back`.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    pub unit: usize,
    pub compiler: Told,
    pub assembler: Option<usize>,
    pub linker: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// Nothing is included: the source is all there is.
    SourceOnly,
    /// A dependency file of its own.
    File(usize),
    /// One rule of a file shared by the whole run.
    Rule { file: usize, nth: usize, of: usize },
    /// All rules of such a file, of a command whose sources are one unit.
    Rules(usize),
    /// Not at all: the text must tell.
    ByText,
    /// Not by this run: what it links was compiled by commands of their own.
    Apart,
}

impl Discovery {
    /// A unit whose inputs are told in one place.
    pub(super) fn by(compiler: Told, unit: usize) -> Discovery {
        Discovery { unit, compiler, assembler: None, linker: None }
    }
}

/// The tool under its own name, without arguments yet; status 0 is its one answer.
pub(super) fn run_of(tool: &Understood) -> Run {
    Run {
        program: tool.program.clone(),
        argv: vec![tool.argv0.clone()],
        answers: vec![0],
        ..Run::default()
    }
}

/// Has the wrapper send a file back with its report; gives the file's position there.
/// `remove`: it is ours, not the user's.
pub(super) fn bring_back(run: &mut Run, path: Arg, remove: bool) -> usize {
    run.read_back.push(ReadBack { path, remove });
    run.read_back.len() - 1
}
