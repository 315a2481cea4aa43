//! How to run a miss: the command as given, for the sources that missed, with what must be
//! added to learn its inputs.

use super::compile::Compile;
use super::language;
use crate::inputs::dialect::{Flavor, Language};
use crate::protocol::message::RunUnit;
use crate::terms::Arg;
use crate::terms::output::Role;
use crate::tools::command::{ArgPart, UserDeps};
use crate::tools::plan::{Discovery, Plan, Told, bring_back, run_of};
use crate::tools::understood::Understood;

/// Plans one run; see `Meaning::plan`.
pub(super) fn plan(
    compile: &Compile,
    tool: &Understood,
    units: &[usize],
    temporary: &dyn Fn(&str) -> Vec<u8>,
) -> Plan {
    let command = &compile.command;
    let mut run = run_of(tool);
    if compile.is_front {
        // The same compile need not be asked about twice.
        run.env.push((b"ZCCACHE_DISABLE".to_vec(), b"1".to_vec()));
    }
    let kept = if units.len() == command.sources.len() {
        command.args.clone()
    } else {
        args_for(&command.args, &command.parts, |unit| units.contains(&unit))
    };
    // Before the user's own, so that a map of theirs for a folder within wins.
    run.argv.extend(compile.added.iter().cloned());
    run.argv.extend(kept);

    let alone = units.len() == 1;
    let may_add = !command.records_command;
    // gcc appends a rule for each source to the file this variable names, and nothing of the
    // command changes. A blank in its value would end the name.
    let by_variable = command.flavor == Flavor::Gcc && !temporary("d").contains(&b' ');
    let mut shared = None;
    // An LTO object records the assembler's options, and the assembler sees no text of ours.
    let is_link_time_optimised = command.key_args.iter().any(|arg| arg.starts_with(b"-flto"));
    let mut discoveries = Vec::new();
    // Of sources that no preprocessor sees there is no rule.
    let is_told = |unit: &usize| is_preprocessed_here(command.sources[*unit].language);
    let of = units.iter().copied().filter(is_told).count();
    let mut nth = 0;
    for &unit in units {
        let compiler = match command.user_deps {
            _ if !is_told(&unit) => Told::SourceOnly,
            UserDeps::None if by_variable => {
                let file = *shared.get_or_insert_with(|| {
                    let path = temporary("d");
                    run.env.push((b"SUNPRO_DEPENDENCIES".to_vec(), path.clone()));
                    bring_back(&mut run, path, true)
                });
                nth += 1;
                Told::Rule { file, nth: nth - 1, of }
            }
            UserDeps::None if alone && may_add => {
                let path = temporary("d");
                run.argv.extend([b"-MD".to_vec(), b"-MF".to_vec(), path.clone()]);
                Told::File(bring_back(&mut run, path, true))
            }
            UserDeps::None => Told::ByText,
            UserDeps::All | UserDeps::UserHeaders => {
                let path =
                    command.outputs[unit].iter().find(|output| output.role == Role::Dependencies);
                match path {
                    Some(output) => Told::File(bring_back(&mut run, output.path.clone(), false)),
                    None => Told::ByText,
                }
            }
        };
        let mut assembler = None;
        if alone
            && may_add
            && (!is_link_time_optimised || language::is_assembly(command.sources[unit].language))
            && command.separate_assembler
            && compile.toolchains[unit].assembler_lists
        {
            let path = temporary("as");
            // A comma would end the option's value.
            if !path.contains(&b',') {
                run.argv.push([&b"-Wa,--MD,"[..], &path].concat());
                assembler = Some(bring_back(&mut run, path, true));
            }
        }
        run.units.push(RunUnit { unit: unit as u32, outputs: command.outputs[unit].clone() });
        discoveries.push(Discovery { unit, compiler, assembler, linker: None });
    }
    Plan { run, discoveries }
}

/// The arguments for some of the sources. Of `-x` only what one of these stands behind: of one that no file follows
/// a driver says that it has no effect.
pub fn args_for(args: &[Arg], parts: &[ArgPart], is_kept: impl Fn(usize) -> bool) -> Vec<Arg> {
    let mut kept = Vec::with_capacity(args.len());
    let mut language: Vec<&Arg> = Vec::new();
    let (mut sources, mut before) = (0, ArgPart::Both);
    for (arg, &part) in args.iter().zip(parts) {
        match part {
            ArgPart::Language => {
                if before != ArgPart::Language {
                    language.clear();
                }
                language.push(arg);
            }
            ArgPart::Source => {
                if is_kept(sources) {
                    kept.extend(language.drain(..).cloned());
                    kept.push(arg.clone());
                }
                sources += 1;
            }
            ArgPart::Both | ArgPart::Link => kept.push(arg.clone()),
        }
        before = part;
    }
    kept
}

/// The language that `-x` names behind all sources, unless that is none.
pub fn language_behind<'a>(args: &'a [Arg], parts: &[ArgPart]) -> Option<&'a Arg> {
    let of = |wanted| parts.iter().rposition(|part| *part == wanted);
    let language = of(ArgPart::Language)?;
    let name = &args[language];
    (Some(language) > of(ArgPart::Source) && !name.ends_with(b"none")).then_some(name)
}

/// True for languages whose `#include` lines this command follows.
pub fn is_preprocessed_here(language: Language) -> bool {
    !matches!(
        language,
        Language::PreprocessedC | Language::PreprocessedCxx | Language::Assembler | Language::Ir
    )
}
