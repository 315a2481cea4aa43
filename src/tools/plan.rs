//! How to run a miss: the command as given, for the sources that missed, with what must be
//! added to learn its inputs.

use super::command::{Arg, Flavor, Language, Role, UserDeps};
use super::understand::Understood;
use crate::protocol::message::{DependencyKind, ReadBack, Run, RunUnit};

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
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Told {
    /// Nothing is included: the source is all there is.
    SourceOnly,
    /// A dependency file of its own.
    File(usize),
    /// The n-th rule of a file shared by the whole run.
    Rule(usize, usize),
    /// Not at all: the text must tell.
    ByText,
}

/// Plans one run for these units. `temporary` gives a name of ours in the store's folder for
/// temporary files, different for each ending.
pub fn plan(understood: &Understood, units: &[usize], temporary: &dyn Fn(&str) -> Vec<u8>) -> Plan {
    let command = &understood.command;
    let mut run = Run {
        program: understood.program.clone(),
        argv: vec![understood.argv0.clone()],
        env: Vec::new(),
        units: Vec::new(),
        read_back: Vec::new(),
    };
    let left_out: Vec<usize> = (0..command.sources.len())
        .filter(|unit| !units.contains(unit))
        .map(|unit| command.sources[unit].position)
        .collect();
    let kept = command.args.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
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
    for (nth, &unit) in units.iter().enumerate() {
        let compiler = match command.user_deps {
            _ if !is_preprocessed_here(command.sources[unit].language) => Told::SourceOnly,
            UserDeps::None if by_variable => {
                let file = *shared.get_or_insert_with(|| {
                    let path = temporary("d");
                    run.env.push((b"SUNPRO_DEPENDENCIES".to_vec(), path.clone()));
                    bring_back(&mut run, DependencyKind::Several, path, true)
                });
                Told::Rule(file, nth)
            }
            UserDeps::None if alone && may_add => {
                let path = temporary("d");
                run.argv.extend([b"-MD".to_vec(), b"-MF".to_vec(), path.clone()]);
                Told::File(bring_back(&mut run, DependencyKind::Compiler, path, true))
            }
            UserDeps::None => Told::ByText,
            UserDeps::All | UserDeps::UserHeaders => {
                let path =
                    command.outputs[unit].iter().find(|output| output.role == Role::Dependencies);
                match path {
                    Some(output) => Told::File(bring_back(
                        &mut run,
                        DependencyKind::Compiler,
                        output.path.clone(),
                        false,
                    )),
                    None => Told::ByText,
                }
            }
        };
        let mut assembler = None;
        if alone
            && may_add
            && !is_link_time_optimised
            && command.separate_assembler
            && understood.toolchain.assembler_lists
        {
            let path = temporary("as");
            // A comma would end the option's value.
            if !path.contains(&b',') {
                run.argv.push([&b"-Wa,--MD,"[..], &path].concat());
                assembler = Some(bring_back(&mut run, DependencyKind::Assembler, path, true));
            }
        }
        run.units.push(RunUnit { unit: unit as u32, outputs: command.outputs[unit].clone() });
        discoveries.push(Discovery { unit, compiler, assembler });
    }
    Plan { run, discoveries }
}

fn bring_back(run: &mut Run, kind: DependencyKind, path: Arg, remove: bool) -> usize {
    run.read_back.push(ReadBack { kind, path, remove });
    run.read_back.len() - 1
}

/// True for languages whose `#include` lines this command follows.
pub fn is_preprocessed_here(language: Language) -> bool {
    !matches!(
        language,
        Language::PreprocessedC | Language::PreprocessedCxx | Language::Assembler | Language::Ir
    )
}
