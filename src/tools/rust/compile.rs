//! A rustc compile, to the daemon: how it runs, and what it read afterwards.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::assembler::{self, Assembler};
use super::fold;
use super::linked::{self, Linking, Site};
use super::loaded;
use super::native;
use super::parse::Command;
use super::text;
use crate::inputs::depfile::{self, Depfile};
use crate::inputs::resolve::InputSet;
use crate::protocol::message::{RunReport, RunUnit};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role};
use crate::tools::find::absolute;
use crate::tools::link::listed;
use crate::tools::meaning::{Ground, Meaning, Text};
use crate::tools::needs::Needs;
use crate::tools::places::{PLACES_VARIABLE, Places, Syntax};
use crate::tools::plan::{Discovery, Plan, Told, bring_back, run_of};
use crate::tools::query;
use crate::tools::understood::Understood;

/// Variables that cargo sets for macros, which read them without anyone noticing.
const MACRO_VARIABLES: &[&str] = &[
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_NAME",
    "CARGO_PKG_README",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PKG_VERSION",
    "CARGO_PRIMARY_PACKAGE",
    "OUT_DIR",
];

#[derive(Debug)]
pub(super) struct Compile {
    pub(super) command: Command,
    /// What stood before the options: `+TOOLCHAIN`, or clippy's `rustc`.
    pub(super) prefix: Vec<Arg>,
    pub(super) program: Vec<u8>,
    pub(super) cwd: Vec<u8>,
    pub(super) sysroot: Vec<u8>,
    pub(super) is_clippy: bool,
    /// None: no linker runs.
    pub(super) linking: Option<Linking>,
    /// Clippy's configuration files, there or not.
    pub(super) settings: Vec<Vec<u8>>,
    /// Crates that could be found by name alone when the command was understood.
    pub(super) unnamed: Vec<Vec<u8>>,
    pub(super) extra_inputs: Vec<Arg>,
    pub(super) places: Places,
    /// The output folders are among the places: their names are taken out of texts.
    pub(super) moves: bool,
    /// Arguments of ours that make the result fit other checkouts.
    pub(super) added: Vec<Arg>,
}

impl Meaning for Compile {
    fn name(&self, _unit: usize) -> &[u8] {
        &self.command.crate_name
    }

    fn source(&self, _unit: usize) -> &[u8] {
        &self.command.source
    }

    fn outputs(&self, _unit: usize) -> &[Output] {
        &self.command.outputs
    }

    fn plan(
        &self,
        tool: &Understood,
        units: &[usize],
        temporary: &dyn Fn(&str) -> Vec<u8>,
    ) -> Plan {
        let mut run = run_of(tool);
        // Ours before the user's: the last map that fits wins.
        let args = self.prefix.iter().chain(&self.added).chain(&self.command.args);
        run.argv.extend(args.cloned());
        let mut discoveries = Vec::new();
        for &unit in units {
            let path = self.command.outputs.iter().find(|out| out.role == Role::Dependencies);
            let compiler = match path {
                Some(output) => Told::File(bring_back(&mut run, output.path.clone(), false)),
                // One more kind of output would change the others (measured).
                None => Told::ByText,
            };
            let path = temporary("ld");
            let mut linker = None;
            let listing = self.linking.as_ref().and_then(|link| link.said.listing.clone());
            if let Some(path) = listing {
                linker = Some(bring_back(&mut run, path, false));
            } else if self.linking.is_some() && fold::is_clean(&path) && !path.contains(&b',') {
                run.argv.extend(linked::request(&path));
                linker = Some(bring_back(&mut run, path, true));
            }
            let outputs = self.command.outputs.clone();
            run.units.push(RunUnit { unit: unit as u32, outputs });
            discoveries.push(Discovery { unit, compiler, assembler: None, linker });
        }
        Plan { run, discoveries }
    }

    fn look_ahead(&self, ground: &mut Ground<'_>, _unit: usize) {
        let externs = self.command.externs.iter().filter_map(|one| one.path.as_ref());
        for path in externs {
            let path = ground.world.intern(&self.places.spell(path));
            ground.world.presence(path);
        }
        // A build script may have made these just now, too late for their times to tell.
        let libraries = native::libraries(&self.command, &self.cwd, &|_| false);
        for path in native::candidates(&self.command.folders, &libraries) {
            let path = ground.world.intern(&self.places.spell(&path));
            ground.world.presence(path);
        }
        if let Some(link) = &self.linking {
            link.look_ahead(ground, &self.places, &self.cwd);
        }
        let made = ground.env.get(b"OUT_DIR").map(OsStr::from_bytes);
        for entry in made.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten() {
            let path = entry.map(|entry| entry.path().into_os_string().into_encoded_bytes());
            let path = ground.world.intern(&path.unwrap_or_default());
            ground.world.presence(path);
        }
        let source = ground.world.intern(&self.command.source);
        ground.world.presence(source);
    }

