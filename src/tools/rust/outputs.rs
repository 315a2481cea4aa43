//! The files a command makes, and how rustc opens them (measured: 1.95).

use super::made::{CrateType, Emit};
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};

/// What decides the names of outputs.
pub(super) struct Naming<'a> {
    pub(super) crate_name: &'a [u8],
    pub(super) extra: &'a [u8],
    /// As given; `None`: the cwd.
    pub(super) out_dir: Option<&'a [u8]>,
    /// `-o`
    pub(super) output: Option<&'a [u8]>,
    pub(super) crate_types: &'a [CrateType],
    pub(super) emit: &'a [(Emit, Option<Arg>)],
}

/// What a command makes.
pub(super) struct Made {
    pub(super) outputs: Vec<Output>,
    /// Those of a linker.
    pub(super) linked: Vec<Role>,
}

/// All outputs. `None` where a name is not certain.
pub(super) fn outputs(naming: &Naming<'_>) -> Option<Made> {
    let mut outputs: Vec<Output> = Vec::new();
    let mut linked = Vec::new();
    let mut add = |emit: Emit, kind: Option<CrateType>, path: Arg| {
        let role = match emit {
            Emit::DepInfo => Role::Dependencies,
            _ if outputs.iter().all(|output| output.role != Role::Main) => Role::Main,
            _ => Role::Other(outputs.len() as u16),
        };
        let style = match emit {
            Emit::DepInfo | Emit::Mir => WriteStyle::InPlace,
            _ => WriteStyle::ReplaceWritable,
        };
        linked.extend(kind.filter(|kind| kind.is_linked()).map(|_| role));
        let required = !kind.is_some_and(CrateType::may_be_dropped);
        outputs.push(Output { role, path, style, required });
    };
    // With several kinds rustc makes names of its own from the one given.
    if naming.output.is_some() && naming.emit.len() > 1 {
        return None;
    }
    for (emit, path) in naming.emit {
        let kinds = if *emit == Emit::Link { naming.crate_types } else { &[] };
        let given = path.as_deref().or(naming.output);
        match given {
            Some(_) if kinds.len() > 1 => return None,
            Some(path) => add(*emit, kinds.first().copied(), path.to_vec()),
            None if *emit == Emit::Link => {
                for kind in kinds {
                    let (before, after) = kind.affixes();
                    add(*emit, Some(*kind), in_folder(naming, before, after));
                }
            }
            None => {
                let before: &str = if *emit == Emit::Metadata { "lib" } else { "" };
                add(*emit, None, in_folder(naming, before, emit.ending()));
            }
        }
    }
    // Two kinds under one name: whoever writes last wins.
    let mut names: Vec<&Arg> = outputs.iter().map(|output| &output.path).collect();
    names.sort_unstable();
    names.dedup();
    (names.len() == outputs.len() && !outputs.is_empty()).then_some(Made { outputs, linked })
}

fn in_folder(naming: &Naming<'_>, before: &str, after: &str) -> Arg {
    let name = [before.as_bytes(), naming.crate_name, naming.extra, after.as_bytes()].concat();
    match naming.out_dir {
        None => name,
        Some(folder) if folder.ends_with(b"/") => [folder, &name].concat(),
        Some(folder) => [folder, b"/", &name].concat(),
    }
}
