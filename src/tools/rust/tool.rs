//! Which compiler answers, and all that makes it this compiler, by content.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::link_args;
use super::linked::Linking;
use super::parse::Command;
use super::rustup::Choice;
use crate::files::PathId;
use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::field;
use crate::tools::find::{absolute, base, find_tool, own_key};
use crate::tools::link;
use crate::tools::program::{self, Program};
use crate::tools::query;
use crate::tools::refusal::Refusal;
use crate::tools::toolchain::{Answer, Toolchains};

/// Files of a compiler's folders more than this are not a compiler.
const FILES_MAX: usize = 4000;

/// What is known of a compiler for one target.
pub(super) struct Compiler {
    pub(super) answer: Arc<Answer>,
}

impl Compiler {
    pub(super) fn sysroot(&self) -> &[u8] {
        &self.answer.words[0]
    }

    /// The folder with the target's libraries, where linkers are told to look as well.
    pub(super) fn target_folder(&self, target: Option<&Arg>) -> Vec<u8> {
        let name = target_name(target.unwrap_or(&self.answer.words[2]));
        [self.sysroot(), b"/lib/rustlib/", name, b"/lib"].concat()
    }

    /// Names of the shared libraries that do the work.
    pub(super) fn libraries(&self) -> &[Vec<u8>] {
        &self.answer.words[3..]
    }
}

/// What a target is called that may be a file.
fn target_name(target: &[u8]) -> &[u8] {
    let name = base(target);
    name.strip_suffix(b".json").unwrap_or(name)
}

/// The identity of the compiler at `rustc` (never a proxy): its file, its libraries and the
/// libraries of the target.
pub(super) fn compiler(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    rustc: &[u8],
    target: Option<&Arg>,
) -> Result<Compiler, Reason> {
    let mut key = blake3::Hasher::new();
    for part in [&b"rustc"[..], rustc, target.map_or(&b""[..], |target| target)] {
        field(&mut key, part);
    }
    let program = program::inspect(rustc).map_err(|_| Reason::UnknownCompiler)?;
    // A script may start a proxy.
    let choice = match &program {
        // One that looks at variables may start one compiler now and another later.
        Program::Script { text, .. } if !program::variables_of_script(text).is_empty() => {
            return Err(Reason::UnknownCompiler);
        }
        Program::Script { .. } => Some(Choice::of(caller)),
        _ => None,
    };
    if let Some(choice) = &choice {
        choice.add_to(&mut key);
    }
    let answer = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        closure.file(caller, rustc);
        choice.iter().flat_map(|choice| &choice.files).for_each(|path| closure.file(caller, path));
        let ask = |words: &[&str]| {
            let args: Vec<Arg> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            let cwd = if choice.is_some() { caller.cwd } else { b"/" };
            let said = query::ask(rustc, &args, caller.env, cwd)?;
            (said.success).then(|| said.stdout.trim_ascii_end().to_vec())
        };
        let sysroot = ask(&["--print", "sysroot"]).filter(|path| path.starts_with(b"/"))?;
        let version = ask(&["-vV"])?;
        let host = version.split(|byte| *byte == b'\n').find_map(|l| l.strip_prefix(b"host: "))?;
        let host = host.to_vec();
        let target = target_name(target.unwrap_or(&host)).to_vec();
        let folder = |parts: &[&[u8]]| [&sysroot[..], &parts.concat()].concat();
        // Behind a script.
        closure.file(caller, &folder(&[b"/bin/rustc"]));
        let mut files = Vec::new();
        list(&folder(&[b"/lib"]), 0, &mut files)?;
        let libraries: Vec<Vec<u8>> = files
            .iter()
            .filter_map(|path| path.rsplit(|byte| *byte == b'/').next())
            .filter(|name| memchr::memmem::find(name, b".so").is_some())
            .map(<[u8]>::to_vec)
            .collect();
        list(&folder(&[b"/lib/rustlib/", &target, b"/lib"]), 2, &mut files);
        for below in [&b"/bin"[..], b"/codegen-backends"] {
            list(&folder(&[b"/lib/rustlib/", &host, below]), 2, &mut files);
        }
        for path in &files {
            closure.file(caller, path);
        }
        Some([vec![sysroot, version, host], libraries].concat())
    });
    Ok(Compiler { answer: answer.ok_or(Reason::UnknownCompiler)? })
}

