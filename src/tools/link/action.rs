//! A link, to the daemon: how it runs, and what it read afterwards.

use super::listed::{self, inputs};
use super::options::Said;
use super::split::split;
use super::tool::Linker;
use crate::inputs::depfile;
use crate::inputs::dialect::Flavor;
use crate::inputs::resolve::InputSet;
use crate::protocol::message::{Observation, Run, RunReport, RunUnit};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::command::{ArgPart, UserDeps};
use crate::tools::find::folder_of;
use crate::tools::gcc::compile::Compile;
use crate::tools::meaning::{Asking, Ground, Meaning, Split};
use crate::tools::needs::Needs;
use crate::tools::places::Places;
use crate::tools::plan::{Discovery, Plan, Told, bring_back, run_of};
use crate::tools::understood::Understood;

/// How the linker is told something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Through {
    /// By its driver: `-Wl,…`.
    Driver,
    Itself,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) through: Through,
    /// What is run, after the name.
    pub(super) args: Vec<Arg>,
    pub(super) said: Said,
    pub(super) linker: Linker,
    /// Folders that are searched without being told.
    pub(super) folders: Vec<Arg>,
    /// The compiles before the link.
    pub(super) compiles: Option<Compile>,
    pub(super) option_inputs: Vec<Arg>,
    /// See `LinkLine::side_files`.
    pub(super) makes_side_files: bool,
    /// What each of the arguments is for; empty for a linker alone.
    pub(super) parts: Vec<ArgPart>,
    /// The driver's name as typed, without its folder.
    pub(super) called: Vec<u8>,
    /// The driver is a script, which may do more than call a linker.
    pub(super) is_scripted: bool,
    pub(super) outputs: Vec<Output>,
    pub(super) cwd: Vec<u8>,
}

/// All files a link makes, the program first. None: two of them have one name.
pub(super) fn outputs(said: &Said, compiles: Option<&Compile>) -> Option<Vec<Output>> {
    let path = said.output.clone().unwrap_or_else(|| b"a.out".to_vec());
    let main = Output { role: Role::Main, path, style: WriteStyle::ReplaceFile, required: true };
    let mut outputs = vec![main];
    outputs.extend(beside_the_program(said));
    outputs.extend(compiles.iter().flat_map(|compile| compile.command.outputs[0].iter().cloned()));
    are_apart(&outputs, said).then_some(outputs)
}

/// The files that a linker makes beside the program: maps, lists. All linkers open these in place
/// (measured: bfd 2.40, gold 1.16, lld 14, mold 1.10).
pub(in crate::tools) fn beside_the_program(said: &Said) -> impl Iterator<Item = Output> {
    let writes = said.writes.iter().map(|(role, path)| (*role, path));
    let all = writes.chain(said.listing.iter().map(|path| (Role::Listing, path)));
    all.map(|(role, path)| Output {
        role,
        path: path.clone(),
        style: WriteStyle::InPlace,
        required: true,
    })
}

/// Whether the outputs are files, no two of them one, and none of them a file that is linked.
pub(in crate::tools) fn are_apart(outputs: &[Output], said: &Said) -> bool {
    let mut names: Vec<&Arg> = outputs.iter().map(|output| &output.path).collect();
    names.sort_unstable();
    names.dedup();
    let is_file = |output: &Output| !output.path.is_empty() && !output.path.starts_with(b"/dev/");
    let reads_own = outputs.iter().any(|output| said.files.contains(&output.path));
    names.len() == outputs.len() && outputs.iter().all(is_file) && !reads_own
}

impl Meaning for Link {
    fn name(&self, _unit: usize) -> &[u8] {
        &self.outputs[0].path
    }

    fn source(&self, unit: usize) -> &[u8] {
        let compiled = self.compiles.as_ref().map(|compile| &compile.command.sources[0].path);
        compiled.or(self.said.files.first()).map_or(self.name(unit), |path| path)
    }

    /// Where none of its files is there, clang says so; a question to the linker counts as one.
    fn must_have_source(&self) -> bool {
        self.compiles.is_some() || !self.said.files.is_empty()
    }

    fn outputs(&self, _unit: usize) -> &[Output] {
        &self.outputs
    }

    fn plan(
        &self,
        tool: &Understood,
        units: &[usize],
        temporary: &dyn Fn(&str) -> Vec<u8>,
    ) -> Plan {
        let mut plan = self.plan_link(tool, &self.args, temporary);
        plan.discoveries[0].compiler = self.ask_compiler(&mut plan.run, temporary);
        debug_assert_eq!(units, [0]);
        plan
    }