    fn inputs(
        &self,
        ground: &mut Ground<'_>,
        discovery: &Discovery,
        run: &RunReport,
    ) -> Result<InputSet, Reason> {
        let told = |at: usize| run.dependencies.get(at).map(|text| &text[..]);
        let listed = match discovery.compiler {
            Told::File(at) => told(at).map(<[u8]>::to_vec),
            _ => self.ask_for_sources(ground),
        };
        let listed = listed.filter(|text| !text.is_empty()).ok_or(Reason::DependencyOutput)?;
        let file = depfile::parse(&listed).ok_or(Reason::DependencyOutput)?;
        let mut inputs = Needs::new(ground);
        let words = self.sources(&mut inputs, &file)?;
        let words = |word: &[u8]| words.contains(word);
        self.crates(&mut inputs, &words)?;
        let libraries = native::libraries(&self.command, &self.cwd, &words);
        self.archives(&mut inputs, native::candidates(&self.command.folders, &libraries));
        if let Some(link) = self.linking.as_ref().filter(|_| self.was_linked(discovery.unit, run)) {
            let text = discovery.linker.and_then(told).ok_or(Reason::DependencyOutput)?;
            let Compile { places, cwd, sysroot, .. } = self;
            let site = Site { places, cwd, sysroot, env: inputs.ground.env };
            link.inputs(&mut inputs, &self.command, &site, text)?;
        }
        let by_option = self.command.option_inputs.iter().chain(&self.extra_inputs);
        for path in by_option.chain(&self.settings) {
            inputs.maybe(&self.places.spell_root(path));
        }
        // A text that names a place in any other way than `fold` knows belongs to it.
        let texts = run.text.iter().map(|chunk| &chunk.bytes[..]).chain([&listed[..]]);
        for text in texts.filter(|_| self.moves) {
            let rest =
                fold::fold(text, &self.command.outputs).ok_or(Reason::UncacheableArgument)?;
            if self.places.own_are_named_in(&rest) {
                inputs.set.env.push(PLACES_VARIABLE.to_vec());
                break;
            }
        }
        Ok(inputs.conclude())
    }

    fn fold(&self, _unit: usize, text: Text<'_>) -> Option<Vec<u8>> {
        let mut folded = match text {
            Text::Output(Role::Dependencies, text) | Text::Message(text) => text.to_vec(),
            Text::Output(..) => return None,
        };
        if self.moves {
            folded = fold::fold(&folded, &self.command.outputs)?;
        }
        let folded = self.each_syntax(text, &folded, |part, syntax| self.places.fold(part, syntax));
        folded.filter(|_| self.moves || !self.places.roots().is_empty())
    }

    fn unfold(&self, _unit: usize, text: Text<'_>) -> Vec<u8> {
        let unfold = |part: &[u8], syntax| Some(self.places.unfold(part, syntax));
        let whole = self.each_syntax(text, text.bytes(), unfold);
        let whole = whole.unwrap_or_else(|| text.bytes().to_vec());
        if self.moves { fold::unfold(&whole, &self.command.outputs) } else { whole }
    }
}

impl Compile {
    /// Not where rustc dropped the kind for which a linker would have run.
    fn was_linked(&self, unit: usize, run: &RunReport) -> bool {
        let made = run.units.iter().filter(|taken| taken.unit as usize == unit);
        made.flat_map(|taken| &taken.outputs).any(|taken| Some(taken.role) == self.command.linked)
    }

    /// Does something with a text part by part, where a part writes paths in one way. Messages
    /// come as lines of JSON, or as text for people.
    fn each_syntax(
        &self,
        kind: Text<'_>,
        text: &[u8],
        then: impl Fn(&[u8], Syntax) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        match kind {
            _ if self.places.roots().is_empty() => Some(text.to_vec()),
            Text::Output(..) => then(text, Syntax::Make),
            Text::Message(_) => {
                let lines = text.split_inclusive(|byte| *byte == b'\n');
                let syntax = |line: &[u8]| match line.first() {
                    Some(b'{') => Syntax::Json,
                    _ => Syntax::Plain,
                };
                let lines = lines.map(|line| then(line, syntax(line)));
                Some(lines.collect::<Option<Vec<_>>>()?.concat())
            }
        }
    }

    /// The list of sources of a command that did not ask for it: by another run that makes
    /// nothing else.
    fn ask_for_sources(&self, ground: &Ground<'_>) -> Option<Vec<u8>> {
        let mut args = self.prefix.clone();
        for opt in &self.command.options {
            let value = &opt.value;
            match opt.name {
                "emit" | "output" => {}
                "" => args.push(value.clone()),
                "test" => args.push(b"--test".to_vec()),
                "debug" => args.push(b"-g".to_vec()),
                "optimize" => args.push(b"-O".to_vec()),
                "verbose" => args.push(b"-v".to_vec()),
                "search" => args.push([b"-L", &value[..]].concat()),
                "library" => args.push([b"-l", &value[..]].concat()),
                name => args.push([b"--", name.as_bytes(), b"=", value].concat()),
            }
        }
        args.push(b"--emit=dep-info=-".to_vec());
        let said = query::ask(&self.program, &args, ground.env, &self.cwd)?;
        said.success.then_some(said.stdout)
    }

