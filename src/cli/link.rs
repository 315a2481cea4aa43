//! `zccache link DIR [TOOL…]`: a folder of compiler names that all lead to this program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use super::given::Given;
use super::{USAGE, print, say, shown};
use crate::tools::emscripten::is_emscripten;
use crate::tools::find::base;
use crate::tools::{rustfmt, tidy};

#[derive(Debug, Default, PartialEq)]
struct Options {
    folder: PathBuf,
    tools: Vec<OsString>,
    force: bool,
    remove: bool,
}

/// Makes or removes the links.
pub fn run(given: &Given) -> ExitCode {
    let options = match options(given) {
        Ok(options) => options,
        Err(error) => {
            say(&format!("link: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    match link(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("link: {}: {error}", options.folder.display()));
            ExitCode::FAILURE
        }
    }
}

fn options(given: &Given) -> Result<Options, String> {
    let (folder, tools) = given.words.split_first().ok_or("a folder is needed")?;
    for tool in tools {
        let name = tool.as_bytes();
        if name.contains(&b'/') || matches!(name, b"" | b"." | b"..") {
            return Err(format!("{}: a name is needed, not a path", name.escape_ascii()));
        }
        if name.starts_with(b"zccache") {
            return Err(format!("{}: is this program itself", name.escape_ascii()));
        }
    }
    Ok(Options {
        folder: folder.into(),
        tools: tools.to_vec(),
        force: given.has("force"),
        remove: given.has("remove"),
    })
}

/// False where something had to be left undone; each such thing was said.
fn link(options: &Options) -> io::Result<bool> {
    let us = env::current_exe()?;
    if !options.remove {
        fs::create_dir_all(&options.folder)?;
    }
    let folder = std::path::absolute(&options.folder)?;
    let tools: BTreeSet<OsString> = if !options.tools.is_empty() {
        options.tools.iter().cloned().collect()
    } else if options.remove {
        names_in(&folder)?.into_iter().filter(|name| is_ours(&folder.join(name), &us)).collect()
    } else {
        compilers_on_path(&us)
    };
    if tools.is_empty() && !options.remove {
        say("link: no compiler found on PATH");
        return Ok(false);
    }
    let mut well = true;
    let mut done = 0;
    let mut there = Vec::new();
    for tool in &tools {
        let path = folder.join(tool);
        let result =
            if options.remove { remove(&path, &us) } else { make(&path, &us, options.force) };
        match result {
            Ok(changed) => {
                done += usize::from(changed);
                there.push(tool.display().to_string());
            }
            Err(error) => {
                say(&format!("link: {}: {error}", path.display()));
                well = false;
            }
        }
    }
    if options.remove {
        say(&format!("link: removed {done} of {} links from {}", tools.len(), folder.display()));
    } else {
        if there.is_empty() {
            return Ok(well);
        }
        say(&format!("link: {} in {}", there.join(" "), folder.display()));
        print(&format!(
            "export PATH=\"{}:$PATH\"\n",
            shown(&quoted(folder.as_os_str().as_bytes()))
        ));
    }
    Ok(well)
}

/// True if the link had to be made; it may be there already.
fn make(path: &Path, us: &Path, force: bool) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(_) if fs::read_link(path).is_ok_and(|target| target == us) => return Ok(false),
        Ok(meta) if meta.is_dir() => return Err(io::Error::other("is a folder")),
        Ok(_) if force || is_ours(path, us) => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("is there and not ours; --force replaces it")),
    }
    symlink(us, path)?;
    Ok(true)
}

/// True if there was a link to remove.
fn remove(path: &Path, us: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(_) if is_ours(path, us) => fs::remove_file(path).map(|()| true),
        Ok(_) => Err(io::Error::other("is not a link to zccache, left alone")),
    }
}

/// A symlink that leads to us, or to a zccache that is or was somewhere else.
fn is_ours(path: &Path, us: &Path) -> bool {
    let Ok(target) = fs::read_link(path) else { return false };
    let key = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let ours = key(us);
    (ours.is_some() && key(path) == ours)
        || base(target.as_os_str().as_bytes()).starts_with(b"zccache")
}

