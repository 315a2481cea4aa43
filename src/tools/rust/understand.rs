//! A rustc or clippy-driver command: who answers to it, what it says, and its key.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::args::Opt;
use super::compile::Compile;
use super::fold::is_clean;
use super::native::unnamed;
use super::parse::{Command, parse};
use super::rustup;
use super::text::names_cargo_lint;
use super::tool;
use crate::files::{PathId, Seen};
use crate::protocol::message::Terminal;
use crate::session::kind::{Kind, Language, Tool};
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::environment::{LINK_REFUSED, LINK_VARIABLES};
use crate::tools::find::absolute;
use crate::tools::finds::find;
use crate::tools::key_parts::{KeyParts, Part};
use crate::tools::link::action::{are_apart, beside_the_program};
use crate::tools::places::Places;
use crate::tools::refusal::{Refusal, refused};
use crate::tools::toolchain::{Answer, Toolchains};
use crate::tools::understood::{Actions, Typed};
use crate::tools::worktree::{Sharing, Worktree};

/// Variables that the compiler itself looks at.
const RUSTC_VARIABLES: &[&str] = &[
    "RUSTC_BOOTSTRAP",
    "RUSTC_FORCE_RUSTC_VERSION",
    "RUSTC_OVERRIDE_VERSION_STRING",
    "RUST_TARGET_PATH",
    "RUST_MIN_STACK",
    "RUSTUP_TOOLCHAIN",
    "LD_PRELOAD",
    "SOURCE_DATE_EPOCH",
    // Whether it is set decides about what messages advise.
    "CARGO_CRATE_NAME",
];

const CLIPPY_VARIABLES: &[&str] = &[
    "CLIPPY_ARGS",
    "CLIPPY_CONF_DIR",
    "CLIPPY_DISABLE_DOCS_LINKS",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PRIMARY_PACKAGE",
];

