//! What rustc reads beside sources and named crates: static libraries, and crates behind
//! the named ones.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::parse::{Command, Folder, Library};
use crate::tools::toolchain::absolute;

/// The static libraries that sources ask for in `#[link(…)]`, by a search of the text: any
/// name in a file that has such an attribute with `kind = "static"`. Too many do no harm.
pub(super) fn libraries_of_source(text: &[u8]) -> Vec<Library> {
    let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    if !has(b"link(") || !has(b"\"static") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for at in memchr::memmem::find_iter(text, b"name") {
        let rest = text[at + 4..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b"=") else { continue };
        let Some(rest) = rest.trim_ascii_start().strip_prefix(b"\"") else { continue };
        if let Some(end) = rest.iter().position(|byte| *byte == b'"') {
            let name = rest[..end].to_vec();
            found.push(Library { name: name.clone(), verbatim: false });
            found.push(Library { name, verbatim: true });
        }
    }
    found
}

/// Where a static library may be: every candidate counts, there or not.
pub(super) fn candidates(folders: &[Folder], libraries: &[Library]) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for folder in folders.iter().filter(|folder| folder.has_native()) {
        for library in libraries {
            let join = |name: &[&[u8]]| [&folder.path[..], b"/", &name.concat()].concat();
            if library.verbatim {
                paths.push(join(&[&library.name]));
            } else {
                paths.push(join(&[b"lib", &library.name, b".a"]));
            }
        }
    }
    paths
}

/// Crates that rustc may load though no `--extern` names their files. The files of a crate
/// that was named carry the rest of the file names of those behind it (`-0f1e…` of
/// `libx-0f1e….rlib`), so a search of their bytes finds them; a file that matches by chance
/// does no harm. `named`: the files given. Gives paths as spelled by the folders.
pub(super) fn crates_behind(command: &Command, named: &[Vec<u8>], cwd: &[u8]) -> Vec<Vec<u8>> {
    // By what follows the first dash of the name, or by all of it.
    let mut waiting: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    let mut found = Vec::new();
    for folder in command.folders.iter().filter(|folder| folder.has_dependencies()) {
        let listed = std::fs::read_dir(OsStr::from_bytes(&absolute(cwd, &folder.path)));
        for entry in listed.into_iter().flatten().flatten() {
            let name = entry.file_name().as_bytes().to_vec();
            let Some(stem) = stem(&name) else { continue };
            let path = [&folder.path[..], b"/", &name].concat();
            if folder.has_crates() {
                if !name.ends_with(b".so") {
                    found.push(path);
                }
                continue;
            }
            let dash = stem.iter().position(|byte| *byte == b'-').unwrap_or(0);
            waiting.entry(stem[dash..].to_vec()).or_default().push(path);
        }
    }
    if !command.reads_all_crates {
        // Named crates are made from those behind them, and carry their hashes: they change
        // with them (measured: bodies too).
        return found;
    }
    let mut todo: Vec<Vec<u8>> = named.iter().chain(&found).cloned().collect();
    let mut seen: HashSet<Vec<u8>> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        // A shared object holds what it needs.
        if path.ends_with(b".so") || waiting.is_empty() {
            continue;
        }
        let Ok(bytes) = std::fs::read(OsStr::from_bytes(&absolute(cwd, &path))) else { continue };
        for key in mentioned(&bytes, &waiting) {
            for path in waiting.remove(&key).unwrap_or_default() {
                if seen.insert(path.clone()) {
                    found.push(path.clone());
                    todo.push(path);
                }
            }
        }
    }
    // A library without code is of no use to a linker, and comes and goes as cargo pleases.
    found.retain(|path| !path.ends_with(b".rmeta"));
    found
}

/// `x-1` of `libx-1.rlib`.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let rest = name.strip_prefix(b"lib")?;
    [&b".rlib"[..], b".rmeta", b".so"].iter().find_map(|end| rest.strip_suffix(*end))
}

/// Which keys occur in the bytes.
fn mentioned(bytes: &[u8], keys: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    /// Cargo's form: a dash and sixteen digits.
    const USUAL: usize = 17;
    let mut found: HashSet<Vec<u8>> = HashSet::new();
    for at in memchr::memchr_iter(b'-', bytes) {
        if let Some(part) = bytes.get(at..at + USUAL)
            && keys.contains_key(part)
        {
            found.insert(part.to_vec());
        }
    }
    for key in keys.keys().filter(|key| key.len() != USUAL || key[0] != b'-') {
        if memchr::memmem::find(bytes, key).is_some() {
            found.insert(key.clone());
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_libraries_are_found_in_sources() {
        let text = b"#[link(name = \"z\", kind = \"static\")] extern \"C\" {}";
        assert_eq!(libraries_of_source(text)[0].name, b"z");
        assert!(libraries_of_source(b"#[link(name = \"z\")]").is_empty());
        let folders = [Folder { kind: b"native".to_vec(), path: b"/n".to_vec() }];
        let paths = candidates(&folders, &libraries_of_source(text));
        assert_eq!(paths, [b"/n/libz.a".to_vec(), b"/n/z".to_vec()]);
    }

    #[test]
    fn crates_are_known_by_the_end_of_their_names() {
        assert_eq!(stem(b"libx-1.rlib"), Some(&b"x-1"[..]));
        assert_eq!(stem(b"x-1.d"), None);
        let keys: BTreeMap<_, _> = [&b"-0123456789abcdef"[..], b"-1", b"plain", b"-none"]
            .map(|key| (key.to_vec(), Vec::new()))
            .into();
        let mut found = mentioned(b"..-0123456789abcdef\x00plain -1", &keys);
        found.sort();
        assert_eq!(found, [&b"-0123456789abcdef"[..], b"-1", b"plain"]);
    }
}
