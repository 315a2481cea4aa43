//! Which linker does the work, and all that makes it this linker, by content.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use crate::files::{PathId, Seen};
use crate::inputs::dialect::Flavor;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::{Closure, add_library, add_program, field};
use crate::tools::environment::{LINK_VARIABLES, TOOLCHAIN_VARIABLES};
use crate::tools::find::{absolute, base, find_tool, is_executable, own_key};
use crate::tools::program::Program;
use crate::tools::query;
use crate::tools::searched::find_program;
use crate::tools::searched::{self, Searched};
use crate::tools::surroundings;
use crate::tools::toolchain::{Answer, Toolchains};

/// The linkers we know how to ask what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tools) enum Linker {
    Bfd,
    Gold,
    Lld,
    Mold,
    /// Has no dependency output; its command line tells everything.
    Wasm,
}

impl Linker {
    fn name(self) -> &'static [u8] {
        match self {
            Linker::Bfd => b"bfd",
            Linker::Gold => b"gold",
            Linker::Lld => b"lld",
            Linker::Mold => b"mold",
            Linker::Wasm => b"wasm",
        }
    }

    /// It opens the shared libraries that shared libraries need.
    pub(in crate::tools) fn opens_needed(self) -> bool {
        self == Linker::Bfd
    }

    /// It writes down what it read.
    pub(super) fn lists(self) -> bool {
        self != Linker::Wasm
    }

    fn by_name(name: &[u8]) -> Option<Linker> {
        let all = [Linker::Bfd, Linker::Gold, Linker::Lld, Linker::Mold, Linker::Wasm];
        all.into_iter().find(|linker| linker.name() == name)
    }
}

/// A linker, with its driver if it has one.
#[derive(Debug)]
pub(in crate::tools) struct Tool {
    pub(in crate::tools) identity: [u8; 32],
    pub(in crate::tools) linker: Linker,
    /// Folders that are searched without being told.
    pub(in crate::tools) folders: Vec<Arg>,
    pub(in crate::tools) depends: Vec<PathId>,
}

impl Tool {
    pub(in crate::tools) fn of(answer: &Answer) -> Option<Tool> {
        let (name, folders) = answer.words.split_first()?;
        Some(Tool {
            identity: answer.identity,
            linker: Linker::by_name(name)?,
            folders: folders.to_vec(),
            depends: answer.depends.clone(),
        })
    }
}

/// Folders that linkers search on many systems. One too many does no harm.
const USUAL_FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/usr/lib",
];

/// The linker behind a driver: as words its kind and the folders that are searched. `choosing`
/// are the driver's arguments that choose programs, targets and folders, `plugins` what the
/// linker is told to load beside those that the driver has for it.
pub(in crate::tools) fn behind(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    program: &[u8],
    choosing: &[Arg],
    plugins: &[Arg],
) -> Result<Arc<Answer>, Reason> {
    let driver = toolchains.driver(caller, program)?;
    let key = key(caller, b"driver", &driver.path, &[choosing, plugins].concat());
    let answer = toolchains.answer(caller, key, &|closure| {
        driver.add_to(closure);
        let ask = |args: &[&[u8]]| {
            let args: Vec<Arg> =
                choosing.iter().cloned().chain(args.iter().map(|arg| arg.to_vec())).collect();
            let said = query::ask(program, &args, caller.env, caller.cwd)?;
            said.success.then_some(said)
        };
        let ask_for = |word: &[u8]| Some(ask(&[word])?.stdout.trim_ascii_end().to_vec());
        let searched = searched::ask(caller, program, choosing)?;
        let no_slash = |place: &Arg| place.strip_suffix(b"/").unwrap_or(place).to_vec();
        let mut folders: Vec<Arg> = searched.libraries.iter().map(no_slash).collect();
        let mut places = searched.programs.clone();
        places.extend(searched::on_path(caller));
        let mut add = |name: &[u8], target: &[u8]| {
            let path = locate(caller, name, target, &places, closure)?;
            add_program(caller, &path, closure).map(|_| path)
        };
        let linker = match driver.flavor {
            Flavor::Gcc => {
                let target = driver.target();
                for part in ["collect2", "lto-wrapper", "lto1", "as"] {
                    let path = ask_for(&[b"-print-prog-name=", part.as_bytes()].concat())?;
                    // A part that is not there is not used, or the link fails.
                    let _ = add(&path, target);
                }
                let named = ask_for(&[b"-print-prog-name=", &chosen(choosing)[..]].concat())?;
                let named = add(&named, target);
                match preferred(caller, &searched.programs, closure)? {
                    Some(path) => {
                        add_program(caller, &path, closure)?;
                        path
                    }
                    None => named?,
                }
            }
            Flavor::Clang => {
                // Only the planned command tells which linker a target has.
                let said = ask(&[b"-###", b"-x", b"none", b"/dev/null", b"-o", b"a.out"])?;
                let planned = query::planned_commands(&said.stderr);
                let words = planned.last()?;
                folders.extend(
                    words.iter().filter_map(|word| word.strip_prefix(b"-L")).map(<[u8]>::to_vec),
                );
                folders.extend(start_folders(caller, choosing, &searched));
                let target = query::target(&said);
                let linker = add(words.first()?, &target)?;
                let words = &said.stderr;
                surroundings::add_configurations(caller, &driver.path, &target, words, closure)?;
                surroundings::add_installations(caller, choosing, &target, words, closure);
                linker
            }
        };
        if driver.flavor == Flavor::Gcc {
            searched::add_files(caller, &driver, &searched, GCC_FILES, closure);
        }
        add_plugins(caller, plugins, &linker, closure)?;
        let (kind, own) = about(caller, &linker, choosing, closure)?;
        folders.extend(own);
        Some([vec![kind.name().to_vec()], folders].concat())
    });
    answer.ok_or(Reason::Link)
}

