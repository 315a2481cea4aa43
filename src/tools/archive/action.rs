//! A command on an archive, to the daemon: how it runs, and what it read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use parking_lot::Mutex;

use super::command::{Command, Operation};
use super::members::{Added, Member, follows, members};
use crate::files::ContentHash;
use crate::inputs::resolve::InputSet;
use crate::protocol::message::{Content, Run, RunReport, RunUnit};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::find::absolute;
use crate::tools::meaning::{Ground, Meaning};
use crate::tools::needs::Needs;
use crate::tools::plan::{Discovery, Plan, Told, run_of};
use crate::tools::understood::Understood;

#[derive(Debug)]
pub(super) struct Archive {
    command: Command,
    /// What is run, after the name.
    args: Vec<Arg>,
    /// What the archive was when the command was understood.
    before: Option<ContentHash>,
    is_llvm: bool,
    outputs: [Output; 1],
    cwd: Vec<u8>,
    /// The members it had before the run. None: not the archive any more that was looked at.
    found: Mutex<Option<Vec<Member>>>,
}

impl Archive {
    pub(super) fn new(
        command: Command,
        args: Vec<Arg>,
        before: Option<ContentHash>,
        is_llvm: bool,
        cwd: &[u8],
    ) -> Archive {
        // Measured (2.40, 14): GNU's writes into what is there, through symlinks, LLVM's renames
        // a new file over it.
        let style = if is_llvm { WriteStyle::Replace } else { WriteStyle::InPlace };
        let path = command.archive.clone();
        let outputs = [Output { role: Role::Main, path, style, required: true }];
        Archive {
            command,
            args,
            before,
            is_llvm,
            outputs,
            cwd: cwd.to_vec(),
            found: Mutex::new(None),
        }
    }

    /// LLVM's tools write the headers of all members anew.
    fn members(&self, archive: &[u8]) -> Option<Vec<Member>> {
        members(archive, !self.is_llvm)
    }

    /// The members of the archive that the key speaks of.
    fn look_before(&self) -> Option<Vec<Member>> {
        let Some(before) = self.before else { return Some(Vec::new()) };
        let path = absolute(&self.cwd, &self.command.archive);
        let bytes = std::fs::read(OsStr::from_bytes(&path)).ok()?;
        (blake3::hash(&bytes).as_bytes() == &before.0).then(|| self.members(&bytes))?
    }
}

impl Meaning for Archive {
    fn name(&self, _unit: usize) -> &[u8] {
        &self.command.archive
    }

    fn source(&self, unit: usize) -> &[u8] {
        self.command.files.first().map_or(self.name(unit), |file| file)
    }

    fn outputs(&self, _unit: usize) -> &[Output] {
        &self.outputs
    }

    /// LLVM's `ranlib` does not touch an archive that has its index.
    fn is_touched(&self, _unit: usize, content: &Content) -> bool {
        let hash = match content {
            Content::Inline(bytes) => *blake3::hash(bytes).as_bytes(),
            Content::Blob { id, .. } => id.0,
        };
        let may_be_left = self.is_llvm && self.command.operation == Operation::Index;
        !may_be_left || self.before != Some(ContentHash(hash))
    }

    fn plan(
        &self,
        tool: &Understood,
        units: &[usize],
        _temporary: &dyn Fn(&str) -> Vec<u8>,
    ) -> Plan {
        let mut run = Run {
            // What stands behind gcc's fronts may be found behind a link to us.
            env: vec![(b"ZCCACHE_DISABLE".to_vec(), b"1".to_vec())],
            units: vec![RunUnit { unit: 0, outputs: self.outputs.to_vec() }],
            ..run_of(tool)
        };
        run.argv.extend(self.args.iter().cloned());
        let nothing = |unit: &usize| Discovery::by(Told::SourceOnly, *unit);
        Plan { run, discoveries: units.iter().map(nothing).collect() }
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, _unit: usize) {
        for path in &self.command.files {
            let path = ground.world.intern(path);
            ground.world.presence(path);
        }
        *self.found.lock() = self.look_before();
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        _discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason> {
        let before = self.found.lock().take().ok_or(Reason::ChangedBefore)?;
        let made =
            run.units.iter().flat_map(|unit| &unit.outputs).find_map(|made| made.content.as_ref());
        let made =
            made.and_then(|content| (ground.stored)(content)).ok_or(Reason::OutputMissing)?;
        let after = self.members(&made).ok_or(Reason::OutputMissing)?;
        let mut needs = Needs::new(ground);
        let mut added = Vec::new();
        for path in &self.command.files {
            let (hash, bytes) = needs.content(path).ok_or(Reason::DependencyOutput)?;
            added.push(Added { path: path.clone(), hash, bytes });
        }
        let Command { operation, positioned, .. } = self.command;
        if !follows(&before, &after, operation, &added, positioned) {
            return Err(Reason::ChangedBefore);
        }
        Ok(needs.conclude())
    }
}
