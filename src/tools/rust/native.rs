//! What rustc reads beside sources and named crates: static libraries, and crates behind
//! the named ones.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::parse::{Command, Folder, Library};
use crate::tools::find::absolute;

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
    let mut todo: Vec<Vec<u8>> = named.iter().chain(&found).cloned().collect();
    let mut seen: HashSet<Vec<u8>> = todo.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        // A shared object holds what it needs.
        if path.ends_with(b".so") || waiting.is_empty() {
            continue;
        }
        for key in mentioned(&absolute(cwd, &path), &waiting) {
            for path in waiting.remove(&key).unwrap_or_default() {
                if seen.insert(path.clone()) {
                    found.push(path.clone());
                    todo.push(path);
                }
            }
        }
    }
    if !command.reads_all_crates {
        // Metadata is enough, and cargo starts such a compile when a library's code is still
        // being written.
        let light: HashSet<Vec<u8>> = named
            .iter()
            .chain(&found)
            .filter_map(|path| path.strip_suffix(b".rmeta"))
            .map(<[u8]>::to_vec)
            .collect();
        found.retain(|path| !path.strip_suffix(b".rlib").is_some_and(|stem| light.contains(stem)));
    }
    found
}

/// `x-1` of `libx-1.rlib`.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let rest = name.strip_prefix(b"lib")?;
    [&b".rlib"[..], b".rmeta", b".so"].iter().find_map(|end| rest.strip_suffix(*end))
}

/// Cargo's form of a key: a dash and sixteen digits.
const USUAL: usize = 17;

/// A file's keys of the usual form, for as long as the file stays the same.
type Kept = HashMap<(Vec<u8>, (u64, u64, i64, i64)), Arc<HashSet<Vec<u8>>>>;
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);
const KEPT_MAX: usize = 20_000;

/// Which keys occur in a file.
fn mentioned(path: &[u8], keys: &BTreeMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    let path_name = OsStr::from_bytes(path);
    let Ok(meta) = std::fs::metadata(path_name) else { return Vec::new() };
    let name = (path.to_vec(), (meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()));
    let kept = KEPT.lock().as_ref().and_then(|kept| kept.get(&name).cloned());
    let unusual: Vec<&Vec<u8>> = keys.keys().filter(|key| !is_usual(key)).collect();
    let bytes = match (&kept, &unusual[..]) {
        (Some(_), []) => Vec::new(),
        _ => std::fs::read(path_name).unwrap_or_default(),
    };
    let usual = kept.unwrap_or_else(|| {
        let usual = Arc::new(usual_keys(&bytes));
        let mut kept = KEPT.lock();
        let kept = kept.get_or_insert_default();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, usual.clone());
        usual
    });
    let mut found: Vec<Vec<u8>> =
        usual.iter().filter(|key| keys.contains_key(*key)).cloned().collect();
    found.extend(
        unusual.into_iter().filter(|key| memchr::memmem::find(&bytes, key).is_some()).cloned(),
    );
    found
}

fn is_usual(key: &[u8]) -> bool {
    key.len() == USUAL && key[0] == b'-' && key[1..].iter().all(u8::is_ascii_hexdigit)
}

fn usual_keys(bytes: &[u8]) -> HashSet<Vec<u8>> {
    memchr::memchr_iter(b'-', bytes)
        .filter_map(|at| bytes.get(at..at + USUAL).filter(|key| is_usual(key)))
        .map(<[u8]>::to_vec)
        .collect()
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
        let path = std::env::temp_dir().join(format!("zcc-mentioned-{}", std::process::id()));
        std::fs::write(&path, b"..-0123456789abcdef\x00plain -1").unwrap();
        let mut found = mentioned(path.as_os_str().as_bytes(), &keys);
        std::fs::remove_file(&path).unwrap();
        found.sort();
        assert_eq!(found, [&b"-0123456789abcdef"[..], b"-1", b"plain"]);
    }

    /// A crate's metadata holds its own key too.
    #[test]
    fn code_still_being_written_is_left_out() {
        let folder = std::env::temp_dir().join(format!("zcc-behind-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |end: &str| folder.join(format!("liba-0123456789abcdef.{end}"));
        std::fs::write(path("rmeta"), b"a-0123456789abcdef").unwrap();
        std::fs::write(path("rlib"), b"a").unwrap();
        let meta = path("rmeta").into_os_string().into_encoded_bytes();
        let search = format!("-Ldependency={}", folder.display());
        let argv = ["--crate-name", "b", "b.rs", "--crate-type", "lib", "--emit=metadata,link"];
        let argv = argv.iter().map(|arg| arg.as_bytes().to_vec()).chain([search.into_bytes()]);
        let command = crate::tools::rust::parse::parse(&argv.collect::<Vec<_>>(), &mut |_| None);
        let found = crates_behind(&command.unwrap(), std::slice::from_ref(&meta), b"/");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
}
