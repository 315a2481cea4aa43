//! What all the arguments of a call come to, once each has been read.

use super::{Refusal, Walk};
use crate::inputs::dialect::Flavor;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role};
use crate::tools::command::{Command, LinkLine, Mode, Parsed, Source, UserDeps};
use crate::tools::gcc::language;
use crate::tools::gcc::outputs::{self, Plan};
use crate::tools::gcc::plan;

impl Walk {
    /// What is to be done, or why there is nothing to cache. `args` are those that were walked over.
    pub(super) fn finish(mut self, args: Vec<Arg>) -> Result<Parsed, Refusal> {
        let assembler_args = std::mem::take(&mut self.assembler_args);
        if let Some(last) = assembler_args.last() {
            let parts: Vec<&[u8]> = assembler_args.iter().map(Vec::as_slice).collect();
            self.for_assembler(&parts, last);
        }
        if let Some(stop) = self.stop {
            return Err(stop);
        }
        let has_library = || self.words.iter().any(|word| word.starts_with(b"-l"));
        if self.sources.is_empty() && self.object.is_none() && !has_library() {
            return Err((Reason::NotACompile, None));
        }
        let headers = self.sources.iter().filter(|one| language::is_header(one.language)).count();
        let only_headers = headers > 0 && headers == self.sources.len() && self.object.is_none();
        if !self.compile && !self.assemble && !only_headers {
            return self.link(args).map(|line| Parsed::Link(Box::new(line)));
        }
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        if let Some(object) = self.object.take() {
            return Err((Reason::UnknownLanguage, Some(object)));
        }
        if self.sources.is_empty() {
            return Err((Reason::NotACompile, None));
        }
        let mode = match (headers, self.assemble) {
            (0, true) => Mode::Assembly,
            (0, false) => Mode::Object,
            // gcc would make both an assembly file and the precompiled header.
            (_, true) => return Err(uncacheable(b"-S")),
            (1, false) if only_headers => Mode::Precompile,
            _ => return Err((Reason::UnusualOutput, None)),
        };
        let (user_deps, deps) = self.dependencies()?;
        self.check_combination(mode)?;
        if self.split.is_some() {
            self.derive(Role::SplitDwarf);
        }
        // A name of its own takes the derived one's place, in any order.
        let explicit = &self.explicit;
        self.derived.retain(|role| !explicit.iter().any(|(named, _)| named == role));
        let plan = Plan {
            flavor: self.flavor,
            mode,
            object: self.output.take(),
            deps,
            explicit: std::mem::take(&mut self.explicit),
            derived: std::mem::take(&mut self.derived),
            emit_llvm: self.emit_llvm,
            separate_assembler: mode == Mode::Object && !self.integrated_assembler,
        };
        let outputs = all_outputs(&plan, &self.sources)?;
        Ok(Parsed::Compile(Box::new(self.command(mode, args, user_deps, outputs))))
    }

    fn command(
        mut self,
        mode: Mode,
        args: Vec<Arg>,
        user_deps: UserDeps,
        outputs: Vec<Vec<Output>>,
    ) -> Command {
        let has = |role| outputs.iter().flatten().any(|one| one.role == role);
        let writes_deps = has(Role::Dependencies);
        let lists_command = has(Role::DatabaseEntry);
        self.search.angle.append(&mut self.late_angle);
        // The driver says of it that it has no effect.
        if let Some(language) = plan::language_behind(&args, &self.parts) {
            self.key.push([b"-x ", &language[..]].concat());
        }
        // A precompiled header holds the names and folders of everything that went into it.
        let is_precompiled = mode == Mode::Precompile;
        Command {
            flavor: self.flavor,
            mode,
            args,
            parts: self.parts,
            sources: self.sources,
            outputs,
            key_args: self.key,
            query_args: self.query,
            search: self.search,
            defines: self.defines,
            user_deps: if writes_deps { user_deps } else { UserDeps::None },
            option_inputs: self.option_inputs,
            profile: self.uses_profile.map(|_| self.profile),
            records_cwd: self.records_cwd || self.debug || is_precompiled,
            records_output: self.records_output
                || is_precompiled
                || (writes_deps && !self.deps_target),
            records_paths: self.records_paths,
            records_command: self.records_command,
            lists_command,
            quotes_sources: self.quotes_sources,
            assembler_folders: self
                .assembler_folders
                .into_iter()
                .map(|(folder, _)| folder)
                .collect(),
            separate_assembler: mode == Mode::Object && !self.integrated_assembler,
            colour_is_automatic: self.colour_is_automatic,
        }
    }