    fn split(&self, asking: &Asking<'_>, temporary: &dyn Fn(&str) -> Vec<u8>) -> Option<Split> {
        split(self, asking, temporary)
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, _unit: usize) {
        listed::look_ahead(ground, &self.said, &self.folders, &Places::default());
        if let Some(compile) = &self.compiles {
            (0..compile.command.sources.len()).for_each(|unit| compile.look_ahead(ground, unit));
        }
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason> {
        let sets = match &self.compiles {
            Some(compile) if discovery.compiler != Told::Apart => {
                compile.inputs_of_all(ground, discovery.compiler, run)?
            }
            _ => Vec::new(),
        };
        let listed = match discovery.linker.and_then(|at| run.dependencies.get(at)) {
            // mold writes none for `-r`, where it reads what is named and nothing else.
            Some(text) if text.is_empty() && self.reads_named_only() => None,
            Some(text) => {
                let rule = depfile::rules(text).and_then(|rules| rules.into_iter().next());
                Some(rule.ok_or(Reason::DependencyOutput)?.prerequisites)
            }
            None if self.linker.lists() => return Err(Reason::DependencyOutput),
            None => None,
        };
        let is_late = |path: &Arg| memchr::memmem::find(path, b".ltrans").is_some();
        if self.makes_side_files && listed.iter().flatten().any(is_late) {
            return Err(Reason::SideFiles);
        }
        let env = ground.env;
        let mut needs = Needs::new(ground);
        let link = listed::Link {
            linker: self.linker,
            said: &self.said,
            folders: &self.folders,
            places: &Places::default(),
            cwd: &self.cwd,
            env,
        };
        inputs(&mut needs, &link, listed)?;
        for path in &self.option_inputs {
            needs.maybe(path);
        }
        needs.looked_at(&run.looked_at)?;
        sets.into_iter().for_each(|set| needs.add(set));
        Ok(needs.conclude())
    }
}

impl Link {
    /// Plans the link alone, with these arguments.
    pub(super) fn plan_link(
        &self,
        tool: &Understood,
        args: &[Arg],
        temporary: &dyn Fn(&str) -> Vec<u8>,
    ) -> Plan {
        let mut run = Run {
            // A linker that stands behind a link to us is not asked about once more.
            env: vec![(b"ZCCACHE_DISABLE".to_vec(), b"1".to_vec())],
            observed: self.is_scripted.then(|| Observation {
                folder: folder_of(&self.outputs[0].path).to_vec(),
                beginning: Vec::new(),
                is_traced: true,
            }),
            ..run_of(tool)
        };
        run.argv.extend(args.iter().cloned());
        let linker = match &self.said.listing {
            _ if !self.linker.lists() => None,
            Some(path) => Some(bring_back(&mut run, path.clone(), false)),
            None => self.request(&temporary("ld")).map(|(arg, path)| {
                run.argv.push(arg);
                bring_back(&mut run, path, true)
            }),
        };
        run.units.push(RunUnit { unit: 0, outputs: self.outputs.clone() });
        let compiler = Told::Apart;
        Plan { run, discoveries: vec![Discovery { unit: 0, compiler, assembler: None, linker }] }
    }

    /// Asks the linker for its list: the argument, and the file it will write.
    fn request(&self, path: &[u8]) -> Option<(Arg, Arg)> {
        match self.through {
            Through::Driver if path.contains(&b',') => None,
            Through::Driver => Some(([b"-Wl,--dependency-file=", path].concat(), path.to_vec())),
            Through::Itself => Some(([b"--dependency-file=", path].concat(), path.to_vec())),
        }
    }

    fn reads_named_only(&self) -> bool {
        self.linker == Linker::Mold && self.said.names.is_empty()
    }

    /// Asks the compiler what its sources include.
    fn ask_compiler(&self, run: &mut Run, temporary: &dyn Fn(&str) -> Vec<u8>) -> Told {
        let Some(compile) = &self.compiles else { return Told::SourceOnly };
        let command = &compile.command;
        let deps = command.outputs[0].iter().find(|output| output.role == Role::Dependencies);
        if let (Some(output), true) = (deps, command.user_deps != UserDeps::None) {
            return Told::File(bring_back(run, output.path.clone(), false));
        }
        let path = temporary("d");
        // A blank in its value would end the name.
        if command.flavor == Flavor::Gcc && !path.contains(&b' ') {
            run.env.push((b"SUNPRO_DEPENDENCIES".to_vec(), path.clone()));
            return Told::Rules(bring_back(run, path, true));
        }
        Told::ByText
    }
}
