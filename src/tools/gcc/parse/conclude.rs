//! What all the arguments of a call come to, once each has been read.

use super::{Refusal, Walk};
use crate::session::reason::Reason;
use crate::tools::command::{Arg, Command, Flavor, Mode, Output, Role, Source, UserDeps};
use crate::tools::gcc::language;
use crate::tools::gcc::outputs::{self, Plan};

impl Walk {
    /// The command, or why there is none to cache. `args` are those that were walked over.
    pub(super) fn finish(mut self, args: Vec<Arg>) -> Result<Command, Refusal> {
        let assembler_args = std::mem::take(&mut self.assembler_args);
        if let Some(last) = assembler_args.last() {
            let parts: Vec<&[u8]> = assembler_args.iter().map(Vec::as_slice).collect();
            self.for_assembler(&parts, last);
        }
        if let Some(stop) = self.stop {
            return Err(stop);
        }
        if self.sources.is_empty() {
            return Err((Reason::NotACompile, None));
        }
        let headers = self.sources.iter().filter(|one| language::is_header(one.language)).count();
        let only_headers = headers == self.sources.len();
        if !self.compile && !self.assemble && !only_headers {
            return Err((Reason::Link, None));
        }
        if let Some(refusal) = self.refusal {
            return Err(refusal);
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
        let separate_assembler = mode == Mode::Object && !self.integrated_assembler;
        if self.split.is_some() {
            self.derive(Role::SplitDwarf);
        }
        let plan = Plan {
            flavor: self.flavor,
            mode,
            object: self.object,
            deps,
            explicit: self.explicit,
            derived: self.derived,
            emit_llvm: self.emit_llvm,
            separate_assembler,
        };
        let outputs = all_outputs(&plan, &self.sources)?;
        let writes_deps = outputs.iter().flatten().any(|one| one.role == Role::Dependencies);
        self.search.angle.append(&mut self.late_angle);
        // A precompiled header holds the names and folders of everything that went into it.
        let is_precompiled = mode == Mode::Precompile;
        Ok(Command {
            flavor: self.flavor,
            mode,
            args,
            sources: self.sources,
            outputs,
            key_args: self.key,
            query_args: self.query,
            search: self.search,
            defines: self.defines,
            user_deps: if writes_deps { user_deps } else { UserDeps::None },
            option_inputs: self.option_inputs,
            records_cwd: self.records_cwd || self.debug || is_precompiled,
            records_output: self.records_output
                || is_precompiled
                || (writes_deps && !self.deps_target),
            records_paths: self.records_paths,
            records_command: self.records_command,
            separate_assembler,
            colour_is_automatic: self.colour_is_automatic,
        })
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
        if let Some(split) = &self.split
            && self.flavor == Flavor::Clang
            && makes_text
        {
            // It goes into the working folder then, whatever `-o` says.
            return Err(uncacheable(split));
        }
        if self.emit_pch.is_some() && !languages.all(language::is_header) {
            return Err((Reason::UncacheableArgument, self.emit_pch.clone()));
        }
        if self.inner.is_some() {
            return Err(uncacheable(b"-Xclang"));
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
        for output in &outputs {
            let clashes = seen.contains(&output.path)
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
