//! Which toolchain a proxy of rustup starts.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use crate::session::reason::Reason;
use crate::terms::Arg;
use crate::tools::caller::Caller;
use crate::tools::closure::field;
use crate::tools::query;
use crate::tools::toolchain::{Answer, Toolchains};

/// The file behind a program called `rustc` or like a tool beside it: itself, or what a rustup proxy starts.
/// `plus` is a leading `+TOOLCHAIN`.
pub(in crate::tools) fn real(
    caller: Caller<'_>,
    toolchains: &Toolchains,
    program: &[u8],
    plus: Option<&Arg>,
) -> Result<(Vec<u8>, Option<Arc<Answer>>), Reason> {
    let path = Path::new(OsStr::from_bytes(program));
    let target = std::fs::canonicalize(path).map_err(|_| Reason::UnknownCompiler)?;
    let is_proxy = target.file_name().is_some_and(|name| name.as_bytes().starts_with(b"rustup"));
    // A proxy can also be a hard link: then it is as big as rustup beside it.
    let beside = path.parent().map(|folder| folder.join("rustup"));
    let is_copy = beside.is_some_and(|rustup| {
        use std::os::unix::fs::MetadataExt;
        let stat = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        stat(&rustup).is_some() && (stat(&rustup) == stat(path) || same_bytes(&rustup, path))
    });
    if !is_proxy && !is_copy {
        return Ok((program.to_vec(), None));
    }
    let mut key = blake3::Hasher::new();
    for part in [&b"rustup"[..], program, plus.map_or(&b""[..], |plus| plus)] {
        field(&mut key, part);
    }
    let choice = Choice::of(caller);
    choice.add_to(&mut key);
    let answer = toolchains.answer(caller, *key.finalize().as_bytes(), &|closure| {
        closure.file(caller, program);
        choice.files.iter().for_each(|path| closure.file(caller, path));
        let mut args: Vec<Arg> = plus.into_iter().cloned().collect();
        args.extend([b"--print".to_vec(), b"sysroot".to_vec()]);
        // Other tools would not know what a sysroot is.
        let slash = program.iter().rposition(|byte| *byte == b'/')?;
        let rustc = [&program[..slash], b"/rustc"].concat();
        let said = query::ask(&rustc, &args, caller.env, caller.cwd)?;
        let sysroot = said.stdout.trim_ascii_end();
        if !said.success || !sysroot.starts_with(b"/") {
            return None;
        }
        let name = program.rsplit(|byte| *byte == b'/').next()?;
        Some(vec![[sysroot, b"/bin/", name].concat()])
    });
    let answer = answer.ok_or(Reason::UnknownCompiler)?;
    Ok((answer.words[0].clone(), Some(answer)))
}

fn same_bytes(one: &Path, other: &Path) -> bool {
    let size = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.len());
    size(one) == size(other)
        && matches!((std::fs::read(one), std::fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

/// What decides which toolchain rustup's proxies start for a caller.
pub(super) struct Choice {
    cwd: Vec<u8>,
    variables: Vec<Option<Vec<u8>>>,
    /// Settings, there or not, and a file of each toolchain that is somewhere else.
    pub(super) files: Vec<Vec<u8>>,
    /// Where those toolchains are.
    targets: Vec<Vec<u8>>,
}

impl Choice {
    pub(super) fn of(caller: Caller<'_>) -> Choice {
        let variables = ["RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "HOME", "CARGO_HOME"];
        let variables = variables.map(|name| caller.env.get(name.as_bytes()).map(<[u8]>::to_vec));
        let own = || Some([variables[2].as_deref()?, b"/.rustup"].concat());
        let home = variables[1].clone().or_else(own).unwrap_or_default();
        let mut choice = Choice {
            cwd: caller.cwd.to_vec(),
            files: vec![[&home[..], b"/settings.toml"].concat()],
            targets: Vec::new(),
            variables: variables.to_vec(),
        };
        for here in Path::new(OsStr::from_bytes(caller.cwd)).ancestors() {
            for name in ["rust-toolchain", "rust-toolchain.toml"] {
                let path = here.join(name);
                if let Ok(text) = std::fs::read_to_string(&path)
                    && let Some(named) = named_path(&text)
                {
                    choice.linked(here.join(named).as_os_str().as_bytes());
                }
                choice.files.push(path.into_os_string().into_encoded_bytes());
            }
        }
        // `rustup toolchain link` makes symlinks, which the answer does not show.
        let folder = [&home[..], b"/toolchains"].concat();
        let listed = std::fs::read_dir(OsStr::from_bytes(&folder)).into_iter().flatten().flatten();
        let is_link =
            |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let mut links: Vec<_> = listed.filter(is_link).map(|entry| entry.path()).collect();
        links.sort();
        links.iter().for_each(|link| choice.linked(link.as_os_str().as_bytes()));
        choice
    }

    /// A toolchain's folder that may be reached by links.
    fn linked(&mut self, folder: &[u8]) {
        let target = std::fs::canonicalize(OsStr::from_bytes(folder)).unwrap_or_default();
        self.targets.push(target.into_os_string().into_encoded_bytes());
        // To be told when the way there changes.
        self.files.push([folder, b"/bin/rustc"].concat());
    }

    pub(super) fn add_to(&self, key: &mut blake3::Hasher) {
        field(key, &self.cwd);
        for value in &self.variables {
            field(key, value.as_deref().unwrap_or(b"\0unset"));
        }
        self.files.iter().chain(&self.targets).for_each(|path| field(key, path));
    }
}

/// `path = "…"` of a toolchain file.
fn named_path(text: &str) -> Option<String> {
    let file = DeTable::parse(text).ok()?;
    let path = file.get_ref().get("toolchain")?.get_ref().get("path")?;
    Some(path.get_ref().as_str()?.to_owned())
}