/// Understands a command of this family; what it looked at is added to `depends`.
pub(in crate::tools) fn understand(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    typed: &Typed<'_>,
    depends: &mut Vec<PathId>,
) -> Result<Actions, Refusal> {
    if caller.env.get(b"RUSTC_LOG").is_some() {
        return Err(Reason::Environment.into());
    }
    // What stands before the options proper: `+nightly` for a proxy, `rustc` for clippy.
    let mut args = typed.args;
    let mut plus = None;
    if let Some((first, rest)) = args.split_first()
        && first.starts_with(b"+")
    {
        (plus, args) = (Some(first), rest);
    }
    let is_clippy = typed.called == b"clippy-driver";
    let mut rustc = typed.program.to_vec();
    if is_clippy
        && let Some((first, rest)) = args.split_first()
        && first.rsplit(|byte| *byte == b'/').next() == Some(&b"rustc"[..])
    {
        let mut looked = Vec::new();
        let found = find(caller, first, &mut looked).ok_or(Reason::UnknownCompiler)?;
        depends.append(&mut looked);
        (rustc, args) = (found.0, rest);
    }
    let mut read = |path: &[u8]| {
        let id = caller.table.intern(&absolute(caller.cwd, path));
        depends.push(id);
        match caller.table.look(id, true) {
            Seen::File { hash: Some(hash), .. } => caller.table.text(id, &hash),
            _ => None,
        }
    };
    let mut command = parse(args, &mut read)?;
    if is_excluded(&command.crate_name, caller) {
        return Err(Refusal { reason: Reason::Excluded, argument: Some(command.crate_name) });
    }
    let clippy_args = caller.env.get(b"CLIPPY_ARGS").unwrap_or_default();
    let words = args.iter().map(|arg| &arg[..]).chain([clippy_args]);
    if is_clippy && let Some(lint) = words.into_iter().find(|word| names_cargo_lint(word)) {
        return Err(refused(Reason::UncacheableArgument, lint));
    }
    let mut known: Vec<Arc<Answer>> = Vec::new();
    let (real, proxy) = rustup::real(caller, toolchains, typed.program, plus)?;
    known.extend(proxy);
    if is_clippy && rustc == typed.program {
        // Called without cargo: the compiler beside it.
        let folder = real.len() - typed.called.len();
        rustc = [&real[..folder], b"rustc"].concat();
    } else if is_clippy {
        let (behind, proxy) = rustup::real(caller, toolchains, &rustc, None)?;
        known.extend(proxy);
        rustc = behind;
    } else {
        rustc = real.clone();
    }
    let compiler = tool::compiler(caller, toolchains, &rustc, command.target.as_ref())?;
    known.push(compiler.answer.clone());
    let mut linking = None;
    if command.linked.is_some() {
        if caller.env.has_any(LINK_REFUSED) {
            return Err(Reason::Environment.into());
        }
        let (linker, mut link) = tool::linker(caller, toolchains, &command, depends)?;
        link.folders.push(compiler.target_folder(command.target.as_ref()));
        known.push(linker);
        command.outputs.extend(beside_the_program(&link.said));
        if !are_apart(&command.outputs, &link.said) {
            return Err(Reason::UnusualOutput.into());
        }
        linking = Some(link);
    }
    depends.extend(known.iter().flat_map(|answer| answer.depends.iter().copied()));

    // A map names all files by their paths.
    let is_mapped = linking.iter().any(|link| beside_the_program(&link.said).next().is_some());
    let own = own_places(&command).filter(|_| !is_mapped);
    let moves = own.is_some();
    let results = command.out_dir.as_ref().map(|folder| absolute(caller.cwd, folder));
    let mut sharing = Worktree::of(caller, results.as_deref(), depends);
    let mut added = Vec::new();
    let mut places = Places::new(own.unwrap_or_default(), &[]);
    if let Sharing::In(tree) = &sharing {
        let in_tree = places.in_checkout(tree.names());
        match portable(&command, &in_tree) {
            Ok(maps) => (added, places) = (maps, in_tree),
            Err(refusal) => sharing = Sharing::Refused(refusal),
        }
    }
    let mut parts = KeyParts::default();
    parts.add(Part::Rules, b"rust 3");
    parts.add(Part::Called, typed.called);
    for answer in &known {
        parts.add(Part::Tool, &answer.identity);
    }
    if is_clippy {
        parts.add(Part::Tool, &program_hash(caller, &real, depends)?);
    }
    parts.add(Part::Folder, &places.spell(caller.cwd));
    for opt in &command.options {
        let value = placed(opt, &places);
        parts.add(Part::Flag, &[opt.name.as_bytes(), b" ", &value].concat());
    }
    for arg in &added {
        parts.add(Part::Added, &places.without_root(arg));
    }
    let mut names = RUSTC_VARIABLES.to_vec();
    if is_clippy {
        names.extend(CLIPPY_VARIABLES);
    }
    if let Some(link) = &linking {
        names.extend(LINK_VARIABLES);
        // Some linkers look there for what libraries need.
        let list = caller.env.get(b"LD_LIBRARY_PATH").unwrap_or_default();
        for folder in list.split(|byte| *byte == b':').filter(|_| link.linker.opens_needed()) {
            parts.add(Part::Folder, &places.spell(folder));
        }
    }
    for name in names {
        parts.add_variable(name, caller.env.get(name.as_bytes()));
    }
    for path in &extra_inputs(caller) {
        parts.add(Part::ExtraInput, &places.spell_root(path));
    }
    let unnamed = unnamed(&command, caller.cwd);
    for path in &unnamed {
        parts.add(Part::Findable, &places.spell(path));
    }
    for hash in libraries_in_front(caller, &compiler, depends) {
        parts.add(Part::Library, &hash);
    }
    if command.native_cpu {
        parts.add(Part::Machine, &this_cpu());
    }
    let text_context = text_context(&command, typed.terminal, caller);
    let prefix = typed.args.len() - args.len();
    // What is in them is looked up each time.
    let lists_folders = command.folders.iter().any(|folder| folder.has_crates());
    let meaning = Compile {
        prefix: typed.args[..prefix].to_vec(),
        sysroot: compiler.sysroot().to_vec(),
        is_clippy,
        linking,
        settings: if is_clippy { tool::clippy_settings(caller) } else { Vec::new() },
        extra_inputs: extra_inputs(caller),
        program: typed.program.to_vec(),
        cwd: caller.cwd.to_vec(),
        places: places.clone(),
        moves,
        added,
        unnamed,
        command,
    };
    Ok(Actions {
        units: vec![parts],
        kind: Kind {
            tool: if is_clippy { Tool::Clippy } else { Tool::Rustc },
            language: Language::Rust,
        },
        meaning: Box::new(meaning),
        places,
        sharing,
        before: Vec::new(),
        scripted: lists_folders,
        text_context,
    })
}

/// The folders whose names don't matter: where outputs go, and where crates and libraries
/// come from (measured: what rustc 1.95 and the linkers behind it write is the same, but
/// for texts that `fold` handles). None where they do matter or can't be told apart.
fn own_places(command: &Command) -> Option<Vec<Vec<u8>>> {
    let parent = |path: &Arg| {
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        Some(path[..slash].to_vec())
    };
    let out = command.out_dir.clone()?;
    let mut places: Vec<Vec<u8>> = vec![out];
    places.extend(command.folders.iter().map(|folder| folder.path.clone()));
    let externs = command.externs.iter().filter_map(|one| one.path.as_ref());
    places.extend(externs.filter_map(parent));
    let mut seen = BTreeSet::new();
    places.retain(|place| seen.insert(place.clone()));
    let usual = |place: &Vec<u8>| {
        place.len() > 1 && place[0] == b'/' && !place.ends_with(b"/") && is_clean(place)
    };
    let usable = !command.records_places
        && places.iter().all(usual)
        && command.outputs.iter().all(|output| is_clean(&output.path));
    usable.then_some(places)
}

