//! A rustfmt command: who answers to it, which files it reaches, and its keys.

use std::collections::BTreeSet;

use super::args::{self, Emit};
use super::format::{Format, Unit};
use super::settings;
use super::tree::{Place, Tree};
use crate::files::{PathId, Seen};
use crate::session::kind::{Kind, Language, Tool};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::tools::caller::Caller;
use crate::tools::closure::{add_program, field};
use crate::tools::environment::{RUSTFMT_VARIABLES, streams_context};
use crate::tools::find::absolute;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::places::Places;
use crate::tools::refusal::Refusal;
use crate::tools::rust::rustup;
use crate::tools::toolchain::Toolchains;
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::Sharing;

/// Variables by which it writes a log.
const LOG_VARIABLES: [&[u8]; 2] = [b"RUSTFMT_LOG", b"RUST_LOG"];

/// Understands a command of this family; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    if LOG_VARIABLES.iter().any(|name| caller.env.get(name).is_some()) {
        return Err(Reason::Environment.into());
    }
    let command = args::parse(typed.args)?;
    let (real, proxy) = rustup::real(caller, toolchains, typed.program, command.plus.as_ref())?;
    let mut key = blake3::Hasher::new();
    for part in [&b"rustfmt"[..], &real, caller.env.get(b"LD_LIBRARY_PATH").unwrap_or_default()] {
        field(&mut key, part);
    }
    let rustfmt = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        add_program(caller, &real, closure)?;
        Some(Vec::new())
    });
    let rustfmt = rustfmt.ok_or(Reason::UnknownCompiler)?;
    let known: Vec<_> = proxy.into_iter().chain([rustfmt]).collect();
    depends.extend(known.iter().flat_map(|answer| answer.depends.iter().copied()));

    let roots: Vec<Arg> = command.files.iter().map(|file| absolute(caller.cwd, file)).collect();
    let found = settings::candidates(&roots, command.config_path.as_ref(), caller.env, caller.cwd);
    let found = found.ok_or(Reason::Environment)?;
    let mut settings = Vec::new();
    for path in found.into_iter().chain(settings::terminal(caller.env)) {
        let id = caller.table.intern(&path);
        depends.push(id);
        let place = match caller.table.look(id, true) {
            Seen::Absent => Place::Absent,
            Seen::File { hash: Some(hash), .. } => {
                let text = caller.table.text(id, &hash).unwrap_or_default();
                if path.ends_with(b".toml") && args::changes_what_is_written(&text) {
                    let argument = Some(path);
                    return Err(Refusal { reason: Reason::UncacheableArgument, argument });
                }
                Place::File(hash, text.into())
            }
            _ => Place::Other,
        };
        settings.push((path, place));
    }

    let mut trees = Vec::new();
    for root in &roots {
        let tree = Tree::of(caller, root).ok_or(Reason::UncacheableArgument)?;
        depends.extend(tree.places.values().map(|(id, _)| *id));
        if !matches!(tree.places.get(root), Some((_, Place::File(..)))) {
            let argument = Some(root.clone());
            return Err(Refusal { reason: Reason::UncacheableArgument, argument });
        }
        trees.push(tree);
    }
    // Settings that are told are read once for all roots, with what there is to say of them. And a
    // file that several roots have in common is written for the first of them.
    let share = || {
        let pairs = trees.iter().enumerate();
        pairs.clone().any(|(at, tree)| trees[..at].iter().any(|other| tree.overlaps(other)))
    };
    let is_whole = command.config_path.is_some() || (command.emit == Emit::Files && share());
    let groups: Vec<Vec<usize>> = match is_whole {
        true => vec![(0..roots.len()).collect()],
        false => (0..roots.len()).map(|root| vec![root]).collect(),
    };

    let mut common = KeyParts::default();
    common.add(Part::Rules, b"rustfmt 1");
    for answer in &known {
        common.add(Part::Tool, &answer.identity);
    }
    common.add(Part::Folder, caller.cwd);
    for (position, arg) in typed.args.iter().enumerate() {
        if !command.positions.contains(&position) {
            common.add(Part::Flag, arg);
        }
    }
    for name in RUSTFMT_VARIABLES {
        common.add_variable(name, caller.env.get(name.as_bytes()));
    }
    let mut parts = Vec::new();
    let mut units = Vec::new();
    for group in &groups {
        let mut own = common.clone();
        for root in group {
            own.add(Part::Source, &command.files[*root]);
        }
        let mut tree = Tree::default();
        group.iter().for_each(|root| tree.places.extend(trees[*root].places.clone()));
        // What is written over must be known by what it was. Else the input set tells.
        if command.emit == Emit::Files {
            let all = tree.places.iter().map(|(path, (_, place))| (path, place));
            let settings = settings.iter().map(|(path, place)| (path, place));
            for (path, place) in all.chain(settings) {
                own.add(Part::ExtraInput, &describe(path, place));
            }
        }
        let files: BTreeSet<Vec<u8>> = match command.emit {
            Emit::Files => tree.files().map(|(path, ..)| path.clone()).collect(),
            _ => BTreeSet::new(),
        };
        if files.len() > usize::from(u16::MAX) {
            return Err(Reason::UncacheableArgument.into());
        }
        let outputs = files.into_iter().enumerate().map(|(number, path)| Output {
            role: Role::Other(number as u16),
            path,
            style: WriteStyle::InPlace,
            required: false,
        });
        let positions = group.iter().map(|root| command.positions[*root]).collect();
        let source = command.files[group[0]].clone();
        let roots = group.iter().map(|root| roots[*root].clone()).collect();
        units.push(Unit { source, roots, positions, tree, outputs: outputs.collect() });
        parts.push(own);
    }
    let format = Format {
        args: typed.args.to_vec(),
        positions: command.positions,
        emit: command.emit,
        real,
        style: command.style,
        config_path: command.config_path.map(|path| absolute(caller.cwd, &path)),
        settings: settings.into_iter().map(|(path, _)| path).collect(),
        units,
        stdout: typed.stdout,
    };
    Ok(Actions {
        units: parts,
        kind: Kind { tool: Tool::Rustfmt, language: Language::Rust },
        meaning: Box::new(format),
        places: Places::default(),
        sharing: Sharing::Off,
        scripted: false,
        before: Vec::new(),
        text_context: streams_context(typed.terminal, typed.stdout, caller.env),
    })
}

fn describe(path: &[u8], place: &Place) -> Vec<u8> {
    let what = match place {
        Place::File(hash, _) => blake3::Hash::from_bytes(hash.0).to_hex().to_string(),
        Place::Absent => "absent".to_owned(),
        Place::Other => "there".to_owned(),
    };
    [path, b" ", what.as_bytes()].concat()
}