/// A linker that was called itself. `choosing` are its options that choose default folders.
pub(super) fn alone(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    program: &[u8],
    choosing: &[Arg],
    plugins: &[Arg],
) -> Result<Arc<Answer>, Reason> {
    let key = key(caller, b"linker", program, &[choosing, plugins].concat());
    let answer = toolchains.answer(caller, key, &|closure| {
        // What a script does beside calling a linker nobody knows.
        if matches!(add_program(caller, program, closure)?, Program::Script { .. }) {
            return None;
        }
        add_plugins(caller, plugins, program, closure)?;
        let (kind, folders) = about(caller, program, choosing, closure)?;
        Some([vec![kind.name().to_vec()], folders].concat())
    });
    answer.ok_or(Reason::Link)
}

/// Plugins that a linker was told of.
fn add_plugins(
    caller: Caller<'_>,
    plugins: &[Arg],
    linker: &[u8],
    closure: &mut Closure,
) -> Option<()> {
    plugins
        .iter()
        .try_for_each(|plugin| add_library(caller, &absolute(caller.cwd, plugin), linker, closure))
}

/// What kind of linker it is, and where it looks by itself.
fn about(
    caller: Caller<'_>,
    program: &[u8],
    choosing: &[Arg],
    closure: &mut Closure,
) -> Option<(Linker, Vec<Arg>)> {
    let ask = |args: &[Arg]| Some(query::ask(program, args, caller.env, caller.cwd)?.stdout);
    let version = ask(&[b"--version".to_vec()])?;
    let has = |text: &[u8], word: &[u8]| memchr::memmem::find(text, word).is_some();
    let is_wasm = has(base(program), b"wasm-ld");
    let linker = if has(&version, b"GNU gold") {
        Linker::Gold
    } else if version.starts_with(b"GNU ld") {
        Linker::Bfd
    } else if version.starts_with(b"mold ") {
        Linker::Mold
    } else if has(&version, b"LLD ") {
        if is_wasm { Linker::Wasm } else { Linker::Lld }
    } else {
        return None;
    };
    if linker.lists() && !has(&ask(&[b"--help".to_vec()])?, b"--dependency-file") {
        return None;
    }
    let mut folders: Vec<Arg> = Vec::new();
    if linker == Linker::Bfd {
        let ask_for = |word: &[u8]| {
            let args = choosing.iter().filter(|arg| is_linkers(arg)).cloned();
            ask(&args.chain([word.to_vec()]).collect::<Vec<_>>())
        };
        let sysroot = ask_for(b"--print-sysroot")?;
        let own = super::script::named(&ask_for(b"--verbose")?).folders;
        folders.extend(own.into_iter().map(|folder| match folder.strip_prefix(b"=") {
            Some(rest) => [sysroot.trim_ascii_end(), rest].concat(),
            None => folder,
        }));
        // Where it looks for what shared libraries need.
        let settings =
            ["/etc/ld.so.conf", "/usr/local/etc/ld.so.conf"].map(|path| path.as_bytes().to_vec());
        for path in settings.into_iter().chain(files_in(b"/etc/ld.so.conf.d")) {
            closure.file(caller, &path);
            let text = std::fs::read(OsStr::from_bytes(&path)).unwrap_or_default();
            let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            folders.extend(lines.filter(|line| line.starts_with(b"/")).map(<[u8]>::to_vec));
        }
    }
    if matches!(linker, Linker::Bfd | Linker::Gold) {
        folders.extend(USUAL_FOLDERS.iter().map(|folder| folder.as_bytes().to_vec()));
        plugins(caller, program, closure);
    }
    Some((linker, folders))
}

/// Those of a driver's choosing arguments that its linker understands as well.
fn is_linkers(arg: &[u8]) -> bool {
    arg.starts_with(b"-melf") || arg.starts_with(b"--sysroot=") || arg.starts_with(b"-mi386")
}

