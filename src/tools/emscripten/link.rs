//! A link by emcc, to the daemon: how it runs, and what it read afterwards.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::{Refusal, Said};
use super::outputs::stem;
use super::packed;
use super::script::{self, Use};
use crate::files::PathId;
use crate::inputs::resolve::{InputSet, Presence};
use crate::protocol::message::{Observation, Run, RunReport, RunUnit};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role};
use crate::tools::command::UserDeps;
use crate::tools::find::{absolute, base, folder_of};
use crate::tools::gcc::compile::Compile;
use crate::tools::gcc::is_preprocessed_here;
use crate::tools::link::listed;
use crate::tools::link::options;
use crate::tools::link::tool::Linker;
use crate::tools::meaning::{Ground, Meaning};
use crate::tools::needs::Needs;
use crate::tools::places::Places;
use crate::tools::plan::{Discovery, Plan, Told, bring_back, run_of};
use crate::tools::understood::Understood;

#[derive(Debug)]
pub(super) struct Link {
    /// What is run, after the name.
    pub(super) args: Vec<Arg>,
    pub(super) said: Said,
    /// What wasm-ld is told.
    pub(super) linker: options::Said,
    pub(super) libraries: Libraries,
    /// All files that are packed.
    pub(super) packed: Vec<Arg>,
    /// The compiles before the link.
    pub(super) compiles: Option<Compile>,
    pub(super) option_inputs: Vec<Arg>,
    pub(super) outputs: Vec<Output>,
    /// Names that are free, and that the run makes and removes.
    pub(super) passing: Vec<PathId>,
    pub(super) cwd: Vec<u8>,
}

/// Reads what wasm-ld is told, or says why such a link can't be cached.
pub(super) fn read(words: &[Arg], said: &Said, root: &[u8]) -> Result<options::Said, Refusal> {
    let uncacheable = |arg: &[u8]| Err((Reason::UncacheableArgument, Some(arg.to_vec())));
    // emcc has JavaScript behind these names.
    for word in words.iter().filter(|word| word.starts_with(b"-l") && word.ends_with(b".js")) {
        let own = [root, b"/src/library_", &word[2..]].concat();
        if &word[2..] != b"webgl.js" && !Path::new(OsStr::from_bytes(&own)).is_file() {
            return uncacheable(word);
        }
    }
    let linker = options::read(words)?;
    if !linker.writes.is_empty() || linker.listing.is_some() || !linker.plugins.is_empty() {
        return Err((Reason::UncacheableArgument, None));
    }
    let is_shared =
        |path: &&Arg| [".so", ".dylib", ".wasm"].iter().any(|end| path.ends_with(end.as_bytes()));
    if said.main_module {
        // They name further ones.
        if let Some(path) = linker.files.iter().find(is_shared).or(linker.names.first()) {
            return uncacheable(path);
        }
    }
    Ok(linker)
}

/// The libraries that emcc links by itself. It builds one that is not there yet; which of them a link
/// takes, its settings and objects decide: so all that are there count.
#[derive(Debug)]
pub(super) struct Libraries {
    base: Vec<u8>,
    /// Variants for link-time optimisation, and for position-independent code, may be used.
    lto: bool,
    pic: bool,
}

impl Libraries {
    /// Those in this cache folder that a command with these arguments may use.
    pub(super) fn of(cache: &[u8], said: &Said, args: &[Arg]) -> Libraries {
        let target: &[u8] = if said.wide { b"wasm64" } else { b"wasm32" };
        let names = |word: &[u8]| args.iter().any(|arg| memchr::memmem::find(arg, word).is_some());
        Libraries {
            base: [cache, b"/sysroot/lib/", target, b"-emscripten"].concat(),
            lto: names(b"lto") || names(b"LTO") || names(b"WASM_OBJECT_FILES"),
            pic: names(b"MODULE") || names(b"RELOCATABLE") || names(b"PIC"),
        }
    }