    /// Every source, variable, and place where a module could also be, and what the sources' text tells. Gives the
    /// words in it that could name libraries and crates, if any are searched for.
    fn sources(
        &self,
        inputs: &mut Needs<'_, '_>,
        file: &Depfile,
    ) -> Result<HashSet<Vec<u8>>, Reason> {
        let wants_words =
            self.command.folders.iter().any(|folder| folder.has_native() || folder.has_crates());
        let mut words = HashSet::new();
        let mut paths = vec![self.command.source.clone()];
        for rule in &file.rules {
            // On standard output a list consists of targets alone: `a.rs:`.
            let listed =
                if rule.prerequisites.is_empty() { &rule.targets } else { &rule.prerequisites };
            paths.extend(listed.iter().cloned());
        }
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        let mut assembler = Assembler::default();
        while let Some(path) = paths.pop() {
            inputs.must(&self.places.spell_root(&path))?;
            let text = std::fs::read(OsStr::from_bytes(&absolute(&self.cwd, &path)));
            let text = text.map_err(|_| Reason::ChangedDuringCompile)?;
            let plain = assembler::unescaped(&text);
            for name in assembler::files(&plain) {
                let name = name.ok_or(Reason::AssemblerInput)?;
                if seen.insert(name.clone()) {
                    paths.push(name);
                }
            }
            assembler.add(&text, &plain);
            if self.is_clippy && text::names_cargo_lint(&text) {
                return Err(Reason::DependencyOutput);
            }
            if wants_words {
                for word in text::words(&text) {
                    if !words.contains(word) {
                        words.insert(word.to_vec());
                    }
                }
            }
            // The crate's own root is not looked for.
            let is_module = path != self.command.source;
            let Some(stem) = path.strip_suffix(b".rs").filter(|_| is_module) else { continue };
            // `m.rs` and `m/mod.rs` exclude each other.
            let other = match stem.strip_suffix(b"/mod") {
                Some(folder) => [folder, b".rs"].concat(),
                None => [stem, b"/mod.rs"].concat(),
            };
            inputs.whether_there(&self.places.spell_root(&other));
        }
        if assembler.may_hide_directive() {
            return Err(Reason::AssemblerInput);
        }
        for (name, value) in &file.env {
            // A proxy sets some for the compiler that its caller has not.
            if inputs.ground.env.get(name) != value.as_deref() {
                return Err(Reason::Environment);
            }
            inputs.set.env.push(name.clone());
        }
        Ok(words)
    }

    /// Archives that are read where they are there, with the members that thin ones only name.
    fn archives(&self, inputs: &mut Needs<'_, '_>, mut waiting: Vec<Arg>) {
        let mut seen = HashSet::new();
        while let Some(path) = waiting.pop() {
            if seen.insert(path.clone()) {
                inputs.maybe(&self.places.spell(&path));
                let members = listed::members_of(&absolute(&self.cwd, &path)).unwrap_or_default();
                waiting.extend(members.iter().map(|member| listed::beside(&path, member)));
            }
        }
    }

    fn crates(
        &self,
        inputs: &mut Needs<'_, '_>,
        words: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Reason> {
        const OWN: &[&[u8]] = &[b"alloc", b"core", b"proc_macro", b"std", b"test"];
        let searched = self.command.folders.iter().any(|folder| folder.has_crates());
        let mut named = Vec::new();
        for one in &self.command.externs {
            match &one.path {
                Some(path) => {
                    inputs.must(&self.places.spell(path))?;
                    named.push(path.clone());
                }
                None if searched || OWN.iter().any(|name| one.is(name)) => {}
                None => return Err(Reason::DependencyOutput),
            }
        }
        if native::unnamed(&self.command, &self.cwd) != self.unnamed {
            return Err(Reason::ChangedDuringCompile);
        }
        let behind = native::crates_behind(&self.command, &named, &self.unnamed, &self.cwd, words);
        if behind.may_assemble {
            return Err(Reason::AssemblerInput);
        }
        for path in &behind.files {
            inputs.must(&self.places.spell(path))?;
        }
        for (path, needs) in &behind.loaded {
            loaded::add(inputs, &self.places, &self.cwd, path, needs)?;
        }
        // A crate may pass on the macros of another.
        if named.iter().chain(&behind.files).any(|path| path.ends_with(b".so")) {
            let names = MACRO_VARIABLES.iter().map(|name| name.as_bytes().to_vec());
            inputs.set.env.extend(names);
        }
        Ok(())
    }
}