/// The files of a folder, sorted, down to a depth.
fn list(folder: &[u8], depth: usize, files: &mut Vec<Vec<u8>>) -> Option<()> {
    let mut entries: Vec<_> =
        std::fs::read_dir(OsStr::from_bytes(folder)).ok()?.collect::<Result<_, _>>().ok()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let meta = std::fs::metadata(&path).ok()?;
        if meta.is_file() {
            files.push(path.as_os_str().as_bytes().to_vec());
        } else if meta.is_dir() && depth > 0 {
            list(path.as_os_str().as_bytes(), depth - 1, files)?;
        }
    }
    (files.len() <= FILES_MAX).then_some(())
}

/// The linker driver of a command: its identity, and what the command has it do.
pub(super) fn linker(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    command: &Command,
    depends: &mut Vec<PathId>,
) -> Result<(Arc<Answer>, Linking), Refusal> {
    let name: &[u8] = command.linker.as_deref().unwrap_or(b"cc");
    // By such a name rustc tells that options for the linker itself go behind `-Wl,`.
    let is_driver =
        |part: &[u8]| matches!(part, b"cc" | b"gcc" | b"g++" | b"c++" | b"clang" | b"clang++");
    if !base(name).split(|byte| b"-.".contains(byte)).any(is_driver)
        || command.options.iter().any(|opt| opt.value.starts_with(b"linker-flavor"))
    {
        return Err(Reason::Link.into());
    }
    let found = find_tool(name, caller.env.get(b"PATH"), caller.cwd, own_key());
    let found = found.map_err(|_| Reason::Link)?;
    for path in found.passed.iter().chain([&found.path]) {
        let id = caller.table.intern(&absolute(caller.cwd, path));
        caller.table.look(id, false);
        depends.push(id);
    }
    let program = absolute(caller.cwd, &found.path);
    // What a script does beside calling a linker nobody knows.
    if matches!(program::inspect(&program), Ok(Program::Script { .. }) | Err(_)) {
        return Err(Reason::Link.into());
    }
    let driver = toolchains.driver(caller, &program)?;
    let told = link_args::read(driver.flavor, &command.link_args);
    let told = told?;
    let answer = link::tool::behind(caller, toolchains, &program, &told.choosing, &[])?;
    let tool = link::tool::Tool::of(&answer).ok_or(Reason::Link)?;
    let linking = Linking { said: told.said, linker: tool.linker, folders: tool.folders };
    Ok((answer, linking))
}

/// Files above a folder that clippy would take its settings from, there or not; and the manifests whose lints it
/// judges.
pub(super) fn clippy_settings(caller: Caller<'_>) -> Vec<Vec<u8>> {
    let variable = |name: &[u8]| caller.env.get(name).map(<[u8]>::to_vec);
    let start = variable(b"CLIPPY_CONF_DIR")
        .or_else(|| variable(b"CARGO_MANIFEST_DIR"))
        .unwrap_or_else(|| caller.cwd.to_vec());
    let start = absolute(caller.cwd, &start);
    let above = Path::new(OsStr::from_bytes(&start)).ancestors();
    let manifests = [variable(b"CARGO_MANIFEST_DIR"), Some(caller.cwd.to_vec())];
    let manifests =
        manifests.into_iter().flatten().map(|folder| [&folder[..], b"/Cargo.toml"].concat());
    above
        .flat_map(|folder| [folder.join(".clippy.toml"), folder.join("clippy.toml")])
        .map(|path| path.into_os_string().into_encoded_bytes())
        .chain(manifests)
        .collect()
}