fn names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.file_name()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The names of all compilers on PATH that are not links to us.
fn compilers_on_path(us: &Path) -> BTreeSet<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found = BTreeSet::new();
    for folder in env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        for name in names_in(&folder).unwrap_or_default() {
            if is_farm_name(name.as_bytes())
                && is_program(&folder.join(&name))
                && !is_ours(&folder.join(&name), us)
            {
                found.insert(name);
            }
        }
    }
    found
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The name of a tool we know; a compiler's with at most a target in front and a version behind: stricter than what
/// the wrapper takes for a compiler, as nobody asked for these by name.
fn is_farm_name(name: &[u8]) -> bool {
    // These names are nobody else's.
    if tidy::is_tidy(name)
        || rustfmt::is_rustfmt(name)
        || is_emscripten(name)
        || matches!(name, b"emar" | b"emranlib")
    {
        return true;
    }
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let is_version = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let mut parts: Vec<&str> = name.split('-').collect();
    if parts.len() > 1 && parts.last().is_some_and(|part| is_version(part)) {
        parts.pop();
    }
    let Some(tool) = parts.pop() else { return false };
    // A target has at least two parts (`x86_64-linux-gnu`, `arm-eabi`); `avr` is the exception.
    let target = parts.is_empty() || parts.len() >= 2 || parts == ["avr"];
    let is_compiler = matches!(tool, "gcc" | "g++" | "cc" | "c++" | "clang" | "clang++");
    // `gcc-ar`, `llvm-ranlib`: not every program whose name ends so.
    let is_ours = target || matches!(parts[..], ["gcc" | "llvm"]) || parts.ends_with(&["gcc"]);
    (target && is_compiler)
        || (is_ours && matches!(tool, "ar" | "ranlib"))
        || is_farm_linker(tool, &parts)
}

/// A linker's name: with a target, or alone.
fn is_farm_linker(tool: &str, target: &[&str]) -> bool {
    let is_plain = target.is_empty() || target.len() >= 2 || target == ["avr"];
    (is_plain && matches!(tool, "ld" | "ld.bfd" | "ld.gold" | "ld.lld" | "ld.mold" | "mold"))
        || (target == ["wasm"] && tool == "ld")
}

/// For use between double quotes in a shell.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b'"' | b'$' | b'`' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::given;
    use super::*;

    #[test]
    fn farm_names() {
        for name in [
            "rustfmt",
            "emcc",
            "em++",
            "emar",
            "clang-tidy-14",
            "gcc",
            "c++",
            "gcc-12",
            "clang++-14",
            "x86_64-linux-gnu-gcc-12",
            "avr-g++",
            "ar",
            "gcc-ar-12",
            "llvm-ranlib",
            "x86_64-linux-gnu-gcc-ar",
            "x86_64-linux-gnu-ld.bfd",
            "mold",
            "wasm-ld-14",
        ] {
            assert!(is_farm_name(name.as_bytes()), "{name}");
        }
        for name in [
            "c89-gcc",
            "my-ar",
            "gcc-nm",
            "ldd",
            "clang-format-14",
            "gcc-12-wrapper",
            "12",
            "",
            "cc1",
        ] {
            assert!(!is_farm_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn arguments() {
        let parse = |line: &str| {
            given::from_line(&format!("link {line}")).and_then(|given| options(&given))
        };
        let expected = Options {
            folder: "d".into(),
            tools: vec!["gcc".into(), "cc".into()],
            force: true,
            remove: false,
        };
        assert_eq!(parse("d gcc --force cc").unwrap(), expected);
        for line in ["--force", "d a/b", "d ..", "d zccache", "d --what"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn links_are_made_and_removed_and_nothing_else() {
        let folder = env::temp_dir().join(format!("zcc-link-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let options = |force, remove| Options {
            folder: folder.join("deep"),
            tools: vec!["gcc".into(), "cc".into()],
            force,
            remove,
        };
        let deep = folder.join("deep");
        assert!(link(&options(false, false)).unwrap());
        assert!(link(&options(false, false)).unwrap());
        assert_eq!(fs::read_link(deep.join("gcc")).unwrap(), env::current_exe().unwrap());
        fs::remove_file(deep.join("cc")).unwrap();
        fs::write(deep.join("cc"), "mine").unwrap();
        assert!(!link(&options(false, false)).unwrap());
        assert!(!link(&options(false, true)).unwrap());
        assert_eq!(fs::read(deep.join("cc")).unwrap(), b"mine");
        assert!(!deep.join("gcc").exists());
        assert!(link(&options(true, false)).unwrap());
        let all = Options { folder: deep.clone(), remove: true, ..Options::default() };
        assert!(link(&all).unwrap());
        assert_eq!(names_in(&deep).unwrap().len(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn shells_read_the_folder_back() {
        assert_eq!(quoted(b"a \"$`\\b"), b"a \\\"\\$\\`\\\\b");
    }
}
