//! Formatting, to the daemon: how it runs, and what it read and wrote.
//!
//! What rustfmt writes over is part of the key, and gone when the run is over: that it formatted
//! just that, and not what somebody wrote a moment before it looked, can't be seen any more. So it
//! is made sure of: the text that the key stands for is formatted once more, from memory, and must
//! give what is in the file now.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::args::Emit;
use super::tree::{Place, Tree};
use crate::files::PathId;
use crate::inputs::resolve::{InputSet, Presence};
use crate::protocol::message::{Chunk, Content, Run, RunReport, RunUnit, StdoutIs};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::Output;
use crate::tools::environment::Environment;
use crate::tools::meaning::{Ground, Meaning};
use crate::tools::plan::{Discovery, Plan, Told, run_of};
use crate::tools::query;
use crate::tools::understood::Understood;

#[derive(Debug)]
pub(super) struct Format {
    /// As typed, behind the tool's name.
    pub(super) args: Vec<Arg>,
    /// Where files stand among them.
    pub(super) positions: Vec<usize>,
    pub(super) emit: Emit,
    /// The program behind a proxy.
    pub(super) real: Vec<u8>,
    /// See `args::Command`.
    pub(super) style: Vec<Arg>,
    /// Absolute.
    pub(super) config_path: Option<Arg>,
    /// Files with settings, there or not; absolute.
    pub(super) settings: Vec<Arg>,
    pub(super) units: Vec<Unit>,
    pub(super) stdout: StdoutIs,
}

/// Root files that are formatted together, mostly one.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) source: Arg,
    /// Absolute.
    pub(super) roots: Vec<Arg>,
    /// Where its files stand among the arguments.
    pub(super) positions: Vec<usize>,
    pub(super) tree: Tree,
    /// Every file that may be written; none where nothing is.
    pub(super) outputs: Vec<Output>,
}

impl Meaning for Format {
    fn name(&self, unit: usize) -> &[u8] {
        &self.units[unit].source
    }

    fn source(&self, unit: usize) -> &[u8] {
        &self.units[unit].source
    }

    fn outputs(&self, unit: usize) -> &[Output] {
        &self.units[unit].outputs
    }

    /// Whoever checks may have something to say of each root.
    fn runs_together(&self) -> bool {
        self.emit == Emit::Files
    }

    fn plan(&self, tool: &Understood, units: &[usize], _: &dyn Fn(&str) -> Vec<u8>) -> Plan {
        let is_meant = |position: &usize| {
            units.iter().any(|unit| self.units[*unit].positions.contains(position))
        };
        let kept = self.args.iter().enumerate();
        let kept = kept.filter(|(at, _)| !self.positions.contains(at) || is_meant(at));
        let mut argv = vec![tool.argv0.clone()];
        argv.extend(kept.map(|(_, arg)| arg.clone()));
        let outputs = |unit: &usize| self.units[*unit].outputs.clone();
        let run = Run {
            argv,
            units: units
                .iter()
                .map(|unit| RunUnit { unit: *unit as u32, outputs: outputs(unit) })
                .collect(),
            answers: if self.emit == Emit::Check { vec![0, 1] } else { vec![0] },
            stdout: self.stdout,
            ..run_of(tool)
        };
        let discovery = |unit: &usize| Discovery::by(Told::ByText, *unit);
        Plan { run, discoveries: units.iter().map(discovery).collect() }
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, unit: usize) {
        for path in self.units[unit].tree.places.keys().chain(&self.settings) {
            let path = ground.world.intern(path);
            ground.world.presence(path);
        }
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason> {
        let unit = &self.units[discovery.unit];
        if self.emit == Emit::Files {
            for (output, content) in written(discovery.unit, unit, run) {
                let Some((_, Place::File(_, before))) = unit.tree.places.get(&output.path) else {
                    return Err(Reason::ChangedDuringCompile);
                };
                if !self.comes_of(ground.env, unit, before, content?) {
                    return Err(Reason::ChangedDuringCompile);
                }
            }
            return Ok(InputSet::default());
        }
        let mut inputs = InputSet::default();
        for path in unit.tree.places.keys().chain(&self.settings) {
            let path = ground.world.intern(path);
            match ground.world.presence(path) {
                Presence::Absent => inputs.absent.push(path),
                Presence::File(_) => inputs.read.push(path),
                Presence::Folder(_) => inputs.exists.push(path),
            }
        }
        for paths in [&mut inputs.read, &mut inputs.absent, &mut inputs.exists] {
            paths.sort_unstable();
            paths.dedup();
        }
        Ok(inputs)
    }

    fn is_answer(&self, status: i32, _text: &[Chunk]) -> bool {
        status == 0 || self.emit == Emit::Check && status == 1
    }

    fn rewritten(&self, unit: usize, run: &RunReport) -> Vec<PathId> {
        let of = |output: &Output| self.units[unit].tree.places.get(&output.path);
        let written = written(unit, &self.units[unit], run);
        written.filter_map(|(output, _)| of(output)).map(|(id, _)| *id).collect()
    }
}

/// The outputs that a run wrote, and what is in them.
fn written<'a>(
    number: usize,
    unit: &'a Unit,
    run: &'a RunReport,
) -> impl Iterator<Item = (&'a Output, Result<&'a Content, Reason>)> {
    let taken = run.units.iter().filter(move |taken| taken.unit as usize == number);
    taken.flat_map(|taken| &taken.outputs).filter_map(|taken| {
        let output = unit.outputs.iter().find(|output| output.role == taken.role)?;
        Some((output, taken.content.as_ref().ok_or(Reason::OutputMissing)))
    })
}

impl Format {
    /// Whether formatting `before` gives `after`, which is another text.
    fn comes_of(
        &self,
        env: Environment<'_>,
        unit: &Unit,
        before: &Arc<[u8]>,
        after: &Content,
    ) -> bool {
        let is_after = |text: &[u8]| match after {
            Content::Inline(bytes) => text == &bytes[..],
            Content::Blob { id, .. } => *blake3::hash(text).as_bytes() == id.0,
        };
        if is_after(before) {
            return false;
        }
        let mut args = self.style.clone();
        args.extend(self.config_path.iter().map(|path| [b"--config-path=", &path[..]].concat()));
        // Settings are looked for from the folder of the root on; for a text that comes from memory, from
        // the working folder on. With several roots, each may be the one.
        let folders: BTreeSet<&Path> = unit
            .roots
            .iter()
            .filter_map(|root| Path::new(OsStr::from_bytes(root)).parent())
            .collect();
        folders.iter().any(|folder| {
            let folder = folder.as_os_str().as_bytes();
            let said = query::ask_with(&self.real, &args, env, folder, before);
            said.is_some_and(|said| said.success && is_after(&said.stdout))
        })
    }
}