    /// The folders that are there.
    fn folders(&self) -> Vec<Vec<u8>> {
        let mut folders = vec![self.base.clone()];
        for (name, is_folder) in entries(&self.base) {
            let is_used = name.split(|byte| *byte == b'-').all(|part| match part {
                b"lto" | b"thinlto" => self.lto,
                b"pic" => self.pic,
                _ => true,
            });
            if is_folder && is_used {
                folders.push([&self.base[..], b"/", &name].concat());
            }
        }
        folders
    }

    /// The files that are there.
    fn files(&self) -> Vec<Arg> {
        let mut files = Vec::new();
        for folder in self.folders() {
            let names = entries(&folder).into_iter().filter(|(_, is_folder)| !is_folder);
            files.extend(names.map(|(name, _)| [&folder[..], b"/", &name].concat()));
        }
        files
    }
}

/// The names in a folder, and which of them are folders; nothing where there is none.
fn entries(folder: &[u8]) -> Vec<(Arg, bool)> {
    let entries = std::fs::read_dir(OsStr::from_bytes(folder)).into_iter().flatten().flatten();
    let mut names: Vec<(Arg, bool)> = entries
        .map(|entry| (entry.file_name().into_encoded_bytes(), entry.path().is_dir()))
        .collect();
    names.sort();
    names
}

impl Meaning for Link {
    fn name(&self, _unit: usize) -> &[u8] {
        &self.outputs[0].path
    }

    fn source(&self, unit: usize) -> &[u8] {
        let compiled = self.compiles.as_ref().map(|compile| &compile.command.sources[0].path);
        compiled.or(self.linker.files.first()).map_or(self.name(unit), |path| path)
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
        let target = &self.outputs[0].path;
        let mut run = Run {
            // It calls itself for libraries that are not built yet.
            env: vec![(b"ZCCACHE_DISABLE".to_vec(), b"1".to_vec())],
            observed: Some(Observation {
                folder: folder_of(target).to_vec(),
                beginning: [base(stem(target)), b"."].concat(),
                is_traced: false,
            }),
            ..run_of(tool)
        };
        run.argv.extend(self.args.iter().cloned());
        let compiler = self.ask_compiler(&mut run, temporary);
        let mut discoveries = Vec::new();
        for &unit in units {
            run.units.push(RunUnit { unit: unit as u32, outputs: self.outputs.clone() });
            discoveries.push(Discovery::by(compiler, unit));
        }
        Plan { run, discoveries }
    }

    /// Whatever becomes of these names meanwhile, the result is the same.
    fn rewritten(&self, _unit: usize, _run: &RunReport) -> Vec<PathId> {
        self.passing.clone()
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, _unit: usize) {
        let files = [&self.linker.files, &self.linker.read, &self.packed].into_iter().flatten();
        for path in files.chain(&self.libraries.files()).chain(&self.said.reads) {
            let path = ground.world.intern(path);
            ground.world.presence(path);
        }
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
        if packed::list(&self.cwd, &self.said.packed).as_ref() != Some(&self.packed) {
            return Err(Reason::ChangedDuringCompile);
        }
        let sets = match &self.compiles {
            Some(compile) => compile.inputs_of_all(ground, discovery.compiler, run)?,
            None => Vec::new(),
        };
        let env = ground.env;
        let mut needs = Needs::new(ground);
        // Where libraries are looked for is told below.
        let named = options::Said {
            files: self.linker.files.clone(),
            read: self.linker.read.clone(),
            ..options::Said::default()
        };
        let link = listed::Link {
            linker: Linker::Wasm,
            said: &named,
            folders: &[],
            places: &Places::default(),
            cwd: &self.cwd,
            env,
        };
        listed::inputs(&mut needs, &link, None)?;
        self.find_libraries(&mut needs)?;
        self.find_scripts(&mut needs)?;
        for path in self.packed.iter().chain(&self.said.reads) {
            needs.must(path)?;
        }
        for path in &self.option_inputs {
            needs.maybe(path);
        }
        sets.into_iter().for_each(|set| needs.add(set));
        Ok(needs.conclude())
    }
}