    /// A link, with the compiles before it.
    fn link(mut self, args: Vec<Arg>) -> Result<LinkLine, Refusal> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        // What is linked may have yet to be compiled, with data of its own.
        if let Some(arg) = self.uses_profile {
            return Err((Reason::UncacheableArgument, Some(arg)));
        }
        let named = ["-fuse-ld", "--ld-path"];
        let chooses = |arg: &&Arg| named.iter().any(|name| arg.starts_with(name.as_bytes()));
        let choosing = self.query.iter().chain(self.key.iter().filter(chooses)).cloned().collect();
        let words = std::mem::take(&mut self.words);
        let option_inputs = self.option_inputs.clone();
        let colour_is_automatic = self.colour_is_automatic;
        let parts = std::mem::take(&mut self.parts);
        let writes = |walk: &Walk| !walk.derived.is_empty() || !walk.explicit.is_empty();
        let side_files = match &self.split {
            Some(split) => Some(split.clone()),
            None => writes(&self).then(Arg::new),
        };
        let compiles = match self.sources.is_empty() {
            true => None,
            false => Some(self.compiles_before_link(args.clone())?),
        };
        Ok(LinkLine {
            args,
            parts,
            words,
            choosing,
            compiles,
            option_inputs,
            side_files,
            colour_is_automatic,
        })
    }

    /// What is compiled on the way to a program. The objects have names of the driver's making.
    fn compiles_before_link(mut self, args: Vec<Arg>) -> Result<Command, Refusal> {
        let unusual = |arg: &[u8]| Err((Reason::UnusualOutput, Some(arg.to_vec())));
        if self.sources.iter().any(|one| language::is_header(one.language)) {
            return Err((Reason::UnusualOutput, None));
        }
        if self.emit_llvm || !self.derived.is_empty() || !self.explicit.is_empty() {
            return Err((Reason::Link, None));
        }
        if let Some(split) = &self.split {
            return unusual(split);
        }
        self.check_combination(Mode::Object)?;
        let (user_deps, deps) = self.dependencies()?;
        let mut outputs = vec![Vec::new(); self.sources.len()];
        if deps.is_some() {
            // Several sources write one file in turn, and without `-o` each compiler has names
            // of its own.
            let (1, Some(output)) = (self.sources.len(), &self.output) else {
                return unusual(b"-MD");
            };
            let plan = Plan {
                flavor: self.flavor,
                mode: Mode::Object,
                object: Some(output.clone()),
                deps,
                explicit: Vec::new(),
                derived: Vec::new(),
                emit_llvm: false,
                separate_assembler: false,
            };
            outputs = all_outputs(&plan, &self.sources)?;
            outputs[0].retain(|output| output.role == Role::Dependencies);
        }
        Ok(self.command(Mode::Object, args, user_deps, outputs))
    }

    /// Which dependency file is asked for, and its name if it has one of its own.
    fn dependencies(&mut self) -> Result<(UserDeps, Option<Option<Arg>>), Refusal> {
        let listing = |system_headers| {
            if system_headers { UserDeps::All } else { UserDeps::UserHeaders }
        };
        match (self.passed_deps.take(), self.deps, self.deps_file.take()) {
            (Some((system_headers, file, _)), None, None) => {
                Ok((listing(system_headers), Some(Some(file))))
            }
            // Which of the two files is written then differs between the compilers.
            (Some((_, _, arg)), ..) => Err(uncacheable(&arg)),
            (None, Some(system_headers), file) => Ok((listing(system_headers), Some(file))),
            (None, None, _) => match self.deps_detail.take() {
                Some(arg) => Err(uncacheable(&arg)),
                None => Ok((UserDeps::None, None)),
            },
        }
    }

    /// Flags that are fine each by itself and not together.
    fn check_combination(&self, mode: Mode) -> Result<(), Refusal> {
        let mut languages = self.sources.iter().map(|source| source.language);
        if mode == Mode::Precompile && (!self.derived.is_empty() || self.split.is_some()) {
            return Err((Reason::UnusualOutput, self.split.clone()));
        }
        let makes_text = mode == Mode::Assembly || self.emit_llvm;
        if makes_text && languages.clone().any(language::is_assembly) {
            return Err((Reason::UnusualOutput, None));
        }
        if let Some(arg) = &self.uses_profile {
            // These change the data's name in ways that `profile` does not know.
            let shortens = |arg: &Arg| arg.starts_with(b"-fprofile-prefix-path");
            if mode == Mode::Precompile || self.key.iter().any(shortens) {
                return Err(uncacheable(arg));
            }
        }
        // What goes through an assembler has no entry, or one with a temporary file's name.
        let is_assembled =
            languages.clone().any(language::is_assembly) || !self.integrated_assembler;
        if is_assembled && self.explicit.iter().any(|(role, _)| *role == Role::DatabaseEntry) {
            return Err(uncacheable(b"-MJ"));
        }
        if let Some(split) = &self.split
            && self.flavor == Flavor::Clang
            && makes_text
        {
            // It goes into the working folder then, whatever `-o` says.
            return Err(uncacheable(split));
        }
        // Where the assembler is a part of clang, its folders are searched for headers as well, before all others (but
        // not for assembly text, under `-flto` and so on).
        if let Some((_, arg)) = self.assembler_folders.first()
            && self.flavor == Flavor::Clang
            && self.integrated_assembler
            && mode == Mode::Object
            && !languages.clone().all(language::is_assembly)
        {
            return Err(uncacheable(arg));
        }
        if self.emit_pch.is_some() && !languages.all(language::is_header) {
            return Err((Reason::UncacheableArgument, self.emit_pch.clone()));
        }
        if self.inner.is_some() {
            return Err(uncacheable(b"-Xclang"));
        }
        // The assembler opens the files that it is told of, and a map tells it of others.
        let maps = |arg: &Arg| {
            arg.starts_with(b"-f") && arg.windows(12).any(|part| part == b"-prefix-map=")
        };
        if let Some(arg) = &self.quotes_sources
            && self.key.iter().any(maps)
        {
            return Err(uncacheable(arg));
        }
        Ok(())
    }
}