/// Plugins that GNU tools load from their own folder, there or not.
pub(in crate::tools) fn plugins(caller: Caller<'_>, program: &[u8], closure: &mut Closure) {
    const NAMES: &[&str] = &["liblto_plugin.so", "LLVMgold.so", "libdep.so"];
    let own = program.len() - base(program).len();
    for folder in [&b"../lib/bfd-plugins"[..], b"../lib/x86_64-linux-gnu/bfd-plugins"] {
        let folder = [&program[..own], folder].concat();
        let names = NAMES.iter().map(|name| [&folder[..], b"/", name.as_bytes()].concat());
        for path in names.chain(files_in(&folder)) {
            closure.file(caller, &path);
        }
    }
}

/// The files of a folder now, sorted.
fn files_in(folder: &[u8]) -> Vec<Arg> {
    let entries = std::fs::read_dir(OsStr::from_bytes(folder)).into_iter().flatten();
    let mut paths: Vec<Arg> =
        entries.flatten().map(|entry| entry.path().into_os_string().into_encoded_bytes()).collect();
    paths.sort();
    paths
}

/// Files that gcc looks up for a link.
const GCC_FILES: &[&[u8]] =
    &[b"liblto_plugin.so", b"specs", b"libgomp.spec", b"libsanitizer.spec", b"libitm.spec"];

/// Folders in which clang looks for start files beside those that it prints: the given ones, its compiler-rt's and its
/// installation's.
fn start_folders(caller: Caller<'_>, choosing: &[Arg], searched: &Searched) -> Vec<Arg> {
    let sysroot = choosing.iter().find_map(|arg| arg.strip_prefix(b"--sysroot="));
    let mut folders: Vec<Arg> = searched::given(choosing)
        .into_iter()
        .map(|folder| match folder.strip_prefix(b"=") {
            Some(rest) => [sysroot.unwrap_or_default(), rest].concat(),
            None => folder,
        })
        .collect();
    let listed = caller.env.get(b"COMPILER_PATH").unwrap_or_default();
    folders.extend(listed.split(|byte| *byte == b':').map(<[u8]>::to_vec));
    folders.retain(|folder| !folder.is_empty());
    if let Some(resources) = searched.libraries.first() {
        folders.extend([&b"/lib/linux"[..], b"/../../.."].map(|rest| [resources, rest].concat()));
    }
    folders
}

/// The linker that gcc's collect2 takes before the one that was chosen, if it is there; where it is not is remembered
/// as absent. None: there is something of its name, and whether it is taken can't be told.
fn preferred(caller: Caller<'_>, places: &[Arg], closure: &mut Closure) -> Option<Option<Vec<u8>>> {
    let mut passed = Vec::new();
    for name in [&b"real-ld"[..], b"collect-ld"] {
        for place in places {
            // collect2 is told of folders only, and not of what goes before a name.
            let path = searched::candidates(caller, place, name).pop()?;
            let id = caller.table.intern(&path);
            match caller.table.look(id, false) {
                Seen::Absent => passed.push(id),
                Seen::File { .. } if is_executable(&path) => {
                    // Which of the names it has matters: collect2 gives them other arguments.
                    closure.content.append(&mut passed);
                    return Some(Some(path));
                }
                _ => return None,
            }
        }
    }
    closure.absent.append(&mut passed);
    Some(None)
}

/// The name gcc looks its linker up by.
fn chosen(choosing: &[Arg]) -> Arg {
    let last = choosing.iter().rev().find_map(|arg| arg.strip_prefix(b"-fuse-ld="));
    last.map_or(b"ld".to_vec(), |name| [b"ld.", name].concat())
}

/// Where a part is that a driver names, and never us: a farm of our links may stand on PATH.
fn locate(
    caller: Caller<'_>,
    printed: &[u8],
    target: &[u8],
    places: &[Arg],
    closure: &mut Closure,
) -> Option<Vec<u8>> {
    let path = find_program(caller, printed, target, places, closure)?;
    let found = find_tool(&path, caller.env.get(b"PATH"), caller.cwd, own_key()).ok()?;
    for passed in &found.passed {
        closure.file(caller, passed);
    }
    Some(absolute(caller.cwd, &found.path))
}

fn key(caller: Caller<'_>, what: &[u8], program: &[u8], words: &[Arg]) -> [u8; 32] {
    let mut key = blake3::Hasher::new();
    for part in [what, program, caller.cwd] {
        field(&mut key, part);
    }
    for word in words {
        field(&mut key, word);
    }
    for name in TOOLCHAIN_VARIABLES.iter().chain(LINK_VARIABLES) {
        field(&mut key, caller.env.get(name.as_bytes()).unwrap_or(b"\0unset"));
    }
    *key.finalize().as_bytes()
}