impl Link {
    /// Asks the compiler what its source includes: of several the file would hold the last one's.
    fn ask_compiler(&self, run: &mut Run, temporary: &dyn Fn(&str) -> Vec<u8>) -> Told {
        let Some(compile) = &self.compiles else { return Told::SourceOnly };
        let command = &compile.command;
        let deps = command.outputs[0].iter().find(|output| output.role == Role::Dependencies);
        match (deps, command.user_deps, &command.sources[..]) {
            (Some(output), UserDeps::All | UserDeps::UserHeaders, _) => {
                Told::File(bring_back(run, output.path.clone(), false))
            }
            (None, UserDeps::None, [source]) if is_preprocessed_here(source.language) => {
                let path = temporary("d");
                run.argv.extend([b"-MD".to_vec(), b"-MF".to_vec(), path.clone()]);
                Told::File(bring_back(run, path, true))
            }
            _ => Told::ByText,
        }
    }

    /// The libraries that are there, and the places where some could be found before them.
    fn find_libraries(&self, needs: &mut Needs<'_, '_>) -> Result<(), Reason> {
        let own = self.libraries.folders();
        let files = self.libraries.files();
        if files.is_empty() {
            return Err(Reason::DependencyOutput);
        }
        let mut names: Vec<Arg> = Vec::new();
        for name in self
            .linker
            .names
            .iter()
            .map(|name| &name[..])
            .chain(files.iter().map(|path| base(path)))
        {
            let stem = [&b".so"[..], b".a"].iter().find_map(|end| name.strip_suffix(*end));
            match stem {
                Some(stem) => {
                    names.extend([&b".a"[..], b".so", b".dylib"].map(|end| [stem, end].concat()));
                }
                None => names.push(name.to_vec()),
            }
        }
        names.sort_unstable();
        names.dedup();
        for path in &files {
            needs.must(path)?;
        }
        for folder in &self.linker.folders {
            if needs.presence(folder) == Presence::Absent {
                needs.whether_there(folder);
                continue;
            }
            for name in &names {
                self.library(needs, &[folder, &b"/"[..], name].concat())?;
            }
        }
        for folder in &own {
            for name in &self.linker.names {
                needs.whether_there(&[folder, &b"/"[..], name].concat());
            }
        }
        Ok(())
    }

    /// A place where a library may be: its content, and that of the members that it only names.
    fn library(&self, needs: &mut Needs<'_, '_>, path: &[u8]) -> Result<(), Reason> {
        needs.maybe(path);
        if !matches!(needs.presence(path), Presence::File(_)) {
            return Ok(());
        }
        let members =
            listed::members_of(&absolute(&self.cwd, path)).ok_or(Reason::DependencyOutput)?;
        members.iter().try_for_each(|member| needs.must(&listed::beside(path, member)))
    }

    /// JavaScript and HTML that goes into the result, and what these could read in turn.
    fn find_scripts(&self, needs: &mut Needs<'_, '_>) -> Result<(), Reason> {
        let run = self.said.libraries.iter().map(|path| (path, Use::Run));
        let pasted = self.said.pasted.iter().map(|path| (path, Use::Pasted));
        let shell = self.said.shell.iter().map(|path| (path, Use::Shell));
        for (path, is) in run.chain(pasted).chain(shell) {
            needs.must(path)?;
            let file = absolute(&self.cwd, path);
            let text =
                std::fs::read(OsStr::from_bytes(&file)).map_err(|_| Reason::DependencyOutput)?;
            if script::may_read(&text, is) {
                return Err(Reason::ComputedInclude);
            }
        }
        // The preprocessor runs where the shell file is, and loads its own parts from there first.
        if let Some(path) = &self.said.shell {
            for name in ["utility.js", "modules.js", "parseTools.js", "settings.js"] {
                needs.maybe(&listed::beside(path, name.as_bytes()));
            }
        }
        Ok(())
    }
}