fn uncacheable(arg: &[u8]) -> Refusal {
    (Reason::UncacheableArgument, Some(arg.to_vec()))
}

/// The outputs of every source: all ordinary files, and no two of them the same.
fn all_outputs(plan: &Plan, sources: &[Source]) -> Result<Vec<Vec<Output>>, Refusal> {
    let unusual = |path: Option<&[u8]>| (Reason::UnusualOutput, path.map(<[u8]>::to_vec));
    let names_one = plan.object.is_some()
        || !plan.explicit.is_empty()
        || plan.deps.as_ref().is_some_and(Option::is_some);
    if sources.len() > 1 && names_one {
        return Err(unusual(plan.object.as_deref()));
    }
    if let Some(object) = &plan.object
        && !outputs::is_ordinary(object)
    {
        return Err(unusual(Some(object)));
    }
    let mut all: Vec<Vec<Output>> = Vec::with_capacity(sources.len());
    let mut seen: Vec<Arg> = Vec::new();
    for source in sources {
        let outputs = outputs::of(plan, &source.path, source.language)
            .ok_or_else(|| unusual(plan.object.as_deref()))?;
        for (at, output) in outputs.iter().enumerate() {
            // Files are known by their role afterwards.
            let clashes = seen.contains(&output.path)
                || outputs[..at].iter().any(|other| other.role == output.role)
                || sources.iter().any(|source| source.path == output.path);
            if clashes || !outputs::is_ordinary(&output.path) {
                return Err(unusual(Some(&output.path)));
            }
            seen.push(output.path.clone());
        }
        all.push(outputs);
    }
    Ok(all)
}