/// What is added to a run so that its result fits other checkouts, or why it can't.
fn portable(command: &Command, places: &Places) -> Result<Vec<Arg>, Refusal> {
    const MAP: &[u8] = b"--remap-path-prefix=";
    let mut is_mapped = false;
    for opt in command.options.iter().filter(|opt| places.root_is_named_in(&opt.value)) {
        let sensitive = || {
            let argument = [b"--", opt.name.as_bytes(), b"=", &opt.value].concat();
            Err(Refusal { reason: Reason::PathSensitiveArg, argument: Some(argument) })
        };
        match opt.name {
            // The source, and folders that are named by number in any case.
            "" | "out-dir" | "search" | "extern" => {}
            "remap-path-prefix" => {
                let border = opt.value.iter().rposition(|byte| *byte == b'=');
                let (from, to) = opt.value.split_at(border.unwrap_or(0));
                if places.root_is_named_in(to) {
                    return sensitive();
                }
                is_mapped |= places.roots().iter().any(|root| root == from);
            }
            _ => return sensitive(),
        }
    }
    Ok(if is_mapped { Vec::new() } else { places.maps(MAP) })
}

/// An option's value with places in it by number.
fn placed(opt: &Opt, places: &Places) -> Arg {
    let folder = |path: &[u8]| places.spell(&[path, b"/"].concat());
    match opt.name {
        "out-dir" => folder(&opt.value),
        "search" | "extern" => match opt.value.iter().position(|byte| *byte == b'=') {
            Some(at) if opt.name == "extern" => {
                [&opt.value[..=at], &places.spell(&opt.value[at + 1..])].concat()
            }
            Some(at) => [&opt.value[..=at], &folder(&opt.value[at + 1..])].concat(),
            None if opt.name == "search" => folder(&opt.value),
            None => opt.value.clone(),
        },
        "" | "remap-path-prefix" => places.spell_root(&opt.value),
        _ => opt.value.clone(),
    }
}

fn is_excluded(crate_name: &[u8], caller: Caller<'_>) -> bool {
    let list = caller.env.get(b"ZCCACHE_EXCLUDE_CRATES").unwrap_or_default();
    list.split(|byte| b", ".contains(byte)).any(|name| {
        let name: Vec<u8> =
            name.iter().map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect();
        name == crate_name
    })
}

/// Files that every result is to depend on.
fn extra_inputs(caller: Caller<'_>) -> Vec<Arg> {
    let list = caller.env.get(b"ZCCACHE_EXTRA_INPUTS").unwrap_or_default();
    list.split(|byte| *byte == b':').filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
}

fn program_hash(
    caller: Caller<'_>,
    path: &[u8],
    depends: &mut Vec<PathId>,
) -> Result<[u8; 32], Reason> {
    let id = caller.table.intern(path);
    depends.push(id);
    match caller.table.look(id, true) {
        Seen::File { hash: Some(hash), .. } => Ok(hash.0),
        _ => Err(Reason::UnknownCompiler),
    }
}

/// Libraries of the compiler that `LD_LIBRARY_PATH` puts before its own. Cargo names target
/// folders there, which hold none.
fn libraries_in_front(
    caller: Caller<'_>,
    compiler: &tool::Compiler,
    depends: &mut Vec<PathId>,
) -> Vec<[u8; 32]> {
    let own = [compiler.sysroot(), b"/lib"].concat();
    let list = caller.env.get(b"LD_LIBRARY_PATH").unwrap_or_default();
    let mut found = Vec::new();
    for folder in list.split(|byte| *byte == b':').filter(|folder| !folder.is_empty()) {
        if folder == own {
            break;
        }
        for name in compiler.libraries() {
            let id = caller.table.intern(&absolute(caller.cwd, &[folder, b"/", name].concat()));
            depends.push(id);
            match caller.table.look(id, true) {
                Seen::Absent => {}
                Seen::File { hash: Some(hash), .. } => found.push(hash.0),
                _ => found.push([0; 32]),
            }
        }
    }
    found
}

/// What `-C target-cpu=native` stands for here.
fn this_cpu() -> [u8; 32] {
    let text = std::fs::read("/proc/cpuinfo").unwrap_or_default();
    let first = text.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let says = |line: &&[u8]| {
        [&b"flags"[..], b"model", b"vendor", b"cpu family", b"stepping", b"Features", b"CPU "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    *blake3::hash(&first.filter(says).collect::<Vec<_>>().join(&b'\n')).as_bytes()
}

/// What messages look like; see the gcc family.
fn text_context(command: &Command, terminal: Option<Terminal>, caller: Caller<'_>) -> u64 {
    if terminal.is_none() || command.plain_messages {
        return 0;
    }
    let mut text = format!("{terminal:?}").into_bytes();
    for name in ["TERM", "COLORTERM", "NO_COLOR", "COLUMNS"] {
        text.extend_from_slice(caller.env.get(name.as_bytes()).unwrap_or(b"\0"));
        text.push(0);
    }
    xxhash_rust::xxh3::xxh3_64(&text).max(1)
}
