//! How to run a miss: the command as given, for the sources that missed, with what must be
//! added to learn its inputs.

use super::compile::Compile;
use crate::protocol::message::RunUnit;
use crate::tools::command::{Flavor, Language, Role, UserDeps};
use crate::tools::plan::{Discovery, Plan, Told, bring_back, run_of};
use crate::tools::understand::Understood;

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
    let left_out: Vec<usize> = (0..command.sources.len())
        .filter(|unit| !units.contains(unit))
        .map(|unit| command.sources[unit].position)
        .collect();
    let kept = command.args.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
    // Before the user's own, so that a map of theirs for a folder within wins.
    run.argv.extend(compile.added.iter().cloned());
    run.argv.extend(kept.map(|(_, arg)| arg.clone()));

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
    let mut rules = 0;
    for &unit in units {
        let compiler = match command.user_deps {
            _ if !is_preprocessed_here(command.sources[unit].language) => Told::SourceOnly,
            UserDeps::None if by_variable => {
                let file = *shared.get_or_insert_with(|| {
                    let path = temporary("d");
                    run.env.push((b"SUNPRO_DEPENDENCIES".to_vec(), path.clone()));
                    bring_back(&mut run, path, true)
                });
                rules += 1;
                Told::Rule(file, rules - 1)
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
            && !is_link_time_optimised
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

/// True for languages whose `#include` lines this command follows.
pub fn is_preprocessed_here(language: Language) -> bool {
    !matches!(
        language,
        Language::PreprocessedC | Language::PreprocessedCxx | Language::Assembler | Language::Ir
    )
}
